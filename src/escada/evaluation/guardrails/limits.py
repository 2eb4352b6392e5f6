"""The guardrails, and how each gets its limit from controls and loses its say if they contradict.

**The limit** lies halfway between the worst sets of texts that must pass and the best sets that
must fail, the most extreme hundredth left out on both sides. A set has as many texts as there are
samples; sets are drawn with replacement from texts of the validation split, each source with its
share, so the limit knows how much a figure of so few texts moves by chance. If what must pass is no
better than what must fail, the figure cannot tell them apart and the guardrail is invalid. A
control that is only wanted to fail draws the limit nearer where it can be told apart; where it
cannot, the result says so.

**The floor** is drawn in the same way on the other side, for figures of which human text has some
and noise too little: people repeat themselves a little, and share turns of phrase with others. It
lies nearer to noise (`FLOOR_PLACE`): a good model may do so less than people, and only noise is to
be held off.

**The check** is made on other texts, of the test split: what must pass has to pass and what must
fail has to fail, or the guardrail is invalid again. An invalid guardrail says nothing of the
samples and is never counted as passed.

    N  texts     R  drawn sets     S  texts of a set
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from escada.evaluation.guardrails.facts import TextFacts
from escada.evaluation.guardrails.language import PORTUGUESE

Floats = NDArray[np.float64]
Direction = Literal["at most", "at least"]
Summing = Literal["ratio", "longest", "worst tenth"]

DRAWN_SETS = 1000
"""Sets that are drawn from the texts of a control."""
FLOOR_PLACE = 0.75
"""Where a floor lies, on the way from what must pass (0) to noise (1)."""
LANGUAGE_PLACE = 0.35
"""Of the limit of `language`, on the way from human text to shuffled letters. Noise of Portuguese
subwords lies about half way, and so much moves from set to set that it cannot draw the limit."""
EXTREME_SHARE = 0.01
"""Share of the drawn sets that is left out as a freak of chance."""


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A figure of a set of texts, and what is known of it before anything is measured.

    Attributes:
        name: in the result.
        meaning: one sentence.
        unit: of the value.
        direction: of values that pass.
        summing: how the texts of a set make one figure: `ratio` of sums, the `longest` of all, or
            the value that the `worst tenth` of the texts reaches.
        of_text: numerator and denominator of one text; the denominator counts for `ratio` only.
        cause: the likely one when it fails.
        must_pass: the control that has to pass.
        must_fail: controls that have to fail beyond the limit; on others it has nothing to say.
        must_fail_below: controls that have to fail below a floor; only beside `at most`.
        limit_place: where the limit lies, on the way from what must pass (0) to what must fail (1).
        checked: controls that must fail at the check, though they do not draw the limit.
        floor_of_text: what the floor is held against, as a ratio of sums; None: the value itself.
        wanted: controls that have to fail where the limit can be drawn before them.
    """

    name: str
    meaning: str
    unit: str
    direction: Direction
    summing: Summing
    of_text: Callable[[TextFacts], tuple[float, float]]
    cause: str
    must_pass: str
    must_fail: tuple[str, ...]
    must_fail_below: tuple[str, ...] = ()
    limit_place: float = 0.5
    checked: tuple[str, ...] = ()
    floor_of_text: Callable[[TextFacts], tuple[float, float]] | None = None
    wanted: tuple[str, ...] = ()

    def value(self, texts: Sequence[TextFacts]) -> float | None:
        """The figure of a set; None if nothing in it can be judged."""
        return _number(self._figures(texts, np.arange(len(texts))[None])[0])

    def drawn_values(self, texts: Sequence[TextFacts], set_texts: int) -> Floats:
        """The figures of `DRAWN_SETS` sets drawn from the texts, (R,); nan where there is none."""
        return self._figures(texts, _drawn_sets([one.source for one in texts], set_texts))

    @property
    def of_floor(self) -> Guardrail:
        """The same guardrail with the figure that its floor is held against as its value."""
        if self.floor_of_text is None:
            return self
        return replace(self, of_text=self.floor_of_text, summing="ratio")

    def _figures(self, texts: Sequence[TextFacts], drawn_RS: NDArray[np.int64]) -> Floats:
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
    """Indices of texts, (R, S): the sources in turn, or all alike if there are more than S."""
    rng = np.random.default_rng(0)
    names = sorted(set(sources))
    if len(names) > set_texts:
        return rng.integers(len(sources), size=(DRAWN_SETS, set_texts))
    of_source = [np.flatnonzero(np.array(sources) == name) for name in names]
    columns = [of_source[place % len(names)] for place in range(set_texts)]
    return np.stack([rng.choice(column, DRAWN_SETS) for column in columns], axis=1)


