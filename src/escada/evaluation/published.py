"""Figures that others published, by a protocol of their own.

A file of these stands beside a comparison (`escada report DIR --beside FILE`) and never in it: its
documents, split and tokenizer are others. docs/report.md describes the form.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from escada.spec import Bilingual
from escada.typed_json import JsonObject

ROUNDING = 0.01
"""Relative difference allowed between a published perplexity and exp(loss)."""

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Named = Annotated[str, Field(min_length=1)]


class PublishedFigure(JsonObject):
    """One model's figures; unknown keys are ignored.

    Attributes:
        unit: what a target is: a character, or a token of subwords.
        loss_nats: mean cross-entropy per unit; without it, the log of `perplexity`.
        tokens_per_character: of a subword tokenizer on the evaluated text.
    """

    name: Named
    unit: Literal["character", "token"]
    loss_nats: Positive | None = None
    perplexity: Annotated[float, Field(gt=1)] | None = None
    accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    windows: Count | None = None
    window_tokens: Count | None = None
    window_stride: Count | None = None
    tokens_per_character: Positive | None = None

    @model_validator(mode="after")
    def _loss_and_perplexity_agree(self) -> PublishedFigure:
        if self.loss_nats is None and self.perplexity is None:
            raise ValueError(f"{self.name}: neither loss_nats nor perplexity")
        if self.unit == "character" and self.tokens_per_character is not None:
            raise ValueError(f"{self.name}: tokens_per_character has no meaning for characters")
        if self.loss_nats is not None and self.perplexity is not None:
            difference = self.loss_nats - math.log(self.perplexity)
            if abs(difference) > ROUNDING:
                raise ValueError(
                    f"{self.name}: perplexity {self.perplexity:g} is not exp(loss_nats), "
                    f"{math.exp(min(self.loss_nats, 700)):.4g}; is the loss in nats?"
                )
        return self

    @property
    def loss(self) -> float:
        """Nats per unit."""
        if self.loss_nats is not None:
            return self.loss_nats
        assert self.perplexity is not None
        return math.log(self.perplexity)

    @property
    def bits_per_character(self) -> float | None:
        """None for subwords whose number per character is unknown."""
        per_character = 1.0 if self.unit == "character" else self.tokens_per_character
        return None if per_character is None else self.loss / math.log(2) * per_character


class Publication(JsonObject):
    """What one source published.

    Attributes:
        by: whose figures they are.
        note: the caveats, for readers.
    """

    schema_version: Literal[1] = 1
    by: Bilingual | Named
    note: Bilingual | str = ""
    figures: list[PublishedFigure] = Field(min_length=1)


class Publications(JsonObject):
    """beside.json of a climb."""

    schema_version: Literal[1] = 1
    kind: Literal["figures of others"] = "figures of others"
    publications: list[Publication]
