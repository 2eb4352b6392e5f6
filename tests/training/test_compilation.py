"""Compiling is a choice with a reason; a compiled training is the same training."""

import shutil

import pytest
import torch

from escada.budget import Budget
from escada.errors import EscadaError
from escada.runs.checkpoint import checkpoint_path
from escada.spec import load_spec
from escada.training.compilation import compile_errors, resolve_compile
from escada.training.metrics import read_rows
from escada.training.run import start

CPU, GPU = torch.device("cpu"), torch.device("cuda")
TINY = [
    "tokenizer.vocab_size=400",
    *("model.d_model=32", "model.n_heads=2", "model.d_ff=64", "model.n_layers=1"),
    *("train.batch_sequences=4", "train.micro_batch_sequences=2", "train.window_tokens=16"),
    *("train.precision=fp32", "train.validations=2", "train.validation_bytes=500"),
]


def resolved(rung, device, *overrides, budget="50k steps", **more):
    spec = load_spec(rung, preset="laptop", overrides=overrides).with_budget(Budget.parse(budget))
    return resolve_compile(spec, device, **more)


@pytest.fixture
def triton_there(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))


def test_auto_compiles_a_transformer_on_a_gpu_and_nothing_else(triton_there):
    assert resolved("v5", GPU).on
    for choice in (
        resolved("v5", CPU),
        resolved("v3", GPU),
        resolved("v5", GPU, budget="60 s"),
        resolved("v5", GPU, dry_run=True),
    ):
        assert not choice.on
        assert choice.reason.startswith("auto: ")


def test_auto_does_without_where_triton_cannot_work(monkeypatch, triton_there):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    assert "7.0" in resolved("v5", GPU).reason
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "triton" in resolved("v5", GPU).reason


@pytest.mark.parametrize("wanted", [True, False])
def test_what_is_asked_for_is_done(wanted):
    choice = resolved("v1", CPU, f"train.compile={str(wanted).lower()}")
    assert (choice.on, choice.reason) == (wanted, "asked for")


def test_a_spec_of_before_keeps_its_hash_and_compiling_is_part_of_it():
    auto = load_spec("v5")
    assert auto.hash == load_spec("v5", overrides=["train.compile='auto'"]).hash
    assert auto.hash != load_spec("v5", overrides=["train.compile=true"]).hash


def test_a_failing_compile_says_how_to_do_without():
    from torch._dynamo.exc import TorchDynamoException

    with (
        pytest.raises(EscadaError, match=r"no compiler .*train\.compile.*train\.compile=false"),
        compile_errors(),
    ):
        raise TorchDynamoException("no compiler")
    with pytest.raises(RuntimeError, match="shapes"), compile_errors():
        raise RuntimeError("shapes do not match")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs g++")
def test_a_compiled_training_has_the_losses_and_the_weight_names_of_another(corpus, tmp_path):
    rows, names = [], []
    for wanted in ("false", "true"):
        spec = load_spec("v5", preset="laptop", overrides=[*TINY, f"train.compile={wanted}"])
        spec = spec.with_budget(Budget.parse("20 steps"))
        run = start(spec, corpus, tmp_path / wanted, seed=3, device="cpu")
        found = run.record.compile
        assert (found.on, found.reason) == (wanted == "true", "asked for")
        rows.append([row["loss"] for row in read_rows(run.layout)])
        weights = checkpoint_path(run.layout.checkpoints, "last") / "model.safetensors"
        names.append({name.split(".")[0] for name in _names(weights)})
        assert run.load_model("last")(torch.zeros(1, 4, dtype=torch.int64)).isfinite().all()
    assert rows[0] == pytest.approx(rows[1], abs=1e-4)
    assert names[0] == names[1]


def _names(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return list(file.keys())
