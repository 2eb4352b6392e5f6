"""Rungs against baselines: the paired test of rungs, from what lies beside runs and controls."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from escada.evaluation.baselines.corpus_controls import BaselineRow, document_scores_path
from escada.evaluation.baselines.corpus_controls import pair_rows_path as pair_rows_of_control
from escada.evaluation.significance import Recipe, compare, compare_answers
from escada.evaluation.tasks.documents import write_scores
from escada.evaluation.tasks.minimal_pairs import PAIRS
from escada.files import make_directory, read_json, write_json, write_json_lines
from escada.ladder.baseline_comparison import compare_with_baselines, keep_best_baseline
from escada.ladder.comparison import RecipeRuns
from escada.runs.layout import Layout

N_TEST, N_BESIDE = 40, 12
SOURCES = [f"s{i % 2}" for i in range(N_TEST)]
RNG = np.random.default_rng(7)
HARD_N = RNG.uniform(1.5, 3.0, N_TEST)
BYTES_N = RNG.integers(50, 900, N_TEST)
"""What makes a document hard is the same for all models; it is most of what bits per byte vary."""


def of_test(scores_of, bits, seed=0):
    noise_N = np.random.default_rng(seed).normal(0, 0.02, N_TEST)
    nats_N = BYTES_N * (HARD_N + bits + noise_N) * math.log(2)
    return scores_of(nats_N, BYTES_N, sources=SOURCES)


def of_validation(scores_of, bits, seed=0):
    n_bytes = BYTES_N[:N_BESIDE]
    noise_N = np.random.default_rng(100 + seed).normal(0, 0.02, N_BESIDE)
    nats_N = n_bytes * (HARD_N[:N_BESIDE] + bits + noise_N) * math.log(2)
    return scores_of(nats_N, n_bytes, sources=SOURCES[:N_BESIDE])


def a_run(folder, **scores):
    make_directory(folder / "evaluation")
    run = SimpleNamespace(layout=Layout(folder), tokenizer=SimpleNamespace(hash="t"))
    for split, found in scores.items():
        write_scores(run.layout.document_scores(split), found)
    return run


def pair_rows(right, ids=None):
    names = ids or [f"p{i}" for i in range(len(right))]
    return [
        {"id": name, "source": "s", "group": f"g{i // 2}", "right": bool(answer)}
        for i, (name, answer) in enumerate(zip(names, right, strict=True))
    ]


@pytest.fixture
def rung(tmp_path, scores_of):
    run = a_run(
        tmp_path / "run", test=of_test(scores_of, 0), validation=of_validation(scores_of, 0)
    )
    return RecipeRuns("v4", [run])


@pytest.fixture
def control(tmp_path, scores_of):
    """A function that keeps a baseline's sums beside the controls and gives its row."""
    controls = tmp_path / "controls.json"

    def keep(key, bits, splits=("test", "validation"), **more):
        made = {
            "test": of_test(scores_of, bits, 1),
            "validation": of_validation(scores_of, bits, 1),
        }
        for split in splits:
            write_scores(document_scores_path(controls, key, split), made[split])
        of = {"key": key, "name": key, "bits_per_byte": 2.0, "scored_splits": splits}
        return BaselineRow(**(of | more))

    return controls, keep


def test_a_row_says_what_the_test_of_rungs_says(rung, control, scores_of):
    controls, keep = control
    (row,) = compare_with_baselines([rung], [keep("bigram", 0.1)], controls)
    same = compare(
        Recipe("v4", [of_test(scores_of, 0)], "t", [of_validation(scores_of, 0)]),
        Recipe("b", [of_test(scores_of, 0.1, 1)], "u", [of_validation(scores_of, 0.1, 1)]),
    )
    assert (row.a, row.b, row.verdict) == ("v4", "bigram", "better")
    assert row.difference == pytest.approx(-0.1, abs=0.02)
    for name in ("difference", "ci95", "p_value", "effective_groups", "by_source", "borrowed"):
        assert getattr(row, name) == getattr(same, name), name
    assert row.borrowed == ("s0", "s1")


def test_a_small_difference_shows_because_documents_are_paired(rung, control):
    """Unpaired, it drowns: documents differ by 1.5 bits, the models by a fiftieth of that."""
    controls, keep = control
    baselines = [keep("kneser_ney", -0.03), keep("bigram", 0.03), keep("xz", 0.001)]
    rows = compare_with_baselines([rung], baselines, controls)
    assert [row.verdict for row in rows] == ["worse", "better", "undecided"]


def test_without_sums_of_validation_nothing_is_borrowed(rung, control):
    controls, keep = control
    (row,) = compare_with_baselines([rung], [keep("zstd", 0.1, splits=["test"])], controls)
    assert row.borrowed == ()


