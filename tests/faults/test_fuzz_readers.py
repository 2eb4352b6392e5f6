"""Whatever the bytes of a file: the documents that a plain reading finds, or one clear line.

Valid files of every form are made at random and most of them are damaged: bytes flipped, cut,
doubled, removed. What escada reads is compared with a reading by `json.loads`, `csv`, pyarrow
and a few lines of string operations; where that one fails, escada must refuse with an
`EscadaError`, and nothing else may leave it. `ESCADA_FUZZ_INPUTS=20000` reads that many files; the
suite reads a few of each form.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections import Counter
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.faults.forms import (
    FORMS,
    INPUTS,
    PACK,
    Rows,
    a_text,
    damage,
    make_json_lines,
    make_text,
    plain_json_lines,
    told,
)

from escada.evaluation.portuguese.question_files import read_cloze, read_pairs
from escada.text.sources import ReadCounts, RowOptions, open_source
from escada.text.sources.streams import whole_text


def documents(path: Path, **options: bool) -> Rows:
    source = open_source(str(path), options=RowOptions(**options))
    return [(d.id, d.group, d.text) for d in source.documents(ReadCounts())]


def is_refused_on_sight(data: bytes) -> bool:
    """What is valid by a plain reading, and no text that one would want to train on."""
    magic = (b"PK", b"PAR1", b"%PDF", b"{\\rtf", b"\x1f\x8b", b"BZh", b"Rar!", b"GIF8")
    return data.startswith(magic) or data[:4096].count(0) > len(data[:4096]) / 10


@pytest.mark.parametrize("name", FORMS)
def test_any_bytes_are_read_as_a_plain_reading_does_or_refused_in_one_line(tmp_path, name):
    make, plain = FORMS[name]
    rng = random.Random(f"readers/{name}/{INPUTS}")
    outcomes: Counter[str] = Counter()
    for number in range(max(20, INPUTS // len(FORMS))):
        data = make(rng)
        if name != "a.parquet" and rng.random() < 0.1:
            data = data.decode().encode(rng.choice(["utf-16", "utf-32"]))
        if rng.random() < 0.7:
            data = damage(data, rng)
        packing = rng.choice(["", "", "", *PACK]) if name != "a.parquet" else ""
        path = tmp_path / f"{name}{packing}"
        path.write_bytes(PACK[packing](data) if packing else data)
        expected = plain(data, path.name)
        found, message = told(partial(documents, path))
        outcomes["refused" if message else "read"] += 1
        if not message:
            assert found == expected, (number, data)
        if message and expected:
            assert is_refused_on_sight(data) or "plain text" in message, (number, message, data)
        told(partial(documents, path, skip_bad_rows=True))
        path.unlink()
    print(name, dict(outcomes))
    assert outcomes["read"]
    assert outcomes["refused"]


@pytest.mark.parametrize("packing", PACK)
def test_a_damaged_archive_is_never_read_as_something_else(tmp_path, packing):
    rng = random.Random(f"archives/{packing}/{INPUTS}")
    path = tmp_path / f"a.jsonl{packing}"
    refused = 0
    for _ in range(max(20, INPUTS // 40)):
        data = make_json_lines(rng)
        path.write_bytes(damage(PACK[packing](data), rng))
        found, message = told(partial(documents, path))
        refused += bool(message)
        assert message or found == plain_json_lines(data, path.name)
    assert refused


@pytest.mark.parametrize("reader", [read_pairs, read_cloze])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_question_files_of_any_bytes_are_read_or_refused(tmp_path, reader, name):
    rng = random.Random(f"questions/{name}/{INPUTS}")
    columns = ("good", "bad", "sentence", "last_word", "text", "id", "group")
    for _ in range(max(20, INPUTS // 40)):
        rows = [{c: rng.choice([a_text(rng), "O carteiro saiu"]) for c in columns} for _ in "ab"]
        if name == "a.jsonl":
            data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        elif name == "a.json":
            data = json.dumps(rows).encode()
        elif name == "a.csv":
            file = io.StringIO()
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
            data = file.getvalue().encode()
        else:
            out = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows), out)
            data = out.getvalue()
        path = tmp_path / name
        path.write_bytes(damage(data, rng))
        told(partial(reader, path, rng.choice(["reference", "roadmap"])))


def test_folders_of_any_names_and_bytes_are_read_or_refused(tmp_path):
    rng = random.Random(f"folders/{INPUTS}")
    names = [
        b"a.txt",
        b"n\xe3o.txt",
        b".x",
        b"README",
        b"a b.jsonl",
        b"c\n.txt",
        b"sub/a.txt",
        b"x",
    ]
    names += [b"sub/\xff.csv", "é.md".encode(), b"[/b].txt", b"a.parquet", b"-rf.txt", b"a.txt.GZ"]
    for number in range(max(20, INPUTS // 40)):
        folder = os.fsencode(tmp_path) + b"/%d" % number
        for name in rng.sample(names, rng.randint(1, 6)):
            path = folder + b"/" + name
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
            with open(path, "wb") as file:  # noqa: PTH123
                file.write(damage(make_text(rng), rng))
        if rng.random() < 0.3:
            os.symlink(folder, folder + b"/loop")  # noqa: PTH211
        found, _ = told(partial(documents, Path(os.fsdecode(folder))))
        for identifier, group, _ in found or []:
            (identifier + group).encode("utf-8")


def test_the_same_holds_for_brwac_and_for_whole_texts(tmp_path):
    rng = random.Random(f"brwac/{INPUTS}")
    for _ in range(max(20, INPUTS // 40)):
        name = rng.choice(list(FORMS))
        path = tmp_path / name
        path.write_bytes(damage(FORMS[name][0](rng), rng))
        told(lambda path=path: list(open_source("brwac", source_file=path)))
        told(partial(whole_text, path))
