"""Score a continuation given a context.

    score_continuations(model, tokenizer, ["O vento levou"], [" o chapéu"])

Context and continuation are tokenized as one text, after BOS; the continuation is every token after
the prefix shared with the tokenized context. A subword that spans the boundary, possible when the
continuation does not begin with a space, counts as continuation. Long contexts are cut by the
ruler's half-window rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from escada.evaluation.scoring import Reading, check_scores
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Continuation:
    """The cost of one continuation, unknown characters included.

    `greedy`: every token was the model's first choice; an unknown character never is.
    """

    nats: float
    tokens: int
    greedy: bool


def score_continuations(
    model: LanguageModel,
    tokenizer: Tokenizer,
    contexts: Sequence[str],
    continuations: Sequence[str],
    *,
    context_tokens: int | None = None,
    with_eos: bool = False,
) -> list[Continuation]:
    """Score each continuation after its context, from BOS.

    Args:
        contexts: cleaned by the model's profile; an empty one starts a document.
        continuations: appended as they are: the space between belongs to them.
        context_tokens: W of models without a state; None: the model's own.

    Raises:
        EscadaError: a score that is not finite, or a W that the model cannot read.
    """
    whole = [a + b for a, b in zip(contexts, continuations, strict=True)]
    ids_of_contexts, ids_of_whole = tokenizer.encode_batch(contexts), tokenizer.encode_batch(whole)
    end = [tokenizer.eos_id] if with_eos else []
    scores = Reading(
        model,
        tokenizer,
        [np.concatenate([[tokenizer.bos_id], ids, end]).astype(np.int64) for ids in ids_of_whole],
        first_targets=[
            1 + _in_common(context, ids)
            for context, ids in zip(ids_of_contexts, ids_of_whole, strict=True)
        ],
        context_tokens=context_tokens,
    ).scores()
    check_scores(scores, [f"a text that ends in {text[-40:]!r}" for text in whole])
    return [
        Continuation(float(one.nats.sum()), len(one.ids), bool(one.correct.all())) for one in scores
    ]


def _in_common(one: NDArray[np.int32], other: NDArray[np.int32]) -> int:
    shorter = min(len(one), len(other))
    differs = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(differs[0]) if len(differs) else shorter
