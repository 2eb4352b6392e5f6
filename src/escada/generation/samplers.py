"""From logits to the next token: filters as pure functions, and one inverse-transform draw.

    ids_B = sample(logits_BV, uniforms_B, SamplerSettings(top_k=50), seen_BV=seen_BV, banned=[0])

The order is fixed: repetition penalty, temperature, top-k, top-p, min-p, draw. Each filter keeps a
set of tokens and sets the other logits to -inf; ties at the edge of a set go to the lower id, so
the sizes are exact. Everything is float64 NumPy on the host: the same logits and uniform numbers
give the same token on every machine. There are no fallbacks: non-finite logits raise.

`filtered_logits`, `softmax` and `draw` are the plain implementation; `sample` gives the same tokens
(tested) with less sorting.

`sample_with_doubt` also marks the draws that could change if every logit were off by up to
`rounding`, so that the caller can recompute those rows. If logits after temperature are off by at
most r nats, the probability c of any set of tokens obeys

    odds(c) / e^2r  <=  odds(true c)  <=  odds(c) e^2r          odds(c) = c / (1 - c)

so a draw is safe if moving the uniform number that far to either side selects the same token. A
token whose logit is within 2r of a filter's edge may be in or out. If the number of such tokens
kept is certain, only draws at ids among theirs can change, since their weights are nearly equal; if
it is not, their probability is added to the distance.

    B  rows     V  vocabulary     K  tokens left in one row     C  candidates
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Ids = NDArray[np.int64]

LEAST_TEMPERATURE = 1e-6
"""Lower temperatures count as 0."""
MOST_NATS = 100.0
"""Cap on the distance in nats of odds; more, at a tiny temperature, would overflow."""


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """How the next token is chosen.

    Args:
        temperature: divides the logits; at least 1e-6, below 1 sharpens.
        top_k: keep the k most probable tokens; None: all.
        top_p: nucleus sampling threshold; None: all.
        min_p: minimum probability relative to the best token; None: all.
        repetition_penalty: for tokens already in the row, from 0.001 to 1000; 1 is off.
        greedy: take the most probable token after the penalty; the other settings are ignored.

    Raises:
        EscadaError: a value out of its range.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = 0.95
    min_p: float | None = None
    repetition_penalty: float = 1.0
    greedy: bool = False

    def __post_init__(self) -> None:
        t, k, p, m = self.temperature, self.top_k, self.top_p, self.min_p
        moderate = 1e-3 <= self.repetition_penalty <= 1e3  # beyond, a penalised logit may overflow
        for key, in_range, fix in (
            ("temperature", t >= LEAST_TEMPERATURE, "at least 1e-6; 0 is greedy"),
            ("top_k", k is None or k >= 1, "at least 1; 0 is off"),
            ("top_p", p is None or 0 < p <= 1, "above 0, at most 1; 1 is off"),
            ("min_p", m is None or 0 < m <= 1, "at most 1; 0 is off"),
            ("repetition_penalty", moderate, "from 0.001 to 1000; 1 is none"),
        ):
            value: float | None = getattr(self, key)
            if value is not None and not (in_range and math.isfinite(value)):
                raise EscadaError(f"sampler setting {key} = {value} has no meaning", fix=fix)


def settings_as_written(
    *,
    temperature: float,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    greedy: bool = False,
) -> SamplerSettings:
    """Settings from the values that users and other programs give.

    Temperature 0 is greedy, as in OpenAI's API; a top_k or min_p of 0 is off, as in llama.cpp and
    transformers.

    Raises:
        EscadaError: a value out of its range.
    """
    zero = 0 <= temperature < LEAST_TEMPERATURE
    return SamplerSettings(
        temperature=1.0 if zero else temperature,
        top_k=None if top_k == 0 else top_k,
        top_p=top_p,
        min_p=None if min_p == 0 else min_p,
        repetition_penalty=repetition_penalty,
        greedy=greedy or zero,
    )


def sample(
    logits_BV: NDArray[np.floating[Any]],
    uniforms_B: Floats,
    settings: SamplerSettings,
    *,
    seen_BV: Mask | None = None,
    banned: Sequence[int] = (),
    where: str = "",
) -> Ids:
    """One token per row.

    Args:
        uniforms_B: one number in [0, 1) per row; ignored when greedy.
        seen_BV: tokens already in each row; needed for the repetition penalty.
        banned: ids that are never chosen.

    Raises:
        EscadaError: a logit is not finite.
    """
    return sample_with_doubt(
        logits_BV, uniforms_B, settings, seen_BV=seen_BV, banned=banned, where=where
    )[0]


