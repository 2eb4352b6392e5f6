"""Documents from files: every form read, every mistake named in one line."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from escada.errors import EscadaError
from escada.text.sources import DEFAULT_OPTIONS, ReadCounts, brwac, open_source
from escada.text.sources.intake import Intake, host


def texts(path: Path, **options):
    return [document.text for document in open_source(str(path), **options)]


def test_jsonl_takes_id_source_and_group_or_makes_them(tmp_path: Path):
    path = tmp_path / "notas.jsonl"
    rows = [{"text": "um", "id": "a", "source": "x", "group": "g"}, {"text": "dois"}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    first, second = open_source(str(path))
    assert (first.id, first.source, first.group, first.text) == ("a", "x", "g", "um")
    place = "notas.jsonl:2"
    assert (second.id, second.source, second.group) == (place, "notas", place)


def test_a_source_can_be_read_twice(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "um"}\n{"text": "dois"}\n')
    source = open_source(str(path))
    assert list(source) == list(source)


def test_documents_limits_what_is_read(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "um"}\n{"text": "dois"}\nnot json\n')
    assert texts(path, documents=2) == ["um", "dois"]


def test_parquet_streams_rows(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"text": [f"t{i}" for i in range(3000)], "url": ["http://a.br/x"] * 3000}), path
    )
    documents = list(open_source(str(path)))
    assert [d.text for d in documents] == [f"t{i}" for i in range(3000)]
    assert len({d.group for d in documents}) == 3000
    assert len({d.id for d in documents}) == 3000


def test_a_text_file_is_cut_at_blank_lines_else_at_lines(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("\ufeffum\ndois\n\n \ntrês\n", encoding="utf-8")
    assert texts(path) == ["um\ndois", "três"]
    path.write_text("\num\ndois\n\n", encoding="utf-8")
    assert texts(path) == ["um", "dois"]


def test_a_folder_holds_a_document_a_text_file_and_all_rows_of_others(tmp_path: Path):
    folder = tmp_path / "textos"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.txt").write_text("um\n\ndois\n")
    (folder / "sub" / "c.jsonl").write_text('{"text": "três"}\n')
    with gzip.open(folder / "a.txt.gz", "wt", encoding="utf-8") as file:
        file.write("zero é nada")
    (folder / ".hidden").write_text("no")
    documents = list(open_source(str(folder)))
    assert [d.text for d in documents] == ["zero é nada", "um\n\ndois", "três"]
    assert {d.source for d in documents} == {"textos"}
    assert documents[1].group == "b.txt"


def test_missing_file_is_one_clear_error(tmp_path: Path):
    with pytest.raises(EscadaError, match="source not found"):
        open_source(str(tmp_path / "nada.jsonl"))


def test_a_misspelt_source_names_the_nearest():
    with pytest.raises(EscadaError, match="did you mean 'default'"):
        open_source("defalt")


@pytest.mark.parametrize("content", ["", "\n \n"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.vert"])
def test_empty_corpus_is_one_clear_error(tmp_path: Path, name: str, content: str):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(EscadaError, match="empty corpus"):
        list(open_source(str(path)))


@pytest.mark.parametrize("compressed", [False, True])
def test_non_utf_8_names_the_file_and_the_byte(tmp_path: Path, compressed: bool):
    data = "primeira ação\nsegunda ".encode() + b"a\xe7\xe3o\n"
    path = tmp_path / ("a.txt.gz" if compressed else "a.txt")
    path.write_bytes(gzip.compress(data) if compressed else data)
    at = data.index(b"\xe7\xe3o\n")
    with pytest.raises(EscadaError, match=rf"not UTF-8 at byte {at} \(0xe7\) \(.*{path.name}\)"):
        list(open_source(str(path)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "bad JSON"),
        ("[1]", "expected a JSON object"),
        ('{"texto": "x"}', "no 'text' in the row; its columns: texto"),
        ('{"text": 3}', "neither a string nor UTF-8 bytes but int"),
        ('{"text": null}', "neither a string nor UTF-8 bytes but NoneType"),
    ],
)
def test_a_bad_json_line_names_file_and_line(tmp_path: Path, line: str, message: str):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "bom"}\n' + line + "\n")
    with pytest.raises(EscadaError, match=message) as error:
        list(open_source(str(path)))
    assert f"{path}:2" in str(error.value)
    assert "\n" not in str(error.value)


def test_parquet_mistakes_are_named(tmp_path: Path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(EscadaError, match="not a Parquet file"):
        list(open_source(str(path)))
    pq.write_table(pa.table({"texto": ["a"]}), path)
    with pytest.raises(EscadaError, match="no 'text' column; there are: texto"):
        list(open_source(str(path)))


def test_an_unknown_form_in_a_folder_is_named(tmp_path: Path):
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(EscadaError, match=r"unknown form '\.docx'"):
        list(open_source(str(tmp_path)))


def test_a_broken_archive_is_named(tmp_path: Path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "um"}\n' * 1000)[:-20])
    with pytest.raises(EscadaError, match="broken gzip file"):
        list(open_source(str(path)))


def test_identity_follows_the_content(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("um")
    before = open_source(str(path)).identity
    assert open_source(str(path)).identity == before
    path.write_text("dois")
    assert open_source(str(path)).identity != before


# BrWaC

VERT = """\
<doc docid="netg-1" title="Uma "pequena" nota" uri="http://www.exemplo.com.br/nota?x=1">
<p>
<s>
Olá
<g/>
,
mundo
<g/>
!
</s>
<s>
Tudo
bem
<g/>
?
</s>
</p>
<p>
<s>
3
<
4
</s>
</p>
</doc>
<doc docid="netg-2" title="" uri="https://outro.org/">
<p>
<s>
Fim
<g/>
.
</s>
</p>
</doc>
"""


def test_the_vert_release_is_glued_and_grouped_by_site(tmp_path: Path):
    path = tmp_path / "brwac.vert"
    path.write_text(VERT)
    first, second = open_source("brwac", source_file=path)
    assert first.text == "Olá, mundo! Tudo bem?\n3 < 4"
    assert (first.id, first.source, first.group) == ("netg-1", "brwac", "exemplo.com.br")
    assert (second.text, second.group) == ("Fim.", "outro.org")
    assert texts(path) == [first.text, second.text]


def test_the_conll_release_takes_the_second_column(tmp_path: Path):
    path = tmp_path / "brwac.conll"
    path.write_text(
        '# <doc id="netg-7" title="t" uri="http://a.br/">\n# <p>\n'
        "1\tBom\tbom\tADJ\n2\tdia\tdia\tN\n# <g/>\n3\t.\t.\tPU\n\n# </p>\n# <p>\n1\tTchau\t_\t_\n"
        "# </p>\n# </doc>\n"
    )
    (document,) = open_source(str(path))
    assert (document.id, document.group, document.text) == ("netg-7", "a.br", "Bom dia.\nTchau")


def test_a_shard_of_the_hub_marks_its_lines_with_end(tmp_path: Path):
    with gzip.open(tmp_path / "brwac-clean-1.txt.gz", "wt") as file:
        file.write("Título <END> Primeira linha. <END> Segunda.\nOutro documento.\n")
    documents = list(open_source("brwac", source_file=tmp_path))
    assert [d.text for d in documents] == [
        "Título\nPrimeira linha.\nSegunda.",
        "Outro documento.",
    ]
    assert documents[0].id == "brwac-clean-1.txt.gz:1"


INTAKE = Intake(brwac.NAME, DEFAULT_OPTIONS, ReadCounts(), brwac.ROWS)
PARAGRAPHS = [["Título"], ["Uma frase.", "Outra frase."]]


@pytest.mark.parametrize(
    "text",
    [
        {"paragraphs": PARAGRAPHS},
        [{"paragraphs": part} for part in PARAGRAPHS],
        PARAGRAPHS,
        "Título <END> Uma frase. Outra frase.",
    ],
)
def test_paragraphs_are_joined_by_newlines_and_sentences_by_spaces(text: object):
    row = {"doc_id": "netg-1afc73", "title": "t", "uri": "http://www.a.com.br/b", "text": text}
    document = INTAKE.document(row, "1", "row")
    assert document.text == "Título\nUma frase. Outra frase."
    assert (document.id, document.group) == ("netg-1afc73", "a.com.br")


@pytest.mark.parametrize(
    ("uri", "site"),
    [
        ("http://www.a.com.br/x", "a.com.br"),
        ("a.br/x", "a.br"),
        ("HTTPS://User@B.org:80/", "b.org"),
        ("", None),
        ("http://[", None),
    ],
)
def test_the_site_of_an_address(uri: str, site: str | None):
    assert host(uri) == site


def test_a_module_whose_source_is_none_is_refused(tmp_path, monkeypatch):
    (tmp_path / "no_source.py").write_text('SOURCE = "mine"\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EscadaError, match=r"SOURCE is no Source.*no_source"):
        open_source("no_source")