def test_a_compressor_of_one_stream_counts_as_a_fixed_rate(rung, control, scores_of):
    controls, keep = control
    rate = 1.9
    stream = keep("xz", 0, splits=(), bits_per_byte=rate)
    (row,) = compare_with_baselines([rung], [stream], controls)
    own = of_test(scores_of, 0)
    figure = own.nats.sum() / own.bytes.sum() / math.log(2)
    assert row.difference == pytest.approx(figure - rate)
    at_rate = replace(own, nats=own.bytes * rate * math.log(2))
    beside = of_validation(scores_of, 0)
    beside_at_rate = replace(beside, nats=beside.bytes * rate * math.log(2))
    same = compare(
        Recipe("v4", [own], "t", [beside]), Recipe("xz", [at_rate], "", [beside_at_rate])
    )
    assert row.ci95 == pytest.approx(same.ci95)
    low, high = row.ci95
    assert high - low > 0.05, "the rung's own spread over documents is not lost"


def test_seeds_of_the_rung_are_averaged_and_their_spread_is_added(tmp_path, control, scores_of):
    controls, keep = control
    baseline = keep("bigram", 0.05)
    shifts = (-0.2, 0.0, 0.2)
    runs = [
        a_run(
            tmp_path / f"run{seed}",
            test=of_test(scores_of, shift),
            validation=of_validation(scores_of, shift),
        )
        for seed, shift in enumerate(shifts)
    ]
    one, three = (
        compare_with_baselines([RecipeRuns("v4", some)], [baseline], controls)[0]
        for some in (runs[1:2], runs)
    )
    assert (one.scope, three.scope) == ("run", "recipe")
    assert three.difference == pytest.approx(one.difference)
    assert (one.verdict, three.verdict) == ("better", "undecided")


def test_pairs_are_compared_question_by_question(rung, control):
    controls, keep = control
    a, b = [1] * 40 + [0] * 8 + [1] * 2, [1] * 30 + [0] * 20
    asked = keep("kneser_ney", 0.1, minimal_pairs={"accuracy": 0.5})
    write_json_lines(PAIRS.rows(rung.runs[0]), pair_rows(a))
    write_json_lines(pair_rows_of_control(controls, "kneser_ney"), pair_rows(b))
    (row,) = compare_with_baselines([rung], [asked], controls)
    groups = [f"g{i // 2}" for i in range(50)]
    same = compare_answers(["s"] * 50, groups, np.array(a, float), np.array(b, float))
    found = row.minimal_pairs
    assert (found.difference, found.verdict) == (pytest.approx(12 / 50), "better")
    assert found.ci95 == pytest.approx(same.ci95)
    write_json_lines(PAIRS.rows(rung.runs[0]), pair_rows(b))
    write_json_lines(pair_rows_of_control(controls, "kneser_ney"), pair_rows(a))
    (row,) = compare_with_baselines([rung], [asked], controls)
    assert row.minimal_pairs.verdict == "worse"


def test_other_questions_are_not_compared(rung, control):
    controls, keep = control
    asked = keep("kneser_ney", 0.1, minimal_pairs={"accuracy": 0.5})
    write_json_lines(pair_rows_of_control(controls, "kneser_ney"), pair_rows([1, 0, 1, 1]))
    (row,) = compare_with_baselines([rung], [asked], controls)
    assert row.minimal_pairs is None, "the rung was not asked"
    write_json_lines(PAIRS.rows(rung.runs[0]), pair_rows([1, 1, 1, 1], ids=list("abcd")))
    (row,) = compare_with_baselines([rung], [asked], controls)
    assert row.minimal_pairs is None, "it was asked others"


def test_each_run_keeps_what_is_said_of_its_rung_and_the_best_baseline(rung, control):
    controls, keep = control
    best = keep("kneser_ney", -0.2, name="n-grams", bits_per_byte=1.9)
    of = {"corpus_hash": "c", "weights": "best", "weights_sha256": "w"}
    (run,) = rung.runs
    write_json(run.layout.evaluation("test"), of)
    compared = compare_with_baselines([rung], [keep("bigram", 0.3), best], controls)
    keep_best_baseline([rung], best, compared)
    found = read_json(run.layout.evaluation("best-baseline"))
    assert found["baseline"] == {"key": "kneser_ney", "name": "n-grams", "bits_per_byte": 1.9}
    assert (found["verdict"], found["scope"]) == ("worse", "run")
    assert found["difference"] == pytest.approx(0.2, abs=0.02)
    assert {name: found[name] for name in of} == of
