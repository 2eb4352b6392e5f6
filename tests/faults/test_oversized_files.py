"""A file that is far too large for what it should be is refused in one line before it is read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import typer
from tests.faults.table import outcomes
from tests.systems import needs_pipes
from typer.testing import CliRunner

from escada.cli import app
from escada.errors import EscadaError
from escada.files import read_json, read_json_lines, read_toml
from escada.judge.journal import open_journal

SIZE_BYTES = 5 * 2**30
CPU = ("--device", "cpu")
TABLE = [
    ("run/spec.toml", ("sample", "RUN", *CPU)),
    ("run/record.json", ("sample", "RUN", *CPU)),
    ("run/tokenizer/tokenizer.json", ("sample", "RUN", *CPU)),
    ("run/tokenizer/tokenizer.json", ("tokenizer", "encode", "--tokenizer", "RUN", "oi")),
    ("run/tokenizer/tokenizer.model", ("tokenizer", "encode", "--tokenizer", "RUN", "oi")),
    ("run/checkpoints/index.json", ("sample", "RUN", *CPU)),
    ("run/data.json", ("evaluate", "RUN", *CPU)),
    ("run/metrics.jsonl", ("report", "RUN")),
    ("run/cost.json", ("report", "RUN")),
    ("corpus/manifest.json", ("data", "stats", "CORPUS")),
    ("corpus/tokens/*/tokenizer/tokenizer.json", ("data", "stats", "CORPUS")),
    ("big.toml", ("train", "big.toml")),
    ("big.toml", ("plan", "./big.toml")),
    ("big.toml", ("climb", "v1", "big.toml")),
    ("a.parquet", ("scale", "./a.parquet", "--budgets", "1e9 flop,2e9 flop,3e9 flop")),
    ("a.txt", ("score", "RUN", "--file", "a.txt", *CPU)),
]


def make_large(path: Path) -> None:
    """A file of zeros that takes no room on the disk."""
    path.touch()
    os.truncate(path, SIZE_BYTES)


def refusal(command: tuple[object, ...]) -> str:
    """The one line with which a verb refuses."""
    result = CliRunner().invoke(app, [str(part) for part in command], standalone_mode=False)
    error = result.exception
    if isinstance(error, typer.BadParameter):
        raise error
    right = isinstance(error, EscadaError) and "\n" not in str(error)
    outcomes("a file of 5 GiB in place of a small one")["refused" if right else "wrong"] += 1
    if not right:
        raise AssertionError(result.output) from error
    return str(error)


@pytest.fixture
def reads_little(monkeypatch):
    """Fails a test that reads a large file whole."""
    read_bytes = Path.read_bytes

    def read(path: Path) -> bytes:
        assert path.stat().st_size < SIZE_BYTES, path
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)


@pytest.fixture
def copied(scene, tmp_path, monkeypatch) -> Path:
    """The working folder, with a run and a corpus of this test's own."""
    shutil.copytree(scene.run, tmp_path / "run")
    shutil.copytree(scene.corpus, tmp_path / "corpus")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@needs_pipes
@pytest.mark.usefixtures("reads_little")
@pytest.mark.parametrize("reader", [read_json, read_json_lines, read_toml])
def test_a_reader_refuses_a_large_file_and_what_is_no_file(tmp_path, reader):
    make_large(tmp_path / "a")
    with pytest.raises(EscadaError, match="larger than"):
        reader(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(EscadaError, match="not a regular file"):
            reader(place)


def test_a_large_journal_is_refused(tmp_path):
    make_large(tmp_path / "journal.jsonl")
    with (
        pytest.raises(EscadaError, match="larger than"),
        open_journal(tmp_path / "journal.jsonl", str),
    ):
        pass


@pytest.mark.usefixtures("reads_little")
@pytest.mark.parametrize(("name", "command"), TABLE)
def test_a_verb_refuses_it_in_one_line(copied, name, command):
    places = {"RUN": copied / "run", "CORPUS": copied / "corpus"}
    for path in list(copied.glob(name)) or [copied / name]:
        make_large(path)
    line = refusal(tuple(places.get(part, part) for part in command))
    assert Path(name).name in line
    assert "larger than" in line or "longer than" in line or "not text" in line
