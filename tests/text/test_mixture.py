"""Several sources as one: in shares of their bytes, or one after another."""

import json
import os
import random
from pathlib import Path

import pytest
from tests.conftest import text
from typer.testing import CliRunner

from escada.cli.data import app
from escada.errors import EscadaError
from escada.files import content_hash
from escada.text.corpus import Corpus
from escada.text.preparation.prepare import prepare
from escada.text.sources import ReadCounts, RowOptions, open_source


def source(path: Path, n: int, sentences: int) -> str:
    rng = random.Random(os.fsencode(path.name))
    rows = [{"id": f"{path.stem}{i}", "text": text(rng, sentences)} for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """Short documents, and long ones."""
    return source(tmp_path / "curtos.jsonl", 3000, 3), source(tmp_path / "longos.jsonl", 400, 60)


def read(names, **options):
    counts = ReadCounts()
    opened = open_source(names, **options)
    return list(opened.documents(counts)), counts.mixture


@pytest.mark.parametrize("weights", [(0.7, 0.3), (7, 3), (1, 9), (1, 1)])
def test_the_shares_are_of_bytes_and_held_all_along(two, weights):
    names = [f"{name}={weight}" for name, weight in zip(two, weights, strict=True)]
    documents, mixture = read(names)
    wanted = weights[0] / sum(weights)
    sizes = {"curtos": 0, "longos": 0}
    for n, document in enumerate(documents):
        sizes[document.source] += document.n_bytes
        if n > 300:
            assert sizes["curtos"] / sum(sizes.values()) == pytest.approx(wanted, abs=0.05)
    assert [part.bytes for part in mixture] == list(sizes.values())
    assert [part.share for part in mixture] == pytest.approx([wanted, 1 - wanted])
    assert [part.is_exhausted for part in mixture].count(True) == 1
    total = sum(sizes.values())
    assert sizes["curtos"] / total == pytest.approx(wanted, abs=0.01)


def test_each_source_gives_its_first_documents_in_order(two):
    documents, mixture = read([f"{two[0]}=1", f"{two[1]}=1"])
    for part, stem in zip(mixture, ("curtos", "longos"), strict=True):
        ids = [d.id for d in documents if d.source == stem]
        assert ids == [f"{stem}{i}" for i in range(part.documents)]


def test_the_seed_alone_decides_the_draws(two):
    names = [f"{two[0]}=1", f"{two[1]}=2"]
    first, second = read(names, documents=300)[0], read(names, documents=300)[0]
    assert first == second
    assert len(first) == 300
    assert read(names, documents=300, mixture_seed=1)[0] != first
    identities = [open_source(names, mixture_seed=seed).identity for seed in (0, 0, 1)]
    assert identities[0] == identities[1] != identities[2]
    assert open_source([f"{two[0]}=2", f"{two[1]}=2"]).identity != identities[0]


def test_without_weights_sources_follow_one_another(two):
    documents, mixture = read(list(two))
    assert [d.source for d in documents] == ["curtos"] * 3000 + ["longos"] * 400
    assert [(part.documents, part.share) for part in mixture] == [(3000, None), (400, None)]


def test_one_weighted_source_is_that_source(two):
    assert read([f"{two[0]}=0.5"])[0] == read(two[0])[0]


def test_a_file_whose_name_ends_like_a_weight_is_a_file(tmp_path: Path):
    (tmp_path / "n=2").write_text("um\n\ndois\n")
    assert [d.text for d in open_source(str(tmp_path / "n=2"))] == ["um", "dois"]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (("=0.7", ""), "only some sources have a weight"),
        (("=0", "=1"), "the weight is 0"),
        (("=-1", "=1"), "only some sources have a weight"),
    ],
)
def test_a_wrong_weight_is_one_clear_line(two, weights, said):
    with pytest.raises(EscadaError, match=said):
        open_source([name + weight for name, weight in zip(two, weights, strict=True)])


def test_a_source_twice_and_a_source_file_of_several_are_refused(two, tmp_path: Path):
    with pytest.raises(EscadaError, match="given twice"):
        open_source([two[0], two[0]])
    with pytest.raises(EscadaError, match="a source file is of one source"):
        open_source(list(two), source_file=tmp_path)


def test_a_mixture_is_prepared_and_recorded(two, tmp_path: Path):
    arguments = ["prepare", "--out", str(tmp_path / "c"), "--documents", "400"]
    arguments += ["--source", f"{two[0]}=0.7", "--source", f"{two[1]}=0.3"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    printed = " ".join(result.stdout.split())
    assert "% of the bytes, 70.0 % asked for" in printed
    manifest = Corpus.open(tmp_path / "c").manifest
    assert manifest.source_identity["shares"] == [0.7, 0.3]
    assert manifest.source_identity["seed"] == 0
    assert sum(part.documents for part in manifest.mixture) == manifest.read.documents == 400
    shares = [part.bytes / sum(p.bytes for p in manifest.mixture) for part in manifest.mixture]
    assert shares == pytest.approx([0.7, 0.3], abs=0.05)


def test_sources_whose_names_are_not_utf_8_are_mixed_and_recorded(tmp_path: Path):
    names = [tmp_path / os.fsdecode(b"n\xe3o-%d.jsonl" % n) for n in (1, 2)]
    mixed = [f"{source(path, 60, 3)}=1" for path in names]
    corpus = prepare(mixed, tmp_path / "c", documents=60)
    shown = [rf"{tmp_path}/n\xe3o-{n}.jsonl" for n in (1, 2)]
    assert corpus.manifest.source == " + ".join(f"{name}=1" for name in shown)
    assert [part.source for part in corpus.manifest.mixture] == shown


@pytest.mark.parametrize(
    "options", [{"options": RowOptions(os.fsdecode(b"te\xe7to"))}, {"hub_split": "\udce7"}]
)
def test_options_that_are_not_utf_8_have_an_identity(tmp_path: Path, options):
    name = f"hub:{tmp_path}" if "hub_split" in options else source(tmp_path / "a.jsonl", 3, 3)
    assert content_hash(dict(open_source(name, **options).identity))
