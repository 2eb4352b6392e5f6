"""The most that this device multiplies in a second, measured: what a utilisation is a share of.

A maker's sheet says what a device could do at its highest clock; a matrix multiplication of a good
size says what it does here, in this precision and on these threads. It takes about a second and is
kept in the user's cache for each device, number of threads, version of torch and precision.

Other programs that are in the way make a peak too low. So it is measured for each of the first
trainings, and again when a training ran faster than it, and the largest figure is kept.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from escada.cost.devices import Precision
from escada.cost.hardware import Hardware
from escada.errors import EscadaError
from escada.files import cache_directory, content_hash, read_json, write_json
from escada.runs.device import synchronize

SCHEMA_VERSION = 1
LIMIT_SECONDS = 1.5
SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
"""Side of the square matrices, N; a device is at its best at one of them."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MEASUREMENTS = 3
"""As often it is measured, once for a training, before the cache is believed."""
_LEAST_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Peak:
    """A measured peak.

    Attributes:
        flop_per_second: two operations a multiply-add.
        precision: of the factors.
        matrix_size: N of the N × N matrices that were fastest.
        threads: of the process, which decide on a CPU.
    """

    flop_per_second: float
    precision: str
    matrix_size: int
    threads: int


def cached_peak(hardware: Hardware, precision: Precision) -> Peak | None:
    """The peak of such a device as far as it was measured before; None when it was not."""
    return _read(_path(_identity(hardware, precision)))[0]


def measured_peak(
    device: torch.device, hardware: Hardware, precision: Precision, *, at_least: float = 0.0
) -> Peak:
    """The peak of one device, from the cache or measured now.

    Args:
        device: to measure on.
        hardware: what it is.
        precision: of the training.
        at_least: FLOP/s that one device is known to have reached; a cached peak below it is
            measured again.
    """
    identity = _identity(hardware, precision)
    path = _path(identity)
    cached, measurements = _read(path)
    if cached and measurements >= MEASUREMENTS and cached.flop_per_second >= at_least:
        return cached
    found = measure_peak(device, precision)
    if cached and cached.flop_per_second > found.flop_per_second:
        found = cached
    entry = {"measurements": measurements + 1, "peak": asdict(found)}
    write_json(path, {"schema_version": SCHEMA_VERSION, **identity, **entry})
    return found


def _identity(hardware: Hardware, precision: Precision) -> dict[str, object]:
    on_cpu = hardware.kind == "cpu"
    return {
        "title": hardware.title,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": precision,
        "capability": torch.backends.cpu.get_cpu_capability() if on_cpu else None,
    }


def _path(identity: dict[str, object]) -> Path:
    return cache_directory() / "peaks" / f"{content_hash(identity)[:16]}.json"


def _read(path: Path) -> tuple[Peak | None, int]:
    """A peak of the cache and how often it was measured; None and 0 when it cannot be read."""
    try:
        table = read_json(path)
        return Peak(**table["peak"]), int(table["measurements"])
    except (EscadaError, KeyError, TypeError):
        return None, 0


def measure_peak(
    device: torch.device, precision: Precision, *, limit_seconds: float = LIMIT_SECONDS
) -> Peak:
    """Multiply square matrices of several sizes and keep the best."""
    best, best_size = 0.0, 0
    sizes = SIZES["cpu" if device.type == "cpu" else "cuda"]
    share_seconds = limit_seconds / len(sizes)
    for size in sizes:
        if best and (
            _LEAST_REPEATS * 2 * size**3 / best > limit_seconds or not _fits(device, size)
        ):
            break
        seconds = product_seconds(device, _DTYPES[precision], size, share_seconds)
        if (rate := 2 * size**3 / seconds) > best:
            best, best_size = rate, size
    return Peak(best, precision, best_size, torch.get_num_threads())


def _fits(device: torch.device, size: int) -> bool:
    """Whether three fp32 matrices leave room in a GPU's own memory, beside the model."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return 3 * 4 * size**2 < free / 2


def product_seconds(
    device: torch.device, dtype: torch.dtype, size: int, limit_seconds: float
) -> float:
    """Seconds of the fastest product of two square matrices within the limit, at least two.

    On a GPU, of ten in a row.
    """
    # Random factors: equal ones take less power, so that a GPU clocks higher than in training. A
    # generator of their own: the training's random state is none of their business.
    numbers = torch.Generator(device).manual_seed(0)
    a = torch.randn((size, size), generator=numbers, device=device).to(dtype)
    b = torch.randn((size, size), generator=numbers, device=device).to(dtype)
    out = torch.empty((size, size), dtype=dtype, device=device)
    in_a_row = 1 if device.type == "cpu" else 10
    ends = time.perf_counter() + limit_seconds
    repeats, fastest = 0, float("inf")
    while repeats < _LEAST_REPEATS or time.perf_counter() < ends:
        begun = time.perf_counter()
        for _ in range(in_a_row):
            torch.mm(a, b, out=out)
        synchronize(device)
        seconds = (time.perf_counter() - begun) / in_a_row
        if repeats:  # the first one warms up
            fastest = min(fastest, seconds)
        repeats += 1
    return fastest