def sample_with_doubt(
    logits_BV: NDArray[np.floating[Any]],
    uniforms_B: Floats,
    settings: SamplerSettings,
    *,
    rounding: float = 0.0,
    seen_BV: Mask | None = None,
    banned: Sequence[int] = (),
    where: str = "",
) -> tuple[Ids, Mask]:
    """One token per row, and whether logits within `rounding` could give another.

    Returns:
        The tokens of `sample`, whatever `rounding` is, and the doubtful rows. The test is
        conservative: a row not marked is certain, a marked one may be certain too.

    Raises:
        EscadaError: a logit is not finite.
    """
    check_finite(logits_BV, where)
    penalty = settings.repetition_penalty
    if penalty != 1.0:
        if seen_BV is None:
            raise ValueError("the repetition penalty needs the tokens seen")
        rounding *= max(penalty, 1 / penalty)
    choose = _greedy_row if settings.greedy else _sample_row
    chosen_B = np.empty(len(logits_BV), dtype=np.int64)
    doubtful_B = np.empty(len(logits_BV), dtype=np.bool_)
    # Row by row: the data of one row stays in the CPU cache, which is twice as fast.
    for b in range(len(logits_BV)):
        row_V: Floats = logits_BV[b].astype(np.float64)
        row_V[list(banned)] = -np.inf
        if seen_BV is not None and penalty != 1.0:
            row_V = penalise_repetition(row_V, seen_BV[b], penalty)
        chosen_B[b], doubtful_B[b] = choose(row_V, uniforms_B[b], settings, rounding)
    return chosen_B, doubtful_B


def _greedy_row(
    logits_V: Floats, uniform: float, settings: SamplerSettings, rounding: float
) -> tuple[int, bool]:
    """The first maximum, and whether another logit is within rounding of it."""
    best = int(logits_V.argmax())
    return best, rounding > 0 and _near(logits_V, logits_V[best], 2 * rounding).sum() > 1


def _sample_row(
    logits_V: Floats, uniform: float, settings: SamplerSettings, rounding: float
) -> tuple[int, bool]:
    """`draw` from the row's `filtered_logits`, dropping filtered tokens early.

    After each filter only K tokens are left, in the order of their ids.
    """
    logits_K = temper(logits_V[None], settings.temperature)[0]
    distance = min(2 * rounding / settings.temperature, MOST_NATS)
    unsure = 0.0  # weight of tokens that may be in or out, and the lowest id of one
    first_unsure = math.inf
    swaps: list[tuple[int, int]] = []  # id ranges in which such tokens may replace each other
    ids_K: Ids | None = None  # None: all
    if settings.top_k is not None and settings.top_k < len(logits_K):
        place = len(logits_K) - settings.top_k
        edge = float(np.partition(logits_K, place)[place])
        if rounding:
            swaps += _span(np.flatnonzero(_near(logits_K, edge, distance)))
        ids_K = _from_edge(logits_K, edge, settings.top_k)
        logits_K = logits_K[ids_K]
    weights_K: Floats = np.exp(logits_K)
    if settings.top_p is not None and settings.top_p < 1:
        kept, lowest, highest = _nucleus(weights_K, settings.top_p, distance)
        if rounding:
            at_edge = (logits_K >= lowest - distance) & (logits_K <= highest + distance)
            if lowest == highest:
                places = np.flatnonzero(at_edge)
                swaps += _span(places if ids_K is None else ids_K[places])
            else:
                unsure += weights_K[at_edge].sum()
                first_unsure = _first_id(at_edge, ids_K)
        ids_K = kept if ids_K is None else ids_K[kept]
        logits_K, weights_K = logits_K[kept], weights_K[kept]
    if settings.min_p is not None:
        # The maximum of those left: rounding may have dropped the greatest of nearly tied tokens.
        edge = float(logits_K.max()) + math.log(settings.min_p)
        if rounding:
            at_edge = _near(logits_K, edge, distance)
            unsure += weights_K[at_edge].sum()
            first_unsure = min(first_unsure, _first_id(at_edge, ids_K))
        weights_K[logits_K < edge] = 0.0
    cumulative_K = np.cumsum(weights_K)
    total: float = cumulative_K[-1]
    # Such tokens differ by up to 4 r from each other, and by r from their exact logits.
    reach = 5 * distance if swaps else distance
    lower, upper = _moved(uniform, reach, unsure / total)
    numbers = [uniform * total, lower * total, upper * total]
    place, first, last = np.searchsorted(cumulative_K, numbers, side="right").tolist()
    chosen = place if ids_K is None else int(ids_K[place])
    doubtful = first != last or any(low <= chosen <= high for low, high in swaps)
    doubtful |= lower < 0 and first_unsure < chosen  # a token may come in before the first
    return chosen, rounding > 0 and doubtful


