"""When a training is sharded, and what rules it out; trainings are in test_distributed.py."""

import pytest
import torch

from escada.budget import Budget
from escada.cost.footprint import footprint
from escada.errors import EscadaError
from escada.files import sha256_file
from escada.models import transformer
from escada.models.activation_memory import Setting, count_saved_bytes, recomputed
from escada.models.contract import build_model
from escada.models.onednn import onednn_packs
from escada.runs.checkpoint import checkpoint_path
from escada.runs.sharded_tensors import fill, gathered, local
from escada.spec import load_spec
from escada.training.compilation import ResolvedCompile
from escada.training.distributed import ALONE, World
from escada.training.memory import shape_of
from escada.training.precision import ResolvedPrecision
from escada.training.run import start
from escada.training.setup import Setup as TrainingSetup
from escada.training.setup import check_same_setup, for_model
from escada.training.step import Objective

CPU = torch.device("cpu")
DROPOUT = {
    "v3": ["model.dropout=0.2", "model.recurrent_dropout=0.2"],
    "v5": ["model.dropout=0.1", "model.attention_dropout=0.1"],
}
TWO = World(0, 2, 0, 2)
SMALL = ["model.d_model=32", "model.n_heads=2", "model.n_layers=1"]
LARGE = ["model.d_model=8192", "model.n_heads=64", "model.n_layers=96", "model.d_ff=32768"]


def resolved(rung, *overrides, world=TWO, precision="fp32", compiled=False):
    spec = load_spec(rung, preset="laptop", overrides=list(overrides))
    found = ResolvedPrecision(precision, "asked for")
    setup = TrainingSetup(CPU, found, ResolvedCompile(compiled, "asked for"), world)
    return for_model(setup, spec, shape_of(spec, 4096)), spec


@pytest.fixture(autouse=True)
def _nobody_else(monkeypatch):
    monkeypatch.setattr(World, "from_first", lambda self, value: value)


def test_a_small_model_is_sharded_on_request_only():
    assert not resolved("v5", *SMALL)[0].sharding.on
    assert not resolved("v5", *SMALL, "train.shard=false")[0].sharding.on
    assert resolved("v5", *SMALL, "train.shard=true")[0].sharding.on


def test_a_model_that_would_fill_the_memory_of_each_process_is_sharded():
    setup, _ = resolved("v5", *LARGE)
    assert setup.sharding.on
    assert setup.sharding.reason == "auto: too large for each device"
    assert not resolved("v5", *LARGE, "train.shard=false")[0].sharding.on


def test_one_process_has_nothing_to_shard():
    assert not resolved("v5", *SMALL, "train.shard=true", world=ALONE)[0].sharding.on


@pytest.mark.parametrize(
    ("rung", "settings", "given", "message"),
    [
        ("v5", ["train.optimizer=muon"], {}, "muon needs whole matrices"),
        ("v_next", ["train.optimizer=adamw"], {}, "n-gram tables have sparse gradients"),
        ("v5", [], {"precision": "fp16"}, "fp16"),
        ("v5", ["train.compile=true"], {"compiled": True}, "train.compile=false"),
    ],
)
def test_what_cannot_be_sharded_is_refused_in_one_line(rung, settings, given, message):
    with pytest.raises(EscadaError, match=message) as refused:
        resolved(rung, *settings, "train.shard=true", **given)
    assert "train.shard" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_auto_does_not_shard_what_cannot_be_and_records_why():
    setup, _ = resolved("v5", *LARGE, precision="fp16")
    assert not setup.sharding.on
    assert setup.sharding.reason.startswith("auto: fp16")


def test_a_sharded_step_is_not_compiled_unless_that_was_asked_for():
    setup, _ = resolved("v5", *SMALL, "train.shard=true", compiled=True)
    assert setup.sharding.on
    assert not setup.compiling.on


def test_a_resume_must_be_sharded_as_before():
    setup, spec = resolved("v5", *SMALL, "train.shard=true")
    before = setup.recorded(spec.train)
    check_same_setup(before, before, "here")
    plain = resolved("v5", *SMALL)[0].recorded(spec.train)
    with pytest.raises(EscadaError, match=r"sharded False \(was True\)"):
        check_same_setup(plain, before, "here")


