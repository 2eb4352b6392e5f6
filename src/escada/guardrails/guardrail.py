"""The guardrails, and how their limits are calibrated and checked on controls.

**The limit** lies halfway between the worst sets of texts that must pass and the best sets that
must fail, leaving out the most extreme 1 % on both sides. A set has as many texts as there are
samples. Sets are drawn with replacement from validation texts, balanced over sources, so the limit
accounts for sampling error. Because the texts are themselves one sample, the extremes are first
moved away from the median by the factor sqrt(1 + S / N). If what must pass is no better than what
must fail, the guardrail is invalid. A `wanted` control moves the limit only where the figure can
tell it apart.

**Too little** of something is a failure too: human text repeats itself a little, shares phrases
with other texts and needs short words, and noise does less of all three. These limits are nearer to
noise (`NEAR_NOISE`), because a good model may do less of it than people.

**The check** uses test texts: if a control that must pass fails, or one that must fail passes, the
guardrail is invalid. An invalid guardrail never counts as passed.

    N  texts     R  drawn sets     S  texts of a set
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from escada.extensions import ExtensionPoint
from escada.guardrails.measures import TextMeasures
from escada.text.filters.language import PORTUGUESE

Floats = NDArray[np.float64]
Direction = Literal["at most", "at least"]
Summing = Literal["ratio", "longest", "worst tenth"]

DRAWN_SETS = 1000
NEAR_NOISE = 0.75
"""Limit of a "too little" guardrail, on the way from what must pass (0) to noise (1)."""
LANGUAGE_PLACE = 0.15
"""Limit of `language`, on the way from the worst sets of human text to shuffled letters. Noise of
Portuguese subwords lies in the first third of that way, and varies too much between sets to set the
limit; a lucky set makes the guardrail invalid (docs/guardrails.md)."""
EXTREME_SHARE = 0.01
"""Share of the drawn sets that is left out on each side."""


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A figure of a set of texts, and the controls that set its limit.

    Attributes:
        direction: of values that pass.
        of_text: numerator and denominator of one text; the denominator is for `ratio` only.
        cause: the likely cause of a failure.
        must_fail: controls that have to fail.
        summing: how the texts of a set are combined: `ratio` of sums, the `longest` of all, or the
            value that the `worst tenth` of the texts reaches.
        must_pass: the control that has to pass.
        also_must_pass: another control that has to pass, and the figure to use for its texts;
            None: the same figure.
        limit_place: of the limit, from what must pass (0) to what must fail (1).
        checked: controls that must fail at the check, but do not set the limit.
        wanted: controls that have to fail where the figure can tell them apart.
    """

    name: str
    meaning: str
    direction: Direction
    of_text: Callable[[TextMeasures], tuple[float, float]]
    cause: str
    must_fail: tuple[str, ...]
    unit: str = "share"
    summing: Summing = "ratio"
    must_pass: str = "human"
    also_must_pass: tuple[str, Callable[[TextMeasures], tuple[float, float]] | None] | None = None
    limit_place: float = 0.5
    checked: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()

    def value(self, texts: Sequence[TextMeasures]) -> float | None:
        """The figure of a set; None if nothing in it can be judged."""
        return _number(self._figures(texts, np.arange(len(texts))[None])[0])

    def drawn_values(self, texts: Sequence[TextMeasures], set_texts: int) -> Floats:
        """The figures of `DRAWN_SETS` sets drawn from the texts, (R,); nan where undefined."""
        return self._figures(texts, _drawn_sets([one.source for one in texts], set_texts))

    def interval(self, texts: Sequence[TextMeasures]) -> tuple[float, float] | None:
        """95 % bootstrap interval over the texts; None where it is meaningless."""
        if self.summing == "longest" or len(texts) < 2:
            return None
        drawn_R = self.drawn_values(texts, len(texts))
        if np.isnan(drawn_R).any():
            return None
        low, high = np.quantile(drawn_R, [0.025, 0.975])
        return float(low), float(high)

    def _figures(self, texts: Sequence[TextMeasures], drawn_RS: NDArray[np.int64]) -> Floats:
        above_N, below_N = np.array([self.of_text(one) for one in texts], dtype=np.float64).T
        if self.summing == "longest":
            return above_N[drawn_RS].max(axis=1)
        if self.summing == "worst tenth":
            tenth = math.ceil(0.9 * (drawn_RS.shape[1] - 1))
            return np.sort(above_N[drawn_RS], axis=1)[:, tenth]
        below_R = below_N[drawn_RS].sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(below_R > 0, above_N[drawn_RS].sum(axis=1) / below_R, np.nan)


