"""The verbs that read documents: all of them take the same ones, and say what they do not take."""

import json
import os
import random
import sys

import pytest
import typer
from tests.conftest import text as made_text
from typer.testing import CliRunner

from escada.cli import data
from escada.cli.measure.evaluate import evaluate

app = typer.Typer()
app.command()(evaluate)
app.add_typer(data.app, name="data")


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def rows(n: int) -> list[dict[str, object]]:
    rng = random.Random(5)
    return [{"text": made_text(rng, 6)} for _ in range(n)]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_preparation_drops_evaluation_drops_and_says(run, tmp_path):
    kept = rows(3)
    clean = invoke("evaluate", run.path, "--text", write(tmp_path / "a.jsonl", kept), "--json")
    blank = [{"text": text} for text in ("", "  \n", "\u200b")]
    path = write(tmp_path / "b.jsonl", [*blank, *kept, kept[0]])
    dirty = invoke("evaluate", run.path, "--text", path, "--json")
    a, b = json.loads(clean.stdout), json.loads(dirty.stdout)
    for name in ("bits_per_byte", "ci95", "documents", "bytes", "tokens", "groups"):
        assert a[name] == b[name]
    assert b["read"] == {"documents": 7, "empty": 3, "exact_duplicates": 1, "near_duplicates": 0}
    assert "not measured: 4 of 7 documents (3 empty, 1 exact" in dirty.stderr
    assert clean.stderr == ""


def test_evaluation_reads_a_glob_and_a_data_set_in_the_hubs_form(run, tmp_path):
    pytest.importorskip("datasets")
    folder = tmp_path / "cartas"
    folder.mkdir()
    kept = rows(6)
    write(folder / "a.jsonl", kept[:3])
    write(folder / "b.jsonl", kept[3:])
    whole = invoke("evaluate", run.path, "--text", folder, "--json")
    for text in (folder / "*.jsonl", f"hub:{folder}"):
        found = invoke("evaluate", run.path, "--text", text, "--json")
        assert (
            json.loads(found.stdout)["bits_per_byte"] == json.loads(whole.stdout)["bits_per_byte"]
        )


def test_evaluation_takes_columns_and_skips_bad_rows(run, tmp_path):
    plain = write(tmp_path / "a.jsonl", rows(3))
    named = [{"corpo": row["text"], "text": "outra coisa"} for row in rows(3)]
    path = write(tmp_path / "b.jsonl", [{"corpo": None}, *named])
    skipping = ("--text-column", "corpo", "--skip-bad-rows", "--json")
    other = invoke("evaluate", run.path, "--text", path, *skipping)
    figure = json.loads(invoke("evaluate", run.path, "--text", plain, "--json").stdout)
    assert json.loads(other.stdout)["bits_per_byte"] == figure["bits_per_byte"]
    assert "skipped 1 bad row;" in other.stderr


def test_preparation_says_and_keeps_what_it_did_not_read(tmp_path):
    source = tmp_path / "s"
    source.mkdir()
    write(source / "a.jsonl", [{"id": 1, **row} for row in rows(2)])
    write(source / "b.jsonl", [{"id": 1, **row} for row in rows(6)] + [{"text": None}])
    (source / "README.md").write_text("sobre")
    (source / "c.txt").write_bytes(b"ma\xe7\xe3")
    out = tmp_path / "c"
    for _ in range(2):  # the second time nothing is made, and the same is said
        said = invoke("data", "prepare", "--source", source, "--out", out, "--skip-bad-rows").stderr
        assert "(README, licence and the like): 1 (README.md)" in said
        assert "not UTF-8: 1 (c.txt)" in said
        assert said.count("iconv -f cp1252 -t utf-8") == 1
        assert "skipped 1 bad row; the first: " in said
        assert "b.jsonl:7" in said
        assert "repeated ids, told apart by #2, #3, …: 7" in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["left_out"]["not UTF-8"] == {"count": 1, "names": ["c.txt"]}
    assert manifest["skipped_rows"] == 1
    assert manifest["repeated_ids"] == 7
    assert manifest["read"]["exact_duplicates"] == 2
    assert manifest["documents"] == 6


def test_other_row_options_make_another_corpus(tmp_path):
    from escada.text.preparation.prepare import prepare
    from escada.text.sources import RowOptions

    path = write(
        tmp_path / "a.jsonl", [{"text": r["text"], "b": f"b {i}"} for i, r in enumerate(rows(5))]
    )
    first = prepare(str(path), tmp_path / "c").hash
    assert prepare(str(path), tmp_path / "c", options=RowOptions(text_column="b")).hash != first


def test_a_preparation_takes_the_cores_that_it_may_use(monkeypatch, tmp_path):
    from escada.text.preparation import prepare

    class AskedError(Exception):
        pass

    def asked(*_, workers, **__):
        raise AskedError(workers)

    monkeypatch.setattr(prepare, "prepare", asked)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 8}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    for options, workers in (((), 3), (("--workers", 2), 2)):
        with pytest.raises(AskedError, match=str(workers)):
            invoke("data", "prepare", "--out", tmp_path / "c", *options)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(AskedError, match="128"):
        invoke("data", "prepare", "--out", tmp_path / "c")
