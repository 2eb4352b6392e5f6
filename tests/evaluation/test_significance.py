"""Comparisons: right by hand, the size and power that they claim, and what is refused."""

import math

import numpy as np
import pytest

from escada.errors import EscadaError
from escada.evaluation.significance import Recipe, compare

LN2 = math.log(2)


@pytest.fixture
def recipe(scores_of):
    def build(*nats, n_bytes=None, name="x", tokenizer="t", **of):
        sizes = n_bytes if n_bytes is not None else [100] * len(nats[0])
        return Recipe(name, [scores_of(one, sizes, **of) for one in nats], tokenizer)

    return build


@pytest.fixture(scope="module")
def sizes():
    """Bytes of 400 documents as held-out text has them: most short, one group a quarter of all."""
    rng = np.random.default_rng(5)
    n_bytes = rng.lognormal(5, 0.8, 400).astype(int)
    groups = [f"g{i}" for i in range(400)]
    groups[:40] = ["thesis"] * 40
    n_bytes[:40] = n_bytes[40:].sum() // 120
    return n_bytes, groups


def test_a_difference_is_in_bits_per_byte_and_negative_where_a_is_better(recipe):
    nats_b = np.linspace(100, 200, 50)
    row = compare(recipe(nats_b * 0.9, name="new"), recipe(nats_b, name="old"))
    assert row.difference == pytest.approx(-0.1 * nats_b.sum() / 5000 / LN2)
    assert row.relative == pytest.approx(-0.1)
    assert (row.a, row.b, row.scope, row.verdict) == ("new", "old", "run", "better")
    assert row.significant
    assert row.ci95[0] < row.difference < row.ci95[1] < 0
    swapped = compare(recipe(nats_b, name="old"), recipe(nats_b * 0.9, name="new"))
    assert swapped.difference == pytest.approx(-row.difference)
    assert (swapped.p_value, swapped.verdict) == (row.p_value, "worse")


def test_a_run_against_itself_differs_by_nothing(recipe):
    nats = np.linspace(100, 200, 50)
    row = compare(recipe(nats), recipe(nats))
    assert (row.difference, row.p_value, row.verdict) == (0.0, 1.0, "undecided")


def of_noise(sizes, rng, difference):
    """Nats of two models whose relative difference per group and document is noise, plus one."""
    n_bytes, groups = sizes
    base = n_bytes * rng.normal(1.5, 0.2, len(n_bytes))
    index = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    group_noise = rng.normal(0, 0.02, len(index))[[index[group] for group in groups]]
    noise = group_noise + rng.normal(0, 0.05, len(n_bytes))
    return base * (1 + difference + noise), base


@pytest.mark.parametrize(
    ("difference", "least", "most"), [(0.0, 5, 70), (0.02, 800, 1000)], ids=["null", "2 %"]
)
def test_a_thousand_simulated_comparisons_have_the_size_and_the_power_that_are_claimed(
    sizes, recipe, difference, least, most
):
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(1000):
        a, b = of_noise(sizes, rng, difference)
        n_bytes, groups = sizes
        of = {"n_bytes": n_bytes, "groups": groups}
        found += compare(recipe(a, **of), recipe(b, **of)).significant
    assert least <= found <= most


@pytest.mark.parametrize(
    ("difference", "least", "most"), [(0.0, 0, 70), (0.02, 800, 1000)], ids=["null", "2 %"]
)
def test_recipes_of_three_seeds_have_that_size_and_power_too(
    sizes, recipe, difference, least, most
):
    """Each seed moves all documents of its run together by 0.2 %."""
    rng = np.random.default_rng(11)
    n_bytes, groups = sizes
    of = {"n_bytes": n_bytes, "groups": groups}
    found = 0
    for _ in range(1000):
        a, b = of_noise(sizes, rng, difference)
        a_S = [a * (1 + rng.normal(0, 0.002)) for _ in range(3)]
        b_S = [b * (1 + rng.normal(0, 0.002)) for _ in range(3)]
        found += compare(recipe(*a_S, **of), recipe(*b_S, **of)).significant
    assert least <= found <= most


def test_what_two_seeds_would_move_is_no_difference_between_recipes(recipe):
    """One run of each would be told apart; the recipes are not, since seeds move them as far."""
    nats = np.linspace(100, 200, 200)
    a, b = recipe(nats * 1.00, nats * 1.04), recipe(nats * 1.02, nats * 1.06)
    one = compare(Recipe("a", a.scores[:1], "t"), Recipe("b", b.scores[:1], "t"))
    assert (one.scope, one.verdict) == ("run", "better")
    both = compare(a, b)
    assert (both.scope, both.verdict) == ("recipe", "undecided")
    assert both.standard_error.seeds > 5 * both.standard_error.documents
    assert both.ci95[0] < 0 < both.ci95[1]


def test_the_seeds_standard_error_by_hand(recipe):
    """Figures 1.0 and 1.2 bits per byte: variance 0.02, over two seeds 0.01; both sides 0.02."""
    bits = np.full(50, 100 * LN2)
    row = compare(recipe(bits, bits * 1.2), recipe(bits * 2, bits * 2.2))
    assert row.standard_error.seeds == pytest.approx(math.sqrt(0.02))
    assert row.standard_error.documents == pytest.approx(0, abs=1e-9)


