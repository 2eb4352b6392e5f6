"""Energy from counters of a made-up machine, and estimates that say so."""

import sys
import types

import pytest

from escada.cost.energy import WATTS_PER_THREAD, EnergyMeter, Watts, nvml_counter, rapl_counters
from escada.cost.gpus import device
from escada.cost.hardware import Hardware
from escada.cost.money import CostSettings

RANGE_UJ = 262_143_328_850
CPU = Hardware("cpu", "a processor", 1, 1, 4, None)
GPU = Hardware("cuda", "a GPU", 1, 1, 4, device("rtx3060-12gb"), ("GPU-a",))


def zone(root, number, name, energy_uj):
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    return folder / "energy_uj"


@pytest.fixture
def rapl(tmp_path):
    """A tree of two packages; what is counted twice in it is there to be left out."""
    root = tmp_path / "powercap"
    files = {
        "package-0": zone(root, "0", "package-0", 5_000_000),
        "core": zone(root, "0:0", "core", 1_000_000),
        "dram": zone(root, "0:1", "dram", 7_000_000),
        "package-1": zone(root, "1", "package-1", RANGE_UJ - 2_000_000),
        "psys": zone(root, "2", "psys", 0),
    }
    mmio = root / "intel-rapl-mmio:0"
    mmio.mkdir()
    (mmio / "name").write_text("package-0\n")
    return root, files


def test_packages_and_their_memory_are_added_and_nothing_is_counted_twice(rapl):
    root, files = rapl
    counters = rapl_counters(root)
    assert counters.joules() == 0
    files["package-0"].write_text("8000000\n")  # 3 J
    files["core"].write_text("9000000\n")  # inside the package
    files["dram"].write_text("7500000\n")  # 0.5 J
    files["psys"].write_text("99000000\n")  # the packages again
    assert counters.joules() == pytest.approx(3.5)


def test_a_counter_that_wraps_around_goes_on(rapl):
    root, files = rapl
    counters = rapl_counters(root)
    files["package-1"].write_text("1000000\n")  # 2 J to the end of the range, 1 J beyond
    assert counters.joules() == pytest.approx(3)
    files["package-1"].write_text(f"{RANGE_UJ - 1_000_000}\n")
    files["package-1"].write_text(f"{RANGE_UJ}\n")
    counters.joules()
    files["package-1"].write_text("500000\n")
    assert counters.joules() == pytest.approx((RANGE_UJ + 2_000_000 + 500_000) / 1e6)


def test_a_machine_without_counters_or_that_hides_them_says_so(tmp_path, rapl):
    assert rapl_counters(tmp_path / "nowhere") == "no RAPL counters here"
    root, files = rapl
    for file in files.values():
        file.unlink()
    assert "cannot be read" in rapl_counters(root)


def test_a_counter_that_only_root_may_read_is_said_to_be_one(rapl, monkeypatch):
    def forbidden(self, *_, **__):
        raise PermissionError

    root, _ = rapl
    monkeypatch.setattr("escada.cost.energy._Zone._read", forbidden)
    assert "only be read by root" in rapl_counters(root)


def test_a_cpu_with_a_counter_is_measured_and_not_estimated(rapl):
    root, files = rapl
    meter = EnergyMeter.of(CPU, CostSettings(), rapl=root)
    files["package-0"].write_text("6500000\n")
    (part,) = meter.parts()
    assert (part.part, part.method, part.estimated) == ("cpu", "rapl", False)
    assert part.joules == pytest.approx(1.5)
    assert meter.notes == []


def test_a_counter_that_stops_answering_keeps_its_figure_and_says_so_once(rapl):
    root, files = rapl
    meter = EnergyMeter.of(CPU, CostSettings(), rapl=root)
    files["package-0"].write_text("6500000\n")
    meter.parts()
    files["package-0"].unlink()
    meter.parts()
    assert meter.parts()[0].joules == pytest.approx(1.5)
    assert [note for note in meter.notes if "stopped answering" in note] == meter.notes


