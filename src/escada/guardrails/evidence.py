"""Evidence that the samples were not written by the model; one kind alone is not enough.

Chance, other sampler settings or a barely trained model can break a limit. Kinds of evidence:

    origin            the text costs more than this sampler would have spent
    self_likelihood   the model finds it as improbable as noise
    unlike_own        its words and pieces differ from what the model writes now
    stored            the cost stated in the file is wrong
    sampler           new samples cost more than their sampler should have spent: it is broken

If the model finds its own new samples improbable while its sampler works, self_likelihood proves
nothing: a model of few steps does so, or one whose prompts are unlike its training text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from escada.guardrails.guardrail import (
    ORIGIN,
    Guardrail,
    applies,
    extreme_of_sets,
    guardrails,
)
from escada.guardrails.measures import TextMeasures
from escada.guardrails.results import Evidence, GuardrailsResult

ENOUGH = 2
"""Kinds of evidence needed to say that the model did not write the samples."""
COMPARED = (
    "byte_fallback_ratio",
    "short_piece_ratio",
    "lexicon_share",
    "portuguese_words",
    "recurring_words",
    "language",
)
"""Guardrails whose figures are compared with the model's own new samples."""
CHANCE = 0.001
"""Share of sets of own text outside the range, on each side."""
LEAST_DIFFERENCE_BITS = 0.1
"""Per token, between the stated cost and the measured one; less is rounding, or text tokenized
differently than it was sampled."""


def evidence(
    found: GuardrailsResult,
    samples: Sequence[TextMeasures],
    own: Sequence[TextMeasures],
    *,
    kind: str,
    set_texts: int,
) -> list[Evidence]:
    """The kinds of evidence that apply; `own` are new samples of the model."""
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
"""Bits per token charged beyond the cost stated in the file."""


def _overspends(own: Sequence[TextMeasures], set_texts: int) -> bool:
    """Whether the model's own text costs more than its sampler should have spent.

    Allows for text that is tokenized differently than it was sampled.
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
    """Whether the samples' figure is outside the range of sets of the model's own text."""
    value, drawn_R = figure.value(samples), figure.drawn_values(own, set_texts)
    drawn_R = drawn_R[~np.isnan(drawn_R)]
    if value is None or not len(drawn_R):
        return False
    low, high = (
        extreme_of_sets(drawn_R, share, set_texts, len(own)) for share in (CHANCE, 1 - CHANCE)
    )
    return value < low - least or value > high + least
