"""Whatever a file unpacks to, one line says that it is too large, and memory stays flat."""

import bz2
import dataclasses
import gzip
import json
import lzma
import subprocess
import sys
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from escada.errors import EscadaError
from escada.text.sources import ReadCounts, RowOptions, open_source, streams
from escada.text.sources import rows as rows_module
from escada.text.sources.streams import LINE_BYTES, whole_text

MIB = 2**20
PEAK_MIB = 500
"""Of a process that reads a hostile file: Python, numpy and pyarrow need 150 of them."""
READ = r"""
import re, sys
from escada.errors import EscadaError
from escada.text.sources import ReadCounts, open_source
said = "read it all"
try:
    for document in open_source(sys.argv[1]).documents(ReadCounts()):
        pass
except EscadaError as error:
    said = str(error)
print(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) // 1024)
print(said)
"""


def read_apart(path: Path) -> tuple[int, str]:
    """Peak memory in MiB of a process of its own that reads a source, and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peak, said = done.stdout.splitlines()
    return int(peak), said


def gzip_of(path: Path, head: bytes, block: bytes, times: int, tail: bytes = b"") -> Path:
    packer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as file:
        file.write(packer.compress(head))
        for _ in range(times):
            file.write(packer.compress(block))
        file.write(packer.compress(tail) + packer.flush())
    return path


@pytest.mark.parametrize("gigabytes", [0.25, pytest.param(3, marks=pytest.mark.slow)])
def test_gigabytes_in_one_line_are_refused_with_flat_memory(tmp_path: Path, gigabytes: float):
    blocks = int(64 * gigabytes)
    path = gzip_of(tmp_path / "bomb.jsonl.gz", b'{"text": "', b"a" * (16 * MIB), blocks, b'"}\n')
    assert path.stat().st_size < 4 * MIB
    peak, said = read_apart(path)
    assert "a line is longer than 32 MiB (it begins at byte 0)" in said
    assert str(path) in said
    assert peak < PEAK_MIB


@pytest.mark.slow
def test_two_gigabytes_without_a_line_break_are_refused_in_one_line_and_leave_nothing(
    tmp_path: Path,
):
    path, out = tmp_path / "a.jsonl", tmp_path / "corpus"
    with path.open("wb") as file:
        for _ in range(2000):
            file.write(b"a" * 1_000_000)
    code = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stderr=subprocess.PIPE, text=True)\n"
        "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)\n"
        "print(done.stderr)"
    )
    verb = [sys.executable, "-m", "escada", "data", "prepare", "--source", path, "--out", out]
    done = subprocess.run([sys.executable, "-c", code, *verb], capture_output=True, text=True)
    figures, *said = done.stdout.strip().splitlines()
    status, peak = map(int, figures.split())
    assert status == 2
    assert "a line is longer than 32 MiB" in " ".join(said)
    assert len(" ".join(said)) < 400
    assert peak < PEAK_MIB
    assert not out.exists()


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.vert", "a.conllu"])
def test_a_line_of_50_mb_is_refused_in_every_form(tmp_path: Path, name: str):
    path = tmp_path / name
    head = b'{"text":"a"}' if name == "a.jsonl" else b"uma linha"
    path.write_bytes(head + b"\n" + b"a" * 50_000_000)
    peak, said = read_apart(path)
    assert f"a line is longer than 32 MiB (it begins at byte {len(head) + 1})" in said
    assert peak < PEAK_MIB


ENDLESS = [
    ("d/a.txt.gz", b"", b"uma linha\n", "a document is longer than"),
    ("a.txt.gz", b"um bloco\n\n", b"uma linha\n", "a document is longer than"),
    ("a.vert.gz", b"", b"palavra\tN\n", "a document is longer than"),
    ("a.conllu.gz", b"# newdoc id = 1\n", b"# text = uma frase\n\n", "a document is longer than"),
    ("a.csv.gz", b"text,b\n", b'"\n",', "a CSV record is longer than"),
    ("a.xml.gz", b"<TEI><text><body>", b"<l>ab</l>\n", "a document is longer than"),
    ("a.xml.gz", b"<TEI><text><body>", b"<l/>", "a document is longer than"),
    ("a.xml.gz", b'<TEI n="', b"a", "a document is longer than"),
]


def endless(folder: Path, name: str, head: bytes, block: bytes, mib: int) -> Path:
    """A source that is one document of many short lines."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    gzip_of(path, head, block * (MIB // len(block)), mib)
    return path.parent if "/" in name else path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head", "block", "what"),
    [*ENDLESS, ("a.json.gz", b"[\n", b'{"text": "a"},\n', "a JSON list is longer than")],
)
def test_an_endless_document_of_short_lines_takes_little_memory(
    tmp_path: Path, name: str, head: bytes, block: bytes, what: str
):
    peak, said = read_apart(endless(tmp_path, name, head, block, 160))
    assert what in said
    assert peak < 2 * PEAK_MIB


@pytest.mark.parametrize(("name", "head", "block", "what"), ENDLESS)
def test_short_lines_that_make_one_endless_document_are_refused(
    tmp_path: Path, monkeypatch, name: str, head: bytes, block: bytes, what: str
):
    monkeypatch.setattr(streams, "LINE_BYTES", 10_000)
    with pytest.raises(EscadaError, match=what):
        list(open_source(str(endless(tmp_path, name, head, block, 1))).documents(ReadCounts()))