def test_without_a_counter_the_energy_is_watts_times_time_and_names_its_assumption(tmp_path):
    clock = iter([100.0, 160.0])
    meter = EnergyMeter.of(CPU, CostSettings(), rapl=tmp_path / "x", clock=lambda: next(clock))
    (part,) = meter.parts()
    # 4 threads of 10 W for 60 s
    assert part.joules == pytest.approx(4 * WATTS_PER_THREAD * 60)
    assert part.estimated
    assert "10 W for each of 4 threads" in part.basis
    assert "no RAPL counters here" in meter.notes[0]


def test_the_users_watts_go_before_the_assumption(tmp_path):
    clock = iter([0.0, 10.0])
    settings = CostSettings(cpu_watts=65)
    meter = EnergyMeter.of(CPU, settings, rapl=tmp_path / "x", clock=lambda: next(clock))
    assert meter.parts()[0].joules == pytest.approx(650)


class Nvml(types.ModuleType):
    """A pynvml whose GPUs count millijoules, as the real one does."""

    class NVMLError(Exception):
        pass

    def __init__(self, energies_mj, supported=True):
        super().__init__("pynvml")
        self.energies_mj, self.supported, self.begun = energies_mj, supported, False

    def nvmlInit(self):
        self.begun = True

    def nvmlDeviceGetHandleByUUID(self, uuid):
        assert self.begun
        if uuid not in self.energies_mj:
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if not self.supported:
            raise self.NVMLError("Not Supported")
        return self.energies_mj[handle]


@pytest.fixture
def nvml(monkeypatch):
    def install(*arguments, **options):
        module = Nvml(*arguments, **options)
        monkeypatch.setitem(sys.modules, "pynvml", module)
        return module

    return install


def test_a_gpus_millijoules_since_the_start_become_joules(nvml):
    module = nvml({"GPU-a": 1_000_000, "GPU-b": 50})
    counter = nvml_counter(["GPU-a", "GPU-b"])
    module.energies_mj |= {"GPU-a": 1_004_000, "GPU-b": 1_550}
    assert counter.joules() == pytest.approx(5.5)


def test_a_gpu_that_counts_is_measured_and_the_processor_beside_it_is_said_to_be_missing(
    nvml, tmp_path
):
    module = nvml({"GPU-a": 10})
    meter = EnergyMeter.of(GPU, CostSettings(), rapl=tmp_path / "x")
    module.energies_mj["GPU-a"] = 2_010
    (part,) = meter.parts()
    assert (part.part, part.method, part.estimated, part.joules) == ("gpu", "nvml", False, 2.0)
    assert meter.notes == ["the processor beside the GPU is not counted: no RAPL counters here"]


def test_a_gpu_and_its_processor_are_both_measured_where_both_count(nvml, rapl):
    nvml({"GPU-a": 10})
    meter = EnergyMeter.of(GPU, CostSettings(), rapl=rapl[0])
    assert [part.method for part in meter.parts()] == ["rapl", "nvml"]


@pytest.mark.parametrize("why", ["Not Supported", "not installed"])
def test_a_gpu_that_does_not_count_is_estimated_from_its_boards_watts(
    nvml, monkeypatch, tmp_path, why
):
    nvml({"GPU-a": 10}, supported=False)
    if why == "not installed":
        monkeypatch.setitem(sys.modules, "pynvml", None)
    clock = iter([0.0, 10.0])
    meter = EnergyMeter.of(GPU, CostSettings(), rapl=tmp_path / "x", clock=lambda: next(clock))
    (part,) = meter.parts()
    assert part.estimated
    assert part.joules == pytest.approx(170 * 10)
    assert "170 W" in part.basis
    assert any(why in note for note in meter.notes)


def test_a_gpu_that_nobody_knows_has_no_energy_rather_than_a_wrong_one(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    unknown = Hardware("cuda", "a new GPU", 1, 1, 4, None, ("GPU-a",))
    meter = EnergyMeter.of(unknown, CostSettings(), rapl=tmp_path / "x")
    assert meter.parts() == []
    assert any("set device_watts" in note for note in meter.notes)


def test_an_estimate_begins_when_it_is_made():
    now = [1000.0]
    watts = Watts(5.0, lambda: now[0])
    now[0] += 3
    assert watts.joules() == 15
