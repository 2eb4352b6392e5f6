"""Checks an export against its run: ids, texts and logits.

    parity = check_export(run, "transformers", folder)
    if not parity.ok: …

The export is loaded by its library as users load it. Both sides encode and decode sentences of the
run's held-out documents, and both models read the beginnings of some. Greedy continuations, the
first thing that people try, are compared too.

    T  tokens     V  vocabulary
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.export.forms import FORMS
from escada.generation.prompts import load_prompts
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Which
from escada.runs.corpus import corpus_of
from escada.runs.run import Run

SCHEMA_VERSION = 1
SENTENCES = 1_000
DOCUMENTS = 24
"""Documents whose beginnings both models read."""
MOST_TOKENS = 512
"""Tokens per document, for models without a context limit."""
GREEDY_TOKENS = 24
GREEDY_PROMPTS = 4

Logits = NDArray[np.float32]


class Exported(Protocol):
    """An export as loaded by its library."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without BOS."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        ...

    def logits(self, ids: Sequence[int]) -> Logits:
        """Logits after each id, (T, V)."""
        ...


@dataclass(frozen=True, slots=True)
class Parity:
    """The result of comparing an export with its run.

    Attributes:
        sentences: read by both tokenizers.
        same_ids, same_texts: sentences with equal ids, and those decoded to the original text.
        documents, tokens: whose logits were compared.
        largest_difference: of any logit.
        greedy_prompts, same_greedy: greedy continuations, and how many are equal.
    """

    sentences: int
    same_ids: int
    same_texts: int
    documents: int
    tokens: int
    largest_difference: float
    tolerance: float
    greedy_prompts: int
    same_greedy: int

    @property
    def ok(self) -> bool:
        """Whether all ids and texts are equal and all logits within the tolerance."""
        same = self.sentences == self.same_ids == self.same_texts
        return same and self.largest_difference <= self.tolerance

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {"schema_version": SCHEMA_VERSION, "ok": self.ok, **asdict(self)}


def compare(
    run: Run,
    exported: Exported,
    tolerance: float,
    *,
    which: Which = "best",
) -> Parity:
    """Compare an export, loaded by its library, with its run, on the run's held-out documents.

    `tolerance` is the maximum difference of a logit.

    Raises:
        ValueError: a logit is not finite.
    """
    model, tokenizer = run.load_model(which), run.tokenizer
    texts = held_out(run)
    sentences = sentences_of(texts)[:SENTENCES]
    ours = [ids.tolist() for ids in tokenizer.encode_batch(sentences)]
    same_ids = sum(exported.encode(text) == ids for text, ids in zip(sentences, ours, strict=True))
    same_texts = sum(exported.decode(ids) == tokenizer.decode(ids) for ids in ours)
    most = model.context_tokens or MOST_TOKENS
    read = [
        [tokenizer.bos_id, *tokenizer.encode(text).tolist()][:most]
        for text in islice(texts, 0, None, max(1, len(texts) // DOCUMENTS))
    ][:DOCUMENTS]
    prompts = [ids[:8] for ids in read[:GREEDY_PROMPTS]]
    return Parity(
        sentences=len(sentences),
        same_ids=same_ids,
        same_texts=same_texts,
        documents=len(read),
        tokens=sum(map(len, read)),
        largest_difference=max(_difference(model, exported, ids) for ids in read),
        tolerance=tolerance,
        greedy_prompts=len(prompts),
        same_greedy=sum(
            _greedy(partial(_our_logits, model), ids, most) == _greedy(exported.logits, ids, most)
            for ids in prompts
        ),
    )


def held_out(run: Run) -> list[str]:
    """The run's test documents; the default prompts if its corpus is missing."""
    if not run.data_path.is_dir():
        return [prompt.text for prompt in load_prompts()]
    corpus = corpus_of(run)
    return [
        document.text for split in ("test", "validation") for document in corpus.documents(split)
    ]


def sentences_of(texts: Sequence[str]) -> list[str]:
    """Split texts after sentence-final punctuation, keeping inner whitespace."""
    parts = (part for text in texts for part in re.split(r"(?<=[.!?…]) ", text))
    return [part for part in parts if part]


def _our_logits(model: LanguageModel, ids: Sequence[int]) -> Logits:
    with torch.no_grad():
        return model(torch.tensor([list(ids)]))[0].numpy()


def _difference(model: LanguageModel, exported: Exported, ids: Sequence[int]) -> float:
    largest = float(np.abs(_our_logits(model, ids) - exported.logits(ids)).max())
    if not np.isfinite(largest):
        raise ValueError("a logit is not finite")
    return largest


def _greedy(
    logits_of: Callable[[list[int]], Logits], prompt: Sequence[int], most: int
) -> list[int]:
    ids = list(prompt)
    while len(ids) < min(len(prompt) + GREEDY_TOKENS, most):
        ids.append(int(logits_of(ids)[-1].argmax()))
    return ids


def checkable(form: str) -> ModuleType:
    """The module of a form; an EscadaError if it cannot load its exports."""
    module = FORMS.load(form)
    for name in ("load", "TOLERANCE"):
        if not hasattr(module, name):
            raise EscadaError(
                f"the form {form!r} cannot be checked: its file offers no {name}",
                where="--check",
                fix="leave --check out, or see docs/extending.md",
            )
    return module


def check_export(
    run: Run, form: str, path: Path, *, numbers: str = "f32", which: Which = "best"
) -> Parity:
    """`compare` for a form by name.

    Raises:
        EscadaError: the form's library is not installed, or see `checkable`.
    """
    module = checkable(form)
    allowed: float | Mapping[str, float] = module.TOLERANCE
    tolerance = allowed[numbers] if isinstance(allowed, Mapping) else allowed
    return compare(run, module.load(run, path), tolerance, which=which)
