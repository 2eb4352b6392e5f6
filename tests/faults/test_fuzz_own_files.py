"""Whatever the bytes of a file that escada wrote, or that pretends to be one: a value or one line.

Files of a run, a corpus, a climb, a scale, a review and a tokenizer are damaged in two ways: bytes
at random (`forms.damage`), and values at random, with checksums made anew, as whoever
writes a folder can do. Each reader then gives a value or raises an `EscadaError`, and nothing else.
`ESCADA_FUZZ_INPUTS=20000` tries more of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from tests.conftest import text as a_story
from tests.faults.forms import INPUTS, damage, told
from tests.faults.table import outcomes

from escada.checksums import CHAIN, SHA256, chained, sealed, sealed_rows
from escada.cost.money import load_prices
from escada.cost.sheet import read_sheet
from escada.evaluation.ruler import read_scores
from escada.evaluation.task import Subject, evaluate, read
from escada.evaluation.tasks.documents import TEST
from escada.evaluation.tasks.samples import SAMPLES
from escada.files import content_hash, write_json
from escada.guardrails.texts import read_samples
from escada.judge.journal import whole_lines
from escada.report.data import read_climb, read_curve, read_scale
from escada.report.writers.card import card_text
from escada.runs.catalogue import catalogue
from escada.runs.checkpoint import load_checkpoint
from escada.runs.climb_lock import read_plan
from escada.runs.layout import Layout
from escada.runs.log import read_log
from escada.runs.run import open_run, open_tokenizer, runs_of_climb
from escada.spec import TokenizerSpec, load_spec
from escada.text.corpus import Corpus
from escada.text.shards import TokenStream
from escada.text.tokenizers import train_tokenizer

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
JSON = dict[str, Any]
ODD: list[object] = [
    *(None, True, False, 0, -1, 1, 2.5, -0.5, 1e308, 10**30, 2**63, float("nan")),
    *("", "x", "last", "../../x", "\ud800", "a" * 3000, "0" * 64, [], {}, [1], {"a": 1}, [[None]]),
]
REPEATS = max(20, INPUTS // 100)


def mutated(value: Any, rng: random.Random) -> Any:
    """A JSON value with one of its parts changed, removed or added."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        match rng.randrange(8):
            case 0:
                return {name: value[name] for name in value if name != key}
            case 1:
                return {**value, rng.choice(["x", "kind", "key"]): rng.choice(ODD)}
            case _:
                return {**value, key: mutated(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        match rng.randrange(6):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value[:at], value[at], *value[at:]]
            case _:
                return [*value[:at], mutated(value[at], rng), *value[at + 1 :]]
    return rng.choice(ODD)


def resealed(table: Any) -> Any:
    """With the checksums that the content has now, where it had any and can have one."""
    if not isinstance(table, dict):
        return table
    bare = {name: value for name, value in table.items() if name not in (SHA256, "hash")}
    try:
        if "hash" in table:
            version = {n: bare.pop(n) for n in ("schema_version",) if n in bare and "kind" in bare}
            bare = {**version, "hash": content_hash(bare), **bare}
        return sealed(bare) if SHA256 in table else bare
    except ValueError:  # not a number, or half a pair
        return bare


def some(rows: object) -> list[Any]:
    return rows if isinstance(rows, list) else []


def mutated_file(path: Path, data: bytes, rng: random.Random) -> bytes:
    """A file of JSON, JSON lines or TOML with values changed; others as `damage` does."""
    if path.suffix == ".json":
        return json.dumps(resealed(mutated(json.loads(data), rng))).encode()
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in data.splitlines()]
        if CHAIN in rows[0]:
            rows = [{k: v for k, v in row.items() if k != CHAIN} for row in rows]
        head = rows.pop(0) if SHA256 in rows[0] else None
        rows = [row for row in some(mutated(rows, rng)) if isinstance(row, dict)] or [{}]
        with contextlib.suppress(ValueError):
            rows = [dict(row) for row in sealed_rows(rows)] if head else chained(rows)
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if path.suffix == ".toml":
        table = mutated(tomllib.loads(data.decode()), rng)
        try:
            return tomli_w.dumps(table).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, AttributeError):  # TOML has no null
            return damage(data, rng)
    return damage(data, rng)


