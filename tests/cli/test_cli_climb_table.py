"""The table after a climb: what the intervals rest on, and each rung against the best baseline."""

from escada.report.schema import Ladder
from escada.report.writers.terminal import show_ladder

RUNG = {
    **{"run": "runs/x", "status": "finished"},
    **{"seed": 0, "parameters": 1000, "perplexity": 3.0, "tokens_per_second": 5.0},
    **{"training_flops": 1e9, "peak_memory_bytes": 1, "training_seconds": 1.0},
    **{"bits_per_byte": 2.0, "ci95": [1.9, 2.1], "macro_bits_per_byte": 2.345},
    **{"groups": 1126, "effective_groups": 10.46, "ci95_leaves_out": [], "beats_previous": None},
    "tokenizer": {"kind": "bpe", "vocab_size": 4},
}
BASELINES = [
    {"name": "xz", "key": "xz", "bits_per_byte": 2.6, "ci95": None},
    {"name": "n-grams", "key": "kneser_ney", "bits_per_byte": 1.9, "ci95": None},
]


def shown(capsys, **of_first):
    rungs = [RUNG | {"name": "v1"} | of_first, RUNG | {"name": "v2"} | of_first]
    verdicts = {("v1", "kneser_ney"): "worse", ("v2", "kneser_ney"): "undecided"}
    verdicts |= {("v1", "xz"): "better", ("v2", "xz"): "better"}
    compared = [
        {"a": a, "b": b, "verdict": verdict, "difference": 0.1, "ci95": None, "p_value": None}
        for (a, b), verdict in verdicts.items()
    ]
    ladder = {"schema_version": 1, "rungs": rungs, "baselines": BASELINES}
    show_ladder(Ladder.model_validate(ladder | {"baseline_comparisons": compared}))
    return capsys.readouterr().out.split("\n")


def test_each_rung_has_the_verdict_against_the_strongest_baseline(capsys):
    lines = shown(capsys)
    (first,) = [line for line in lines if line.strip().startswith("v1")]
    (second,) = [line for line in lines if line.strip().startswith("v2")]
    assert "worse" in first
    assert "better" not in first
    assert "undecided" in second
    assert "better" not in second
    assert any(line.startswith("best baseline: n-grams") for line in lines)


def test_macro_average_and_effective_groups_are_said(capsys):
    lines = shown(capsys)
    assert sum("2.345" in line for line in lines) == 2
    assert any(
        "1,126 groups of documents, as informative as 10.5 groups of equal size" in line
        for line in lines
    )
    assert not any("n = 1" in line for line in lines)


def test_a_source_of_one_group_is_named(capsys):
    lines = shown(capsys, ci95_leaves_out=["teses"])
    assert any(line.startswith("n = 1 (teses)") for line in lines)


def test_a_time_off_its_plan_is_marked_and_the_mark_explained(capsys):
    lines = shown(capsys, training_seconds=78.0, planned_seconds=60.0)
    assert sum("78 s of 60 s †" in line for line in lines) == 2
    assert "†: more than 15% off the planned time" in lines
    assert "†" not in "".join(shown(capsys, training_seconds=61.0, planned_seconds=60.0))
