"""Intervals over groups within sources: right by hand, and as often as they claim."""

import csv
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from escada.evaluation.ruler import bits_per_byte
from escada.evaluation.statistics import (
    FEW_GROUPS,
    Estimate,
    Items,
    added,
    by_source,
    estimate,
    macro,
    overall,
)

LN2 = math.log(2)
T_1 = stats.t.ppf(0.975, 1)


def items(*rows):
    """Rows of source, group, numerator, denominator."""
    sources, groups, above, below = zip(*rows, strict=True)
    return Items(sources, groups, np.array(above, dtype=float), np.array(below, dtype=float))


def test_equal_groups_give_the_textbook_t_interval():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    found = estimate(Items(["s"] * 4, list("abcd"), values, np.ones(4)))
    expected = stats.ttest_1samp(values, 0)
    assert found.value == 4.0
    assert found.error == pytest.approx(stats.sem(values))
    assert found.ci95 == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.groups, found.effective_groups) == (4, 4.0)


def test_two_unequal_groups_by_hand():
    """1 bit in 1 byte and 9 in 3: r = 2.5, u = -1.5 and 0.5, w = 1/4 and 3/4, q = 5/8.

    Sum w² u² = 9/64 + 9/64 = 9/32; sum w² (1 - 2 w + q) = (9/8 + 9/8) / 16 = 9/64; so y varies by
    2 between groups (as 1 and 3 do), and r by 5/8 of that.
    """
    found = estimate(items(("s", "x", 1, 1), ("s", "y", 4, 2), ("s", "y", 5, 1)))
    assert found.value == 2.5
    assert found.variance == pytest.approx(2 * 5 / 8)
    assert found.freedom == 1
    reach = T_1 * math.sqrt(1.25)
    assert found.ci95 == pytest.approx((2.5 - reach, 2.5 + reach))
    assert found.effective_groups == pytest.approx(8 / 5)


def test_three_unequal_groups_left_out_in_turn_by_hand():
    """Bits 1, 3, 4 of 1, 1, 2 bytes: without one of them 7/3, 5/3, 2; V = 2/3 (1/9 + 1/9).

    In y the sum is y' B y with B = M' diag(1/9, 1/9, 1) M, M = I - 1 w': tr B = 41/72, and the sum
    of the squares of B is 1.5625/81 + 0.0625 + 0.140625.
    """
    found = estimate(items(("s", "x", 1, 1), ("s", "y", 3, 1), ("s", "z", 4, 2)))
    assert found.value == 2
    assert found.variance == pytest.approx(4 / 27)
    assert found.freedom == pytest.approx((41 / 72) ** 2 / (1.5625 / 81 + 0.0625 + 0.140625))


def test_degrees_of_freedom_are_those_of_the_variance_of_normal_groups():
    """A variance with f degrees of freedom varies by 2 / f times its square."""
    rng = np.random.default_rng(3)
    below = np.array([1.0, 1, 2, 4, 9])
    found = [
        estimate(Items(["s"] * 5, list("abcde"), below * rng.normal(size=5), below))
        for _ in range(20_000)
    ]
    variances = np.array([one.variance for one in found])
    assert found[0].freedom == pytest.approx(2 * variances.mean() ** 2 / variances.var(), rel=0.05)


def test_answers_to_questions_keep_kishs_degrees_of_freedom():
    """Groups of 1 and 3 questions: 1 / q = 1.6; of 2 and 4 in four groups, 1 / q - 1 = 2.6."""
    right = np.array([1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0], dtype=float)
    found = asked(list("aabbccccdddd"), right)
    assert found.freedom == pytest.approx(12**2 / (4 + 4 + 16 + 16) - 1)


def test_sources_are_strata():
    """Sources that differ by any amount, with groups alike within them, leave nothing to chance."""
    rows = [("news", g, 2.0, 1) for g in range(4)] + [("theses", g, 30.0, 3) for g in range(4)]
    parts = by_source(items(*rows))
    assert overall(parts).value == pytest.approx((4 * 2 + 4 * 30) / 16)
    assert overall(parts).ci95 == pytest.approx((8.0, 8.0))
    assert macro(parts).value == pytest.approx((2 + 10) / 2)


