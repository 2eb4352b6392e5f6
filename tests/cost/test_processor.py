"""The measured tables of products: made once a machine, kept, and read by every `auto`."""

import json

import pytest
import torch

from escada.choices import WEIGHTS
from escada.cost import processor
from escada.cost.processor import (
    bf16_gain,
    fastest_weights,
    layer_seconds,
    onednn_pays,
    product_flops,
)
from escada.files import cache_directory, read_json
from escada.models import packed_linear
from escada.models.onednn import onednn_packs


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path))
    for name in ("_PRODUCT_SECONDS", "_LAYER_SECONDS"):
        monkeypatch.setattr(processor, name, 0.001)
    monkeypatch.setattr(processor, "_PRODUCT_SIZE", 64)
    monkeypatch.setattr(processor, "LAYERS", ((1, 16), (16, 16), (1, 32), (16, 32)))
    monkeypatch.setattr(processor, "_tables", {})


def forget():
    processor._tables.clear()


def files():
    return sorted((cache_directory() / "processor").glob("*.json"))


def test_tables_are_measured_once_a_machine_and_kept():
    products, layers = product_flops(), layer_seconds()
    assert products["fp32"][0] > 0
    assert ("bf16" in products) == onednn_packs(torch.bfloat16)
    assert set(layers) <= set(WEIGHTS)
    assert {"fp32", "int8"} <= set(layers)
    assert all(len(found) == 4 for found in layers.values())
    first, second = files()
    for path in (first, second):
        kept = read_json(path)
        figures = 1 if kept["measured"] == "products" else 4
        path.write_text(json.dumps(kept | {"table": {"fp32": [1.0] * figures}}))
    forget()
    assert product_flops() == {"fp32": [1.0]}  # read, not measured
    assert layer_seconds() == {"fp32": [1.0] * 4}
    assert files() == [first, second]


def test_measuring_draws_nothing_from_the_state_of_a_training():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    product_flops(), layer_seconds()
    assert torch.equal(torch.rand(3), expected)


def test_a_format_that_torch_cannot_multiply_here_is_left_out(monkeypatch):
    def fails(linear):
        raise NotImplementedError("no such operator")

    monkeypatch.setattr(packed_linear, "W8A8Linear", fails)
    assert "w8a8" not in layer_seconds()
    assert "fp32" in layer_seconds()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path / "file"))
    assert product_flops()["fp32"][0] > 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"table": {"fp32": ["x"]}}',
        '{"table": []}',
        '{"table": {}}',
        '{"table": {"fp32": [1, 2]}}',
    ],
)
def test_a_table_that_cannot_be_read_is_measured_again(text):
    product_flops()
    (path,) = files()
    path.write_text(text)
    forget()
    assert product_flops()["fp32"][0] > 0
    assert read_json(path)["table"] == product_flops()


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


def test_measuring_again_replaces_all(monkeypatch):
    def figures(gain, layers):
        monkeypatch.setattr(
            processor, "_measure_products", lambda: {"fp32": [2.0], "bf16": [2.0 * gain]}
        )
        monkeypatch.setattr(processor, "_measure_layers", lambda: layers)

    figures(0.5, {"fp32": [2.0, 3.0, 2.0, 3.0]})
    with monkeypatch.context() as other:
        other.setattr(torch, "get_num_threads", lambda: 77)
        bf16_gain()
    assert bf16_gain() == 0.5
    assert len(files()) == 2
    figures(4.0, {"fp32": [2.0, 3.0, 2.0, 3.0], "w8a8": [3.0, 4.0, 3.0, 1.0]})
    assert bf16_gain() == 0.5
    processor.measure_again()
    assert bf16_gain() == 4.0
    assert len(files()) == 2
    found = [fastest_weights(rows, 32) for rows in (1, 3, 9, 500)]
    assert found == ["fp32", "fp32", "w8a8", "w8a8"]
    assert fastest_weights(16, 4) == "fp32"
    assert fastest_weights(16, 32, ["fp32", "int8"]) == "fp32"


def test_no_bf16_is_no_gain(monkeypatch):
    monkeypatch.setattr(processor, "_measure_products", lambda: {"fp32": [2.0]})
    assert bf16_gain() == 0.0


@pytest.mark.parametrize(("figure", "pays", "gain"), [(2.0, False, 3.0), (4.0, True, 1.5)])
def test_onednn_is_taken_where_it_is_faster_and_bf16_is_beside_the_faster_fp32(
    monkeypatch, figure, pays, gain
):
    table = {"fp32": [2.0], "fp32_onednn": [figure], "bf16": [6.0]}
    monkeypatch.setattr(processor, "_measure_products", lambda: table)
    assert onednn_pays() == pays
    assert bf16_gain() == gain
