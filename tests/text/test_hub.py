"""Data sets of the hub, read by `datasets` from a server on this machine and from a folder."""

import contextlib
import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conftest import text
from tests.text import hub_server

from escada.choices import SPLITS
from escada.errors import EscadaError
from escada.text.corpus import Corpus
from escada.text.sources import RowOptions, open_source, streams
from escada.text.sources.hub import HubName, licence_of
from escada.text.sources.known import KNOWN

pytest.importorskip("datasets")

CARD = """\
---
license: cc-by-sa-4.0
language: pt
configs:
- config_name: noticias
  data_files:
  - split: train
    path: data/noticias-*.FORM
  - split: test
    path: data/teste.FORM
- config_name: cartas
  data_files: data/cartas.FORM
---
# Cartas e notícias

Feitas para um teste.
"""


def rows(n: int, start: int = 0) -> list[dict[str, object]]:
    rng = random.Random(start)
    return [
        {
            "corpo": text(rng, 9),
            "chave": start + i,
            "source": "of the row",
            "meta": {"url": f"https://www.site{(start + i) // 3}.br/{i}"},
        }
        for i in range(n)
    ]


def make(found: Path, form: str) -> Path:
    """A data set in the hub's form: a card, two configurations, four files of one format."""

    def write(name: str, some: list[dict[str, object]]) -> None:
        lines = "".join(json.dumps(row) + "\n" for row in some).encode()
        if form == "parquet":
            pq.write_table(pa.Table.from_pylist(some), found / "data" / f"{name}.parquet")
        elif form == "jsonl.gz":
            (found / "data" / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines))
        else:
            (found / "data" / f"{name}.jsonl").write_bytes(lines)

    (found / "data").mkdir(parents=True)
    (found / "README.md").write_text(CARD.replace("FORM", form), encoding="utf-8")
    write("noticias-0", rows(30))
    write("noticias-1", rows(30, 30))
    write("teste", rows(5, 90))
    write("cartas", rows(5, 90))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "cartas", "jsonl")


OPTIONS = RowOptions("corpo", "chave", "meta.url")


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "parquet"])
def test_a_folder_in_the_hubs_form_is_read_by_configuration_split_and_column(form, tmp_path: Path):
    folder = make(tmp_path / "cartas", form)
    source = open_source(f"hub:{folder}:noticias", options=OPTIONS)
    documents = list(source)
    assert [d.id for d in documents] == [str(n) for n in range(60)]
    assert [d.group for d in documents[:4]] == ["site0.br"] * 3 + ["site1.br"]
    assert {d.source for d in documents} == {"cartas"}
    assert source.licences["cartas"].name == "cc-by-sa-4.0"
    assert source.cards == {"cartas": CARD.replace("FORM", form)}
    test = open_source(f"hub:{folder}:noticias", options=OPTIONS, hub_split="test", documents=3)
    assert [d.id for d in test] == ["90", "91", "92"]
    packed = open_source(f"hub:{folder}:cartas", options=OPTIONS)
    assert [d.id for d in packed] == [str(n) for n in range(90, 95)]
    named = RowOptions("corpo", source_column="source")
    assert {d.source for d in open_source(f"hub:{folder}:cartas", options=named)} == {"of the row"}


def test_the_identity_of_a_folder_follows_its_files(folder: Path):
    before = open_source(f"hub:{folder}:cartas").identity
    assert open_source(f"hub:{folder}:cartas").identity == before
    assert open_source(f"hub:{folder}:noticias").identity != before
    assert open_source(f"hub:{folder}:cartas", hub_split="x").identity != before
    for hidden in (".cache/huggingface/download/a.jsonl.metadata", ".git/HEAD"):
        (folder / hidden).parent.mkdir(parents=True)
        (folder / hidden).write_text("of its download")
    assert open_source(f"hub:{folder}:cartas").identity == before
    (folder / "README.md").write_text(CARD + "\n")
    assert open_source(f"hub:{folder}:cartas").identity != before


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("{f}", OPTIONS, r"pick one.*\['noticias', 'cartas'\].*add the configuration"),
        ("{f}:x", OPTIONS, "'x' not found.*add the configuration"),
        (
            "{f}:cartas",
            RowOptions(),
            r"no 'text' in the row; its columns: corpo.*row 1\); name the",
        ),
        ("{f}:cartas", RowOptions("corpo", group_column="meta.site"), "no 'meta.site'"),
        ("{f}:cartas", RowOptions("meta"), "'meta' is neither a string"),
        ("{f}:cartas@main", OPTIONS, "a folder has no revision"),
        ("cartas", OPTIONS, "no name of a data set.*hub:OWNER/NAME"),
        ("ana/cartas@", OPTIONS, "no name of a data set"),
        ("", OPTIONS, "no name of a data set"),
    ],
)
def test_a_wrong_name_or_column_is_one_clear_line(folder: Path, name, options, said):
    with pytest.raises(EscadaError, match=said) as caught:
        list(open_source("hub:" + name.format(f=folder), options=options))
    assert "\n" not in str(caught.value)