def _drawn_sets(sources: Sequence[str], set_texts: int) -> NDArray[np.int64]:
    """Indices of texts, (R, S): sources in turn, or all texts at once if more than S sources."""
    rng = np.random.default_rng(0)
    names = sorted(set(sources))
    if len(names) > set_texts:
        return rng.integers(len(sources), size=(DRAWN_SETS, set_texts))
    of_source = [np.flatnonzero(np.array(sources) == name) for name in names]
    columns = [of_source[place % len(names)] for place in range(set_texts)]
    return np.stack([rng.choice(column, DRAWN_SETS) for column in columns], axis=1)


class Edge(BaseModel):
    """A limit, and the extremes of the drawn sets behind it.

    `value` is None if the controls leave no room for a limit, an extreme if nothing can be judged.
    `nearest` is the control of the best sets that must fail.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    value: float | None
    worst_that_must_pass: float | None
    best_that_must_fail: float | None
    nearest: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """A guardrail's limit, the controls that must fail, and `wanted` ones not told apart."""

    edge: Edge
    must_fail: list[str]
    not_told_apart: list[str]


def calibrate(
    guardrail: Guardrail, controls: Mapping[str, Sequence[TextMeasures]], set_texts: int
) -> Calibration:
    """Find a guardrail's limit from more texts of every control than a set (`set_texts`) holds."""
    sign = 1.0 if guardrail.direction == "at most" else -1.0  # so that smaller is better
    # One planted copy among good texts must be found, so each text is a set of its own.
    alone = 1 if guardrail.summing == "longest" and sign > 0 else set_texts

    def extreme(name: str, texts: int, share: float, figure: Guardrail = guardrail) -> float:
        drawn_R = sign * figure.drawn_values(controls[name], texts)
        if figure.summing == "longest":  # a maximum; the correction is for means
            return float(np.quantile(drawn_R, share))
        return extreme_of_sets(drawn_R, share, texts, len(controls[name]))

    worst = extreme(guardrail.must_pass, set_texts, 1 - EXTREME_SHARE)
    if guardrail.also_must_pass is not None:
        name, of_text = guardrail.also_must_pass
        figure = replace(guardrail, of_text=of_text or guardrail.of_text)
        worst = max(worst, extreme(name, set_texts, 1 - EXTREME_SHARE, figure))
    best = {name: extreme(name, alone, EXTREME_SHARE) for name in guardrail.must_fail}
    wanted = {name: extreme(name, alone, EXTREME_SHARE) for name in guardrail.wanted}
    best |= {name: value for name, value in wanted.items() if worst < value}
    return Calibration(
        edge=_edge(sign, worst, best, guardrail.limit_place),
        must_fail=[*best, *guardrail.checked],
        not_told_apart=[name for name in wanted if name not in best],
    )


def extreme_of_sets(drawn_R: Floats, share: float, set_texts: int, texts: int) -> float:
    """A quantile of the drawn sets, widened because their N `texts` are themselves a sample."""
    median = float(np.median(drawn_R))
    factor = math.sqrt(1 + set_texts / texts)
    return median + factor * (float(np.quantile(drawn_R, share)) - median)


