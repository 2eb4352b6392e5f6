"""`escada doctor`: what it says of the processor is what `auto` goes by."""

import json

import pytest
import typer
from typer.testing import CliRunner

from escada.cli.doctor import doctor
from escada.cost import processor

app = typer.Typer()
app.command()(doctor)

ROW = [4e-6, 5e-6, 6e-6, 7e-6]


@pytest.fixture(autouse=True)
def figures(tmp_path, monkeypatch):
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path))
    monkeypatch.setattr(processor, "_tables", {})
    monkeypatch.setattr(processor, "_measure_products", lambda: {"fp32": [2e9], "bf16": [8e9]})
    monkeypatch.setattr(processor, "_measure_layers", lambda: {"fp32": ROW, "int8": ROW[::-1]})


def invoke(*arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_shows_the_measured_tables():
    text = invoke()
    assert "fp32 2, bf16 8" in text
    assert "layers of 128 inputs, 1 at a time, µs: fp32 4, int8 7" in text
    assert "layers of 512 inputs, 16 at a time, µs: fp32 7, int8 4" in text


def test_its_json_has_them_with_units():
    found = json.loads(invoke("--json"))["processor"]
    assert found["product_flop_per_second"] == {"fp32": 2e9, "bf16": 8e9}
    first = found["decoding_layers"][0]
    assert first == {"rows": 1, "inputs": 128, "fp32_seconds": 4e-6, "int8_seconds": 7e-6}


def test_measure_makes_them_anew(monkeypatch):
    invoke()
    monkeypatch.setattr(processor, "_measure_products", lambda: {"fp32": [3e9]})
    assert "fp32 2, bf16 8" in invoke()
    assert "GFLOP/s: fp32 3\n" in invoke("--measure")
