"""How fast this CPU multiplies in each number format, measured once a machine and cached.

Whatever `auto` decides by speed on a CPU is read here: the precision of a training and the weights
of decoding. `escada doctor` shows the tables; `escada doctor --measure` makes them anew, for one
that was made while other programs ran.

Two libraries multiply fp32 matrices: torch's own choice, MKL on x86, and oneDNN, which is more than
twice as fast on an AMD EPYC and as fast on an Intel Xeon (docs/decisions/0026).

Instructions tell little: torch reports bf16 support for every CPU with AVX-512, but relative to
fp32 a bf16 product took 1/4 of the time on an AMD EPYC, 1/5 on an Intel Xeon with AMX, and five
times as long on the same Xeon held to AVX-512 without bf16 (docs/decisions/0010).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import nn

from escada.choices import WEIGHTS, Weights
from escada.cost.peak_flops import product_seconds
from escada.errors import EscadaError
from escada.files import cache_directory, content_hash, read_json, write_sealed_json
from escada.locks import exclusive
from escada.models.onednn import onednn_packs
from escada.models.packed_linear import packed
from escada.runs.environment import cpu_name, narrow_formats

SCHEMA_VERSION = 2
LEAST_GAIN = 1.2
"""Minimum speedup of products to choose bf16, or oneDNN; conversions and copies cost some of it."""
LAYERS = ((1, 128), (16, 128), (1, 512), (16, 512))
"""Decoding layers that are timed: rows of one token, and inputs; four times as many outputs."""
_COPIES = 8
"""Matrices that are multiplied in turn: of 512 inputs 32 MB in fp32, more than most caches."""
_PRODUCT_SIZE = 1024
_PRODUCT_SECONDS = 0.1
_LAYER_SECONDS = 0.1
_SWITCHES = (
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS"),
    *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"),
)
"""Environment variables by which libraries use other instructions."""

Table = dict[str, list[float]]
"""Format → figures."""
_tables: dict[str, Table] = {}
"""Those that this process has read or made, by the hash of what they are about."""


def product_flops() -> Table:
    """FLOP/s of a product of two large matrices: fp32, and where there is oneDNN `fp32_onednn` and,
    if it has it, bf16."""
    return _kept("products", _measure_products, figures=1)


def layer_seconds() -> Table:
    """Seconds of a decoding layer by format of the weights, one figure for each of `LAYERS`.

    A format that fails here is missing.
    """
    return _kept("layers", _measure_layers, figures=len(LAYERS))


def bf16_gain() -> float:
    """Speedup of bf16 products over the faster fp32 ones; 0 where oneDNN has none."""
    table = product_flops()
    if "bf16" not in table:
        return 0.0
    return table["bf16"][0] / max(table["fp32"] + table.get("fp32_onednn", []))


def onednn_gain() -> float:
    """Speedup of fp32 products by oneDNN over torch's own choice of library; 0 without oneDNN."""
    table = product_flops()
    return table["fp32_onednn"][0] / table["fp32"][0] if "fp32_onednn" in table else 0.0


def bf16_pays() -> bool:
    """Whether bf16 products are faster by enough to choose them."""
    return bf16_gain() >= LEAST_GAIN


def onednn_pays() -> bool:
    """Whether fp32 products by oneDNN are faster by enough to choose them."""
    return onednn_gain() >= LEAST_GAIN


def fastest_weights(rows: int, width: int, among: Iterable[Weights] = WEIGHTS) -> Weights:
    """The format in which layers of that many inputs are fastest, by the nearest of `LAYERS`."""
    table = layer_seconds()

    def distance(i: int) -> float:
        return abs(math.log(LAYERS[i][0] / rows)) + abs(math.log(LAYERS[i][1] / width))

    nearest = min(range(len(LAYERS)), key=distance)
    best: Weights = "fp32"
    for weights in among:
        if weights in table and table[weights][nearest] < table[best][nearest]:
            best = weights
    return best