def test_variances_of_sources_add_with_the_squares_of_their_shares():
    rng = np.random.default_rng(1)
    rows = [("a", g, v, 1) for g, v in enumerate(rng.normal(2, 1, 9))]
    rows += [("b", g, v, 3) for g, v in enumerate(rng.normal(6, 2, 4))]
    parts = by_source(items(*rows))
    shares = {"a": 9 / 21, "b": 12 / 21}
    variance = sum(shares[s] ** 2 * part.variance for s, part in parts.items())
    assert overall(parts).variance == pytest.approx(variance)
    assert macro(parts).variance == pytest.approx(sum(p.variance for p in parts.values()) / 4)
    assert 3 < overall(parts).freedom < 8 + 3


def test_groups_are_counted_whole(scores_of):
    """100 documents in two unlike groups are two observations, not 100."""
    nats, n_bytes = [1.0] * 50 + [2.0] * 50, [1] * 100
    apart = estimate(Items.of(scores_of(nats, n_bytes)))
    together = estimate(Items.of(scores_of(nats, n_bytes, groups=["a"] * 50 + ["b"] * 50)))
    assert (apart.groups, together.groups) == (100, 2)
    assert together.error > 5 * apart.error


def test_groups_of_one_name_in_two_sources_are_two(scores_of):
    nats, n_bytes, groups = [1.0, 2.0, 3.0, 5.0], [1] * 4, ["1", "2", "1", "2"]
    assert estimate(Items.of(scores_of(nats, n_bytes, groups=groups))).groups == 2
    two = scores_of(nats, n_bytes, groups=groups, sources=["a", "a", "b", "b"])
    assert estimate(Items.of(two)).groups == 4


def test_the_value_is_the_figure_itself(scores_of):
    rng = np.random.default_rng(0)
    scores = scores_of(rng.gamma(3, 50, 90), rng.integers(0, 90, 90), sources=["a", "b", "c"] * 30)
    assert estimate(Items.of(scores)).value == pytest.approx(bits_per_byte(scores), rel=1e-12)


def test_a_group_alone_is_named_and_its_source_says_nothing_of_others():
    found = estimate(items(("a", 1, 2.0, 1), ("a", 2, 3.0, 1), ("b", 1, 9.0, 1)))
    assert found.alone == ("b",)
    assert found.value == pytest.approx(14 / 3)
    assert found.variance == pytest.approx((2 / 3) ** 2 * 0.5 / 2)
    none = estimate(items(("a", 1, 2.0, 1)))
    assert (none.ci95, none.share_ci95, none.p_value, none.error) == (None,) * 4


def test_few_groups_borrow_from_the_other_split():
    """One test group and 1, 3 elsewhere: the groups 2, 1, 3 vary by 1; the figure stays 2."""
    own = items(("theses", "t", 2.0, 1))
    other = items(("theses", "v", 1.0, 1), ("theses", "w", 3.0, 1), ("else", "x", 9.0, 1))
    found = estimate(own, other)
    assert (found.value, found.alone, found.borrowed) == (2.0, (), ("theses",))
    assert found.variance == pytest.approx(1.0)
    assert found.freedom == pytest.approx(2)
    assert found.groups == 1


def test_a_source_of_many_groups_does_not_borrow():
    rng = np.random.default_rng(2)
    rows = [("s", g, v, 1) for g, v in enumerate(rng.normal(2, 1, FEW_GROUPS))]
    other = items(*[("s", f"v{g}", v, 1) for g, v in enumerate(rng.normal(2, 9, 50))])
    assert estimate(items(*rows), other) == estimate(items(*rows))


def test_a_group_without_a_denominator_is_no_group():
    found = estimate(items(("s", "a", 3.0, 2), ("s", "b", 1.0, 0)))
    assert (found.value, found.groups, found.alone) == (2.0, 1, ("s",))


