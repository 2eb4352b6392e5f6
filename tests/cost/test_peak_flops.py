"""The measured peak: its arithmetic, its cache and when that is not believed."""

import pytest
import torch

from escada.cost import peak_flops as peak_module
from escada.cost.hardware import Hardware
from escada.cost.peak_flops import MEASUREMENTS, Peak, cached_peak, measure_peak, measured_peak

CPU = Hardware("cpu", "a processor", 1, 1, 1, None)
DEVICE = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """A cache of its own, and measurements that give what stands in the list; counts them."""
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path))
    rates: list[float] = []

    def measure(device, precision):
        return Peak(rates.pop(0), precision, 1024, 1)

    monkeypatch.setattr(peak_module, "measure_peak", measure)
    return rates


def rate(at_least=0.0, precision="fp32"):
    return measured_peak(DEVICE, CPU, precision, at_least=at_least).flop_per_second


def test_the_largest_of_the_first_measurements_is_kept_and_then_believed(measured):
    measured += [5.0, 9.0, 7.0, 99.0]
    assert [rate() for _ in range(MEASUREMENTS + 2)] == [5, 9, 9, 9, 9]
    assert measured == [99.0]


def test_a_training_that_was_faster_than_the_cache_has_it_measured_again(measured):
    measured += [5.0] * MEASUREMENTS + [8.0]
    for _ in range(MEASUREMENTS):
        rate()
    assert rate(at_least=6.0) == 8


def test_another_precision_has_a_peak_of_its_own(measured):
    measured += [5.0, 20.0]
    assert cached_peak(CPU, "fp32") is None
    assert (rate(), rate(precision="bf16")) == (5, 20)
    assert cached_peak(CPU, "fp32").flop_per_second == 5


def test_a_damaged_cache_is_measured_anew(measured, tmp_path):
    measured += [5.0, 6.0]
    rate()
    (file,) = (tmp_path / "peaks").iterdir()
    file.write_text("{")
    assert rate() == 6


def test_a_measurement_is_of_a_possible_size_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    found = measure_peak(DEVICE, "fp32", limit_seconds=0.3)
    assert 1e8 < found.flop_per_second < 1e14
    assert torch.equal(torch.get_rng_state(), before)


def test_rate_is_two_operations_a_multiply_add_of_the_faster_library(monkeypatch):
    monkeypatch.setattr(peak_module, "SIZES", {"cpu": (100,)})
    monkeypatch.setattr(peak_module, "onednn_packs", lambda dtype: True)
    seconds = {False: 0.5, True: 0.25}
    monkeypatch.setattr(
        peak_module, "product_seconds", lambda *_, by_onednn=False: seconds[by_onednn]
    )
    assert measure_peak(DEVICE, "fp32").flop_per_second == 2 * 100**3 / 0.25
    assert measure_peak(DEVICE, "bf16").flop_per_second == 2 * 100**3 / 0.5
