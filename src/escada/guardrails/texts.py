"""The texts to judge: continuations of prompts, from a file of samples or a control.

Only the text of a file is trusted. It is tokenized again, because the file may come from a broken
sampler, whose own tokens prove nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, FiniteFloat, ValidationError

from escada.errors import EscadaError
from escada.files import read_json, sha256_file
from escada.generation.samplers import SamplerSettings
from escada.runs.checkpoint import Which
from escada.text.tokenizers.contract import REPLACEMENT

MAKE_SAMPLES = "make one with: escada sample RUN --json"


@dataclass(frozen=True, slots=True)
class SampleText:
    """A continuation of a prompt.

    Attributes:
        finished: whether the writer ended it; otherwise it was cut off.
        source: of a control's document; empty for a model's text.
        stored_bits_per_token, stored_tokens: as stated in the file of samples; None if absent.
    """

    prompt: str
    text: str
    finished: bool = False
    source: str = ""
    stored_bits_per_token: float | None = None
    stored_tokens: int | None = None

    @property
    def stored_bits(self) -> float | None:
        """The cost of the whole text as stated in the file; None if absent."""
        if self.stored_bits_per_token is None or self.stored_tokens is None:
            return None
        return self.stored_bits_per_token * self.stored_tokens


def without_cut_character(text: str) -> str:
    """Remove the bytes of an incomplete character at the end of a text that was cut off.

    They decode to U+FFFD. Elsewhere U+FFFD was written by the model, and is kept.
    """
    return text.rstrip(REPLACEMENT)


@dataclass(frozen=True, slots=True)
class SampleFile:
    """A model's samples (at least one, some perhaps empty) and their settings.

    Samples of `max_tokens` were cut off; `weights` is the checkpoint that wrote them.
    """

    continuations: list[SampleText]
    settings: SamplerSettings
    max_tokens: int
    seed: int
    weights: Which
    sha256: str


def _encodable(text: str) -> str:
    text.encode("utf-8")  # a lone surrogate, which JSON can hold, is a ValueError
    return text


_Text = Annotated[str, AfterValidator(_encodable)]


class _Row(BaseModel):
    prompt: _Text
    text: _Text
    finished: bool
    bits_per_token: FiniteFloat | None = None
    tokens: int | None = None


class _Table(BaseModel):
    samples: list[_Row]
    settings: dict[str, Any]
    max_tokens: int
    seed: int
    weights: str | None = None


def read_samples(path: Path) -> SampleFile:
    """Read a run's `samples.json`, or the output of `escada sample --json`.

    Raises:
        EscadaError: missing, not such a file, or without any text.
    """
    try:
        table = _Table.model_validate(read_json(path))
        settings = SamplerSettings(**table.settings)
    except (ValidationError, TypeError) as error:
        raise EscadaError("not a file of samples", where=path, fix=MAKE_SAMPLES) from error
    continuations = [
        SampleText(
            prompt=row.prompt,
            text=row.text if row.finished else without_cut_character(row.text),
            finished=row.finished,
            stored_bits_per_token=row.bits_per_token,
            stored_tokens=row.tokens,
        )
        for row in table.samples
    ]
    if not any(one.text for one in continuations):
        raise EscadaError("the samples hold no text to judge", where=path, fix=MAKE_SAMPLES)
    return SampleFile(
        continuations,
        settings=settings,
        max_tokens=table.max_tokens,
        seed=table.seed,
        weights="last" if table.weights == "last" else "best",
        sha256=sha256_file(path),
    )


def stored_bits_per_token(continuations: Sequence[SampleText]) -> float | None:
    """Bits per token of all samples as stated in the file; None if missing for some."""
    bits = tokens = 0.0
    for one in continuations:
        if one.stored_bits is None or one.stored_tokens is None:
            return None
        bits += one.stored_bits
        tokens += one.stored_tokens
    return bits / tokens if tokens else None