def test_p_value_and_interval_always_agree():
    rng = np.random.default_rng(4)
    for shift in np.linspace(-0.6, 0.6, 200):
        rows = [
            ("s", g, v, b)
            for g, (v, b) in enumerate(
                zip(rng.normal(shift, 1, 20), rng.integers(1, 9, 20), strict=True)
            )
        ]
        found = estimate(items(*rows))
        assert (found.p_value < 0.05) == (not found.ci95[0] <= 0 <= found.ci95[1])


def test_the_same_for_every_group_has_no_spread():
    zero = estimate(items(("s", "a", 0.0, 1), ("s", "b", 0.0, 4)))
    assert (zero.ci95, zero.p_value) == ((0.0, 0.0), 1.0)
    one = estimate(items(("s", "a", 2.0, 1), ("s", "b", 8.0, 4)))
    assert one.p_value == 0.0


def test_wilsons_interval_of_independent_answers():
    """20 questions, a group each, 14 right: scipy's Wilson, but for t in place of the normal."""
    right = np.array([1.0] * 14 + [0.0] * 6)
    found = estimate(Items(["s"] * 20, list(range(20)), right, np.ones(20)))
    count = 0.7 * 0.3 / found.variance
    assert count == pytest.approx(19)
    t = stats.t.ppf(0.975, 19)
    middle = (0.7 + t**2 / (2 * count)) / (1 + t**2 / count)
    assert sum(found.share_ci95) / 2 == pytest.approx(middle)
    for end in found.share_ci95:  # where the score test is on the edge
        assert abs(0.7 - end) / math.sqrt(end * (1 - end) / count) == pytest.approx(t)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_all_right_or_none_is_no_certainty(right):
    found = estimate(Items(["s"] * 20, list(range(20)), np.full(20, right), np.ones(20)))
    low, high = found.share_ci95
    assert 0 <= low <= right <= high <= 1
    assert 0.1 < high - low < 0.25


def test_seeds_are_added_as_welch_does():
    variance, freedom = added([(4.0, 3), (1.0, 2)])
    assert variance == 5
    assert freedom == pytest.approx(25 / (16 / 3 + 1 / 2))


# Coverage, with groups like the default corpus's: its theses and held-out news and tweets, as
# three rungs of a ladder scored them, are the population that splits are drawn from.

REPETITIONS = 600
GROUPS = {"porttinari": 100, "danteshots": 700, "dantestocks": 340}
FIGURES = {
    "v1": {"v1": 1},
    "v3": {"v3": 1},
    "v2 - v1": {"v2": 1, "v1": -1},
    "v3 - v2": {"v3": 1, "v2": -1},
    "v3 - v1": {"v3": 1, "v1": -1},
}


@cache
def population():
    """Source → bytes of its groups and, by rung, their bits."""
    with (Path(__file__).parent / "groups_of_the_default_corpus.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        source: {
            column: np.array([float(row[key]) for row in rows if row["source"] == source])
            for column, key in (
                *(("bytes", "bytes"), ("v1", "v1_bits")),
                *(("v2", "v2_bits"), ("v3", "v3_bits")),
            )
        }
        for source in ("petrogold", *GROUPS)
    }


def drawn_splits(theses, other_theses, rng):
    """Test and validation groups of each source, drawn with replacement."""
    everything = population()
    for _ in range(REPETITIONS):
        draw = {}
        for source, columns in everything.items():
            size = GROUPS.get(source, theses)
            which = rng.integers(len(columns["bytes"]), size=size)
            draw[source] = {name: column[which] for name, column in columns.items()}
        which = rng.integers(len(everything["petrogold"]["bytes"]), size=other_theses)
        beside = {name: column[which] for name, column in everything["petrogold"].items()}
        yield everything, draw, beside


def bits_of(columns, figure):
    return sum(sign * columns[rung] for rung, sign in FIGURES[figure].items())


def as_items(draw, figure):
    sources = np.repeat(list(draw), [len(columns["bytes"]) for columns in draw.values()])
    above = np.concatenate([bits_of(columns, figure) for columns in draw.values()])
    below = np.concatenate([columns["bytes"] for columns in draw.values()])
    return Items(sources.tolist(), list(range(len(sources))), above, below)