def _nucleus(weights_K: Floats, p: float, distance: float) -> tuple[Ids, float, float]:
    """Indices of the fewest tokens whose probabilities reach p, and bounds on the last one's logit.

    K tokens of at most (1 - p) / 2K each have (1 - p) / 2 together, so the others reach p and only
    they are sorted.
    """
    total: float = weights_K.sum()
    probabilities_K = weights_K / total
    candidates = np.flatnonzero(probabilities_K > (1 - p) / (2 * len(probabilities_K)))
    probabilities_C = probabilities_K[candidates]
    descending_C = np.sort(probabilities_C)[::-1]
    shares = np.array([p, *_moved(p, distance, 0.0)])
    counts: list[int] = (np.searchsorted(np.cumsum(descending_C), shares) + 1).tolist()
    count, fewest, most = (min(count, len(descending_C)) for count in counts)
    kept = candidates[_from_edge(probabilities_C, float(descending_C[count - 1]), count)]
    highest = math.log(descending_C[fewest - 1] * total)
    if most < counts[2]:  # beyond the candidates: anywhere
        return kept, -math.inf, highest
    lowest = highest if most == fewest else math.log(descending_C[most - 1] * total)
    return kept, lowest, highest


def _near(values: Floats, edge: float, distance: float) -> Mask:
    return np.abs(values - edge) <= distance


def _first_id(mask_K: Mask, ids_K: Ids | None) -> float:
    """The lowest id in a mask; infinite if there is none."""
    places = np.flatnonzero(mask_K)
    if not len(places):
        return math.inf
    return float(places[0] if ids_K is None else ids_K[places[0]])


def _span(ids: Ids) -> list[tuple[int, int]]:
    """The id range of the tokens at an edge; empty if there is only one."""
    return [(int(ids[0]), int(ids[-1]))] if len(ids) > 1 else []


def _moved(share: float, distance: float, unsure: float) -> tuple[float, float]:
    """Bounds on a share of probability, moved by `distance` nats of odds: see the module docstring.

    `unsure` is the probability of tokens that may be in or out. It can change both the part and the
    whole, so it counts twice, and the result may lie outside 0 to 1.
    """
    odds_down, odds_up = math.exp(-distance), math.exp(distance)
    lower = share * odds_down / (1 - share + share * odds_down)
    upper = share * odds_up / (1 - share + share * odds_up)
    return lower - 2 * unsure, upper + 2 * unsure


def _from_edge(values: Floats, edge: float, count: int) -> Ids:
    """Indices of the `count` greatest values, `edge` being the least; ties to the first."""
    places = np.flatnonzero(values >= edge)
    surplus = len(places) - count
    if surplus > 0:
        at_edge = np.flatnonzero(values[places] == edge)
        places = np.delete(places, at_edge[-surplus:])
    return places


def filtered_logits(
    logits_BV: Floats,
    settings: SamplerSettings,
    *,
    seen_BV: Mask | None = None,
    banned: Sequence[int] = (),
    where: str = "",
) -> Floats:
    """The logits to draw from: penalised, tempered, -inf for removed tokens.

    Raises:
        EscadaError: a logit is not finite.
    """
    check_finite(logits_BV, where)
    logits_BV = logits_BV.astype(np.float64)
    logits_BV[:, list(banned)] = -np.inf
    if settings.repetition_penalty != 1.0:
        if seen_BV is None:
            raise ValueError("the repetition penalty needs the tokens seen")
        logits_BV = penalise_repetition(logits_BV, seen_BV, settings.repetition_penalty)
    if settings.greedy:
        return logits_BV
    logits_BV = temper(logits_BV, settings.temperature)
    if settings.top_k is not None:
        logits_BV = keep_top_k(logits_BV, settings.top_k)
    if settings.top_p is not None:
        logits_BV = keep_top_p(logits_BV, settings.top_p)
    if settings.min_p is not None:
        logits_BV = keep_min_p(logits_BV, settings.min_p)
    return logits_BV


