"""Which runs are served, under which names, and where."""

import json
import shutil
import socket

import pytest
import typer
from typer.testing import CliRunner

from escada.cli.serve import serve
from escada.errors import EscadaError
from escada.files import read_json
from escada.inside.views import Views
from escada.runs.run import open_run
from escada.serve.models import ladder_rung, named, open_models, runs_at
from escada.serve.server import bind

app = typer.Typer()
NOTHING = Views(views=["tree", "pair"])
app.command()(serve)


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def copies(a_run, tmp_path):
    """Copies of the run, with other facts in their records."""

    def copy(name, **facts):
        path = tmp_path / name
        shutil.copytree(a_run.path, path)
        record = read_json(path / "record.json")
        (path / "record.json").write_text(json.dumps(record | facts))
        return path

    return copy


def test_a_run_is_served_under_its_rungs_name(a_run):
    models = open_models([a_run.path])
    assert list(models) == ["v1"]
    assert models["v1"].rung.parameters == a_run.record.parameters
    assert models["v1"].fingerprint.startswith(f"escada-{a_run.record.key[:12]}")
    assert list(open_models([a_run.path, a_run.path])) == ["v1"]  # named twice, served once


def test_a_folder_serves_its_finished_runs(copies, tmp_path):
    copies("one")
    copies("two", status="training")
    copies("three", dry_run=True)
    assert [run.name for run in runs_at(tmp_path)] == ["one"]


def test_a_climb_serves_the_runs_of_its_ladder(copies, tmp_path):
    copies("one")
    copies("two", seed=1)
    copies("old")
    rungs = [{"run": "one"}, {"run": "two"}]
    (tmp_path / "ladder.json").write_text(json.dumps({"schema_version": 1, "rungs": rungs}))
    assert [run.name for run in runs_at(tmp_path)] == ["one", "two"]
    assert list(open_models([tmp_path])) == ["v1-seed0", "v1-seed1"]


def test_two_runs_of_one_rung_and_seed_are_an_error(copies):
    runs = [open_run(copies("one")), open_run(copies("two"))]
    with pytest.raises(EscadaError, match="two runs of v1 with seed 0: one and two"):
        named(runs)


def test_a_folder_without_runs_is_an_error(tmp_path):
    with pytest.raises(EscadaError, match="no run to serve"):
        runs_at(tmp_path)


@pytest.mark.parametrize(
    ("weights", "words"),
    [(["int8"], "v1: int8 weights are for Transformers"), (["v2=bf16"], "no model 'v2'"),
     (["v1=fp8"], "unknown weights 'fp8'")],
)  # fmt: skip
def test_weights_that_are_not_to_be_had_are_an_error(a_run, weights, words):
    with pytest.raises(EscadaError, match=words):
        open_models([a_run.path], weights=weights)


def test_what_the_playground_shows_of_a_rung_comes_from_its_folder(a_run):
    rung = ladder_rung(a_run, "v1", context_tokens=None, weights="fp32", inside=NOTHING)
    record = a_run.record
    assert rung.title.model_dump() == {"en": "Character LSTM", "pt": "LSTM de caracteres"}
    assert rung.about.objective == a_run.spec.about.objective
    assert rung.bits_per_byte is None  # never evaluated
    assert rung.interval is None
    assert rung.training_tokens == record.training_tokens
    assert rung.training_seconds == record.training_seconds
    assert rung.hash == record.key
    assert rung.tokenizer.kind == "characters"
    test = a_run.layout.evaluation("test")
    test.parent.mkdir(exist_ok=True)
    test.write_text(json.dumps({"bits_per_byte": 2.5, "ci95": [2.4, 2.6]}))
    try:
        rung = ladder_rung(a_run, "v1", context_tokens=None, weights="fp32", inside=NOTHING)
        assert (rung.bits_per_byte, rung.interval) == (2.5, (2.4, 2.6))
    finally:
        test.unlink()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_needs_a_token(host):
    with pytest.raises(EscadaError, match="a token is required") as caught:
        bind(host, 0, tokens=())
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_with_a_token_every_address_is_allowed():
    address = bind("0.0.0.0", 0, tokens=["segredo"])
    assert not address.only_this_machine
    address.socket.close()


@pytest.mark.parametrize("token", ["", " "])
def test_an_empty_token_is_an_error(token):
    with pytest.raises(EscadaError, match="token is empty"):
        bind("0.0.0.0", 0, tokens=[token])


def test_a_port_in_use_is_an_error_before_any_model_is_loaded(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EscadaError, match=f"port is in use \\(127.0.0.1:{port}\\)"):
            invoke(tmp_path, "--port", port)


def test_an_unknown_host_is_an_error():
    with pytest.raises(EscadaError, match="unknown host"):
        bind("no such host", 0, tokens=["a"])
    with pytest.raises(EscadaError, match="not an address of this machine"):
        bind("192.0.2.1", 0, tokens=["a"])


def test_what_changed_is_told_from_the_run_that_is_served_beside_it(a_run):
    from dataclasses import replace

    from escada.spec import load_spec

    def of(rung, *overrides):
        return replace(a_run, spec=load_spec(rung, preset="laptop", overrides=overrides))

    v1, v2 = of("v1", "model.d_embedding=20"), of("v2", "model.d_embedding=20")
    shown = ladder_rung(
        v2, "v2", context_tokens=None, weights="fp32", inside=NOTHING, served=[v1, v2]
    )
    assert shown.about.changes.en == (
        "What changed from v1. Model: hidden state 128 → 192. Training: stride 1 → 4."
    )
    alone = ladder_rung(v2, "v2", context_tokens=None, weights="fp32", inside=NOTHING)
    assert alone.about.changes.pt.startswith(
        "O que mudou em relação a v1 (seu preset laptop). Modelo: embedding 32 → 20;"
    )
