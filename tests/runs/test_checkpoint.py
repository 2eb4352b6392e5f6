"""A checkpoint is whole or absent, and belongs to its spec."""

import signal
from dataclasses import replace

import pytest
import torch
from torch import nn

from escada.errors import EscadaError
from escada.files import write_sealed_json
from escada.runs.checkpoint import (
    Checkpoint,
    checkpoint_path,
    load_checkpoint,
    load_weights,
    read_index,
    save_checkpoint,
    weights_of,
)

CPU = torch.device("cpu")


def checkpoint(step, size=4, spec_hash="a"):
    return Checkpoint(
        step=step,
        spec_hash=spec_hash,
        weights={"w": torch.full((size,), float(step))},
        training={"m": torch.arange(size)},
        scalars={"step": step, "seconds": 0.25},
    )


def load(folder, which="last", spec_hash="a"):
    return load_checkpoint(folder, which, spec_hash=spec_hash, device=CPU, training=True)


def test_what_was_saved_is_loaded(tmp_path):
    save_checkpoint(tmp_path, checkpoint(3), best=True)
    loaded = load(tmp_path)
    assert loaded.step == 3
    assert torch.equal(loaded.weights["w"], torch.full((4,), 3.0))
    assert torch.equal(loaded.training["m"], torch.arange(4))
    assert loaded.scalars == {"step": 3, "seconds": 0.25}


def test_only_the_last_and_the_best_are_kept(tmp_path):
    for step, best in ((1, True), (2, True), (3, False), (4, False)):
        save_checkpoint(tmp_path, checkpoint(step), best=best)
    assert load(tmp_path, "best").step == 2
    assert load(tmp_path, "last").step == 4
    assert len([p for p in tmp_path.iterdir() if p.is_dir()]) == 2


def test_a_checkpoint_whose_index_was_never_written_does_not_count_and_is_replaced(tmp_path):
    save_checkpoint(tmp_path, checkpoint(1), best=True)
    index = (tmp_path / "index.json").read_bytes()
    save_checkpoint(tmp_path, checkpoint(2), best=False)
    (tmp_path / "index.json").write_bytes(index)
    (tmp_path / "step-00000002" / "model.safetensors").write_bytes(b"half")
    assert load(tmp_path).step == 1
    save_checkpoint(tmp_path, checkpoint(2), best=False)
    assert load(tmp_path).step == 2


def test_on_a_full_disk_the_last_checkpoint_survives(tmp_path):
    save_checkpoint(tmp_path, checkpoint(1), best=True)
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        with pytest.raises(EscadaError, match=r"disk full.*step-00000001 survives") as caught:
            save_checkpoint(tmp_path, checkpoint(2, size=100_000), best=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.exit_code == 2
    assert load(tmp_path).step == 1
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["step-00000001"]


def test_a_checkpoint_that_is_replaced_while_it_is_read_gives_way_to_the_new_one(
    tmp_path, monkeypatch
):
    from escada.runs import checkpoint as module

    save_checkpoint(tmp_path, checkpoint(1), best=True)
    hash_of = module.sha256_file

    def replaced_first(path):
        monkeypatch.setattr(module, "sha256_file", hash_of)
        save_checkpoint(tmp_path, checkpoint(2), best=True)
        return hash_of(path)

    monkeypatch.setattr(module, "sha256_file", replaced_first)
    assert load(tmp_path).step == 2


def test_a_checkpoint_of_another_spec_is_refused(tmp_path):
    save_checkpoint(tmp_path, checkpoint(1), best=True)
    with pytest.raises(EscadaError, match="another spec"):
        load(tmp_path, spec_hash="b")


def test_a_flipped_bit_is_noticed(tmp_path):
    save_checkpoint(tmp_path, checkpoint(1), best=True)
    path = checkpoint_path(tmp_path, "last") / "training.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(EscadaError, match=r"damaged.*training\.safetensors"):
        load(tmp_path)


def test_no_checkpoint_yet_is_one_line(tmp_path):
    with pytest.raises(EscadaError, match="no checkpoint yet"):
        load(tmp_path)


def test_tied_weights_are_saved_once_and_loaded_into_both():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Embedding(3, 2), nn.Linear(2, 3, bias=False)
            self.b.weight = self.a.weight
            self.register_buffer("table", torch.ones(2), persistent=False)

    model, other = Tied(), Tied()
    assert list(weights_of(model)) == ["a.weight"]
    load_weights(other, weights_of(model), "x")
    assert torch.equal(other.b.weight, model.a.weight)
    with pytest.raises(EscadaError, match="another shape"):
        load_weights(other, {"a.weight": torch.zeros(9, 9)}, "x")


@pytest.mark.parametrize("name", ["../step-00000001", "/etc", "step-1/../../other"])
def test_an_index_names_checkpoints_of_its_folder_only(tmp_path, name):
    write_sealed_json(tmp_path / "index.json", {"last": name, "best": "step-00000001"})
    with pytest.raises(EscadaError, match="is no checkpoint"):
        read_index(tmp_path)


def test_an_index_that_is_gone_is_read_from_the_checkpoints(tmp_path):
    for step, best in ((1, False), (2, True), (5, False)):
        kept = checkpoint(step)
        save_checkpoint(
            tmp_path, replace(kept, scalars={"best_step": 2 if step > 1 else 0}), best=best
        )
    (tmp_path / "index.json").unlink()
    assert (load(tmp_path, "last").step, load(tmp_path, "best").step) == (5, 2)
    save_checkpoint(tmp_path, checkpoint(6), best=False)
    assert (load(tmp_path, "last").step, load(tmp_path, "best").step) == (6, 2)
    other = tmp_path / "other"
    save_checkpoint(other, replace(checkpoint(7), scalars={"best_step": 2}), best=False)
    (other / "index.json").unlink()
    with pytest.raises(EscadaError, match="the best checkpoint, step-00000002"):
        load(other)
