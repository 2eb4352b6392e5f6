"""The Python side: from text to a compared ladder, and what a notebook shows of it."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys

import pytest

import escada
from escada.api import as_written
from escada.errors import EscadaError
from escada.spec import load_spec

SIZES = {
    "model.d_hidden": 8,
    "model.d_embedding": 4,
    "train.batch_sequences": 2,
    "train.window_tokens": 16,
    "train.validations": 2,
    "train.validation_bytes": 500,
}


@pytest.fixture(scope="module")
def ladder(corpus_path, tmp_path_factory) -> escada.Ladder:
    lines: list[str] = []
    found = escada.climb(
        ["v1", "v2"],
        data=corpus_path,
        budget="6 steps",
        overrides=SIZES,
        out=tmp_path_factory.mktemp("api") / "climb",
        device="cpu",
        say=lines.append,
    )
    assert any("training for 6 steps" in line for line in lines)
    return found


@pytest.fixture(scope="module")
def run(ladder) -> escada.Run:
    return ladder["v1"]


def test_importing_escada_loads_neither_torch_nor_numpy():
    code = "import sys, escada; print({'torch', 'numpy', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_names_of_the_api_are_those_of_the_package():
    assert set(escada.__all__) <= set(dir(escada))
    with pytest.raises(AttributeError, match="no attribute 'clim'"):
        escada.clim  # noqa: B018


def test_a_ladder_is_its_rungs_in_order(ladder):
    assert list(ladder) == ["v1", "v2"]
    assert len(ladder) == 2
    assert ladder["v2"].name == "v2"
    assert "v2" in ladder
    assert "v11" not in ladder
    assert ladder.get("v11") is None
    assert ladder.get("v2") is ladder["v2"]
    with pytest.raises(EscadaError, match="no rung 'v11'"):
        ladder["v11"]


def test_what_was_climbed_is_loaded_again(ladder, run):
    again = escada.load(ladder.path)
    assert isinstance(again, escada.Ladder)
    assert again.table().to_arrow() == ladder.table().to_arrow()
    alone = escada.load(run.path)
    assert isinstance(alone, escada.Run)
    assert alone.record.key == run.record.key


def test_the_table_has_a_row_for_each_run_with_the_rulers_figure(ladder):
    rows = ladder.table()
    assert [row["rung"] for row in rows] == ["v1", "v2"]
    for row in rows:
        assert row["bits_per_byte"] == ladder[row["rung"]].evaluate("test").bits_per_byte
        assert row["ci95_low"] <= row["bits_per_byte"] <= row["ci95_high"]
    assert rows.to_arrow().num_rows == 2
    assert rows[:1].columns == rows.columns


def test_a_comparison_is_that_of_the_ladder(ladder):
    found = ladder.compare("v2", "v1")
    (row,) = [row for row in ladder.results.comparisons if (row.a, row.b) == ("v2", "v1")]
    assert found.difference == row.difference
    assert (found.ci95, found.verdict) == (row.ci95, row.verdict)
    assert repr(found).startswith(f"v2 against v1: {row.verdict}, {row.difference:+.4f} bits")
    with pytest.raises(EscadaError, match="with itself"):
        ladder.compare("v1", "v1")


def test_surprisal_of_a_document_is_what_the_ruler_charges_it(run, corpus):
    document = next(iter(corpus.documents("test")))
    found = run.surprisal(document.text, alternatives=2)
    assert math.fsum(found.nats) == pytest.approx(found.score.bits * math.log(2))
    measured = run.evaluate([document.text])
    assert measured.bits_per_byte == pytest.approx(found.bits_per_byte, rel=1e-6)
    assert all(len(token.alternatives) == 2 for token in found.tokens)
    assert [row["bits"] for row in found.rows()] == [token.bits for token in found.tokens]


def test_texts_without_text_and_unknown_splits_are_one_line(run):
    with pytest.raises(EscadaError, match="no text to measure"):
        run.evaluate(["", "  "])
    with pytest.raises(EscadaError, match="unknown split 'tset'"):
        run.evaluate("tset")


def test_samples_are_those_of_their_seed(run):
    one, again = (run.sample("Era", n=2, max_tokens=5, seed=3) for _ in range(2))
    assert [sample.ids for sample in one] == [sample.ids for sample in again]
    assert len(one) == 2
    assert repr(one).count("bits per token") == 2


def test_a_curve_ends_at_the_last_step(run):
    curve = run.curve()
    assert curve[-1]["step"] == run.record.total_steps == 6
    assert {"seconds", "tokens", "flops", "bits_per_byte"} <= set(curve.columns)


def test_training_goes_on_with_what_was_begun(run, corpus, tmp_path):
    given = {"data": corpus, "budget": "3 steps", "overrides": SIZES, "device": "cpu"}
    first = escada.train("v1", out=tmp_path, say=lambda line: None, **given)
    again = escada.train("v1", out=tmp_path, say=lambda line: None, **given)
    assert first.path == again.path
    assert first.record.step == 3
    assert "3 steps" in first.card


def test_a_training_begun_on_another_machine_goes_on_where_that_is_allowed(
    run, corpus, tmp_path, monkeypatch
):
    from escada.training import run as training
    from escada.training.loop import Interrupted

    given = {"data": corpus, "budget": "4 steps", "overrides": SIZES, "device": "cpu"}
    given |= {"out": tmp_path, "say": lambda line: None}
    with monkeypatch.context() as stopping:
        stopping.setattr(
            training, "interruptions", lambda world: contextlib.nullcontext(lambda: True)
        )
        with pytest.raises(Interrupted) as stopped:
            escada.train("v1", **given)
    folder = escada.load(stopped.value.path).folder
    folder.update(setup=folder.record.setup.model_copy(update={"cpu_capability": "another"}))
    with pytest.raises(EscadaError, match=r"cpu_capability .*was 'another'"):
        escada.train("v1", **given)
    done = escada.train("v1", allow_differences=True, **given)
    assert (done.path, done.record.step) == (folder.path, 4)
    assert len(done.record.earlier_setups) == 1
    assert escada.train("v1", allow_differences=True, **given).path == folder.path


@pytest.mark.parametrize(("source", "options"), [("a.jsonl", {}), ("default", {"documents": 9})])
def test_all_but_the_default_corpus_as_it_is_needs_a_folder(source, options):
    with pytest.raises(EscadaError, match="needs a folder"):
        escada.prepare(source, **options)


def test_overrides_are_written_as_a_spec_has_them():
    given = {"train.betas": (0.9, 0.95), "train.compile": True, "train.optimizer": "adam"}
    spec = load_spec("v1", preset="laptop", overrides=as_written(given))
    assert spec.train.betas == (0.9, 0.95)
    assert spec.train.compile is True
    assert spec.train.optimizer == "adam"
    with pytest.raises(EscadaError, match="None is no value"):
        as_written({"train.betas": None})
    with pytest.raises(EscadaError, match="a Spec has its overrides"):
        escada.train(spec, overrides=given)


def test_what_several_processes_cannot_be_sent_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(EscadaError, match="say cannot be sent"):
        escada.climb(["v1"], jobs=2, say=lambda line: None, out=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_run_shows_what_is_inside(run):
    inside = run.inside('Ela disse "não" (duas vezes).')
    assert inside.views.cells == SIZES["model.d_hidden"]
    assert len(inside.cells((0, 1), (0, 7)).traces) == 2
    assert inside.rank_cells("quotation", best=3).cells[0].score > 0
    assert run.inside().rank_cells("line_position").measure == "correlation"
    assert inside.tree(depth=2, width=2).nodes[0].parent == -1
    assert inside.pair("Ela disse sim.").difference_bits != 0
    assert len(run.neighbours("a", best=4).neighbours) == 4
    assert len(run.embedding_map(20).points) == 20
    assert "cell_ranking" in repr(inside)


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (lambda run: run.inside("a").attention(0, 0), "no view 'attention'; it has cells"),
        (lambda run: run.inside("a").cells((0, -1)), "cell"),
        (lambda run: run.inside("a").cells(), "cells"),
        (lambda run: run.inside("a" * 2001).tree(), "text"),
        (lambda run: run.inside("a").tree(width=7), "width"),
        (lambda run: run.inside("abc").rank_cells("quotes"), "property"),
        (lambda run: run.neighbours(""), "token"),
    ],
)
def test_what_cannot_be_seen_is_one_line(run, look, words):
    with pytest.raises(EscadaError, match=words) as error:
        look(run)
    assert "\n" not in str(error.value)


HOSTILE = "<script>alert('x')</script>"


def test_what_notebooks_show_is_escaped(ladder, run):
    shown = [
        run.surprisal(HOSTILE, alternatives=1)._repr_html_(),
        run.sample(HOSTILE, max_tokens=2)._repr_html_(),
        ladder._repr_html_(),
        run.inside(HOSTILE).cells((0, 0))._repr_html_(),
        run.inside(HOSTILE).pair("a")._repr_html_(),
        run.inside(HOSTILE).tree()._repr_html_(),
        run.neighbours("<", best=50)._repr_html_(),
        run.embedding_map(50)._repr_html_(),
    ]
    assert not any("<script" in html for html in shown)
    assert all("&lt;" in shown[i] for i in (0, 3, 4, 5, 6, 7))
    assert "<svg" in shown[2]
    assert run._repr_markdown_() == run.card