def truth(everything, draw, figure):
    """The population's figure, with each source's share of the text as it was drawn."""
    n_bytes = {source: columns["bytes"].sum() for source, columns in draw.items()}
    of_population = {
        source: bits_of(columns, figure).sum() / columns["bytes"].sum()
        for source, columns in everything.items()
    }
    return sum(n_bytes[s] * of_population[s] for s in draw) / sum(n_bytes.values())


def coverage(theses, other_theses, interval_of):
    """Share of the intervals that hold the true figure, by figure."""
    hit = dict.fromkeys(FIGURES, 0)
    for everything, draw, beside in drawn_splits(theses, other_theses, np.random.default_rng(16)):
        for figure in FIGURES:
            other = as_items({"petrogold": beside}, figure) if other_theses else None
            low, high = interval_of(as_items(draw, figure), other)
            hit[figure] += low <= truth(everything, draw, figure) <= high
    return {figure: number / REPETITIONS for figure, number in hit.items()}


@pytest.mark.parametrize(("theses", "other"), [(5, 5), (3, 3), (1, 2), (5, 0)])
def test_figures_and_differences_are_covered_as_often_as_claimed(theses, other):
    found = coverage(theses, other, lambda items, beside: estimate(items, beside).ci95)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


def percentile_bootstrap(items, beside):
    """What was done before: all groups drawn alike, whatever their source."""
    rng = np.random.default_rng(0)
    which = rng.integers(len(items.numerators), size=(300, len(items.numerators)))
    ratios = items.numerators[which].sum(axis=1) / items.denominators[which].sum(axis=1)
    return np.quantile(ratios, [0.025, 0.975])


@pytest.mark.slow
def test_the_bootstrap_over_all_groups_alike_does_not_do_it():
    """With one test thesis, as the default corpus had, it misses far more than it says."""
    found = coverage(1, 0, percentile_bootstrap)
    assert not all(0.93 <= share <= 0.97 for share in found.values()), found


def answers(theses, n_pairs, accuracy, spread, rng, per_sentence):
    """Right answers to pairs of some theses: those of one sentence alike, of one thesis akin."""
    n_bytes = rng.choice(population()["petrogold"]["bytes"], theses)
    sentences = rng.choice(theses, size=n_pairs // per_sentence, p=n_bytes / n_bytes.sum())
    logits = math.log(accuracy / (1 - accuracy)) + spread * rng.normal(size=theses)
    right = rng.random(len(sentences)) < 1 / (1 + np.exp(-logits[sentences]))
    group_N = np.repeat(sentences, per_sentence)
    return group_N.tolist(), np.repeat(right, per_sentence).astype(float)


def asked(groups, right):
    items = Items(["petrogold"] * len(right), groups, right, np.ones(len(right)), questions=True)
    return estimate(items)


@pytest.mark.parametrize(
    ("theses", "pairs", "accuracy", "spread", "per_sentence"),
    [
        (10, 128, 0.55, 0.5, 1),
        (10, 250, 0.8, 0.5, 1),
        (6, 128, 0.55, 0.5, 1),
        (10, 128, 0.55, 0.4, 2),
    ],
    ids=["attractor", "without", "six theses", "two a sentence"],
)
def test_accuracies_on_pairs_are_covered_as_often_as_claimed(
    theses, pairs, accuracy, spread, per_sentence
):
    rng = np.random.default_rng(17)
    logits = math.log(accuracy / (1 - accuracy)) + spread * rng.normal(size=200_000)
    true = float((1 / (1 + np.exp(-logits))).mean())
    hit = 0
    for _ in range(1000):
        groups, right = answers(theses, pairs, accuracy, spread, rng, per_sentence)
        low, high = asked(groups, right).share_ci95
        hit += low <= true <= high
    assert 930 <= hit <= 970


def test_an_estimate_of_nothing_has_no_groups():
    assert Estimate(0.0, None, None, 0.0, 0.0, 0).effective_groups == 0.0