@pytest.mark.parametrize("rung", ["v1", "v4", "v5", "v_final", "v_next", "v_next_counts"])
def test_units_share_no_parameter_and_hold_every_layer(rung):
    spec = load_spec(rung, preset="laptop")
    model = shape_of(spec, 512)
    units = model.units()
    inside = [id(parameter) for unit in units for parameter in unit.parameters()]
    assert len(units) >= spec.model.n_layers if rung != "v1" else units
    assert len(set(inside)) == len(inside)


@pytest.mark.parametrize("rung", ["v3", "v5", "v_next", "v_next_counts"])
def test_recomputation_changes_memory_and_no_weight(rung, corpus, tmp_path):
    settings = [*DROPOUT.get(rung, []), "train.batch_sequences=4", "train.window_tokens=16"]
    settings += ["train.micro_batch_sequences=2", "train.precision=fp32", "model.n_layers=2"]
    settings += ["train.validations=1", "train.validation_bytes=500"]
    if rung != "v3":
        settings += ["tokenizer.vocab_size=400"]
    ends = []
    for name in ("false", "true"):
        overrides = [*settings, f"train.recompute={name}"]
        spec = load_spec(rung, preset="laptop", overrides=overrides)
        spec = spec.with_budget(Budget.parse("3 steps"))
        run = start(spec, corpus, tmp_path / name, device="cpu")
        last = checkpoint_path(run.layout.checkpoints, "last")
        ends.append([sha256_file(last / f"{part}.safetensors") for part in ("model", "training")])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("rung", ["v3", "v5", "v_final", "v_next"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_memory_of_recomputation_is_counted(rung, precision):
    spec = load_spec(rung, preset="laptop", overrides=["train.recompute=true"])
    if rung == "v3" and precision == "bf16" and not onednn_packs(torch.bfloat16):
        pytest.skip("oneDNN has no bf16 on this processor, and torch no fused LSTM without it")
    setting, window = Setting(precision, "cpu"), spec.train.window_tokens
    whole, model = (build_model(spec.model, 512, seed=0) for _ in range(2))
    Objective(model, spec.train)  # repeats the units of its model
    kept = [count_saved_bytes(model, sequences, window, setting) for sequences in (1, 2)]
    each = (whole.saved_bytes(window, setting).per_sequence) / len(model.units())
    predicted = recomputed(whole.saved_bytes(window, setting), whole, window).per_sequence
    assert predicted == pytest.approx(kept[1] - kept[0] + each, rel=0.15)


def test_sharded_memory_is_divided_and_one_unit_is_gathered():
    spec = load_spec("v5", preset="full", overrides=["train.micro_batch_sequences=1"])
    model = shape_of(spec, 4096)
    whole, part = (
        footprint(model, spec.train, sequences=1, setting=Setting("bf16", "cuda", shards=shards))
        for shards in (1, 8)
    )
    assert part.weights == pytest.approx(whole.weights / 8, rel=0.1)  # and the positions' table
    assert part.optimizer * 8 == whole.optimizer
    block = sum(p.numel() for p in model.units()[0].parameters())
    embedding = 4096 * 384 + 2 * 384
    assert part.workspace == 4 * (2 * embedding + 3 * block)


def test_recomputation_needs_a_model_with_units(monkeypatch):
    monkeypatch.setattr(transformer.Model, "units", lambda self: ())
    with pytest.raises(EscadaError, match=r"transformer names no units .*train.recompute"):
        resolved("v5", *SMALL, "train.recompute=true")


def test_a_whole_tensor_is_left_alone():
    tensor = torch.arange(4.0)
    assert local(tensor) is tensor
    assert dict(gathered({"a": tensor}, keep=True)) == {"a": tensor}
    assert dict(gathered({"a": tensor}, keep=False)) == {}
    fill(own := torch.zeros(4), tensor)
    assert torch.equal(own, tensor)