def test_a_split_that_is_not_there_is_named(folder: Path):
    with pytest.raises(EscadaError, match=r"Available splits: \['train'\].*--split"):
        list(open_source(f"hub:{folder}:cartas", hub_split="dev"))
    with pytest.raises(EscadaError, match="a split is of a data set of the hub"):
        open_source("default", hub_split="dev")


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "parquet"])
@pytest.mark.parametrize("damage", ["cut", "bit", "junk", "none left"])
def test_a_damaged_file_of_a_data_set_is_one_clear_line(form, damage, tmp_path: Path):
    rng = random.Random(f"{form}/{damage}")
    folder = make(tmp_path / "cartas", form)
    path = folder / "data" / f"noticias-1.{form}"
    whole = path.read_bytes()
    for _ in range(8):
        data = bytearray(whole)
        if damage == "cut":
            data = data[: rng.randrange(1, len(data))]
        elif damage == "bit":
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            data = bytearray(rng.randbytes(300 if damage == "junk" else 0))
        path.write_bytes(data)
        with contextlib.suppress(EscadaError):
            documents = list(open_source(f"hub:{folder}:noticias", options=OPTIONS))
            assert 30 <= len(documents) <= 60


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(EscadaError, match=r"pip install 'escada\[hub\]', or download its files"):
        open_source("brwac", documents=1)


@pytest.mark.parametrize(
    ("written", "name", "config", "revision"),
    [
        ("a/b", "a/b", None, None),
        ("a/b:c.d", "a/b", "c.d", None),
        ("a/b@refs/pr/1", "a/b", None, "refs/pr/1"),
        ("a/b:c@v1.0", "a/b", "c", "v1.0"),
    ],
)
def test_a_name_is_read_in_parts(written, name, config, revision):
    assert HubName.parse(written) == HubName(name, config, revision)


@pytest.mark.parametrize(
    ("front", "name"),
    [
        ("license: mit", "mit"),
        ("license:\n- cc-by-sa-3.0\n- gfdl\ntags: x", "cc-by-sa-3.0 and gfdl"),
        ("license:\n  - cc0-1.0", "cc0-1.0"),
        ("license: 'other'", "other"),
        ("language: pt", "not stated"),
    ],
)
def test_the_licence_is_read_from_the_cards_front_matter(front, name):
    assert licence_of(f"---\n{front}\n---\n# license: no\n").name == name
    windows = f"---\n{front}\n---\n".replace("\n", "\r\n")
    assert licence_of(windows).name == name
    assert licence_of("# Nothing\nlicense: mit\n").name == "not stated"


# Through HTTP: the library reads its endpoint when it is imported, so in processes of their own

