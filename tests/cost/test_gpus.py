"""The table of GPUs."""

import re

import pytest

from escada.cost.gpus import device, device_of, known_devices
from escada.errors import EscadaError

GIB = 2**30


@pytest.mark.parametrize(
    "name",
    [
        *("rtx3060-12gb", "rtx3090-24gb", "rtx4060ti-16gb", "rtx4070-12gb", "rtx4090-24gb"),
        *("t4-16gb", "l4-24gb", "a100-40gb", "a100-80gb", "h100-80gb", "h200-141gb"),
    ],
)
def test_a_common_device_is_known_and_holds_about_what_its_name_says(name):
    said = float(name.rpartition("-")[2].removesuffix("gb"))
    # ECC takes a sixteenth of GDDR memory.
    assert said * GIB * 0.92 < device(name).memory_bytes <= said * GIB * 1.01


@pytest.mark.parametrize("found", known_devices().values(), ids=lambda found: found.name)
def test_the_figures_of_a_device_are_of_a_possible_size(found):
    peaks = found.tflops
    assert 1 < peaks["fp32"] < peaks["fp16"] <= 1000
    assert peaks.get("bf16", peaks["fp16"]) == peaks["fp16"]
    assert 100 < found.gb_per_s < 10_000
    assert 50 < found.watts < 1001
    assert found.rent is None or 0 < found.rent.usd_per_hour < 20


@pytest.mark.parametrize("found", known_devices().values(), ids=lambda found: found.name)
def test_every_figure_says_where_it_was_read_or_that_it_was_not_checked(found):
    for said in (found.sheet, found.efficiency):
        assert said.date.startswith("20")
        assert "not checked" in said.source or re.search(r"\w+\.(com|se|org)/", said.source)
    assert 0.1 < found.efficiency.fraction <= 0.5


def test_case_and_underscores_do_not_matter():
    assert device("RTX3060_12GB").name == "rtx3060-12gb"


def test_an_unknown_name_is_an_error_that_names_the_nearest():
    with pytest.raises(EscadaError, match="rtx3060-12gb"):
        device("rtx3060-12g")


def test_a_precision_that_is_not_in_hardware_is_refused():
    assert device("t4-16gb").training_precision == "fp16"
    with pytest.raises(EscadaError, match="bf16"):
        device("t4-16gb").peak_flop_per_second("bf16")


def test_cards_of_one_name_are_told_apart_by_memory():
    name = "NVIDIA GeForce RTX 4060 Ti"
    found = [device_of(name, gib * GIB) for gib in (8, 16)]
    assert [one.name if one else None for one in found] == ["rtx4060ti-8gb", "rtx4060ti-16gb"]


def test_a_laptop_card_is_not_taken_for_the_desktop_one():
    assert device_of("NVIDIA GeForce RTX 3060 Laptop GPU", 6 * GIB) is None
    assert device_of("NVIDIA GeForce RTX 3060", 6 * GIB) is None
