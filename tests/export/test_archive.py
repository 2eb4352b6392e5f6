"""The archive of a climb: whole, the same twice, without the corpus's text, and checked."""

import shutil
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from escada.budget import Budget
from escada.cli import app
from escada.errors import EscadaError
from escada.export import archive
from escada.export.archive import check_archive, write_archive
from escada.files import write_sealed_json
from escada.runs.run import open_run
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.training.run import start

SMALL = ["model.d_hidden=16", "model.d_embedding=8", "train.batch_sequences=4", "train.keep=log"]


@pytest.fixture(scope="module")
def climb(corpus_path, tmp_path_factory):
    """The folder of a climb of one rung of 10 steps, evaluated."""
    folder = tmp_path_factory.mktemp("archive") / "climb"
    spec = load_spec("v1", preset="laptop", overrides=[*SMALL, "train.window_tokens=24"])
    run = start(
        spec.with_budget(Budget.parse("10 steps")), Corpus.open(corpus_path), folder, device="cpu"
    )
    done = CliRunner().invoke(app, ["evaluate", str(run.path), "--split", "test"])
    assert done.exit_code == 0, done.output
    table = {"schema_version": 1, "rungs": [{"name": "v1", "run": run.name}]}
    write_sealed_json(folder / "ladder.json", table)
    (folder / "mlflow.db").touch()
    return folder


@pytest.fixture(scope="module")
def file(climb):
    return write_archive(climb, climb.with_suffix(".zip"))


