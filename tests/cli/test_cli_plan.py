"""`escada plan` as a user meets it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from escada.cli import app
from escada.errors import EscadaError

KEYS = {
    "parameters", "flops_per_token", "training_flops", "training_tokens", "memory", "micro_batch",
    "hours", "kwh", "usd", "brl", "warnings", "schema_version",
}  # fmt: skip


def run(*arguments: str):
    return CliRunner().invoke(app, ["plan", *arguments], catch_exceptions=False)


def test_a_known_gpu_is_planned_for_without_it(monkeypatch, tmp_path):
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path))
    result = run("v5", "--gpu", "RTX3060 12GB", "--json")
    facts = json.loads(result.stdout)
    assert facts.keys() >= KEYS
    assert facts["parameters"] == 12_220_416
    assert facts["text"]["basis"] == "assumed"


def test_the_text_for_people_names_every_part_and_warning(corpus_path):
    shown = run("v5", "--gpu", "rtx3060-12gb", "--budget", "3k steps", "--data", str(corpus_path))
    for word in ("weights", "activations", "logits", "workspace", "micro-batch", "warm-up", "kWh"):
        assert word in shown.stdout


def test_memory_alone_says_what_fits_and_not_how_long():
    facts = json.loads(run("v_final", "--memory", "2GB", "--json").stdout)
    assert facts["hours"] is None
    assert facts["memory"]["total"] < 2**31
    assert facts["largest_micro_batch"] >= facts["micro_batch"]


def test_this_machine_without_calibration(corpus_path):
    facts = json.loads(
        run(
            "v1", "--preset", "laptop", "--no-calibration", "--data", str(corpus_path), "--json"
        ).stdout
    )
    assert facts["machine"]["pace"] is None
    assert facts["memory"]["runtime"] > 0


def test_set_and_budget_change_the_plan():
    before = json.loads(run("v5", "--gpu", "rtx3060-12gb", "--json").stdout)
    after = json.loads(
        run("v5", "--gpu", "rtx3060-12gb", "--json", "--budget", "100 steps",
            "--set", "train.micro_batch_sequences=16").stdout
    )  # fmt: skip
    assert (after["total_steps"], after["micro_batch"]) == (100, 16)
    assert after["memory"]["activations"] > before["memory"]["activations"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["v5", "--gpu", "rtx3061"], "rtx3060-12gb"),
        (["v5", "--memory", "plenty"], "12GB"),
        (["v5", "--gpu", "rtx3060-12gb", "--memory", "8GB"], "leave --memory"),
        (["v55"], "v5"),
    ],
)
def test_mistakes_are_one_line_that_says_how_to_mend_them(arguments, words):
    with pytest.raises(EscadaError, match=words):
        run(*arguments)


def test_what_will_be_kept_on_the_disk_is_said_where_something_is():
    plan = ("v5", "--gpu", "rtx3060-12gb", "--budget", "3k steps")
    kept = json.loads(run(*plan, "--set", "train.keep=log", "--json").stdout)
    assert kept["kept_checkpoints"] == 12
    assert kept["kept_bytes"] == 12 * 4 * kept["parameters"]
    assert json.loads(run(*plan, "--json").stdout)["kept_bytes"] == 0
    assert "12 kept checkpoints, 559.4 MiB at most" in run(*plan, "--set", "train.keep=log").stdout
    assert "kept" not in run(*plan).stdout
