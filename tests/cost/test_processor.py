"""The measured tables of products: made once a machine, kept, and read by every `auto`."""

import json

import pytest
import torch

from escada.choices import WEIGHTS
from escada.cost import processor
from escada.cost.processor import bf16_gain, fastest_weights, layer_seconds, product_flops
from escada.files import cache_directory
from escada.models.packed_linear import onednn_packs


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path))
    for name in ("_PRODUCT_SECONDS", "_LAYER_SECONDS"):
        monkeypatch.setattr(processor, name, 0.001)
    monkeypatch.setattr(processor, "_PRODUCT_SIZE", 64)
    monkeypatch.setattr(processor, "_WIDTH", 32)
    forget()
    yield
    forget()


def forget():
    product_flops.cache_clear()
    layer_seconds.cache_clear()


def files():
    return sorted((cache_directory() / "processor").iterdir())


def test_tables_are_measured_once_a_machine_and_kept():
    products, layers = product_flops(), layer_seconds()
    assert products["fp32"][0] > 0
    assert ("bf16" in products) == onednn_packs(torch.bfloat16)
    assert set(layers) <= set(WEIGHTS)
    assert {"fp32", "int8"} <= set(layers)
    assert all(len(found) == len(processor.ROWS) for found in layers.values())
    first, second = files()
    kept = json.loads(first.read_text())
    kept["table"] = {"fp32": [1.0]}
    first.write_text(json.dumps(kept))
    forget()
    assert {"fp32": [1.0]} in (product_flops(), layer_seconds())  # read, not measured
    assert files() == [first, second]


@pytest.mark.parametrize("text", ["", "{}", '{"table": {"fp32": ["x"]}}', '{"table": []}'])
def test_a_table_that_cannot_be_read_is_measured_again(text):
    product_flops()
    (path,) = files()
    path.write_text(text)
    forget()
    assert product_flops()["fp32"][0] > 0
    assert json.loads(path.read_text())["table"] == product_flops()


def test_another_number_of_threads_or_other_instructions_have_tables_of_their_own(monkeypatch):
    product_flops()
    forget()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    product_flops()
    assert len(files()) == 2
    forget()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    product_flops()
    assert len(files()) == 3


def test_measuring_again_replaces_both(monkeypatch):
    monkeypatch.setattr(processor, "_measure_products", lambda: {"fp32": [2.0], "bf16": [1.0]})
    monkeypatch.setattr(processor, "_measure_layers", lambda: {"fp32": [2.0, 3.0]})
    assert bf16_gain() == 0.5
    assert fastest_weights(1) == "fp32"
    monkeypatch.setattr(processor, "_measure_products", lambda: {"fp32": [2.0], "bf16": [8.0]})
    monkeypatch.setattr(
        processor, "_measure_layers", lambda: {"fp32": [2.0, 3.0], "w8a8": [3.0, 1.0]}
    )
    assert bf16_gain() == 0.5
    processor.measure_again()
    assert bf16_gain() == 4.0
    assert [fastest_weights(rows) for rows in (1, 4, 9, 500)] == ["fp32", "fp32", "w8a8", "w8a8"]


def test_no_bf16_is_no_gain(monkeypatch):
    monkeypatch.setattr(processor, "_measure_products", lambda: {"fp32": [2.0]})
    assert bf16_gain() == 0.0