def changed(file, out, change):
    """A copy of an archive whose files went through `change`; None leaves one out."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            if (data := change(name, old.read(name))) is not None:
                new.writestr(name, data)
    return out


def test_it_holds_what_repeats_and_checks_and_no_text_of_the_corpus(file, climb, corpus_path):
    names = zipfile.ZipFile(file).namelist()
    run = next(climb.glob("*-v1-*")).name
    for name in (
        *("ladder.json", "README.md", "CITATION.cff", "SHA256SUMS", "corpus/manifest.json"),
        *(f"{run}/{one}" for one in ("spec.toml", "record.json", "env.json", "data.json")),
        *(f"{run}/metrics.jsonl", f"{run}/evaluation/test-documents.jsonl"),
        *(f"{run}/evaluation/test.json", f"{run}/tokenizer/tokenizer.json"),
    ):
        assert name in names
    assert [name for name in names if name.endswith("model.safetensors")]
    parts = {part for name in names for part in Path(name).parts}
    assert not parts & {"training.safetensors", "mlflow.db", "train.parquet", ".training.lock"}
    first = next(iter(Corpus.open(corpus_path).documents("test"))).text[:60].encode()
    whole = zipfile.ZipFile(file)
    assert not any(first in whole.read(name) for name in names)


def test_the_same_folder_gives_the_same_bytes(file, climb, tmp_path):
    copy = shutil.copytree(climb, tmp_path / "elsewhere")
    assert write_archive(copy, tmp_path / "again.zip").read_bytes() == file.read_bytes()
    entries = zipfile.ZipFile(file).infolist()
    assert {(one.date_time, one.compress_type) for one in entries} == {((1980, 1, 1, 0, 0, 0), 0)}
    names = [one.filename for one in entries]
    assert names == [*sorted(names[:-1]), "SHA256SUMS"]


def test_a_whole_archive_is_right_and_its_run_opens(file, climb, tmp_path):
    checked = check_archive(file)
    assert checked.results == len([*climb.glob("*/evaluation/*-documents.jsonl")]) > 0
    assert checked.files == len(zipfile.ZipFile(file).namelist()) - 1
    zipfile.ZipFile(file).extractall(tmp_path)
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)
    open_run(next(tmp_path.glob("*-v1-*"))).load_model("best", device="cpu")


def test_a_changed_missing_or_added_file_is_found(file, tmp_path):
    def longer(name, data):
        return data + b" " if name.endswith("record.json") else data

    def less(name, data):
        return None if name.endswith("record.json") else data

    wrong = changed(file, tmp_path / "changed.zip", longer)
    with pytest.raises(EscadaError, match=r"changed: .*record.json"):
        check_archive(wrong)
    short = changed(file, tmp_path / "gone.zip", less)
    with pytest.raises(EscadaError, match=r"missing or added: .*record.json"):
        check_archive(short)
    added = shutil.copy(file, tmp_path / "added.zip")
    with zipfile.ZipFile(added, "a") as one:
        one.writestr("more.txt", "more")
    with pytest.raises(EscadaError, match=r"missing or added: more.txt"):
        check_archive(added)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(EscadaError, match="not a whole archive"):
        check_archive(cut)


def test_a_result_that_does_not_follow_from_its_documents_is_found(climb, tmp_path):
    copy = shutil.copytree(climb, tmp_path / "copy")
    scores = next(copy.glob("*/evaluation/test-documents.jsonl"))
    lines = scores.read_text().splitlines(keepends=True)
    scores.write_text("".join(lines[:-1]))
    with pytest.raises(EscadaError, match="does not follow"):
        check_archive(write_archive(copy, tmp_path / "copy.zip"))


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"nats": "x", "bytes": 1}', '{"nats": 1}', "9" * 5000]
)
def test_scores_of_any_form_are_refused_in_one_line(climb, tmp_path, line):
    copy = shutil.copytree(climb, tmp_path / "copy")
    next(copy.glob("*/evaluation/test-documents.jsonl")).write_text(line)
    archive = write_archive(copy, tmp_path / "copy.zip")
    with pytest.raises(EscadaError, match=r"cannot be read|does not follow"):
        check_archive(archive)


def test_an_archive_that_would_grow_when_read_is_refused(file, tmp_path):
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as one:
        one.writestr("SHA256SUMS", b"0" * 10**7)
    with pytest.raises(EscadaError, match="compressed or encrypted"):
        check_archive(bomb)


def corpus_under(tmp_path, *licences):
    named = {f"s{place}": SimpleNamespace(name=name) for place, name in enumerate(licences)}
    return SimpleNamespace(path=tmp_path, manifest=SimpleNamespace(licences=named))


@pytest.mark.parametrize("licences", [("CC BY 4.0", "MIT (the package)"), ("other",), ()])
def test_text_whose_licence_is_not_known_as_open_is_refused(licences, tmp_path):
    with pytest.raises(EscadaError, match="not every licence"):
        archive._check_licences(corpus_under(tmp_path, *licences))


def test_open_licences_let_the_text_in(climb, tmp_path, monkeypatch):
    archive._check_licences(corpus_under(tmp_path, "CC BY-SA 4.0", "cc0-1.0", "MIT"))
    monkeypatch.setattr(archive, "_check_licences", lambda corpus: None)
    file = write_archive(climb, tmp_path / "with.zip", with_corpus=True)
    assert {"corpus/test.parquet", "corpus/train.parquet"} <= {*zipfile.ZipFile(file).namelist()}
    check_archive(file)


def test_the_verb_writes_checks_and_refuses_in_one_line(climb, tmp_path):
    out = tmp_path / "mine.zip"
    run = CliRunner().invoke
    assert run(app, ["archive", str(climb), "--out", str(out)]).output.strip() == str(out)
    assert "whole: " in run(app, ["archive", "--check", str(out)]).output
    for wrong in (["archive"], ["archive", str(climb), "--out", str(out)],
                  ["archive", str(climb), "--out", str(tmp_path / "no.zip"), "--with-corpus"],
                  ["archive", str(tmp_path)]):  # fmt: skip
        assert isinstance(run(app, wrong).exception, EscadaError)
    copy = shutil.copytree(climb, tmp_path / "demo.v2")
    assert run(app, ["archive", str(copy)]).exit_code == 0
    assert (tmp_path / "demo.v2.zip").is_file()


def test_the_citation_in_it_is_the_project_s():
    root = Path(__file__).parents[2] / "CITATION.cff"
    text = Path(archive.__file__).with_name("CITATION.cff").read_text("utf-8")
    assert text == root.read_text("utf-8")
    keys = {line.split(":")[0] for line in text.splitlines() if line[:1].strip()}
    assert {"cff-version", "message", "title", "authors"} <= keys  # what the format requires


def test_of_weights_kept_on_the_way_it_holds_the_hashes(file, climb):
    assert list(climb.glob("*/checkpoints/kept/step-*/model.safetensors"))
    names = [name for name in zipfile.ZipFile(file).namelist() if "/kept/" in name]
    assert names
    assert {Path(name).name for name in names} == {"kept.json"}