def test_one_rule_decides(recipe):
    """Better or worse is where p < 0.05, which is where the interval excludes 0; else undecided."""
    rng = np.random.default_rng(9)
    nats = np.linspace(100, 200, 50)
    verdicts = set()
    for shift in np.linspace(-0.02, 0.02, 60):
        row = compare(recipe(nats * (1 + shift + rng.normal(0, 0.03, 50))), recipe(nats))
        verdicts.add(row.verdict)
        assert row.significant == (row.p_value < 0.05) == (not row.ci95[0] <= 0 <= row.ci95[1])
        assert (row.verdict == "undecided") == (not row.significant)
    assert verdicts == {"better", "undecided", "worse"}


def test_where_a_source_has_one_group_nothing_is_decided(recipe):
    nats = np.linspace(100, 200, 51)
    of = {"sources": ["tweets"] * 50 + ["theses"]}
    row = compare(recipe(nats * 0.9, **of), recipe(nats, **of))
    assert (row.alone, row.ci95, row.p_value) == (("theses",), None, None)
    assert (row.verdict, row.significant) == ("undecided", False)
    assert row.by_source["tweets"].verdict == "better"
    assert row.by_source["theses"].verdict == "undecided"
    assert row.by_source["theses"].groups == 1


def test_one_group_borrows_from_validation_documents(recipe, scores_of):
    nats = np.linspace(100, 200, 51)
    sources = ["tweets"] * 50 + ["theses"]
    beside = [
        [scores_of(np.array([90.0, 91.0, 89.0]) * factor, [100] * 3, sources=["theses"] * 3)]
        for factor in (0.9, 1)
    ]
    a, b = (
        Recipe("x", recipe(nats * factor, sources=sources).scores, "t", other)
        for factor, other in zip((0.9, 1), beside, strict=True)
    )
    row = compare(a, b)
    assert (row.alone, row.borrowed, row.verdict) == ((), ("theses",), "better")


def test_a_baseline_without_chance_needs_no_seeds(recipe):
    nats = np.linspace(100, 200, 50)
    rng = np.random.default_rng(2)
    a = recipe(nats * 0.99, nats * 0.991, nats * (0.99 + rng.normal(0, 0.001, 50)))
    baseline = recipe(nats)
    assert compare(a, baseline).scope == "run"
    fixed = Recipe("bigram", baseline.scores, "t", deterministic=True)
    row = compare(a, fixed)
    assert (row.scope, row.verdict) == ("recipe", "better")
    assert row.standard_error.seeds > 0


def test_sources_that_disagree_are_said_to(recipe):
    """Better on news, worse on tweets, undecided over all: not the same as no difference."""
    rng = np.random.default_rng(3)
    nats = np.linspace(100, 200, 60)
    sources = ["news", "tweets"] * 30
    factor = np.where(np.array(sources) == "news", 0.95, 1.05) + rng.normal(0, 0.02, 60)
    row = compare(recipe(nats * factor, sources=sources), recipe(nats, sources=sources))
    assert row.verdict == "undecided"
    assert {name: part.verdict for name, part in row.by_source.items()} == {
        "news": "better",
        "tweets": "worse",
    }
    assert row.sources_disagree
    assert not compare(
        recipe(nats * 0.95, sources=sources), recipe(nats, sources=sources)
    ).sources_disagree


def test_the_macro_average_counts_each_source_alike(recipe):
    nats = np.full(60, 100 * LN2)
    sources = ["news"] * 50 + ["tweets"] * 10
    factor = np.where(np.array(sources) == "news", 0.9, 1.3)
    row = compare(recipe(nats * factor, sources=sources), recipe(nats, sources=sources))
    assert row.difference == pytest.approx((-0.1 * 50 + 0.3 * 10) / 60)
    assert row.macro.difference == pytest.approx(0.1)


def test_sources_are_compared_apart(recipe):
    nats = np.linspace(100, 200, 60)
    sources = ["news", "tweets"] * 30
    factor = np.where(np.array(sources) == "news", 0.9, 1.1)
    row = compare(recipe(nats * factor, sources=sources), recipe(nats, sources=sources))
    assert row.by_source["news"].ci95[1] < 0 < row.by_source["tweets"].ci95[0]
    assert row.by_source["news"].p_value < 0.01


def test_perplexities_of_one_tokenizer_are_compared_per_token(recipe):
    nats = np.linspace(100, 200, 50)
    row = compare(recipe(nats * 0.9), recipe(nats), "perplexity")
    tokens = 50 * 101
    expected = math.exp(nats.sum() * 0.9 / tokens) - math.exp(nats.sum() / tokens)
    assert row.difference == pytest.approx(expected)
    assert row.verdict == "better"


def test_perplexities_of_two_tokenizers_are_refused_with_the_reason(recipe):
    nats = np.linspace(100, 200, 50)
    with pytest.raises(EscadaError, match=r"different tokenizers.*per token.*bits per byte"):
        compare(recipe(nats), recipe(nats, tokenizer="u"), "perplexity")


def test_other_documents_and_unknown_metrics_are_refused(recipe):
    nats = np.linspace(100, 200, 50)
    with pytest.raises(EscadaError, match="same documents"):
        compare(recipe(nats), recipe(nats, n_bytes=[101] * 50))
    with pytest.raises(EscadaError, match="did you mean 'perplexity'"):
        compare(recipe(nats), recipe(nats), "perplexty")  # type: ignore[arg-type]