def test_a_json_list_has_a_limit(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(rows_module, "LIST_BYTES", 10_000)
    path = tmp_path / "a.json"
    path.write_text("[\n" + '{"text": "a"},\n' * 1000 + '{"text": "a"}]')
    with pytest.raises(EscadaError, match=r"a JSON list is longer than .*JSON lines"):
        list(open_source(str(path)).documents(ReadCounts()))


def test_a_megabyte_of_text_a_document_is_read(tmp_path: Path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"text": "a" * (4 * MIB)}).encode() + b"\n"))
    (document,) = open_source(str(path)).documents(ReadCounts())
    assert len(document.text) == 4 * MIB


def test_the_longest_line_is_read_and_one_byte_more_is_not(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(streams, "LINE_BYTES", 100)
    path = tmp_path / "a.txt"
    path.write_bytes(b"a" * 99 + b"\n" + b"b" * 10)
    assert [len(line) for line in streams.lines(path)] == [99, 10]
    path.write_bytes(b"b\n" + b"a" * 100 + b"\n")
    with pytest.raises(EscadaError, match=r"a line is longer .*it begins at byte 2"):
        list(streams.lines(path))
    path.write_bytes(("b\n" + "a" * 101 + "\n").encode("utf-16"))
    with pytest.raises(EscadaError, match="a line is longer"):
        list(streams.lines(path))


def test_xz_may_not_ask_for_gigabytes_of_window(tmp_path: Path):
    lines = b"uma linha\n" * 1000
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**30}]
    small = lzma.compress(lines)
    # Asked for by the second stream, which a look at the head would miss.
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=[{**filters[0], "dict_size": 2**28}])
    path = tmp_path / "a.txt.xz"
    path.write_bytes(small + packer.compress(lines) + packer.flush())
    with pytest.raises(EscadaError, match="broken xz file: Memory usage limit exceeded"):
        list(streams.lines(path))


def test_xz_of_several_streams_with_padding_is_read_whole(tmp_path: Path):
    path = tmp_path / "a.txt.xz"
    padding = b"\0" * 4 * 40_000
    path.write_bytes(lzma.compress(b"um\n") + padding + lzma.compress(b"dois\n" * 50_000) + padding)
    assert whole_text(path) == "um\n" + "dois\n" * 50_000
    path.write_bytes(lzma.compress(b"um\n") + b"lixo")
    with pytest.raises(EscadaError, match="broken xz file"):
        whole_text(path)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, zstandard.compress])
def test_every_packing_stops_at_the_limit(tmp_path: Path, pack):
    path = tmp_path / "a.txt"
    path.write_bytes(pack(b"a" * (LINE_BYTES + 1)))
    with pytest.raises(EscadaError, match="a line is longer"):
        next(streams.lines(path))


def test_a_parquet_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path):
    path = tmp_path / "bomb.parquet"
    table = pa.table({"text": ["a" * (20 * MIB) + str(i) for i in range(6)]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    del table
    assert path.stat().st_size < MIB
    peak, said = read_apart(path)
    assert "more than 200 times as many" in said
    assert peak < PEAK_MIB


@pytest.mark.slow
def test_one_entry_of_a_dictionary_in_every_row_takes_the_memory_of_few(tmp_path: Path):
    path = tmp_path / "bomb.parquet"
    index = pa.array([0] * 200, pa.int32())
    text = pa.DictionaryArray.from_arrays(index, pa.array(["palavra " * (2 * MIB)]))
    pq.write_table(
        pa.table({"text": text}), path, store_schema=False, dictionary_pagesize_limit=2**30
    )
    assert path.stat().st_size < MIB
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size < 20 * MIB
    peak, said = read_apart(path)
    assert said == "read it all"
    assert peak < 2000  # 3.2 GB of text, in batches of 32 rows


def test_a_parquet_value_longer_than_a_line_is_a_bad_row(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(streams, "LINE_BYTES", 100)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a" * 101, "b"]}), path)
    with pytest.raises(EscadaError, match=r"'text' is longer.*row 1"):
        list(open_source(str(path)).documents(ReadCounts()))
    options = RowOptions(skip_bad_rows=True)
    assert [d.text for d in open_source(str(path), options=options).documents(ReadCounts())] == [
        "b"
    ]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.parquet", RowOptions(text_column="deep.text")),
        ("hub", RowOptions()),
        ("hub", RowOptions(text_column="short", id_column="text")),
    ],
)
def test_a_row_longer_than_a_document_is_a_bad_row_wherever_it_is_read(
    tmp_path: Path, monkeypatch, name: str, options: RowOptions
):
    rows = [{"text": text, "short": "c", "deep": {"text": text}} for text in ("a" * 101, "b")]
    path = tmp_path / name
    if name == "hub":
        pytest.importorskip("datasets")
        path.mkdir()
        pq.write_table(pa.Table.from_pylist(rows), path / "train.parquet")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    named = f"hub:{path}" if name == "hub" else str(path)
    monkeypatch.setattr(streams, "LINE_BYTES", 100)
    with pytest.raises(EscadaError, match=r"a document is longer than.*row 1\); divide it"):
        list(open_source(named, options=options))
    skipping = dataclasses.replace(options, skip_bad_rows=True)
    (document,) = open_source(named, options=skipping)
    assert len(document.text) == 1
