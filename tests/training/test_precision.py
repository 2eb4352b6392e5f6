"""Which precision `auto` takes on a CPU: what a product says, not what a flag promises."""

import os
import subprocess
import sys

import pytest
import torch

from escada.cost import processor
from escada.cost.processor import LEAST_GAIN
from escada.errors import EscadaError
from escada.models.onednn import onednn_packs
from escada.training import precision as precision_module
from escada.training.precision import offers_bf16, resolve_matmul_library, resolve_precision

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """A CPU whose bf16 products are that many times as fast as its fp32 ones."""

    def make(gain: float, offers: bool = True) -> None:
        monkeypatch.setattr(precision_module, "bf16_gain", lambda: gain)
        monkeypatch.setattr(precision_module, "offers_bf16", lambda device: offers)

    return make


@pytest.mark.parametrize(
    ("gain", "taken"),
    [(0.5, "fp32"), (LEAST_GAIN - 0.01, "fp32"), (LEAST_GAIN, "bf16"), (4, "bf16")],
)
def test_auto_takes_bf16_where_its_products_are_faster_and_says_by_how_much(machine, gain, taken):
    machine(gain)
    found = resolve_precision("auto", CPU)
    assert found.name == taken
    assert f"{gain:.2g} times" in found.reason


def test_a_gain_counts_for_nothing_where_torch_has_no_bf16_or_a_precision_was_asked_for(machine):
    machine(9.0, offers=False)
    assert resolve_precision("auto", CPU).name == "fp32"
    with pytest.raises(EscadaError, match="emulate"):
        resolve_precision("bf16", CPU)
    machine(0.1)
    assert resolve_precision("bf16", CPU).name == "bf16"
    assert resolve_precision("fp32", CPU).name == "fp32"


@pytest.mark.skipif(not onednn_packs(torch.float32), reason="this torch has no oneDNN")
@pytest.mark.parametrize(("gain", "taken"), [(1.0, "blas"), (LEAST_GAIN, "onednn")])
def test_linear_layers_multiply_by_the_faster_library_in_fp32(monkeypatch, gain, taken):
    monkeypatch.setattr(processor, "onednn_gain", lambda: gain)
    monkeypatch.setattr(precision_module, "onednn_gain", lambda: gain)
    found = resolve_matmul_library("fp32", CPU)
    assert found.name == taken
    assert f"{gain:.2g} times" in found.reason
    assert resolve_matmul_library("bf16", CPU).name == "blas"
    assert resolve_matmul_library("fp32", torch.device("meta")).name == "blas"


AUTO = """
import torch
from escada.training.precision import resolve_precision
print(resolve_precision("auto", torch.device("cpu")).name)
"""


@pytest.mark.skipif(not offers_bf16(CPU), reason="no AVX-512: torch has no bf16 products here")
def test_a_cpu_that_has_avx512_but_no_bf16_trains_in_fp32(tmp_path):
    """oneDNN kept from the newer instructions: it emulates bf16, as on a Skylake server."""
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ESCADA_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", AUTO], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["fp32"]
