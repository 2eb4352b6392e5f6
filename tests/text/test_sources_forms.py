"""What is in a file and below a folder: by columns, by its first bytes, and nothing in silence."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.systems import needs_pipes

from escada.errors import EscadaError
from escada.text.sources import ReadCounts, RowOptions, brwac, open_source, walk
from escada.text.sources.base import UniqueIds
from escada.text.sources.streams import whole_text

ROWS = b'{"text": "um"}\n{"text": "dois \xc3\xa9"}\n'


def texts(path: Path, **options):
    return [d.text for d in open_source(str(path), options=RowOptions(**options))]


def read(path: Path, **options):
    counts = ReadCounts()
    source = open_source(str(path), options=RowOptions(**options))
    return list(source.documents(counts)), counts


def jsonl(path: Path, *rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


# Ids and groups


@pytest.mark.parametrize(
    "names",
    [
        ["c4-pt.tfrecord-00000.json", "c4-pt.tfrecord-00001.json"],
        ["2020/notas.jsonl", "2021/notas.jsonl"],
        ["a.b.jsonl", "a.c.jsonl"],
    ],
)
def test_rows_of_different_files_never_share_an_id_or_a_group(tmp_path: Path, names):
    for name in names:
        jsonl(tmp_path / "s" / name, {"text": "um"}, {"text": "dois"})
    documents, counts = read(tmp_path / "s")
    assert [d.id for d in documents] == [f"{name}:{n}" for name in names for n in (1, 2)]
    assert [d.group for d in documents] == [d.id for d in documents]
    assert counts.repeated_ids == 0


def test_an_id_that_comes_again_is_told_apart_and_counted(tmp_path: Path):
    rows = [{"id": 1, "text": "a"}, {"id": 1, "text": "b"}, {"id": "1#2", "text": "c"}]
    jsonl(tmp_path / "a.jsonl", *rows, {"id": 1, "text": "d", "group": "g"})
    documents, counts = read(tmp_path / "a.jsonl")
    assert [d.id for d in documents] == ["1", "1#2", "1#2#2", "1#3"]
    assert [d.group for d in documents] == ["1", "1#2", "1#2#2", "g"]
    assert counts.repeated_ids == 3


@given(st.lists(st.sampled_from(["a", "a#2", "a#2#2", "b", "a#3", ""]), max_size=40))
def test_ids_are_told_apart_as_by_a_table_of_all_of_them(wanted):
    ids, taken, times = UniqueIds(), set[str](), Counter[str]()
    for name in wanted:
        times[name] += 1
        expected = name
        if name in taken:
            times[name] = max(times[name], 2)
            while (expected := f"{name}#{times[name]}") in taken:
                times[name] += 1
        taken.add(expected)
        assert ids.new("s", name) == expected
    assert len(ids) == len(taken) == len(wanted)


def test_a_hundred_thousand_ids_take_little_memory_each():
    n = 100_000
    tracemalloc.start()
    ids = UniqueIds()
    for i in range(n):
        ids.new("s", f"documento-{i}")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / n < 35


def test_the_same_id_of_two_sources_is_no_repetition(tmp_path: Path):
    rows = [{"id": 1, "text": "a", "source": "x"}, {"id": 1, "text": "b", "source": "y"}]
    documents, counts = read(jsonl(tmp_path / "a.jsonl", *rows))
    assert [d.id for d in documents] == ["1", "1"]
    assert counts.repeated_ids == 0


def test_a_missing_number_is_no_id(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["um", "dois"], "id": [float("nan"), 2.5]}), path)
    assert [d.id for d in open_source(str(path))] == ["a.parquet:1", "2.5"]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("c4-pt.tfrecord-00000.json.gz", "c4-pt.tfrecord-00000"),
        ("jornal.2020.jsonl", "jornal.2020"),
    ],
)
def test_a_file_without_sources_is_called_by_its_whole_name(tmp_path: Path, name, source):
    path = tmp_path / name
    path.write_bytes(gzip.compress(ROWS) if name.endswith("gz") else ROWS)
    assert {d.source for d in open_source(str(path))} == {source}


# Conventions of one source


def test_what_is_brwacs_is_text_and_columns_like_any_other_elsewhere(tmp_path: Path):
    row = {"text": "a tag <END> fecha\n", "doc_id": "x", "uri": "http://a.br/1", "url": "b.br"}
    (document,) = open_source(str(jsonl(tmp_path / "a.jsonl", row)))
    assert document.text == "a tag <END> fecha\n"
    assert document.id == document.group == "a.jsonl:1"
    (document,) = open_source("brwac", source_file=tmp_path / "a.jsonl")
    assert (document.text, document.id, document.group) == ("a tag\nfecha\n".strip(), "x", "a.br")


def test_of_addresses_in_a_group_column_the_site_is_the_group_in_brwac_too(tmp_path: Path):
    path = jsonl(tmp_path / "a.jsonl", {"text": "um", "page": "http://www.a.br/1"})
    options = RowOptions(group_column="page")
    for source in (
        open_source(str(path), options=options),
        open_source("brwac", source_file=path, options=options),
    ):
        assert [document.group for document in source] == ["a.br"]


@pytest.mark.parametrize("text", [["um", "dois"], {"paragraphs": [["um"]]}])
def test_paragraphs_are_no_text_of_a_users_file(tmp_path: Path, text):
    with pytest.raises(EscadaError, match="neither a string nor UTF-8 bytes"):
        texts(jsonl(tmp_path / "a.jsonl", {"text": text}))


def test_a_treebank_gives_its_texts_by_newdoc_else_by_sentence(tmp_path: Path):
    sentences = "# sent_id = s{0}\n# text = Da casa {0}.\n1-2\tDa\t_\n1\tDe\t_\n2\ta\t_\n\n"
    path = tmp_path / "a.conllu"
    path.write_text(sentences.format(1) + sentences.format(2))
    assert [(d.id, d.text) for d in open_source(str(path))] == [
        ("s1", "Da casa 1."),
        ("s2", "Da casa 2."),
    ]
    marked = "# newdoc id = d1\n" + sentences.format(1) + sentences.format(2)
    path.write_text(marked + "# newdoc\n" + sentences.format(3))
    assert [(d.id, d.text) for d in open_source(str(path))] == [
        ("d1", "Da casa 1.\nDa casa 2."),
        ("a.conllu:2", "Da casa 3."),
    ]


# CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_is_read_by_column(tmp_path: Path, delimiter, mark, end):
    rows = [["a", 'disse "sim"; e, a\tb|c'], ["b", "duas\nlinhas"], ["c", "x" * 200_000], ["d", ""]]
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
    writer.writerows([["id", "text"], *rows])
    path = tmp_path / "a.csv"
    path.write_bytes((mark + file.getvalue()).encode())
    assert [[d.id, d.text] for d in open_source(str(path))] == rows


def test_the_separator_line_of_a_spreadsheet_is_understood(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text('sep=;\nid;text\n1;"um; dois"\n')
    assert texts(path) == ["um; dois"]


def test_a_tsv_in_utf_16_is_read_by_its_mark(tmp_path: Path):
    path = tmp_path / "a.tsv"
    path.write_text("id\ttext\n1\tmaçã\n", encoding="utf-16")
    assert texts(path) == ["maçã"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,text\n1,um, dois\n", "3 fields where 2 columns are named"),
        (b"id,text\n1\n", "1 fields where 2 columns are named"),
        (b'id,text\n1,"um" dois\n', "not a CSV record"),
        (b'id,text\n1,"um\n2,dois\n', "unexpected end of data"),
        (b"id,texto\n1,um\n", "no 'text' column; there are: id, texto"),
        (b"text,text\n1,um\n", "two columns are named 'text'"),
        (b"id,text\n1,ma\xe7\xe3\n", "not UTF-8"),
        (b"1,um\n2,dois\n", "no 'text' column; there are: 1, um"),
    ],
)
def test_a_bad_csv_is_named_with_its_line(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(EscadaError, match=said) as caught:
        texts(path)
    assert f"{path}:" in str(caught.value)


def test_a_bad_record_is_skipped_on_request(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'id,text\n1,um\n2,a, b\n3,"x" y\n4,ma\xe7\n5,dois\n')
    documents, counts = read(path, skip_bad_rows=True)
    assert [d.text for d in documents] == ["um", "dois"]
    assert counts.skipped_rows == 3
    assert "a.csv:3" in counts.first_skipped_row


# Columns by name and bad rows


def test_columns_are_named_on_request(tmp_path: Path):
    row = {"corpo": "um", "chave": 7, "autor": "Rosa", "veiculo": "gazeta", "text": "não", "id": 1}
    options = {"text_column": "corpo", "id_column": "chave", "group_column": "autor"}
    (document,), _ = read(jsonl(tmp_path / "a.jsonl", row), source_column="veiculo", **options)
    assert (document.text, document.id, document.group) == ("um", "7", "Rosa")
    assert document.source == "gazeta"


def test_of_addresses_in_a_group_column_the_site_is_the_group(tmp_path: Path):
    rows = [{"text": str(n), "url": f"https://www.a.br/{n}"} for n in range(3)]
    documents, _ = read(jsonl(tmp_path / "a.jsonl", *rows), group_column="url")
    assert {d.group for d in documents} == {"a.br"}


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("option", ["text_column", "id_column", "group_column", "source_column"])
def test_a_column_that_is_not_there_is_named(tmp_path: Path, form, option):
    path = tmp_path / f"a.{form}"
    if form == "jsonl":
        jsonl(path, {"text": "um"})
    elif form == "csv":
        path.write_text("text\num\n")
    else:
        pq.write_table(pa.table({"text": ["um"]}), path)
    with pytest.raises(EscadaError, match="no 'corpo'"):
        texts(path, **{option: "corpo"})


def test_bad_rows_are_skipped_and_counted_on_request(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    bad = b'{"text": null}\n{"text": 3}\n{"x": 1}\n[1]\n{broken\n{"text": "\xe7"}\n'
    path.write_bytes(b'{"text": "um"}\n' + bad + b'{"text": "dois"}\n')
    documents, counts = read(path, skip_bad_rows=True)
    assert [d.text for d in documents] == ["um", "dois"]
    assert counts.skipped_rows == 6
    assert "a.jsonl:2" in counts.first_skipped_row
    with pytest.raises(EscadaError, match=r"a\.jsonl:2"):
        texts(path)


def test_where_all_rows_are_bad_the_error_says_how_many(tmp_path: Path):
    with pytest.raises(EscadaError, match=r"empty corpus.*2 bad rows"):
        texts(jsonl(tmp_path / "a.jsonl", {"text": None}, {"text": 1}), skip_bad_rows=True)


def test_a_json_list_is_read_by_its_items(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": "um"}, {"text": "dois"}], indent=2))
    assert [(d.id, d.text) for d in open_source(str(path))] == [
        ("a.json:1", "um"),
        ("a.json:2", "dois"),
    ]


# Parquet


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.string_view()]
)
def test_parquet_texts_of_every_kind_are_read(tmp_path: Path, kind):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.array(["maçã", ""]).cast(kind)}), path)
    assert texts(path) == ["maçã", ""]


def test_a_dictionary_and_a_date_are_read(tmp_path: Path):
    path = tmp_path / "a.parquet"
    columns = {
        "text": pa.array(["um", "dois", "um"]).dictionary_encode(),
        "id": pa.array([1, 2, 3], pa.timestamp("ns")),
    }
    pq.write_table(pa.table(columns), path)
    assert texts(path) == ["um", "dois", "um"]


@pytest.mark.parametrize("column", ["text", "id"])
def test_parquet_that_is_not_utf_8_names_row_and_column(tmp_path: Path, column):
    good = pa.array(["um", "dois", "três"])
    bad = pa.array([b"um", b"ma\xe7\xe3", b"tr"]).cast(pa.string(), safe=False)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": good, "id": good, column: bad}), path)
    with pytest.raises(EscadaError, match=rf"'{column}' is not UTF-8 at byte 2.*row 2"):
        texts(path)
    documents, counts = read(path, skip_bad_rows=True)
    assert (len(documents), counts.skipped_rows) == (2, 1)


@pytest.mark.parametrize("values", [[1, 2], [None, None], [["a"], ["b"]], [{"a": 1}, {"a": 2}]])
def test_parquet_that_holds_no_text_names_the_row(tmp_path: Path, values):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.array(values)}), path)
    with pytest.raises(EscadaError, match=r"neither a string nor UTF-8 bytes.*row 1"):
        texts(path)


# What a file is, its bytes say


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".GZ", gzip.compress),
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".bz2", bz2.compress),
        (".zst", zstandard.compress),
        ("", gzip.compress),
        ("", zstandard.compress),
    ],
)
def test_a_packed_file_is_unpacked_whatever_its_name_says(tmp_path: Path, suffix, pack):
    path = tmp_path / f"DADOS.JSONL{suffix}"
    path.write_bytes(pack(ROWS))
    assert texts(path) == ["um", "dois é"]
    path.write_bytes(pack(ROWS[:15]) + pack(ROWS[15:]))  # as `cat` and pigz join them
    assert texts(path) == ["um", "dois é"]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, zstandard.compress])
def test_a_packed_file_that_was_cut_short_is_named(tmp_path: Path, pack):
    path = tmp_path / "a.jsonl"
    path.write_bytes(pack(os.urandom(3).hex().encode() * 1 + ROWS * 500)[:-9])
    with pytest.raises(EscadaError, match=r"broken (gzip|xz|bzip2|zstd) file"):
        texts(path, skip_bad_rows=True)


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped("a.txt"), "a zip archive"),
        (zipped("word/document.xml"), "a Word document"),
        (zipped("xl/workbook.xml"), "an Excel workbook.*CSV"),
        (b"%PDF-1.7\n\xe7", "a PDF"),
        (b"7z\xbc\xaf\x27\x1c\0\0", "a 7z archive"),
        (b"PAR1\0\0\0\0", "a Parquet file"),
        (gzip.compress(gzip.compress(ROWS)), "packed twice"),
        ("maca com acento".encode("utf-16-le"), "UTF-16"),
    ],
    ids=lambda value: value if isinstance(value, str) else "bytes",  # an archive's hold the time
)
def test_what_is_no_text_is_named_and_iconv_from_latin1_not_advised(tmp_path: Path, content, said):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(EscadaError, match=said) as caught:
        texts(path)
    assert "latin1" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_is_believed(tmp_path: Path, encoding):
    path = tmp_path / "a.txt"
    path.write_text("maçã\n\npão\u2028doce\n", encoding=encoding)
    assert texts(path) == ["maçã", "pão\u2028doce"]
    assert whole_text(path) == "maçã\n\npão\u2028doce\n"


def test_broken_utf_16_is_one_clear_error(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes("maçã".encode("utf-16") + b"\xff")
    with pytest.raises(EscadaError, match="broken UTF-16"):
        texts(path)


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("name", ["a.docx", "a.html", "a.pdf", "a.tar.gz", "a.xyz"])
def test_an_unknown_form_is_refused_in_a_folder_and_alone_alike(tmp_path: Path, name, folder):
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"texto") if name.endswith("gz") else b"texto")
    with pytest.raises(EscadaError, match="unknown form"):
        texts(tmp_path if folder else path)


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "um"}\n{"text": "dois"}\n', "JSON lines"),
        ('id,text\n1,"um"\n', "a table"),
        ("text\tid\num\t1\n", "a table"),
        ('"id";"text"\n1;um\n', "a table"),
    ],
)
def test_rows_under_the_name_of_a_text_are_not_trained_on(tmp_path: Path, content, said, folder):
    path = tmp_path / "a.txt"
    path.write_text(content)
    with pytest.raises(EscadaError, match=f"no plain text but {said}"):
        texts(tmp_path if folder else path)


def test_a_text_that_begins_with_the_word_text_is_one(tmp_path: Path):
    (tmp_path / "a.txt").write_text("text, imagem e som\n")
    assert texts(tmp_path / "a.txt") == ["text, imagem e som"]


def test_a_file_without_suffix_is_text(tmp_path: Path):
    (tmp_path / "carta").write_text("um\n\ndois\n")
    assert texts(tmp_path / "carta") == ["um", "dois"]
    assert texts(tmp_path) == ["um\n\ndois"]


# Folders


def test_what_speaks_of_the_data_is_no_document(tmp_path: Path):
    (tmp_path / "a.txt").write_text("um")
    for name in ("README", "README.md", "leia-me.txt", "LICENSE", "Licença.txt", "CITATION.cff"):
        (tmp_path / name).write_text("sobre")
    (tmp_path / "dataset_infos.json").write_text("{}")
    documents, counts = read(tmp_path)
    assert [d.text for d in documents] == ["um"]
    assert sum(files.count for files in counts.left_out.values()) == 7
    assert texts(tmp_path / "README.md") == ["sobre"]  # asked for by its name, it is


def test_a_document_about_licences_is_one(tmp_path: Path):
    for name in ("licença-ambiental-12.txt", "noticia.txt", "citações.md"):
        (tmp_path / name).write_text(name)
    assert len(texts(tmp_path)) == 3


@needs_pipes
def test_nothing_below_a_folder_is_left_out_in_silence(tmp_path: Path):
    source, elsewhere = tmp_path / "s", tmp_path / "e"
    (source / "sub").mkdir(parents=True)
    elsewhere.mkdir()
    (source / "a.txt").write_text("um")
    (source / ".gitattributes").write_text("x")
    (source / ".cache").mkdir()
    (source / ".cache" / "b.txt").write_text("x")
    (source / "latin1.txt").write_bytes("maçã".encode("latin-1"))
    (source / "nothing.txt").symlink_to(source / "gone.txt")
    (source / "self.txt").symlink_to(source / "self.txt")
    (source / "again.txt").symlink_to(source / "a.txt")
    (source / "sub" / "loop").symlink_to(source)
    os.mkfifo(source / "pipe.txt")
    (elsewhere / "c.txt").write_text("três")
    (source / "linked").symlink_to(elsewhere)
    (source / "file.txt").symlink_to(elsewhere / "c.txt")
    documents, counts = read(source)
    assert [(d.id, d.text) for d in documents] == [("a.txt", "um"), ("linked/c.txt", "três")]
    assert counts.model_dump()["left_out"] == {
        "hidden": {"count": 2, "names": [".cache", ".gitattributes"]},
        "links to nothing": {"count": 2, "names": ["nothing.txt", "self.txt"]},
        "links to what is read already": {
            "count": 3,
            "names": ["again.txt", "file.txt", "sub/loop"],
        },
        "no regular files": {"count": 1, "names": ["pipe.txt"]},
        "not UTF-8": {"count": 1, "names": ["latin1.txt"]},
    }


def test_a_file_that_may_not_be_read_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.txt").write_text("um")
    (tmp_path / "b.txt").write_text("dois")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "b.txt")
    documents, counts = read(tmp_path)
    assert [d.text for d in documents] == ["um"]
    assert {why: files.count for why, files in counts.left_out.items()} == {"unreadable": 1}


def test_names_that_are_not_utf_8_become_ids(tmp_path: Path):
    folder = tmp_path / "s"
    folder.mkdir()
    for number in (1, 2):
        with open(os.fsencode(folder) + b"/n\xe3o %d.txt" % number, "w") as file:  # noqa: PTH123
            file.write(f"texto {number}")
    source = open_source(str(folder))
    assert [d.id for d in source] == ["n\\xe3o 1.txt", "n\\xe3o 2.txt"]
    assert source.identity["files"] == 2


def test_an_error_about_a_name_that_is_not_utf_8_can_be_printed(tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xe3o.jsonl"))
    path.write_text("{broken\n")
    with pytest.raises(EscadaError, match=r"n\\xe3o\.jsonl:1") as caught:
        texts(path)
    str(caught.value).encode("utf-8")


@needs_pipes
def test_a_pipe_is_refused_since_it_can_be_read_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(EscadaError, match="not a regular file"):
        open_source(str(tmp_path / "pipe"))


def test_brwac_leaves_out_and_counts_too(tmp_path: Path):
    (tmp_path / "brwac.txt").write_text("um <END> dois\n")
    (tmp_path / "README.md").write_text("sobre")
    counts = ReadCounts()
    documents = list(open_source("brwac", source_file=tmp_path).documents(counts))
    assert [d.text for d in documents] == ["um\ndois"]
    assert sum(files.count for files in counts.left_out.values()) == 1
    assert documents[0].source == brwac.NAME


# Globs


def test_a_glob_reads_what_it_matches_as_a_folder_would(tmp_path: Path):
    folder = tmp_path / "dados"
    jsonl(folder / "2020" / "a.jsonl", {"text": "um"})
    (folder / "2021").mkdir()
    (folder / "2021" / "b.jsonl.gz").write_bytes(gzip.compress(ROWS))
    (folder / "2021" / "nota.txt").write_text("três\n\nquatro")
    (folder / "2021" / ".c.jsonl").write_text("no")
    (folder / "2021" / "x.docx").write_text("no")
    documents, counts = read(folder / "*" / "*.jsonl*")
    assert [d.text for d in documents] == ["um", "um", "dois é"]
    assert [d.id for d in documents][:2] == ["2020/a.jsonl:1", "2021/b.jsonl.gz:1"]
    assert {d.source for d in documents} == {"dados"}
    assert texts(folder / "**" / "*.txt") == ["três\n\nquatro"]
    assert texts(folder / "202[0]") == ["um"]
    documents, counts = read(folder / "2021" / "[.b]*")
    assert counts.left_out["hidden"].names == [".c.jsonl"]
    with pytest.raises(EscadaError, match=r"unknown form '\.docx'"):
        texts(folder / "*" / "*")
    with pytest.raises(EscadaError, match=r"no file is there.*glob in quotes"):
        texts(folder / "*.jsonl")


@pytest.mark.parametrize("pattern", ["**/*", "**", "*"])
def test_what_a_glob_matches_at_several_depths_is_read_and_counted_once(tmp_path: Path, pattern):
    folder = tmp_path / "dados"
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    for place in (folder, folder / "a", below):
        (place / "README.md").write_text("sobre")
        (place / "um.txt").write_text(str(place))
    (folder / ".cache" / "c").mkdir(parents=True)
    (folder / ".cache" / "c" / "d.txt").write_text("no")
    (below / "again.txt").symlink_to(folder / "um.txt")
    (folder / "loop").symlink_to(folder)
    documents, counts = read(folder / pattern)
    whole, expected = read(folder)
    assert (
        [d.id for d in documents] == [d.id for d in whole] == ["a/b/um.txt", "a/um.txt", "um.txt"]
    )
    assert counts == expected
    numbers = {why: files.count for why, files in counts.left_out.items()}
    assert numbers == {walk.ABOUT: 3, walk.HIDDEN: 1, walk.SEEN: 2}


@pytest.mark.parametrize("pattern", ["a**b", "**.txt/x", "[", "***"])
def test_an_odd_glob_is_one_clear_line(tmp_path: Path, pattern: str):
    jsonl(tmp_path / "a.jsonl", {"text": "um"})
    with pytest.raises(EscadaError, match=r"no glob|no file is there|source not found"):
        texts(tmp_path / pattern)


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path):
    jsonl(tmp_path / "a[1].jsonl", {"text": "um"})
    jsonl(tmp_path / "a1.jsonl", {"text": "dois"})
    assert texts(tmp_path / "a[1].jsonl") == ["um"]


def test_the_identity_of_a_glob_follows_what_it_matches(tmp_path: Path):
    jsonl(tmp_path / "a.jsonl", {"text": "um"})
    before = open_source(str(tmp_path / "*.jsonl")).identity
    assert open_source(str(tmp_path / "?.jsonl")).identity == before
    jsonl(tmp_path / "b.jsonl", {"text": "um"})
    assert open_source(str(tmp_path / "*.jsonl")).identity != before


def test_brwac_is_read_from_a_glob_of_its_files(tmp_path: Path):
    for n in (1, 2):
        with gzip.open(tmp_path / f"brwac-clean-{n}.txt.gz", "wt") as file:
            file.write(f"um {n} <END> dois\n")
    (tmp_path / "file_names.txt").write_text("no")
    source = open_source("brwac", source_file=tmp_path / "brwac-clean-*.txt.gz")
    assert [d.text for d in source] == ["um 1\ndois", "um 2\ndois"]


# Fields below a column


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_field_below_a_column_is_named_with_a_point(tmp_path: Path, form):
    rows = [{"meta": {"text": "um", "page": {"url": "http://www.a.br/1"}}, "n.o": "x"}]
    path = tmp_path / f"a.{form}"
    if form == "jsonl":
        jsonl(path, *rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    options = {"text_column": "meta.text", "group_column": "meta.page.url", "id_column": "n.o"}
    (document,), _ = read(path, **options)
    assert (document.text, document.group, document.id) == ("um", "a.br", "x")
    with pytest.raises(EscadaError, match=r"no 'meta\.nada'"):
        texts(path, text_column="meta.nada")
