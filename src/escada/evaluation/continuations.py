"""What a model charges for a text after a context: the ruler, from some token on.

    score_continuations(model, tokenizer, ["O vento levou"], [" o chapéu"])

The text is cut into tokens as a whole, as the ruler cuts it, and the continuation is every token
after the ones that the context alone begins with. For characters and bytes that is the boundary
itself. A subword may reach across it, when a continuation does not begin with a space: then that
token counts as continuation, and with it the end of the context inside it. BOS comes first;
EOS is charged only when asked for. Contexts are cut by the half-window rule of the ruler.
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
    """What one continuation costs.

    Attributes:
        nats: charged, unknown characters included.
        tokens: charged.
        greedy: whether each token was the model's first choice; an unknown character never is.
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
        contexts: cleaned as the model's text was; an empty one opens a document.
        continuations: appended as they are: the space between belongs to them.
        context_tokens: W of models without a state; None: the model's own.
        with_eos: whether the end of the document is charged too.

    Raises:
        EscadaError: a figure that is not finite, or W that the model cannot read.
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
    """Tokens that both begin with."""
    shorter = min(len(one), len(other))
    differs = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(differs[0]) if len(differs) else shorter
