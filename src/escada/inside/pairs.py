"""Two sentences, token by token: which one a model prefers, and where the difference arises."""

from __future__ import annotations

from collections.abc import Sequence

from escada.errors import EscadaError
from escada.evaluation.text_score import ScoredToken, score_text
from escada.inside.views import PairRequest, PairView
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer


def show_pair(
    model: LanguageModel,
    tokenizer: Tokenizer,
    request: PairRequest,
    profile: str,
    context_tokens: int | None,
) -> PairView:
    """Both sentences, scored as the ruler scores a document.

    Raises:
        EscadaError: a sentence is empty, or both are the same.
    """
    text, other = (
        score_text(model, tokenizer, one, profile=profile, context_tokens=context_tokens).tokens
        for one in (request.text, request.other)
    )
    first, last = _differing([one.id for one in text], [one.id for one in other])
    if first == len(text) == len(other):
        raise EscadaError("both sentences are the same", fix="change a word in one of them")
    before = _bits(other[:first]) - _bits(text[:first])
    at = _bits(other[first : len(other) - last]) - _bits(text[first : len(text) - last])
    after = _bits(other[len(other) - last :]) - _bits(text[len(text) - last :])
    return PairView(
        text=text,
        other=other,
        first_difference=first,
        difference_bits=before + at + after,
        before_bits=before,
        at_bits=at,
        after_bits=after,
    )


def _differing(text: Sequence[int], other: Sequence[int]) -> tuple[int, int]:
    """How many tokens are alike at the beginning, and after that at the end."""
    shorter = min(len(text), len(other))
    first = 0
    while first < shorter and text[first] == other[first]:
        first += 1
    last = 0
    while last < shorter - first and text[-1 - last] == other[-1 - last]:
        last += 1
    return first, last


def _bits(tokens: Sequence[ScoredToken]) -> float:
    return sum(token.bits for token in tokens)