def check(path: Path, read: Callable[[], object], seed: object, *, is_refused: bool = True) -> None:
    """A reader of `path`, with the file damaged in many ways; it is whole again afterwards."""
    rng = random.Random(f"own files/{path.name}/{seed}/{INPUTS}")
    whole, found = path.read_bytes(), Counter[str]()
    read()
    try:
        for _ in range(REPEATS):
            change = damage if rng.random() < 0.5 else partial(mutated_file, path)
            data = change(whole, rng)
            path.write_bytes(data)
            try:
                _, message = told(read)
            except Exception as error:
                outcomes("any bytes for a reader of escada's own files")["wrong"] += 1
                raise AssertionError((path.name, data[:3000])) from error
            found["refused" if message else "survived"] += 1
    finally:
        path.write_bytes(whole)
    outcomes("any bytes for a reader of escada's own files").update(found)
    assert found["refused"] or not is_refused, "nothing was ever refused: is it read?"


@pytest.fixture(scope="module")
def own(scene, tmp_path_factory) -> Path:
    """A run with results, and its corpus, that these tests may damage."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(scene.corpus, folder / "corpus")
    shutil.copytree(scene.run, folder / "runs" / "run")
    run, corpus = open_run(folder / "runs" / "run"), Corpus.open(folder / "corpus")
    evaluate(Subject(run, corpus, device="cpu"), [TEST, SAMPLES])
    return folder


def weights(run: Path) -> object:
    opened = open_run(run)
    load = partial(load_checkpoint, Layout(run).checkpoints, spec_hash=opened.spec.hash)
    load("last", device=torch.device("cpu"), training=True)
    return opened.load_model()


def runs(run: Path) -> object:
    """The list of runs, which says what is damaged."""
    return catalogue(run.parent)


OF_A_RUN: dict[str, list[Callable[[Path], object]]] = {
    "spec.toml": [open_run, lambda run: load_spec(str(run / "spec.toml"))],
    "record.json": [open_run, runs, read_climb],
    "data.json": [lambda run: open_run(run).data_path, lambda run: card_text(open_run(run))],
    "env.json": [read_climb, lambda run: card_text(open_run(run))],
    "tokenizer/tokenizer.json": [lambda run: open_run(run).tokenizer],
    "metrics.jsonl": [lambda run: read_log(Layout(run)), lambda run: read_curve(Layout(run))],
    "checkpoints/index.json": [weights],
    "checkpoints/*/checkpoint.json": [weights, lambda run: card_text(open_run(run))],
    "checkpoints/*/model.safetensors": [weights],
    "checkpoints/*/training.safetensors": [weights],
    "cost.json": [
        lambda run: read_sheet(run / "cost.json"),
        runs,
        lambda run: card_text(open_run(run)),
        read_climb,
    ],
    "evaluation/test.json": [
        lambda run: read(open_run(run), TEST),
        runs,
        lambda run: card_text(open_run(run)),
        read_climb,
    ],
    "evaluation/test-documents.jsonl": [
        lambda run: read_scores(run / "evaluation" / "test-documents.jsonl")
    ],
    "samples/samples.json": [
        lambda run: read_samples(run / "samples" / "samples.json"),
        lambda run: card_text(open_run(run)),
        read_climb,
    ],
}


@pytest.mark.parametrize(
    ("name", "number"), [(name, i) for name in OF_A_RUN for i in range(len(OF_A_RUN[name]))]
)
def test_files_of_a_run(own, name, number):
    run = own / "runs" / "run"
    for path in sorted(run.glob(name)):
        read = OF_A_RUN[name][number]
        check(path, partial(read, run), number, is_refused=read is not runs)


def read_corpus(folder: Path) -> object:
    corpus = Corpus.open(folder)
    return [list(corpus.documents(split)) for split in ("train", "validation", "test")]


@pytest.mark.parametrize("name", ["manifest.json", "test.parquet"])
def test_files_of_a_corpus(own, name):
    check(own / "corpus" / name, partial(read_corpus, own / "corpus"), name)


def test_a_parquet_file_of_a_corpus_whose_checksum_is_made_anew(own):
    folder, rng = own / "corpus", random.Random(f"parquet/{INPUTS}")
    path, manifest = folder / "test.parquet", folder / "manifest.json"
    whole, table = path.read_bytes(), json.loads(manifest.read_bytes())
    try:
        for _ in range(REPEATS):
            data = damage(whole, rng)
            table["splits"]["test"]["sha256"] = hashlib.sha256(data).hexdigest()
            path.write_bytes(data)
            write_json(manifest, resealed(table))
            told(partial(read_corpus, folder))
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["manifest.json", "document_starts.npy", "train-00000.bin"])
def test_files_of_tokens_are_read_or_refused_by_their_checksums(own, name):
    rng = random.Random(f"tokens/{name}/{INPUTS}")
    path = next((own / "corpus" / "tokens").glob(f"*/train/{name}"))
    whole = path.read_bytes()
    try:
        for _ in range(REPEATS):
            path.write_bytes(damage(whole, rng))
            told(lambda: TokenStream.open(path.parent).read(0, 10))
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe", "unigram"])
def test_files_of_a_tokenizer(tmp_path, kind):
    rng = random.Random("tokenizers")
    size = {"vocab_size": 320} if kind in ("bpe", "unigram") else {}
    tokenizer = train_tokenizer(
        TokenizerSpec(kind=kind, **size), [a_story(rng, 20) for _ in range(20)]
    )
    tokenizer.save(tmp_path)

    def use() -> object:
        found = open_tokenizer(tmp_path)
        return found.decode(found.encode("A menina"))

    for path in sorted(tmp_path.iterdir()):
        check(path, use, kind)
        if path.suffix == ".model":
            with_their_hash(path, use, kind)


def with_their_hash(path: Path, use: Callable[[], object], kind: str) -> None:
    """A SentencePiece model of others, whose hash is in its metadata."""
    rng = random.Random(f"models/{kind}/{INPUTS}")
    whole, metadata = path.read_bytes(), path.with_name("tokenizer.json")
    table = json.loads(metadata.read_bytes())
    for _ in range(REPEATS):
        data = damage(whole, rng)
        path.write_bytes(data)
        table["model_sha256"] = hashlib.sha256(data).hexdigest()
        write_json(metadata, resealed(table))
        told(use)


JOURNAL = [
    {"event": "journal", "schema_version": 1},
    {"event": "failed", "key": "a", "kind": "pair", "reason": "timeout", "seconds": 1.0},
    {"event": "malformed", "key": "b", "kind": "rubric", "text": "{", "attempt": 1},
]


def test_files_of_climbs_scales_and_reviews(tmp_path):
    for name in ("ladder.json",):
        shutil.copy(RESULTS / "laptop-climb" / name, tmp_path / name)
        check(tmp_path / name, partial(read_climb, tmp_path), name)
        rng, path = random.Random(f"runs of a climb/{INPUTS}"), tmp_path / name
        whole = path.read_bytes()
        for _ in range(REPEATS):
            path.write_bytes(mutated_file(path, whole, rng))
            told(partial(runs_of_climb, path))  # its runs are not there
        path.unlink()
    shutil.copy(ROOT / "src" / "escada" / "ladder" / "laptop-scale" / "scale.json", tmp_path)
    check(tmp_path / "scale.json", partial(read_scale, tmp_path), "scale")
    (tmp_path / "judge").mkdir()
    journal = tmp_path / "judge" / "journal.jsonl"
    journal.write_text("".join(json.dumps(row) + "\n" for row in JOURNAL))
    check(journal, lambda: whole_lines(journal.read_bytes(), journal), "journal")
    rows = [{"name": "v1", "seed": 0, "key": "0" * 64}]
    write_json(tmp_path / "climb.json", sealed({"schema_version": 1, "planned": rows}))
    check(tmp_path / "climb.json", partial(read_plan, tmp_path), "plan")


def test_a_users_prices(tmp_path, monkeypatch):
    path = tmp_path / "cost.toml"
    path.write_text('electricity_brl_per_kwh = 0.95\nbrl_per_usd = 5.5\ngrid = "brazil"\n')
    monkeypatch.setenv("ESCADA_COST", str(path))
    check(path, load_prices, "prices")
