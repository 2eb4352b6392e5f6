"""What speaks for another writer than the model: kinds of evidence, none of which is enough alone.

A limit is broken by chance, by other sampler settings or by a model that has hardly been trained.
Somebody else's text shows in several ways:

    origin            it costs more than this sampler would have spent
    self_likelihood   the model finds it improbable, as it finds noise
    unlike_own        its words and pieces are not those of what the model writes now
    stored            the file says that it cost otherwise than it does
    sampler           what is drawn now costs more than its sampler should have spent: it is broken

That a model finds improbable what it writes now, by a sampler that works, is no evidence at all: so
does one of few steps, or one whose prompts are unlike its training text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from escada.guardrails.limits import (
    ORIGIN,
    Guardrail,
    applies,
    extreme_of_sets,
    guardrails,
)
from escada.guardrails.measures import TextMeasures
from escada.guardrails.results import Evidence, GuardrailsResult

ENOUGH = 2
"""Kinds of evidence from which on another writer is named."""
COMPARED = (
    "byte_fallback_ratio",
    "short_piece_ratio",
    "lexicon_share",
    "portuguese_words",
    "recurring_words",
    "language",
)
"""Guardrails whose figures are compared with the model's own text."""
CHANCE = 0.001
"""Share of sets of own text that lies outside the range of each, on each side."""
LEAST_DIFFERENCE_BITS = 0.1
"""A token, between what the file says and what is charged now; less is rounding, and pieces
that are encoded otherwise than they were sampled."""


def evidence(
    found: GuardrailsResult,
    samples: Sequence[TextMeasures],
    own: Sequence[TextMeasures],
    *,
    kind: str,
    set_texts: int,
) -> list[Evidence]:
    """Which kinds there are.

    Args:
        found: with the verdicts of guardrails and controls.
        samples: that are judged.
        own: texts that the model wrote now, more of them than a set holds.
        set_texts: texts of a set.
    """
    kinds: list[Evidence] = []
    if found.all_guardrails()["origin"].verdict == "fail":
        kinds.append("origin")
    own_improbable = found.controls["own"]["self_likelihood"].verdict == "fail"
    broken = own_improbable and _overspends(own, set_texts)
    improbable = found.guardrails["self_likelihood"].verdict == "fail"
    if improbable and (broken or not own_improbable):
        kinds.append("self_likelihood")
    named = [one for one in guardrails() if one.name in COMPARED and applies(one.name, kind)]
    if any(_outside(one, samples, own, set_texts) for one in named):
        kinds.append("unlike_own")
    if all(one.stored_bits is not None for one in samples) and _outside(
        _STORED, samples, own, set_texts, least=LEAST_DIFFERENCE_BITS
    ):
        kinds.append("stored")
    if broken:
        kinds.append("sampler")
    return kinds


def _beyond_stored(text: TextMeasures) -> tuple[float, float]:
    return text.likelihood.bits - (text.stored_bits or 0.0), text.likelihood.tokens


_STORED = replace(ORIGIN, of_text=_beyond_stored)
"""Bits a token that are charged beyond what the file says."""


def _overspends(own: Sequence[TextMeasures], set_texts: int) -> bool:
    """Whether the model's own text costs more than drawing from its logits does.

    By more than its pieces, which are encoded otherwise than they were sampled, can explain.
    """
    encoded_anew = abs(_STORED.value(own) or 0.0)
    low = extreme_of_sets(ORIGIN.drawn_values(own, set_texts), CHANCE, set_texts, len(own))
    return low > encoded_anew + LEAST_DIFFERENCE_BITS


def _outside(
    figure: Guardrail,
    samples: Sequence[TextMeasures],
    own: Sequence[TextMeasures],
    set_texts: int,
    *,
    least: float = 0.0,
) -> bool:
    """Whether the samples' figure is out of the range of sets of the model's own text."""
    value, drawn_R = figure.value(samples), figure.drawn_values(own, set_texts)
    drawn_R = drawn_R[~np.isnan(drawn_R)]
    if value is None or not len(drawn_R):
        return False
    low, high = (
        extreme_of_sets(drawn_R, share, set_texts, len(own)) for share in (CHANCE, 1 - CHANCE)
    )
    return value < low - least or value > high + least