def measure_again() -> None:
    """Forget all tables, also those of other numbers of threads, and measure this process's."""
    _tables.clear()
    for path in _folder().glob("*.json"):
        path.unlink(missing_ok=True)
    product_flops()
    layer_seconds()


def _kept(name: str, measure: Callable[[], Table], figures: int) -> Table:
    """The table of this process, of the cache, or a new one; one process at a time measures."""
    identity = _identity(name)
    key = content_hash(identity)[:16]
    if key in _tables:
        return _tables[key]
    try:
        path = _folder() / f"{key}.json"
        with exclusive(path.with_suffix(".lock")):
            table = _read(path, figures)
            if table is None:
                table = measure()
                write_sealed_json(path, {**identity, "table": table})
    except (EscadaError, OSError):  # no cache that can be written
        table = measure()
    _tables[key] = table
    return table


def _read(path: Path, figures: int) -> Table | None:
    """None if it is not there, damaged or of another form."""
    try:
        kept = read_json(path)["table"]
        table = {str(form): [float(figure) for figure in row] for form, row in kept.items()}
    except (EscadaError, KeyError, TypeError, ValueError, AttributeError):
        return None
    sound = all(len(row) == figures and min(row) > 0 for row in table.values())
    return table if "fp32" in table and sound else None


def _identity(name: str) -> dict[str, object]:
    return {
        "schema_version": SCHEMA_VERSION,
        "measured": name,
        "cpu": cpu_name(),
        "formats": narrow_formats(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "switches": {switch: os.environ.get(switch) for switch in _SWITCHES},
    }


def _folder() -> Path:
    return cache_directory() / "processor"


def _measure_products() -> Table:
    types = {"fp32": torch.float32}
    if onednn_packs(torch.float32):
        types["fp32_onednn"] = torch.float32
    if onednn_packs(torch.bfloat16):  # else emulated: 0.9 GFLOP/s with AVX2, against 98 in fp32
        types["bf16"] = torch.bfloat16
    cpu, limit = torch.device("cpu"), _PRODUCT_SECONDS / 2
    seconds = dict.fromkeys(types, math.inf)
    for _ in range(2):  # in turns, so that what else runs falls on all
        for name, dtype in types.items():
            by_onednn = name == "fp32_onednn"
            found = product_seconds(cpu, dtype, _PRODUCT_SIZE, limit, by_onednn=by_onednn)
            seconds[name] = min(seconds[name], found)
    return {name: [2 * _PRODUCT_SIZE**3 / found] for name, found in seconds.items()}


def _measure_layers() -> Table:
    table: Table = {}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for rows, width in LAYERS:
            for name, seconds in _time_layers(rows, width).items():
                table.setdefault(name, []).append(seconds)
    return table


def _time_layers(rows: int, width: int) -> dict[str, float]:
    """Seconds of one layer in each format that works here, in turns."""
    plain = [nn.Linear(width, 4 * width) for _ in range(_COPIES)]
    between = torch.bfloat16 if bf16_pays() else torch.float32
    works: dict[str, Callable[[], None]] = {}
    for name in WEIGHTS:
        if name == "bf16" and not onednn_packs(torch.bfloat16):
            continue  # emulated
        dtype = {"bf16": torch.bfloat16, "int8": between}.get(name, torch.float32)
        try:
            layers = [packed(linear, name, dtype) for linear in plain]
            work = _work(layers, torch.randn(rows, 1, width).to(dtype))
            work()
        except (RuntimeError, AttributeError, NotImplementedError):  # torch lacks the operator
            if name != "fp32":
                continue
            work = _work(plain, torch.randn(rows, 1, width))  # as decoding does then
        works[name] = work
    fastest = dict.fromkeys(works, math.inf)
    ends = time.perf_counter() + _LAYER_SECONDS * len(works)
    while math.inf in fastest.values() or time.perf_counter() < ends:
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            fastest[name] = min(fastest[name], (time.perf_counter() - begun) / _COPIES)
    return fastest


def _work(layers: Sequence[nn.Module], x: torch.Tensor) -> Callable[[], None]:
    def multiply() -> None:
        for layer in layers:
            layer(x)

    return multiply
