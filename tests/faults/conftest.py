"""The scene of a newcomer's errors: a corpus, a short run, and much that is wrong, made once.

And what the tests of kills share: the options of their trainings, and what must be the same after.
"""

from __future__ import annotations

import json
import shutil
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from tests.faults import table

from escada.files import read_json, sha256_file
from escada.runs.checkpoint import checkpoint_path
from escada.runs.log import read_log
from escada.runs.run import Run, find_runs

TINY = {
    "model.d_hidden": "24",
    "model.d_embedding": "12",
    "train.batch_sequences": "4",
    "train.window_tokens": "32",
}
"""A v1 that trains in a moment."""

FILES = {
    "empty.jsonl": b"",
    "blank.jsonl": b'{"text": " "}\n',
    "latin1.txt": "três\nmaçãs\n".encode("latin-1"),
    "broken.jsonl": b'{"text": "um"}\n{"text": \n',
    "list.jsonl": b"[1]\n",
    "without-text.jsonl": b'{"texto": "um"}\n',
    "number.jsonl": b'{"text": 5}\n',
    "two.jsonl": b'{"text": "um"}\n{"text": "dois"}\n',
    "table.xlsx": b"PK",
    "garbage.parquet": b"PAR1 and then nothing",
    "garbage.txt.gz": b"not gzip",
    "a-file": b"in the way\n",
    "not.toml": b"name = \n",
    "latin1.toml": 'name = "três"'.encode("latin-1"),
    "holds-a-document/thing.docx": b"PK",
    "holds-something/keep.me": b"precious\n",
    "holds-a-report/report/index.html": b"precious\n",
    "holds-a-ladder/ladder.json": b'{"of": "another program"}',
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was injected and what came of it."""
    for line in table.lines():
        terminalreporter.write_line(line)


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.fixture(scope="module")
def scene(corpus_path, tmp_path_factory) -> SimpleNamespace:
    """Paths by name; `folder` holds all of them."""
    from escada.budget import Budget
    from escada.spec import load_spec, parse_spec
    from escada.text.corpus import Corpus
    from escada.text.token_cache import tokens_path
    from escada.training.run import start

    folder = tmp_path_factory.mktemp("scene")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    _write_parquet_without_text(folder / "without-text.parquet")

    spec = load_spec("v1", preset="laptop", overrides=[f"{k}={v}" for k, v in TINY.items()])
    (folder / "typo.toml").write_text(_toml(spec, d_hiden=3), encoding="utf-8")
    spec = spec.with_budget(Budget.parse("6 steps"))
    corpus = folder / "corpus"
    shutil.copytree(corpus_path, corpus)
    shutil.rmtree(corpus / "tokens", ignore_errors=True)
    run = start(spec, Corpus.open(corpus), folder / "runs", device="cpu").path

    shutil.copytree(corpus, folder / "damaged-corpus")
    flip(folder / "damaged-corpus" / "train.parquet")
    shutil.copytree(corpus, folder / "damaged-shard")
    tokens = tokens_path(Corpus.open(corpus), spec.tokenizer).name
    flip(folder / "damaged-shard" / "tokens" / tokens / "train" / "train-00000.bin")

    def damaged(name: str) -> Path:
        return Path(shutil.copytree(run, folder / name / run.name))

    flip(next(damaged("bad-weights").glob("checkpoints/step-*/model.safetensors")))
    next(damaged("no-facts").glob("checkpoints/step-*/checkpoint.json")).write_text("{}")
    for part in (damaged("no-checkpoint") / "checkpoints").iterdir():
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    (damaged("bad-record") / "record.json").write_text('{"schema_version": 1}')
    (damaged("other-schema") / "record.json").write_text('{"schema_version": 9}')
    flip(damaged("bad-tokenizer") / "tokenizer" / "tokenizer.json")
    edited = damaged("edited-spec") / "spec.toml"
    edited.write_text(edited.read_text().replace("d_hidden = 24", "d_hidden = 25"))
    other = damaged("other-spec")  # the record was edited too, the checkpoint knows better
    (other / "spec.toml").write_bytes(edited.read_bytes())
    record = read_json(other / "record.json")
    record["spec_hash"] = parse_spec(tomllib.loads((other / "spec.toml").read_text()), "x").hash
    (other / "record.json").write_text(json.dumps(record))
    tiny = " ".join(f"--set {key}={value}" for key, value in TINY.items())
    return SimpleNamespace(folder=folder, corpus=corpus, run=run, tiny=tiny)


def _write_parquet_without_text(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table({"texto": ["um"], "id": ["1"]}), path)


def _toml(spec, **model) -> str:
    import tomli_w

    from escada.spec import overlay

    return tomli_w.dumps(overlay(spec.to_table(), {"model": model}))


SIZES = (
    *("model.d_hidden=32", "model.d_embedding=16", "model.dropout=0.1", "train.window_tokens=24"),
    *("train.batch_sequences=6", "train.micro_batch_sequences=3", "train.validation_bytes=2000"),
)
COMMON = [
    *("--preset", "laptop", "--device", "cpu", "--seed", "7"),
    *(part for size in SIZES for part in ("--set", size)),
]
"""Options of a training that is killed."""
TIMED = {"seconds", "tokens_per_second", "flop_per_second", "memory_bytes"}


def only_run(out: Path) -> Run:
    (found,) = find_runs(out)
    return found


def state(run: Run) -> tuple[object, ...]:
    """Everything that decides what a run is, without times."""
    last = checkpoint_path(run.layout.checkpoints, "last")
    rows = [{k: v for k, v in row.items() if k not in TIMED} for row in read_log(run.layout)]
    weights = [sha256_file(last / f"{name}.safetensors") for name in ("model", "training")]
    cost = read_json(run.layout.cost)
    return run.record.status, run.record.step, weights, rows, cost["status"], cost["step"]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def gone_within(processes: list[psutil.Process], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while (left := alive(processes)) and time.monotonic() < until:
        time.sleep(0.05)
    return not left
