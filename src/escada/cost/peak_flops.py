"""Measured peak FLOP/s of this device, the reference for utilisation.

A datasheet gives the peak at the highest clock; a large matrix product gives it for this machine,
precision and number of threads. It takes about a second and is cached per device, threads, torch
version and precision.

Other programs can make the figure too low, so it is measured in each of the first trainings, and
again if a training exceeds it, and the maximum is kept.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from escada.cost.gpus import Precision
from escada.cost.hardware import Hardware
from escada.errors import EscadaError
from escada.files import cache_directory, content_hash, read_json, write_sealed_json
from escada.models.onednn import onednn_packs, product
from escada.runs.device import synchronize

SCHEMA_VERSION = 2
LIMIT_SECONDS = 1.5
SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
"""Side N of the square matrices; the best N differs by device."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MEASUREMENTS = 3
"""Measurements, one per training, before the cached value is trusted."""
_LEAST_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Peak:
    """A measured peak.

    Attributes:
        flop_per_second: two operations per multiply-add.
        matrix_size: N of the fastest N × N product.
        threads: of the process; matters on a CPU.
    """

    flop_per_second: float
    precision: str
    matrix_size: int
    threads: int


def cached_peak(hardware: Hardware, precision: Precision) -> Peak | None:
    """The cached peak of this kind of device; None if not measured yet."""
    return _read(_path(_identity(hardware, precision)))[0]


def measured_peak(
    device: torch.device, hardware: Hardware, precision: Precision, *, at_least: float = 0.0
) -> Peak:
    """The peak of one device, cached or measured now.

    Args:
        at_least: FLOP/s that one device is known to have reached; a lower cached peak is measured
            again.
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
    write_sealed_json(path, {**identity, **entry})
    return found


def _identity(hardware: Hardware, precision: Precision) -> dict[str, object]:
    on_cpu = hardware.kind == "cpu"
    return {
        "schema_version": SCHEMA_VERSION,
        "title": hardware.title,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": precision,
        "capability": torch.backends.cpu.get_cpu_capability() if on_cpu else None,
    }


def _path(identity: dict[str, object]) -> Path:
    return cache_directory() / "peaks" / f"{content_hash(identity)[:16]}.json"


def _read(path: Path) -> tuple[Peak | None, int]:
    """A cached peak and its number of measurements; None and 0 if unreadable."""
    try:
        table = read_json(path)
        return Peak(**table["peak"]), int(table["measurements"])
    except (EscadaError, KeyError, TypeError):
        return None, 0


def measure_peak(
    device: torch.device, precision: Precision, *, limit_seconds: float = LIMIT_SECONDS
) -> Peak:
    """Time products of square matrices of several sizes and keep the best."""
    best, best_size = 0.0, 0
    has_choice = device.type == "cpu" and precision == "fp32" and onednn_packs(torch.float32)
    libraries = (False, True) if has_choice else (False,)
    sizes = SIZES["cpu" if device.type == "cpu" else "cuda"]
    share_seconds = limit_seconds / len(sizes)
    for size in sizes:
        if best and (
            _LEAST_REPEATS * 2 * size**3 / best > limit_seconds or not _fits(device, size)
        ):
            break
        seconds = min(
            product_seconds(
                device, _DTYPES[precision], size, share_seconds / len(libraries), by_onednn=onednn
            )
            for onednn in libraries
        )
        if (rate := 2 * size**3 / seconds) > best:
            best, best_size = rate, size
    return Peak(best, precision, best_size, torch.get_num_threads())


def _fits(device: torch.device, size: int) -> bool:
    """Whether three fp32 matrices fit into GPU memory along with the model."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return 3 * 4 * size**2 < free / 2


def product_seconds(
    device: torch.device,
    dtype: torch.dtype,
    size: int,
    limit_seconds: float,
    *,
    by_onednn: bool = False,
) -> float:
    """Seconds of the fastest product of two square matrices within the limit, of at least two.

    By torch's own choice of library, or by oneDNN. On a GPU ten products are timed together.
    """
    # Random factors, since constant ones draw less power and let a GPU clock higher than in
    # training; a separate generator leaves the training's random state untouched.
    numbers = torch.Generator(device).manual_seed(0)
    a = torch.randn((size, size), generator=numbers, device=device).to(dtype)
    b = torch.randn((size, size), generator=numbers, device=device).to(dtype)
    out = torch.empty((size, size), dtype=dtype, device=device)
    multiply = partial(product, a, b) if by_onednn else partial(torch.mm, a, b, out=out)
    in_a_row = 1 if device.type == "cpu" else 10
    ends = time.perf_counter() + limit_seconds
    repeats, fastest = 0, float("inf")
    while repeats < _LEAST_REPEATS or time.perf_counter() < ends:
        begun = time.perf_counter()
        for _ in range(in_a_row):
            multiply()
        synchronize(device)
        seconds = (time.perf_counter() - begun) / in_a_row
        if repeats:  # skip the warm-up
            fastest = min(fastest, seconds)
        repeats += 1
    return fastest