def _edge(sign: float, worst: float, best_of: Mapping[str, float], place: float) -> Edge:
    """The limit between what must pass and what must fail; values are multiplied by `sign`."""
    nearest = min(best_of, key=lambda name: (not math.isnan(best_of[name]), best_of[name]))
    best = best_of[nearest]
    return Edge(
        value=sign * (worst + place * (best - worst)) if worst < best else None,  # not for nan
        worst_that_must_pass=_number(sign * worst),
        best_that_must_fail=_number(sign * best),
        nearest=nearest,
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


ADDED = ExtensionPoint("escada.guardrails", "guardrail", offers=("GUARDRAIL",), where="--guardrail")
"""External guardrails: a module of this folder, or anywhere on the path."""
SUBWORDS = ("bpe", "unigram")
FOR_SUBWORDS_ONLY = ("byte_fallback_ratio", "short_piece_ratio", "common_short_pieces")
TOO_LITTLE = ("common_short_pieces", "recurring_words", "shared_phrases")
"""Guardrails against too little of what human text has some of."""
VERBATIM = ("verbatim", None)


def applies(name: str, kind: str) -> bool:
    """Whether a guardrail is meaningful for a kind of tokenizer."""
    return kind in SUBWORDS or name not in FOR_SUBWORDS_ONLY


def expected_bits(text: TextMeasures) -> tuple[float, float]:
    """Expected bits of the sampler's own choices in these contexts.

    The limit must not be below this: at a high temperature, or from a model that has learned
    little, it exceeds the cost of human text. It depends on the logits, not on what was sampled.
    """
    return text.likelihood.expected_bits, text.likelihood.tokens


def guardrails() -> list[Guardrail]:
    """The guardrails of texts."""
    return [
        Guardrail(
            "byte_fallback_ratio",
            "share of the tokens that are bytes of a character without a piece of its own",
            "at most",
            lambda text: (text.fallback_tokens, text.tokens),
            "characters that the training text lacks, or bytes that form none",
            ("noise",),
            also_must_pass=VERBATIM,
        ),
        Guardrail(
            "short_piece_ratio",
            "share of the tokens that stand for at most two characters",
            "at most",
            lambda text: (text.short_tokens, text.tokens),
            "letters that do not form words",
            ("shuffled_characters",),
            also_must_pass=VERBATIM,
        ),
        Guardrail(
            "common_short_pieces",
            "share of the tokens that stand for at most two characters: a, de, e, commas",
            "at least",
            lambda text: (text.short_tokens, text.tokens),
            "too few of the short words and signs that every text has",
            ("noise",),
            also_must_pass=VERBATIM,
            limit_place=NEAR_NOISE,
        ),
        Guardrail(
            "lexicon_share",
            "share of the words that are in the Portuguese lexicon",
            "at least",
            lambda text: (text.known_words, text.words),
            "strings that are not words: a model that has learned too little, or a broken sampler",
            ("noise", "shuffled_characters"),
            also_must_pass=VERBATIM,
        ),
        Guardrail(
            "portuguese_words",
            "of the words that are clearly more frequent in one language, the share of Portuguese",
            "at least",
            lambda text: (text.portuguese_words, text.portuguese_words + text.other_words),
            "another language, or none",
            ("english", "spanish"),
            also_must_pass=VERBATIM,
            wanted=("galician", "noise", "shuffled_characters"),
        ),
        Guardrail(
            "repetition",
            "how much of a text repeats itself, in the tenth of the texts that do it most",
            "at most",
            lambda text: (text.repetition.repeated_share, 1),
            "a loop: the same phrase again and again",
            ("looped",),
            summing="worst tenth",
            also_must_pass=VERBATIM,
        ),
        Guardrail(
            "recurring_words",
            "words that came before in the text, and its longest repeat, as shares of it",
            "at least",
            lambda text: (text.repetition.recurring_share * text.characters, text.characters),
            "words that hardly ever come back, as they do in every text",
            ("noise",),
            also_must_pass=VERBATIM,
            limit_place=NEAR_NOISE,
        ),
        Guardrail(
            "copied_training_text",
            "words of the longest passage that stands in the training text",
            "at most",
            lambda text: (text.copy.words, 1),
            "a copy of the training text: learned by heart, or put there by hand",
            ("copied",),
            unit="words",
            summing="longest",
        ),
        Guardrail(
            "shared_phrases",
            "words of the longest turn of phrase that the training text has too",
            "at least",
            lambda text: (text.copy.words, 1),
            "no turn of phrase of the language: the contrary of a copy",
            ("noise",),
            unit="words",
            summing="longest",
            also_must_pass=VERBATIM,
            limit_place=NEAR_NOISE,
        ),
        Guardrail(
            "language",
            "share of the pieces of text, of two or three words, identified as Portuguese",
            "at least",
            lambda text: (text.languages[PORTUGUESE], text.languages.total()),
            "another language, or none",
            ("english", "spanish", "shuffled_characters"),
            also_must_pass=VERBATIM,
            limit_place=LANGUAGE_PLACE,
            checked=("noise",),
        ),
        Guardrail(
            "self_likelihood",
            "bits per token that the model charges for the text, encoded anew",
            "at most",
            lambda text: (text.likelihood.bits, text.likelihood.tokens),
            "text that this model finds improbable",
            ("noise", "shuffled_characters"),
            unit="bits per token",
            also_must_pass=("human", expected_bits),
            wanted=("shuffled_words",),
        ),
    ]


ORIGIN = Guardrail(
    "origin",
    "bits per token beyond what the model, with these sampler settings, would have spent",
    "at most",
    lambda text: (text.likelihood.excess_bits, text.likelihood.tokens),
    "text that this model, with these sampler settings, would hardly have drawn",
    ("noise", "shuffled_characters"),
    unit="bits per token",
    must_pass="own",
    wanted=("human", "shuffled_words"),
)
"""About the writer, not the text: human text must fail it too, where the sampler sharpens enough
(at temperature 1 a good model's text and a human's cost the same)."""