def check_finite(logits_BV: NDArray[np.floating[Any]], where: str = "") -> None:
    """Raise `EscadaError` for the first infinite or NaN logit, naming its row and token."""
    finite_BV = np.isfinite(logits_BV)
    if not finite_BV.all():
        row, token = (int(i) for i in np.argwhere(~finite_BV)[0])
        place = f"row {row}, token {token}"
        raise EscadaError(
            f"the model's logit is {logits_BV[row, token]}, not a finite number",
            where=f"{where}, {place}" if where else place,
            fix="its training diverged or its weights are damaged: use another checkpoint",
        )


def penalise_repetition(logits_BV: Floats, seen_BV: Mask, penalty: float) -> Floats:
    """Logits of seen tokens divided by the penalty when positive, multiplied when negative.

    The paper (CTRL, Keskar et al. 2019, section 4.1) only divides, which would favour seen tokens
    with negative logits; implementations multiply there.
    """
    penalised_BV = np.where(logits_BV > 0, logits_BV / penalty, logits_BV * penalty)
    return np.where(seen_BV, penalised_BV, logits_BV)


def temper(logits_BV: Floats, temperature: float) -> Floats:
    """Logits over temperature, shifted so that each row's maximum is 0 and nothing overflows."""
    return (logits_BV - logits_BV.max(axis=1, keepdims=True)) / temperature


def keep_top_k(logits_BV: Floats, k: int) -> Floats:
    """The k greatest logits of each row (Fan et al. 2018)."""
    counts_B = np.minimum(np.isfinite(logits_BV).sum(axis=1), min(k, logits_BV.shape[1]))
    return np.where(_greatest(logits_BV, counts_B), logits_BV, -np.inf)


def keep_top_p(logits_BV: Floats, p: float) -> Floats:
    """The fewest tokens whose probabilities reach p, most probable first (Holtzman et al. 2020)."""
    if p == 1:
        return logits_BV
    probabilities_BV = softmax(logits_BV)
    descending_BV = -np.sort(-probabilities_BV, axis=1)
    before_BV = np.zeros_like(descending_BV)
    np.cumsum(descending_BV[:, :-1], axis=1, out=before_BV[:, 1:])
    counts_B = ((before_BV < p) & (descending_BV > 0)).sum(axis=1)
    return np.where(_greatest(probabilities_BV, counts_B), logits_BV, -np.inf)


def keep_min_p(logits_BV: Floats, min_p: float) -> Floats:
    """Tokens with at least `min_p` times the row's greatest probability (Nguyen et al. 2024)."""
    threshold_B1 = logits_BV.max(axis=1, keepdims=True) + math.log(min_p)
    return np.where(logits_BV >= threshold_B1, logits_BV, -np.inf)


def softmax(logits_BV: Floats) -> Floats:
    """Probabilities of each row; -inf is 0."""
    weights_BV = np.exp(logits_BV - logits_BV.max(axis=1, keepdims=True))
    return weights_BV / weights_BV.sum(axis=1, keepdims=True)


def draw(probabilities_BV: Floats, uniforms_B: Floats) -> Ids:
    """Inverse transform: the first token whose cumulative probability exceeds the number."""
    cumulative_BV = np.cumsum(probabilities_BV, axis=1)
    # The sum is not exactly 1; scaling by it keeps a number close to 1 within the row.
    targets_B1 = (uniforms_B * cumulative_BV[:, -1])[:, None]
    return (cumulative_BV > targets_B1).argmax(axis=1)


def _greatest(values_BV: Floats, counts_B: NDArray[np.intp]) -> Mask:
    """A mask of the `counts_B` greatest values of each row; ties to the lower ids."""
    ascending_BV = np.sort(values_BV, axis=1)
    edge_B1 = np.take_along_axis(ascending_BV, values_BV.shape[1] - counts_B[:, None], axis=1)
    above_BV = values_BV > edge_B1
    ties_BV = values_BV == edge_B1
    room_B1 = counts_B[:, None] - above_BV.sum(axis=1, keepdims=True)
    return above_BV | (ties_BV & (np.cumsum(ties_BV, axis=1) <= room_B1))
