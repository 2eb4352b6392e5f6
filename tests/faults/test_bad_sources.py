"""Sources that hold no text, or no clean one: a corpus of what is text, or one line."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from tests.conftest import sentence
from tests.faults.table import FULL, outcomes
from tests.processes import escada

from escada.text.corpus import Corpus

TIMES = 10 if FULL else 1
LONG = b"a" * 50_000_000
MAGIC = (b"", b"PK\x03\x04", b"PAR1", b"%PDF-1.7\n", b"\x7fELF", b"\x1f\x8b\x08", b"MZ")
NAMES = "a.jsonl a.json a.csv a.parquet a.vert a.conllu a.xml a.md".split()


def stories(number: int, seed: object = 0) -> list[str]:
    rng = random.Random(str(seed))
    found = (" ".join(sentence(rng) for _ in range(4)) for _ in range(number))
    return [story.replace("…", ".") for story in found]  # which Latin-1 has not


def json_lines(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def prepare(fault: str, source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Prepare a corpus; it must be whole, or refused in one line and nothing left behind."""
    done = escada(["data", "prepare", "--source", source, "--out", out, "--workers", "1"])
    lines = [line for line in done.stderr.splitlines() if line.startswith("escada: ")]
    refused = done.returncode == 2 and len(lines) == 1 and "Traceback" not in done.stderr
    how = "survived" if done.returncode == 0 else "refused" if refused else "wrong"
    outcomes(fault)[how] += 1
    assert how != "wrong", done.stderr[-3000:]
    if how == "refused":
        assert not out.exists() or not list(out.glob("[!.]*"))
    else:
        Corpus.open(out)
    return done


@pytest.mark.parametrize(
    "name", ["a.txt", *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES)]
)
def test_binary_junk_is_refused(tmp_path, name):
    rng = random.Random(f"junk/{name}")
    for number in range(TIMES):
        path = tmp_path / name
        path.write_bytes(rng.choice(MAGIC) + rng.randbytes(rng.choice([1, 100, 10_000, 1_000_000])))
        done = prepare("binary junk as a source", path, tmp_path / f"corpus-{number}")
        assert done.returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.vert", "a.conllu", "a.xml"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_line_of_50_mb_is_refused(tmp_path, name, packed):
    heads = {"a.jsonl": b'{"text": "', "a.csv": b'text\n"', "a.xml": b"<TEI><body><p>"}
    data = heads.get(name, b"") + LONG
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    done = prepare("a line of 50 MB in a source", path, tmp_path / "corpus")
    assert done.returncode == 2
    assert "longer than 32 MiB" in done.stderr


def test_half_a_surrogate_pair_becomes_a_replacement_and_the_rest_is_kept(tmp_path):
    texts = [f"{story} \ud83d meio {i} \udc00 par" for i, story in enumerate(stories(30))]
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines(texts))
    fault = "lone surrogates in a source"
    assert prepare(fault, path, tmp_path / "corpus").returncode == 0
    corpus = Corpus.open(tmp_path / "corpus")
    splits = ("train", "validation", "test")
    documents = [d.text for split in splits for d in corpus.documents(split)]
    assert len(documents) == len(texts)
    for document in documents:
        document.encode("utf-8")


# A file of several encodings, as people make them by joining files: which line is which.
MIXED = {
    "latin1 after utf8": lambda a, b: a.encode() + b"\n" + b.encode("latin-1"),
    "utf8 after latin1": lambda a, b: a.encode("latin-1") + b"\n" + b.encode(),
    "utf16 after utf8": lambda a, b: a.encode() + b"\n" + b.encode("utf-16"),
    "utf16 without a mark": lambda a, _: a.encode("utf-16-le"),
    "cp1252": lambda a, _: (a + " “fim” – 10 €").encode("cp1252"),
    "half a character": lambda a, _: a.encode() + "\nç".encode()[:-1],
}


@pytest.mark.parametrize("mixture", MIXED)
def test_mixed_encodings_are_refused_by_the_byte(tmp_path, mixture):
    a, b = ("\n".join(f"{story} ação" for story in stories(20, seed)) for seed in "ab")
    path = tmp_path / "a.txt"
    path.write_bytes(MIXED[mixture](a, b))
    done = prepare("mixed encodings in a source", path, tmp_path / "corpus")
    assert done.returncode == 2
    assert any(word in done.stderr for word in ("UTF-8", "UTF-16", "not text"))


def test_a_folder_of_mixed_encodings_names_what_it_leaves_out(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, story in enumerate(stories(30)):
        encoding = ("utf-8", "latin-1", "utf-16")[number % 3]
        (folder / f"{number}.txt").write_bytes(f"{story} ação {number}".encode(encoding))
    (folder / "junk.txt").write_bytes(os.urandom(5000))
    done = prepare("mixed encodings in a source", folder, tmp_path / "corpus")
    assert done.returncode == 0
    assert "left out, " in done.stderr
    assert "iconv" in done.stderr
    splits = Corpus.open(tmp_path / "corpus").manifest.splits
    assert sum(split.documents for split in splits.values()) == 20
