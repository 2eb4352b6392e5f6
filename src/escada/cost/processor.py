"""How fast this CPU multiplies in each number format, measured once a machine and cached.

Whatever `auto` decides by speed on a CPU is read here: the precision of a training and the weights
of decoding. `escada doctor` shows the tables; `escada doctor --measure` makes them anew, for one
that was made while other programs ran.

Instructions tell little: torch reports bf16 support for every CPU with AVX-512, but relative to
fp32 a bf16 product took 1/4 of the time on an AMD EPYC, 1/6 on an Intel Xeon with AMX, and five
times as long on the same Xeon without AMX.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import nn

from escada.choices import WEIGHTS, Weights
from escada.cost.peak_flops import product_seconds
from escada.errors import EscadaError
from escada.files import cache_directory, content_hash, read_json, write_json
from escada.models.packed_linear import Int8Linear, PackedLinear, W8A8Linear, onednn_packs
from escada.runs.environment import cpu_name, narrow_formats

SCHEMA_VERSION = 1
LEAST_GAIN = 1.2
"""Minimum speedup of bf16 products to choose it; conversions cost some of it."""
ROWS = (1, 16)
"""Rows of one token, for which decoding's layers are timed."""
_PRODUCT_SIZE = 1024
_PRODUCT_SECONDS = 0.1
_LAYERS, _WIDTH = 8, 512
"""Matrices that are timed in turn: 8 of 512 to 2,048 in fp32 are 32 MB, more than most caches."""
_LAYER_SECONDS = 0.1
_SWITCHES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Environment variables that hold libraries to lesser instructions."""

Table = dict[str, list[float]]
"""Format → figures."""


@cache
def product_flops() -> Table:
    """FLOP/s of a product of two large matrices; bf16 only where oneDNN has it."""
    return _remembered("products", _measure_products)


@cache
def layer_seconds() -> Table:
    """Seconds of a decoding layer in each format of the weights, one figure for each of `ROWS`."""
    return _remembered("layers", _measure_layers)


def bf16_gain() -> float:
    """Speedup of bf16 products over fp32; 0 where oneDNN has none."""
    table = product_flops()
    return table["bf16"][0] / table["fp32"][0] if "bf16" in table else 0.0


def fastest_weights(rows: int) -> Weights:
    """The format in which that many rows are decoded fastest, by the nearest of `ROWS`."""
    table = layer_seconds()
    column = min(range(len(ROWS)), key=lambda i: abs(ROWS[i] - rows))
    return min(
        (weights for weights in WEIGHTS if weights in table),
        key=lambda weights: table[weights][column],
    )


def measure_again() -> None:
    """Measure both tables now and keep them."""
    for name in ("products", "layers"):
        _path(name).unlink(missing_ok=True)
    for table in (product_flops, layer_seconds):
        table.cache_clear()
        table()


def _remembered(name: str, measure: Callable[[], Table]) -> Table:
    path = _path(name)
    try:
        kept = read_json(path)["table"]
        return {str(form): [float(x) for x in figures] for form, figures in kept.items()}
    except (EscadaError, KeyError, TypeError, ValueError, AttributeError):
        table = measure()
        write_json(path, {"schema_version": SCHEMA_VERSION, **_identity(name), "table": table})
        return table


def _identity(name: str) -> dict[str, object]:
    return {
        "measured": name,
        "cpu": cpu_name(),
        "formats": narrow_formats(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "switches": {switch: os.environ.get(switch) for switch in _SWITCHES},
    }


def _path(name: str) -> Path:
    return cache_directory() / "processor" / f"{content_hash(_identity(name))[:16]}.json"


def _measure_products() -> Table:
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if not onednn_packs(torch.bfloat16):
        # Emulated: 0.9 GFLOP/s on a two-core AVX2 machine, against 98 in fp32.
        del types["bf16"]
    cpu = torch.device("cpu")
    return {
        name: [2 * _PRODUCT_SIZE**3 / product_seconds(cpu, dtype, _PRODUCT_SIZE, _PRODUCT_SECONDS)]
        for name, dtype in types.items()
    }


@torch.no_grad()
def _measure_layers() -> Table:
    plain = [nn.Linear(_WIDTH, 4 * _WIDTH) for _ in range(_LAYERS)]
    between = torch.bfloat16 if bf16_gain() >= LEAST_GAIN else torch.float32
    forms: dict[Weights, Callable[[nn.Linear], nn.Module]] = {
        "int8": lambda linear: Int8Linear(linear, between)
    }
    packs: dict[Weights, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
    for name, dtype in packs.items():
        if onednn_packs(dtype):
            forms[name] = lambda linear, dtype=dtype: PackedLinear(linear, dtype)
    if onednn_packs(torch.float32):
        forms["w8a8"] = W8A8Linear
    else:
        forms["fp32"] = lambda linear: linear
    activations = {"bf16": torch.bfloat16, "int8": between}
    found: Table = {}
    for name, form in forms.items():
        layers = [form(linear) for linear in plain]
        dtype = activations.get(name, torch.float32)
        found[name] = [_seconds(layers, torch.randn(rows, 1, _WIDTH).to(dtype)) for rows in ROWS]
    return found


def _seconds(layers: list[nn.Module], x: torch.Tensor) -> float:
    """Of one layer, the fastest of several rounds through all."""
    ends = time.perf_counter() + _LAYER_SECONDS
    rounds, fastest = 0, float("inf")
    while rounds < 3 or time.perf_counter() < ends:
        begun = time.perf_counter()
        for layer in layers:
            layer(x)
        if rounds:  # skip the warm-up
            fastest = min(fastest, (time.perf_counter() - begun) / len(layers))
        rounds += 1
    return fastest
