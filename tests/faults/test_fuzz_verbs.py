"""Whatever the bytes of a user's file or of a run's folder: a verb ends with a code, not a trace.

A corpus, a run and its files are made once, damaged one at a time at random, given to the verbs of
the real command line in this process, and put back. `ESCADA_FUZZ_VERBS=5000` runs that many
commands; the suite runs a few.
"""

from __future__ import annotations

import os
import random
import shutil
import traceback
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from tests.faults.forms import FORMS, damage
from typer.testing import CliRunner

from escada.cli import app
from escada.errors import EscadaError
from escada.files import disk_error

COMMANDS = int(os.environ.get("ESCADA_FUZZ_VERBS", "20"))
TINY = ("model.d_hidden=24", "model.d_embedding=12", "train.batch_sequences=4")


@pytest.fixture(scope="module")
def made(corpus_path, tmp_path_factory) -> SimpleNamespace:
    """A run of a few steps with all its figures, and a second one to compare it with."""
    from escada.budget import Budget
    from escada.spec import load_spec
    from escada.text.corpus import Corpus
    from escada.training.run import start

    folder = tmp_path_factory.mktemp("fuzz")
    corpus = Path(shutil.copytree(corpus_path, folder / "corpus"))
    shutil.rmtree(corpus / "tokens", ignore_errors=True)
    overrides = [*TINY, "train.window_tokens=32"]
    specs = (load_spec(rung, preset="laptop", overrides=overrides) for rung in ("v1", "v2"))
    opened, runs = Corpus.open(corpus), folder / "runs"
    budget = Budget.parse("4 steps")
    first, other = (
        start(spec.with_budget(budget), opened, runs, device="cpu").path for spec in specs
    )
    for run in (first, other):
        assert invoke("evaluate", run) == 0
    shutil.copytree(first, folder / "whole-run")
    shutil.copytree(corpus, folder / "whole-corpus")
    return SimpleNamespace(folder=folder, corpus=corpus, run=first, other=other)


def invoke(*arguments: object) -> int:
    """The exit code of a command, as `main` gives it; a bug's exception gets through."""
    command = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, command, standalone_mode=False)
    error = result.exception
    if error is None or isinstance(error, SystemExit | typer.Exit):
        return result.exit_code
    if isinstance(error, EscadaError):
        assert "\n" not in str(error)
        return error.exit_code
    if isinstance(error, OSError) and disk_error(error, error.filename) is not None:
        return 2
    raise error


def test_files_of_any_bytes_end_every_verb_that_reads_them_with_a_code(made, tmp_path):
    rng = random.Random(f"files/{COMMANDS}")
    codes: Counter[tuple[str, int]] = Counter()
    for number in range(COMMANDS):
        name = rng.choice(list(FORMS))
        path = tmp_path / name
        path.write_bytes(damage(FORMS[name][0](rng), rng))
        skip = rng.choice([(), ("--skip-bad-rows",), ("--text-column", "x"), ("--id-column", "id")])
        command = rng.choice(
            [
                ("data", "prepare", "--source", path, "--out", tmp_path / f"c{number}", *skip),
                ("data", "prepare", "--source", tmp_path, "--out", tmp_path / f"c{number}", *skip),
                ("tokenizer", "encode", "--tokenizer", made.run, "--file", path),
                ("evaluate", made.run, "--text", path, "--device", "cpu", *skip),
                ("pairs", made.run, "--file", path, "--device", "cpu"),
                ("cloze", made.run, "--file", path, "--device", "cpu"),
                ("guard", made.run, "--samples", path, "--device", "cpu"),
            ]
        )
        codes[command[0], invoke(*command)] += 1
        path.unlink()
        shutil.rmtree(tmp_path / f"c{number}", ignore_errors=True)
    print(dict(codes))
    assert {code for _, code in codes} <= {0, 2}
    assert 2 in {code for _, code in codes}


@pytest.mark.slow
def test_a_damaged_run_or_corpus_ends_every_verb_with_a_code(made):
    rng = random.Random(f"runs/{COMMANDS}")
    codes: Counter[tuple[str, int]] = Counter()
    bugs: list[str] = []
    whole = {made.run: made.folder / "whole-run", made.corpus: made.folder / "whole-corpus"}
    for _ in range(COMMANDS):
        where = rng.choice([made.run, made.run, made.run, made.corpus])
        files = sorted(file for file in where.rglob("*") if file.is_file())
        path = rng.choice(files)
        path.write_bytes(damage(path.read_bytes(), rng) if rng.random() < 0.9 else b"{}")
        of_run = [
            ("runs", made.folder / "runs"),
            ("runs", made.folder / "runs", "--json"),
            ("compare", made.run, made.other),
            ("report", made.run),
            ("report", made.run, "--markdown", made.folder / "tables.md"),
            ("cloze", made.run, "--device", "cpu"),
            ("evaluate", made.run, "--device", "cpu"),
            ("resume", made.run),
            ("sample", made.run, "--max-tokens", 4, "--device", "cpu"),
            ("tokenizer", "stats", "--tokenizer", made.run, "--data", made.corpus),
        ]
        of_corpus = [
            ("data", "stats", made.corpus),
            ("evaluate", made.run, "--device", "cpu", "--split", "validation"),
            ("tokenizer", "stats", "--tokenizer", made.run, "--data", made.corpus),
        ]
        command = rng.choice(of_run if where == made.run else of_corpus)
        try:
            codes[command[0], invoke(*command)] += 1
        except Exception as error:  # noqa: BLE001 every one of them is a finding
            bugs.append(f"{path.name}: {command[0]}: {traceback.format_exc(limit=-3)} {error!r}")
            print(bugs[-1], flush=True)
        shutil.rmtree(where)
        shutil.copytree(whole[where], where)
    print(dict(codes))
    assert not bugs, "\n".join(bugs)
    assert {code for _, code in codes} <= {0, 1, 2}
