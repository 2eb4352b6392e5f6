import json

import pytest

from escada.errors import EscadaError
from escada.report.data import read_curve, read_ladder, read_run
from escada.runs.layout import Layout


def test_a_folder_without_a_ladder_gives_one_clear_line(tmp_path):
    with pytest.raises(EscadaError, match=r"no ladder\.json here") as error:
        read_ladder(tmp_path)
    assert "\n" not in str(error.value)
    assert "escada climb" in str(error.value)


def test_every_fact_of_the_ladder_is_read(climb):
    folder = climb()
    ladder = read_ladder(folder)
    assert [rung.name for rung in ladder.rungs][-2:] == ["v5", "v_final"]
    assert ladder.rungs[1].beats_previous.verdict == "better"
    assert ladder.rungs[-1].bits_per_byte is None
    assert ladder.rungs[0].unknown_characters == {"train": 41, "test": 12}


def test_a_count_of_unknown_characters_alone_is_that_of_the_test_documents(climb, table):
    table["rungs"][0]["unknown_characters"] = 7
    assert read_ladder(climb(table)).rungs[0].unknown_characters == {"test": 7}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits_per_byte": float("nan")}, "bits_per_byte"),
        ({"training_flops": float("inf")}, "training_flops"),
        ({"ci95": [2.6, 2.4]}, "upside down"),
        ({"parameters": "many"}, "parameters"),
        ({"name": "v2"}, "rung v2 with seed 0 twice"),
    ],
)
def test_a_figure_that_cannot_be_one_is_refused(climb, table, change, message):
    table["rungs"][0] |= change
    with pytest.raises(EscadaError, match=message):
        read_ladder(climb(table))


def test_a_verdict_that_contradicts_its_interval_is_refused(climb, table):
    table["rungs"][1]["beats_previous"]["verdict"] = "worse"
    with pytest.raises(EscadaError, match="contradicts the interval"):
        read_ladder(climb(table))


def test_another_schema_version_is_refused(climb, table):
    table["schema_version"] = 2
    with pytest.raises(EscadaError, match="schema_version 2 is not 1"):
        read_ladder(climb(table))


def test_a_metrics_line_still_being_written_is_left_out(tmp_path):
    row = {"kind": "validation", "step": 1, "seconds": 1, "tokens": 9, "flops": 1e9}
    whole = json.dumps(row | {"bits_per_byte": 3.0})
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"kind": "train", "loss": 1}}\n{whole}\n{whole[:20]}', encoding="utf-8")
    assert [point.bits_per_byte for point in read_curve(Layout(tmp_path))] == [3.0]
    path.write_text(f"{whole[:20]}\n{whole}\n", encoding="utf-8")
    with pytest.raises(EscadaError, match=r"metrics\.jsonl:1"):
        read_curve(Layout(tmp_path))


def test_what_a_run_folder_lacks_is_named(climb):
    folder = climb()
    ladder = read_ladder(folder)
    assert read_run(folder, ladder.rungs[0]).missing == ()
    absent = read_run(folder, ladder.rungs[-1])
    assert absent.missing == ("metrics.jsonl", "samples/samples.json", "env.json")
    assert absent.curve == []


def test_the_folder_of_one_run_reads_as_a_ladder_of_one_rung(one_run):
    (rung,) = read_ladder(one_run).rungs
    assert (rung.name, rung.bits_per_byte, rung.follows) == ("v5", 2.254, "v4")
    assert rung.tokens_per_second == 20_576.1
    assert rung.evaluation_tokens_per_second == 61_000.0
    assert (rung.precision, rung.device, rung.lexicon_share) == ("fp32", "cpu", 0.871)
