"""`escada demo`: the same climb for everybody, with the scale that the package brings."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from escada.budget import Budget
from escada.cli import app, demo
from escada.errors import EscadaError
from escada.report.data import check_scale, need_scale
from escada.spec import TOP_OF_LADDER, load_spec, steps_to


def laptop_specs(*overrides):
    """The hashes of the demo's specs by rung."""
    budget = Budget.parse(demo.BUDGET)
    specs = [
        load_spec(name, preset="laptop", overrides=overrides) for name in steps_to(TOP_OF_LADDER)
    ]
    return {spec.name: spec.with_budget(budget).hash for spec in specs}


def check(specs):
    scale = need_scale(demo.LAPTOP_SCALE)
    check_scale(scale, scale.corpus_hash, "laptop", demo.BUDGET, specs, demo.LAPTOP_SCALE)


def test_the_scale_of_the_package_is_of_the_demo_s_corpus_and_rungs():
    assert need_scale(demo.LAPTOP_SCALE).corpus_hash.startswith("b55c20edefce")
    check(laptop_specs())
    with pytest.raises(EscadaError, match="other settings"):
        check(laptop_specs("train.weight_decay=0.5"))


def test_the_demo_is_a_climb_with_its_budget_and_scale(monkeypatch):
    asked = {}
    monkeypatch.setattr(demo, "climb", lambda **options: asked.update(options))
    done = CliRunner().invoke(app, ["demo", "--jobs", "1"])
    assert done.exit_code == 0, done.output
    assert asked == {
        "preset": "laptop",
        "budget": "3e12 flop",
        "scale": demo.LAPTOP_SCALE,
        "out": Path("runs/demo"),
        "jobs": 1,
        "device": "auto",
        "overrides": [],
    }


def test_the_demo_keeps_weights_if_asked_to_and_its_scale_still_fits(monkeypatch):
    asked = {}
    monkeypatch.setattr(demo, "climb", lambda **options: asked.update(options))
    done = CliRunner().invoke(app, ["demo", "--keep", "log"])
    assert done.exit_code == 0, done.output
    assert asked["overrides"] == ["train.keep=log"]
    assert laptop_specs("train.keep=log") == laptop_specs()