IN_ONE_PROCESS = """
import contextlib, io, json, sys
from escada.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv, out, err, code = ["escada", *arguments], io.StringIO(), io.StringIO(), 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def escada(address: str, home: Path, *commands: list[str]) -> list[tuple[int, str, str]]:
    """Run commands against a hub: the exit code, output and errors of each."""
    environment = {"HF_ENDPOINT": address, "HF_HOME": str(home / "hf"), "HF_TOKEN": ""}
    environment |= {"ESCADA_CACHE": str(home / "cache"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, json.dumps(commands)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_a_data_set_of_the_hub_is_pinned_streamed_and_prepared_once(tmp_path: Path):
    folder = make(tmp_path / "cartas", "parquet")
    out = tmp_path / "corpus"
    prepare = ["data", "prepare", "--out", str(out), "--text-column", "corpo"]
    prepare += ["--id-column", "chave", "--group-column", "meta.url", "--source"]
    name = "hub:ana/cartas:noticias"
    with hub_server.serve(folder) as hub:
        (done,) = escada(hub.address, tmp_path, [*prepare, name])
        assert done[0] == 0, done[2]
        assert "licence of ana/cartas: cc-by-sa-4.0" in done[1]
        corpus = Corpus.open(out)
        manifest = corpus.manifest
        assert manifest.source_identity["revision"] == "a" * 40
        assert manifest.licences["ana/cartas"].name == "cc-by-sa-4.0"
        assert manifest.cards["ana/cartas"] == CARD.replace("FORM", "parquet")
        found = [d for split in SPLITS for d in corpus.documents(split)]
        assert {(d.id, d.group) for d in found} == {(str(n), f"site{n // 3}.br") for n in range(60)}

        old_card = (folder / "README.md").read_bytes()
        (folder / "README.md").write_bytes(old_card.replace(b"cc-by-sa-4.0", b"mit"))
        hub.commit = "b" * 40
        hub.older["a" * 40] = old_card
        hub.requests.clear()
        made, missing, revision, older = escada(
            hub.address,
            tmp_path,
            [*prepare, name],
            [*prepare, "hub:ana/nada"],
            [*prepare, f"{name}@dev"],
            [*prepare[:3], str(tmp_path / "older"), *prepare[4:], f"{name}@{'a' * 40}"],
        )
        assert made[0] == 0
        manifest = Corpus.open(out).manifest
        assert manifest.source_identity["revision"] == "b" * 40
        assert manifest.licences["ana/cartas"].name == "mit"
        assert (missing[0], missing[2].count("\n")) == (2, 1)
        assert "Repository Not Found" in missing[2]
        assert (revision[0], revision[2].count("\n")) == (2, 1)
        assert "give a branch, a tag or a commit after @" in revision[2]
        assert older[0] == 0, older[2]
        manifest = Corpus.open(tmp_path / "older").manifest
        assert manifest.licences["ana/cartas"].name == "cc-by-sa-4.0"
        assert manifest.cards["ana/cartas"].encode() == old_card
        read = [one.split("/")[5][0] for one in hub.requests if one.endswith(".parquet")]
        assert "".join(dict.fromkeys(read)) == "ba"  # each at its own commit

    nobody = "http://127.0.0.1:9"
    pinned, newest = escada(nobody, tmp_path, [*prepare, f"{name}@{'b' * 40}"], [*prepare, name])
    assert pinned[0] == 0, pinned[2]
    assert (newest[0], newest[2].count("\n")) == (2, 1)
    assert "check the name and the network" in newest[2]


def test_a_card_that_cannot_be_read_stops_a_preparation_and_none_does_not(tmp_path: Path):
    folder = make(tmp_path / "cartas", "jsonl")
    prepare = ["data", "prepare", "--text-column", "corpo", "--source"]
    newest, pinned = "hub:ana/cartas", f"hub:ana/cartas@{'a' * 40}"
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    with hub_server.serve(folder) as hub:
        for name in (newest, pinned):
            hub.refusals["README.md"] = 1  # datasets, which reads it too, would be answered
            command = [*prepare, name, "--out", str(tmp_path / "c")]
            ((code, _, said),) = escada(hub.address, tmp_path, command)
            assert (code, said.count("\n")) == (2, 1)
            assert "the data set cannot be read" in said
        (folder / "README.md").unlink()
        (done,) = escada(hub.address, tmp_path, [*prepare, newest, "--out", str(tmp_path / "c")])
        assert done[0] == 0, done[2]
        assert "licence of ana/cartas: not stated" in done[1]


# Named data sets


def test_named_data_sets_know_their_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    web = {"text": "um", "id": "<urn:1>", "url": "https://www.a.br/x", "source": "CC"}
    samples = {
        "brwac": ({"text": "um <END> dois"}, "1", ""),
        "fineweb2": (web, "<urn:1>", "a.br"),
        "gigaverbo": ({"text": "um", "label": 1, "probs": 0.9, "metadata": "x"}, "1", ""),
        "wikipedia": ({**web, "id": "7", "title": "t"}, "7", ""),
    }
    assert {*samples, "carolina"} == set(KNOWN)
    for name, (row, identifier, group) in samples.items():
        known = KNOWN[name].hub
        copy = tmp_path / known.name
        copy.mkdir(parents=True)
        (copy / "train.jsonl").write_text(json.dumps(row) + "\n")
        config = known.config or "default"
        configs = f"configs:\n- config_name: {config}\n  data_files: train.jsonl"
        (copy / "README.md").write_text(f"---\n{configs}\n---\n")
        source = open_source(name)  # a folder of that name in the working directory is a copy
        (document,) = source
        assert (document.id, document.source) == (identifier, name)
        assert document.group == (group or identifier)
        assert source.licences[name] == KNOWN[name].licence


TEI = """<?xml version="1.0" encoding="UTF-8"?>
<teiCorpus xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><p>no</p></teiHeader>
<TEI xml:id="c1"><teiHeader><title>não</title></teiHeader><text><body>
<head>Título</head><p>Uma <hi>frase</hi>
 só.</p><list><item>um</item><item><p>dois</p></item></list></body></text></TEI>
