"""A file of tensors is the library's, byte for byte, and is written one tensor after the other."""

import gc
import hashlib
import weakref
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file, save

from escada.runs.checkpoint import Checkpoint, help_to_save, save_checkpoint
from escada.runs.sharded_tensors import gathered, write_tensors

TENSORS = {
    "ã.weight": torch.randn(3, 5),
    "b.weight": torch.randn(4, 2).T,  # not contiguous
    "a.half": torch.randn(7).to(torch.float16),
    "bf16": torch.randn(3).to(torch.bfloat16),
    "double": torch.randn(2, dtype=torch.float64),
    "step": torch.tensor(7.0),
    "count": torch.tensor(7),
    "int32": torch.arange(3, dtype=torch.int32),
    "int16": torch.arange(3, dtype=torch.int16),
    "int8": torch.arange(3, dtype=torch.int8),
    "uint8": torch.arange(3, dtype=torch.uint8),
    "mask": torch.tensor([True, False]),
    "nothing": torch.zeros(0, 4),
}


class Sharded:
    """A tensor that is gathered on request, as a `DTensor` is."""

    made: ClassVar[list[weakref.ref]] = []
    most = 0

    def __init__(self, value):
        self.value = value
        self.dtype, self.shape = value.dtype, value.shape

    def numel(self):
        return self.value.numel()

    def element_size(self):
        return self.value.element_size()

    def full_tensor(self):
        whole = self.value.clone()
        Sharded.made.append(weakref.ref(whole))
        alive = sum(one() is not None for one in Sharded.made)
        Sharded.most = max(Sharded.most, alive)
        return whole


@pytest.fixture
def sharded(monkeypatch):
    monkeypatch.setattr(Sharded, "made", [])
    monkeypatch.setattr(Sharded, "most", 0)
    gc.collect()
    return {name: Sharded(value) for name, value in TENSORS.items()}


def test_the_bytes_are_those_of_the_library(tmp_path):
    digest = write_tensors(tmp_path / "a", TENSORS)
    data = (tmp_path / "a").read_bytes()
    assert data == save({name: tensor.contiguous() for name, tensor in TENSORS.items()})
    assert digest == hashlib.sha256(data).hexdigest()
    write_tensors(tmp_path / "none", {})
    assert load_file(tmp_path / "none") == {}


def test_sharded_tensors_are_gathered_one_at_a_time(sharded, tmp_path):
    write_tensors(tmp_path / "parts", sharded)
    write_tensors(tmp_path / "whole", TENSORS)
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()
    assert len(Sharded.made) == len(TENSORS)
    assert Sharded.most <= 2  # the one before goes when the next one is there


def test_processes_that_do_not_write_take_part_in_the_same_order(sharded, tmp_path, monkeypatch):
    asked = []
    full = Sharded.full_tensor
    monkeypatch.setattr(Sharded, "full_tensor", lambda self: asked.append(self.shape) or full(self))
    shuffled = {name: sharded[name] for name in reversed(list(sharded))}
    checkpoint = Checkpoint(1, "a", sharded, {"m": Sharded(torch.ones(9))}, {})
    save_checkpoint(tmp_path, checkpoint, best=True)
    writes, asked[:] = list(asked), []
    help_to_save(Checkpoint(1, "a", shuffled, {"m": Sharded(torch.ones(9))}, {}))
    assert asked == writes
    asked.clear()
    save_checkpoint(tmp_path, checkpoint, best=True)  # it is there: nothing to write
    assert asked == writes


def test_only_the_process_that_keeps_a_gathered_tensor_copies_it_to_the_host():
    class OnDevice:
        dtype = torch.float32
        copies = 0

        def full_tensor(self):
            return self

        def cpu(self):
            self.copies += 1
            return torch.zeros(1)

    other, first = OnDevice(), OnDevice()
    assert dict(gathered({"a": other}, keep=False)) == {}
    assert dict(gathered({"a": first}, keep=True)) == {"a": torch.zeros(1)}
    assert (other.copies, first.copies) == (0, 1)
