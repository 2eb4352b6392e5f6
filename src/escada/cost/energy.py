"""Energy of a training, from hardware counters where available.

    meter = EnergyMeter.of(hardware, settings)
    meter.parts()                              # joules by part so far, each with its method

GPUs count millijoules (NVML, since Volta), processors microjoules (RAPL). Without a counter a part
is *estimated* as watts × time and marked so, with the assumption; if that is impossible it is
absent and `notes` says why. Reading a counter does not synchronize with the GPU.

Hardware counters include every other program on the machine.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from escada.cost.hardware import Hardware
from escada.cost.money import CostSettings

RAPL = Path("/sys/class/powercap")
WATTS_PER_THREAD = 10.0
"""Assumed power of a busy CPU thread, with its share of caches and memory.

Between servers (4-5 W per core) and desktops (8-13 W per core) at rated power, so right within
about a factor of two; `cpu_watts` overrides it.
"""


class Counter(Protocol):
    """Counts joules since its creation."""

    def joules(self) -> float:
        """Joules so far; must be called often enough not to miss a wraparound.

        Raises:
            OSError: the counter can no longer be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """Energy of one part of the machine.

    Attributes:
        part: `gpu` or `cpu`.
        method: `nvml`, `rapl` or `watts`.
        estimated: whether it is not from a counter.
        basis: what was counted, or what was assumed.
    """

    part: str
    method: str
    joules: float
    estimated: bool
    basis: str


class EnergyMeter:
    """Counters started with the meter; `notes` says what could not be measured and why."""

    def __init__(self, counters: Sequence[tuple[Part, Counter]], notes: Sequence[str]) -> None:
        self._counters, self.notes = list(counters), list(notes)

    @classmethod
    def of(
        cls,
        hardware: Hardware,
        settings: CostSettings,
        *,
        rapl: Path = RAPL,
        clock: Callable[[], float] = time.monotonic,
    ) -> EnergyMeter:
        """Use the best counters of this machine."""
        counters: list[tuple[Part, Counter]] = []
        notes: list[str] = []

        def estimate(part: str, devices: int) -> bool:
            if (known := estimated_watts(hardware, settings)) is None:
                return False
            watts, basis = known
            counters.append((Part(part, "watts", 0.0, True, basis), Watts(watts * devices, clock)))
            return True

        found = rapl_counters(rapl)
        if not isinstance(found, str):
            basis = "the processor and its memory as far as it counts that, all programs together"
            counters.append((Part("cpu", "rapl", 0.0, False, basis), found))
        elif hardware.kind == "cpu":
            estimate("cpu", 1)
            notes.append(f"the processor's energy is estimated: {found}")
        else:
            notes.append(f"the processor beside the GPU is not counted: {found}")
        if hardware.kind == "cuda":
            found = nvml_counter(hardware.uuids)
            if not isinstance(found, str):
                basis = "the whole board, all programs together"
                counters.append((Part("gpu", "nvml", 0.0, False, basis), found))
            elif estimate("gpu", hardware.here):
                notes.append(f"the GPU's energy is estimated: {found}")
            else:
                notes.append(
                    f"the GPU's energy is unknown: {found}; set device_watts for an estimate"
                )
        if hardware.count > hardware.here:
            notes.append("the energy of other machines is not counted")
        return cls(counters, notes)

    def parts(self) -> list[Part]:
        """Energy of each part so far.

        A counter that fails keeps its last value, and `notes` says so.
        """
        for number, (part, counter) in enumerate(self._counters):
            try:
                self._counters[number] = replace(part, joules=counter.joules()), counter
            except OSError as error:
                note = f"the counter {part.method} stopped answering: {error}"
                if note not in self.notes:
                    self.notes.append(note)
        return [part for part, _ in self._counters]


def estimated_watts(hardware: Hardware, settings: CostSettings) -> tuple[float, str] | None:
    """Watts of a CPU's machine, or of one GPU, and where they are from; None where nothing says."""
    if hardware.kind == "cpu":
        if settings.cpu_watts is not None:
            return settings.cpu_watts, f"{settings.cpu_watts:g} W, the user's cpu_watts"
        watts = WATTS_PER_THREAD * hardware.threads
        return watts, f"{WATTS_PER_THREAD:g} W for each of {hardware.threads} threads, assumed"
    if settings.device_watts is not None:
        return settings.device_watts, f"{settings.device_watts:g} W, the user's"
    if hardware.device is not None:
        return hardware.device.watts, f"{hardware.device.watts:g} W, the board's power limit"
    return None


class Watts:
    """An estimate from constant power."""

    def __init__(self, watts: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._watts, self._clock, self._begun = watts, clock, clock()

    def joules(self) -> float:
        """See `Counter`."""
        return self._watts * (self._clock() - self._begun)


class _Zone:
    """One RAPL counter, which wraps to zero at its range."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range_uj = int((folder / "max_energy_range_uj").read_text())
        self._last_uj = self._read()
        self._total_uj = 0

    def _read(self) -> int:
        return int(self._file.read_text())

    def joules(self) -> float:
        now = self._read()
        moved = now - self._last_uj
        self._total_uj += moved if moved >= 0 else moved + self._range_uj
        self._last_uj = now
        return self._total_uj / 1e6


class RaplCounters:
    """The CPU packages of a machine, plus memory where it is counted separately."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._zones = [_Zone(folder) for folder in folders]

    def joules(self) -> float:
        """See `Counter`; a package of 300 W wraps about every 15 minutes."""
        return sum(zone.joules() for zone in self._zones)


def rapl_counters(root: Path = RAPL) -> RaplCounters | str:
    """The RAPL counters, or the reason there are none.

    A package includes its cores (subzones) but not its memory. The platform zone (psys) includes
    the packages and is skipped.
    """
    if not root.is_dir():
        return "no RAPL counters here"
    try:
        zones = {zone: (zone / "name").read_text().strip() for zone in root.glob("intel-rapl:*")}
        wanted = [zone for zone, name in zones.items() if name == "dram" or "package" in name]
        if not wanted:
            return "no RAPL counters here"
        return RaplCounters(wanted)
    except PermissionError:
        return f"{root}/intel-rapl:*/energy_uj may only be read by root"
    except OSError as error:
        return f"RAPL cannot be read ({error.strerror})"


class NvmlCounter:
    """NVML counters, which run since the driver was loaded."""

    def __init__(self, nvml: Any, handles: Sequence[Any]) -> None:
        self._nvml, self._handles = nvml, handles
        self._begun_mj = self._read()

    def _read(self) -> int:
        return sum(self._nvml.nvmlDeviceGetTotalEnergyConsumption(h) for h in self._handles)

    def joules(self) -> float:
        """See `Counter`."""
        try:
            return (self._read() - self._begun_mj) / 1e3
        except self._nvml.NVMLError as error:
            raise OSError(str(error)) from error


def nvml_counter(uuids: Sequence[str]) -> NvmlCounter | str:
    """The counters of these GPUs, or the reason there are none.

    GPUs are given by UUID (`GPU-…`), since torch and NVML number them differently.
    """
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return "nvidia-ml-py is not installed (pip install 'escada[nvidia]')"
    try:
        nvml.nvmlInit()
        return NvmlCounter(nvml, [nvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids])
    except nvml.NVMLError as error:
        return f"NVML says: {error}"
