"""What changes the key of a training, and so trains a rung again, and what does not."""

from __future__ import annotations

import pytest

from escada import code_hash
from escada.runs.run import run_key
from escada.spec import load_spec

bare_code = code_hash.bare_code


def key() -> str:
    return run_key(load_spec("v5", preset="laptop"), seed=0, corpus_hash="corpus")


@pytest.fixture
def key_after(monkeypatch, tmp_path):
    """The key as it would be after an edit of one file of the package."""

    def edited(name: str, old: str, new: str) -> str:
        file = code_hash.ROOT / name
        source = file.read_text(encoding="utf-8")
        assert old in source
        copy = tmp_path / file.name
        copy.write_text(source.replace(old, new, 1), encoding="utf-8")
        monkeypatch.setattr(
            code_hash, "bare_code", lambda path: bare_code(copy if path == file else path)
        )
        return key()

    return edited


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("terminal.py", '"""Terminal output', '"""Output to a terminal'),
        ("terminal.py", "PLAIN_SECONDS = 10.0", "PLAIN_SECONDS = 20.0"),
        ("training/plan.py", "CALIBRATION_SECONDS = 3.0", "CALIBRATION_SECONDS = 4.0"),
        ("training/metrics.py", "memory_bytes: float", "memory_bytes: int"),
        ("training/step.py", '"""One optimizer step', '"""A step of the optimizer'),
    ],
)
def test_what_is_shown_foreseen_or_said_trains_nothing_again(key_after, name, old, new):
    before = key()
    assert key_after(name, old, new) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("training/step.py", 'group["initial_lr"] * factor', 'group["initial_lr"] / factor'),
        ("training/schedules/cosine.py", "math.cos(", "math.sin("),
        ("training/setup.py", "world.from_first(", "(lambda it: it)("),
        ("budget.py", "- 1e-9", "- 1e-8"),
        ("models/transformer.py", "nn.Module", "nn.Sequential"),
    ],
)
def test_what_decides_the_weights_trains_again(key_after, name, old, new):
    before = key()
    assert key_after(name, old, new) != before


def test_weights_kept_on_the_way_give_a_run_of_its_own_with_the_same_spec_hash():
    plain, kept = (
        load_spec("v5", preset="laptop", overrides=[f"train.keep={keep}"])
        for keep in ("last", "log")
    )
    assert kept.hash == plain.hash == load_spec("v5", preset="laptop").hash
    keys = {run_key(spec, seed=0, corpus_hash="corpus") for spec in (plain, kept)}
    assert key() in keys
    assert len(keys) == 2


def test_the_lines_that_keep_weights_train_nothing_again(key_after):
    before = key()
    assert key_after("training/loop.py", "Keeper(run, total_steps,", "Keeper(run, 2,") == before
