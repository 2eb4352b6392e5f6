"""Each sampler against its analytic distribution, and the properties of the sets that it keeps."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from escada.errors import EscadaError
from escada.generation.samplers import (
    SamplerSettings,
    draw,
    filtered_logits,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
    sample,
    sample_with_doubt,
    softmax,
    temper,
)

LOGITS = np.array([1.5, -0.5, 3.0, 0.0, 2.5, -2.0, 0.7, 2.5])
P = np.exp(LOGITS) / np.exp(LOGITS).sum()
BY_PROBABILITY = [2, 4, 7, 0, 6, 3, 1, 5]  # 4 and 7 tie: the lower id first

plain = SamplerSettings(temperature=1.0, top_p=None)


def renormalised(kept, weights=P):
    mask = np.isin(np.arange(len(weights)), list(kept))
    return np.where(mask, weights, 0) / weights[mask].sum()


def nucleus(p):
    kept, total = [], 0.0
    for token in BY_PROBABILITY:
        if total >= p:
            break
        kept.append(token)
        total += P[token]
    return kept


def penalised(seen, penalty):
    x = [v / penalty if v > 0 else v * penalty for v in LOGITS]
    x = np.array([x[i] if i in seen else LOGITS[i] for i in range(8)])
    return np.exp(x) / np.exp(x).sum()


SAMPLERS = {
    "none": (plain, P),
    "temperature": (
        SamplerSettings(temperature=0.5, top_p=None),
        P**2 / (P**2).sum(),
    ),
    "hot": (SamplerSettings(temperature=3.0, top_p=None), P ** (1 / 3) / (P ** (1 / 3)).sum()),
    "top-k": (SamplerSettings(temperature=1, top_k=3, top_p=None), renormalised([2, 4, 7])),
    "top-k among equals": (SamplerSettings(1, top_k=2, top_p=None), renormalised([2, 4])),
    "top-p": (SamplerSettings(temperature=1, top_p=0.9), renormalised(nucleus(0.9))),
    "min-p": (
        SamplerSettings(temperature=1, top_p=None, min_p=0.15),
        renormalised([i for i in range(8) if P[i] >= 0.15 * P.max()]),
    ),
    "repetition": (
        SamplerSettings(temperature=1, top_p=None, repetition_penalty=1.7),
        penalised({1, 2}, 1.7),
    ),
    "top-k, then top-p of the rest": (
        SamplerSettings(temperature=1, top_k=4, top_p=0.6),
        renormalised([2, 4]),
    ),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_sample_frequencies_match_the_analytic_distribution(name):
    settings, expected = SAMPLERS[name]
    draws = 40_000
    uniforms = np.random.default_rng(7).random(draws)
    logits = np.broadcast_to(LOGITS, (draws, 8))
    seen = np.zeros((draws, 8), dtype=bool)
    seen[:, [1, 2]] = True
    counts = np.bincount(sample(logits, uniforms, settings, seen_BV=seen), minlength=8)
    assert counts[expected == 0].sum() == 0
    possible = expected > 0
    assert stats.chisquare(counts[possible], draws * expected[possible]).pvalue > 1e-3


def test_the_chi_square_would_notice_a_wrong_temperature():
    draws = 40_000
    uniforms = np.random.default_rng(7).random(draws)
    logits = np.broadcast_to(LOGITS, (draws, 8))
    wrong = sample(logits, uniforms, SamplerSettings(temperature=0.97, top_p=None))
    assert stats.chisquare(np.bincount(wrong, minlength=8), draws * P).pvalue < 1e-3


rows = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    # few distinct values, so that ties are common
    elements=st.one_of(st.integers(-3, 3).map(float), st.floats(-30, 30)),
)
uniform = st.floats(0, 1, exclude_max=True)


@given(rows, uniform)
def test_top_k_one_equals_argmax(logits, u):
    chosen = sample(logits, np.full(len(logits), u), SamplerSettings(top_k=1))
    assert chosen.tolist() == logits.argmax(axis=1).tolist()


@given(rows, uniform)
def test_greedy_equals_argmax_and_ignores_the_uniform_number(logits, u):
    chosen = sample(logits, np.full(len(logits), u), SamplerSettings(greedy=True))
    assert chosen.tolist() == logits.argmax(axis=1).tolist()


@given(rows, st.integers(1, 15))
def test_top_k_keeps_exactly_k_of_the_greatest(logits, k):
    kept = np.isfinite(keep_top_k(logits, k))
    assert (kept.sum(axis=1) == min(k, logits.shape[1])).all()
    for row, mask in zip(logits, kept, strict=True):
        if not mask.all():
            assert row[mask].min() >= row[~mask].max()


@given(rows, st.integers(1, 15))
def test_among_equal_logits_the_lower_ids_are_kept(logits, k):
    kept = np.isfinite(keep_top_k(logits, k))
    for row, mask in zip(logits, kept, strict=True):
        reference = np.argsort(-row, kind="stable")[: mask.sum()]
        assert set(np.flatnonzero(mask)) == set(reference)


@given(rows, st.floats(0.01, 1))
def test_top_p_keeps_the_smallest_set_that_reaches_p(logits, p):
    kept = np.isfinite(keep_top_p(logits, p))
    for probabilities, mask in zip(softmax(logits), kept, strict=True):
        assert probabilities[mask].sum() >= p - 1e-12
        if mask.sum() > 1 and p < 1:
            assert np.sort(probabilities[mask])[1:].sum() < p + 1e-12
        if not mask.all():
            assert probabilities[mask].min() >= probabilities[~mask].max()


@given(rows, st.floats(0.001, 1))
def test_min_p_keeps_what_is_probable_enough_and_always_the_best(logits, min_p):
    kept = np.isfinite(keep_min_p(logits, min_p))
    probabilities = softmax(logits)
    best = probabilities.max(axis=1, keepdims=True)
    assert (probabilities[kept] >= (min_p * best * np.ones_like(probabilities))[kept] - 1e-12).all()
    assert kept[np.arange(len(logits)), logits.argmax(axis=1)].all()
    assert (
        probabilities[~kept] < (min_p * best * np.ones_like(probabilities))[~kept] + 1e-12
    ).all()


settings_strategy = st.builds(
    SamplerSettings,
    temperature=st.floats(0.05, 5),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.none() | st.floats(0.05, 1),
    min_p=st.none() | st.floats(0.01, 1),
    greedy=st.booleans(),
)


@given(rows, settings_strategy, uniform)
def test_only_kept_tokens_are_drawn_and_probabilities_keep_their_order(logits, settings, u):
    filtered = filtered_logits(logits, settings)
    probabilities = softmax(filtered)
    assert np.allclose(probabilities.sum(axis=1), 1)
    chosen = sample(logits, np.full(len(logits), u), settings)
    for before, after, token in zip(softmax(logits), probabilities, chosen, strict=True):
        assert after[token] > 0
        kept = np.flatnonzero(after)
        order = kept[np.argsort(after[kept], kind="stable")]
        assert (np.diff(before[order]) >= -1e-12).all()


@given(rows, settings_strategy, uniform, st.data())
def test_sample_gives_the_token_of_the_filters_one_by_one(logits, settings, u, data):
    """But where the number falls on the very border of two tokens, up to rounding."""
    tokens = logits.shape[1]
    banned = data.draw(st.lists(st.integers(0, tokens - 1), max_size=tokens - 1, unique=True))
    seen = data.draw(hnp.arrays(np.bool_, logits.shape))
    settings = dataclasses.replace(
        settings, repetition_penalty=data.draw(st.sampled_from([1.0, 1.3]))
    )
    filtered = filtered_logits(logits, settings, seen_BV=seen, banned=banned)
    uniforms = np.full(len(logits), u)
    found = sample(logits, uniforms, settings, seen_BV=seen, banned=banned)
    if settings.greedy:
        assert found.tolist() == filtered.argmax(axis=1).tolist()
        return
    cumulative = softmax(filtered).cumsum(axis=1)
    for token, reference, borders in zip(
        found, draw(softmax(filtered), uniforms), cumulative, strict=True
    ):
        if np.abs(borders / borders[-1] - u).min() > 1e-9:
            assert token == reference


@given(rows, uniform)
def test_banned_tokens_are_never_chosen(logits, u):
    if logits.shape[1] == 1:
        return
    banned = [int(logits[0].argmax())]
    for settings in (plain, SamplerSettings(greedy=True), SamplerSettings(top_k=1)):
        uniforms = np.full(len(logits), u)
        assert banned[0] not in sample(logits, uniforms, settings, banned=banned)


def test_uniform_numbers_at_the_ends_choose_the_first_and_last_possible_tokens():
    probabilities = np.array([[0.0, 0.25, 0.75, 0.0], [0.1] * 3 + [0.7]])
    assert draw(probabilities, np.zeros(2)).tolist() == [1, 0]
    assert draw(probabilities, np.full(2, np.nextafter(1, 0))).tolist() == [2, 3]
    assert draw(probabilities, np.array([0.25, 0.1])).tolist() == [2, 1]


def test_a_tiny_temperature_is_greedy_and_does_not_overflow():
    logits = np.array([[700.0, -700.0, 699.0]])
    assert softmax(temper(logits, 1e-300)).tolist() == [[1.0, 0.0, 0.0]]


def test_the_penalty_makes_seen_tokens_less_probable_whatever_their_sign():
    logits = np.array([[2.0, -2.0, 0.0, 2.0, -2.0]])
    seen = np.array([[True, True, True, False, False]])
    assert penalise_repetition(logits, seen, 2.0).tolist() == [[1.0, -4.0, 0.0, 2.0, -2.0]]


def test_the_callers_logits_are_left_alone():
    logits = LOGITS[None].copy()
    sample(logits, np.array([0.3]), SamplerSettings(top_k=2), banned=[2])
    assert (logits == LOGITS).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("settings", [plain, SamplerSettings(greedy=True)])
def test_a_logit_that_is_not_finite_raises_and_says_where(value, settings):
    logits = np.zeros((3, 5))
    logits[1, 4] = value
    with pytest.raises(EscadaError, match=r"not a finite number.*new token 8, row 1, token 4"):
        sample(logits, np.zeros(3), settings, where="new token 8")


@pytest.mark.parametrize(
    "setting",
    [
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"min_p": 2.0},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": math.inf},
    ],
)
def test_a_setting_without_meaning_is_an_error_that_names_it(setting):
    with pytest.raises(EscadaError, match=next(iter(setting))):
        SamplerSettings(**setting)


@hypothesis_settings(max_examples=300)
@given(rows, settings_strategy, uniform, st.floats(1e-6, 0.3), st.data())
def test_a_draw_without_doubt_is_the_same_wherever_rounding_puts_the_logits(
    logits, how, u, rounding, data
):
    how = dataclasses.replace(how, repetition_penalty=data.draw(st.sampled_from([0.7, 1.0, 1.5])))
    seen = data.draw(hnp.arrays(np.bool_, logits.shape))
    uniforms = np.full(len(logits), u)
    found, doubtful = sample_with_doubt(logits, uniforms, how, rounding=rounding, seen_BV=seen)
    assert found.tolist() == sample(logits, uniforms, how, seen_BV=seen).tolist()
    for signs in data.draw(
        st.lists(hnp.arrays(np.int8, logits.shape, elements=st.integers(-1, 1)), max_size=20)
    ):
        moved = sample(logits + rounding * 0.999 * signs, uniforms, how, seen_BV=seen)
        assert moved[~doubtful].tolist() == found[~doubtful].tolist()


def test_min_p_keeps_a_token_when_the_nucleus_is_a_choice_among_ties():
    """exp(-1e-200) is 1, so the nucleus takes the first of equal ones, not the greatest logit."""
    logits = np.array([[0.0] * 11 + [1e-200]])
    how = SamplerSettings(temperature=1.0, top_p=0.45, min_p=1.0)
    token = sample(logits, np.array([0.99]), how)
    assert token.tolist() == [5]


def test_a_number_so_small_that_a_token_could_come_in_before_it_is_in_doubt():
    """Three tokens reach p by a hair; with one more, the first by its id would be drawn."""
    logits = np.array([[0.0, 14.833, 1.0, -1.0, -2.0, -3.0, 6.5]])
    how = SamplerSettings(temperature=4.4375, top_p=0.9199)
    token, doubtful = sample_with_doubt(logits, np.array([0.0]), how, rounding=0.25)
    assert token.tolist() == [1]
    logits[0, [1, 6]] -= 0.25
    assert sample(logits, np.array([0.0]), how).tolist() == [0]
    assert doubtful.all()


@pytest.mark.parametrize(
    "how",
    [
        plain,
        SamplerSettings(),
        SamplerSettings(temperature=1, top_k=50),
        SamplerSettings(temperature=0.9, min_p=0.02),
        SamplerSettings(greedy=True),
    ],
)
def test_at_the_edge_a_draw_is_in_doubt_and_elsewhere_hardly_ever(how):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2.5, (2000, 800)).astype(np.float32)
    uniforms = rng.random(2000)
    _, doubtful = sample_with_doubt(logits, uniforms, how, rounding=1e-5)
    assert doubtful.mean() < 0.02
    _, doubtful = sample_with_doubt(logits, uniforms, how)
    assert not doubtful.any()
    probabilities = softmax(filtered_logits(logits[:50], how))
    best = probabilities.argmax(axis=1)[:, None]
    if how.greedy:  # its edge is that another is as probable
        logits[np.arange(50), (best[:, 0] + 1) % 800] = logits[np.arange(50), best[:, 0]]
    after = np.take_along_axis(probabilities.cumsum(axis=1), best, axis=1)
    before = after - np.take_along_axis(probabilities, best, axis=1)
    edges = np.where(after < 0.9, after, before)[:, 0]
    _, doubtful = sample_with_doubt(logits[:50], edges, how, rounding=1e-5)
    between = how.greedy | (edges > 1e-9)  # not before the very first token
    assert doubtful[between].all()
    assert between.sum() > 40


def test_at_the_edge_of_a_filter_only_a_draw_that_it_moves_is_in_doubt():
    """The second and third of three tokens tie, and one of them is kept."""
    logits = np.log([[0.8, 0.1, 0.1]]).repeat(2, axis=0)
    for how in (SamplerSettings(1, top_k=2, top_p=None), SamplerSettings(1, top_p=0.85)):
        _, doubtful = sample_with_doubt(logits, np.array([0.1, 0.95]), how, rounding=1e-6)
        assert doubtful.tolist() == [False, True]
    min_p = SamplerSettings(1, top_p=None, min_p=0.125)
    _, doubtful = sample_with_doubt(logits, np.array([0.1, 0.95]), min_p, rounding=1e-6)
    assert doubtful.tolist() == [False, True]