@dataclass(frozen=True, slots=True)
class Edge:
    """A limit or a floor, and where it comes from.

    Attributes:
        value: None if the controls leave no room for one.
        worst_that_must_pass: of the drawn sets; None if nothing in them could be judged.
        best_that_must_fail: of the drawn sets of the control that comes nearest.
        nearest: that control's name.
    """

    value: float | None
    worst_that_must_pass: float | None
    best_that_must_fail: float | None
    nearest: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a guardrail lets pass.

    Attributes:
        limit: on the side that the guardrail's `direction` names.
        floor: on the other side, if it has one.
        must_fail: the controls that limit and floor hold off.
        not_told_apart: controls that the limit was wanted to hold off, and cannot.
    """

    limit: Edge
    floor: Edge | None
    must_fail: tuple[str, ...]
    not_told_apart: tuple[str, ...]


def calibrate(
    guardrail: Guardrail, controls: Mapping[str, Sequence[TextFacts]], set_texts: int
) -> Calibration:
    """Find a guardrail's limit, and its floor.

    Args:
        guardrail: one of `guardrails`, or `ORIGIN`.
        controls: texts of every control by name, more of them than a set holds.
        set_texts: S.
    """
    sign = 1.0 if guardrail.direction == "at most" else -1.0  # small is good below
    passing_R = guardrail.drawn_values(controls[guardrail.must_pass], set_texts)

    def failing(name: str, texts: int) -> Floats:
        return guardrail.drawn_values(controls[name], texts)

    # One planted copy among good texts must be enough, so each is a set of its own.
    alone = 1 if guardrail.summing == "longest" else set_texts
    held_off = {name: failing(name, alone) for name in guardrail.must_fail}
    wanted = {name: failing(name, alone) for name in guardrail.wanted}
    held_off |= {
        name: failing_R
        for name, failing_R in wanted.items()
        if _edge(sign, passing_R, {name: failing_R}, 0.5).value is not None
    }
    below = guardrail.of_floor
    too_small = {
        name: below.drawn_values(controls[name], set_texts) for name in guardrail.must_fail_below
    }
    enough_R = below.drawn_values(controls[guardrail.must_pass], set_texts)
    return Calibration(
        limit=_edge(sign, passing_R, held_off, guardrail.limit_place),
        floor=_edge(-1.0, enough_R, too_small, FLOOR_PLACE) if too_small else None,
        must_fail=(*held_off, *too_small, *guardrail.checked),
        not_told_apart=tuple(name for name in wanted if name not in held_off),
    )


def _edge(sign: float, passing_R: Floats, failing: Mapping[str, Floats], place: float) -> Edge:
    """Between the worst sets that must pass and the best that must fail.

    Args:
        sign: 1 if what must fail is larger, -1 if it is smaller.
        passing_R: figures of the drawn sets that must pass.
        failing: of those that must fail, by control.
        place: on the way from the ones (0) to the others (1).
    """
    worst = float(np.quantile(sign * passing_R, 1 - EXTREME_SHARE))
    best_of = {
        name: float(np.quantile(sign * drawn_R, EXTREME_SHARE)) for name, drawn_R in failing.items()
    }
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


SUBWORDS = ("bpe", "unigram")
FOR_SUBWORDS_ONLY = ("byte_fallback_ratio", "short_piece_ratio")


def applies(name: str, kind: str) -> bool:
    """Whether a guardrail has a meaning for a kind of tokenizer."""
    return kind in SUBWORDS or name not in FOR_SUBWORDS_ONLY


def guardrails() -> list[Guardrail]:
    """The guardrails of texts."""
    return [
        Guardrail(
            "byte_fallback_ratio",
            "share of the tokens that are bytes of a character without a piece of its own",
            "share",
            "at most",
            "ratio",
            lambda text: (text.fallback_tokens, text.tokens),
            "characters that the training text lacks, or bytes that form none",
            "human",
            ("noise",),
        ),
        Guardrail(
            "short_piece_ratio",
            "share of the tokens that stand for at most two characters",
            "share",
            "at most",
            "ratio",
            lambda text: (text.short_tokens, text.tokens),
            "letters that do not form words",
            "human",
            ("shuffled_characters",),
            must_fail_below=("noise",),
        ),
        Guardrail(
            "lexicon_share",
            "share of the words that are in the Portuguese lexicon",
            "share",
            "at least",
            "ratio",
            lambda text: (text.known_words, text.words),
            "strings that are not words: a model that has learned too little, or a broken sampler",
            "human",
            ("noise", "shuffled_characters"),
        ),
        Guardrail(
            "repetition",
            "how much of a text repeats itself, in the tenth of the texts that do it most",
            "share",
            "at most",
            "worst tenth",
            lambda text: (text.repetition.repeated_share, 1),
            "a loop: the same phrase again and again",
            "human",
            ("looped",),
            must_fail_below=("noise",),
            floor_of_text=lambda text: (
                text.repetition.recurring_share * text.characters,
                text.characters,
            ),
        ),
        Guardrail(
            "copied_training_text",
            "words of the longest passage that stands in the training text",
            "words",
            "at most",
            "longest",
            lambda text: (text.copy.words, 1),
            "a copy of the training text: learned by heart, or put there by hand",
            "human",
            ("copied",),
            must_fail_below=("noise",),
        ),
        Guardrail(
            "language",
            "share of the pieces of text, of two or three words, identified as Portuguese",
            "share",
            "at least",
            "ratio",
            lambda text: (text.languages[PORTUGUESE], text.languages.total()),
            "another language, or none",
            "human",
            ("foreign", "shuffled_characters"),
            limit_place=LANGUAGE_PLACE,
            checked=("noise",),
        ),
        Guardrail(
            "self_likelihood",
            "bits a token that the model charges for the text, encoded anew",
            "bits per token",
            "at most",
            "ratio",
            lambda text: (text.likelihood.bits, text.likelihood.tokens),
            "not drawn from this model",
            "human",
            ("noise", "shuffled_characters"),
            wanted=("shuffled_words",),
        ),
    ]


ORIGIN = Guardrail(
    "origin",
    "bits a token beyond what the model, with these sampler settings, would have spent",
    "bits per token",
    "at most",
    "ratio",
    lambda text: (text.likelihood.excess_bits, text.likelihood.tokens),
    "not drawn from this model with these sampler settings",
    "own",
    ("noise", "shuffled_characters"),
    wanted=("human", "shuffled_words"),
)
"""Not of the text but of its writer: human text is good text, and yet it must fail, where the
sampler sharpens enough (at temperature 1 a good model's text and a human's cost the same)."""