<TEI><text><body>Sem parágrafos.</body></text></TEI>
</teiCorpus>"""


def test_carolina_is_read_from_its_tei_files_and_says_how_to_get_them(tmp_path: Path):
    place = tmp_path / "copy" / "corpus" / "wik"
    place.mkdir(parents=True)
    with gzip.open(place / "WIK001.xml.gz", "wt", encoding="utf-8") as file:
        file.write(TEI)
    (place / "checksum.sha256").write_text("x")
    documents = list(open_source("carolina", source_file=tmp_path / "copy"))
    assert [d.text for d in documents] == ["Título\nUma frase só.\num\ndois", "Sem parágrafos."]
    assert [d.id for d in documents] == ["c1", "corpus/wik/WIK001.xml.gz:2"]
    assert {d.source for d in documents} == {"carolina"}
    with pytest.raises(EscadaError, match="hf download carolina-c4ai/corpus-carolina"):
        open_source("carolina")


@pytest.mark.parametrize(
    ("content", "said"),
    [("<html><p>a</p></html>", "<html> is no TEI"), (TEI[:-30], "broken XML"), ("", "broken XML")],
)
def test_xml_that_is_no_tei_is_refused(tmp_path: Path, content: str, said: str):
    (tmp_path / "a.xml").write_text(content, encoding="utf-8")
    with pytest.raises(EscadaError, match=said):
        list(open_source(str(tmp_path / "a.xml")))


def test_one_endless_document_of_a_tei_file_is_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(streams, "LINE_BYTES", 2**20)
    body = "<TEI><text><body><p>" + "palavra " * 20_000 + "</p></body></text></TEI>"
    (tmp_path / "a.xml").write_text(f"<teiCorpus>{body * 10}</teiCorpus>")
    assert len(list(open_source(str(tmp_path / "a.xml")))) == 10
    (tmp_path / "a.xml").write_text(f"<TEI><text><body><p>{'palavra ' * 200_000}")
    with pytest.raises(EscadaError, match="a document is longer than 1 MiB"):
        list(open_source(str(tmp_path / "a.xml")))


BODY = "<TEI><text><body>{}</body></text></TEI>"
BOMBS = {
    # expat itself refuses the first, but only what multiplies more than a hundred times
    "entities of entities": "".join(
        f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ah" * 500}">' for n in range(9)
    )
    + "]>"
    + BODY.format("<p>&e8;</p>"),
    "one entity, often": f'<!ENTITY e "{"a" * 290}">]>' + BODY.format(f"<p>{'&e;' * 100_000}</p>"),
    "attributes": f'<!ATTLIST p a CDATA "{"a" * 9000}">]>' + BODY.format("<p/>" * 10_000),
    "another file": '<!ENTITY e SYSTEM "file:///etc/passwd">]>' + BODY.format("<p>&e;</p>"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_an_xml_file_declares_does_not_multiply_it_and_reads_no_files(tmp_path: Path, bomb):
    path = tmp_path / "a.xml"
    path.write_text("<!DOCTYPE TEI [" + BOMBS[bomb])
    with pytest.raises(EscadaError, match=r"declares a document type of its own.*xmllint"):
        list(open_source(str(path)))
    path.write_text('<!DOCTYPE TEI SYSTEM "tei.dtd">' + BODY.format("<p>A &amp; B</p>"))
    assert [d.text for d in open_source(str(path))] == ["A & B"]


def test_xml_of_endless_levels_is_refused(tmp_path: Path):
    (tmp_path / "a.xml").write_text("<TEI><text><body>" + "<a>" * 2000)
    with pytest.raises(EscadaError, match="more than 1000 levels"):
        list(open_source(str(tmp_path / "a.xml")))


@pytest.mark.parametrize("encoding", ["x-nada", "shift_jis"])
def test_xml_in_an_encoding_that_cannot_be_read_is_one_clear_line(tmp_path: Path, encoding):
    (tmp_path / "a.xml").write_text(f"<?xml version='1.0' encoding='{encoding}'?>" + BODY)
    with pytest.raises(EscadaError, match=r"not readable as XML: .*save it as UTF-8"):
        list(open_source(str(tmp_path / "a.xml")))


def test_every_body_of_a_tei_text_is_read(tmp_path: Path):
    bodies = "".join(f"<text><body><p>{part}</p></body></text>" for part in ("um", "dois"))
    (tmp_path / "a.xml").write_text(f"<TEI><text><group>{bodies}</group></text></TEI>")
    assert [d.text for d in open_source(str(tmp_path / "a.xml"))] == ["um\ndois"]
