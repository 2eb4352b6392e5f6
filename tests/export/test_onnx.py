"""The ONNX graph: that ONNX Runtime computes our logits with it, whatever the batch and length."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from tests.export.conftest import GPT2, SHAPES, STATEFUL, needs, run_python_of

from escada.errors import EscadaError
from escada.export.checks import compare
from escada.export.forms.onnx import TOLERANCE, OnnxExport
from escada.export.forms.onnx import export as export_onnx

LIBRARIES = ("onnx", "onnxruntime", "tokenizers")


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    """Folders by the run's name, each made once: writing a graph takes seconds."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = export_onnx(runs(name), tmp_path_factory.mktemp("onnx") / name)
        return made[name]

    return of


def test_without_the_package_one_line_names_the_extra(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EscadaError, match=r"onnx is not installed; .*escada\[export\]"):
        export_onnx(runs("v1"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@needs(*LIBRARIES)
@pytest.mark.parametrize("name", SHAPES)
def test_onnx_runtime_gives_our_ids_and_logits(runs, exported, name):
    parity = compare(runs(name), OnnxExport(exported(name)), TOLERANCE)
    assert parity.ok, parity
    assert parity.tokens > 200
    assert parity.same_greedy == parity.greedy_prompts


@pytest.mark.slow
@needs(*LIBRARIES)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (3, 48), (7, 13)])
def test_batch_and_length_are_free(runs, exported, name, shape):
    run = runs(name)
    graph = OnnxExport(exported(name))
    ids = torch.randint(run.tokenizer.vocab_size, shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = run.load_model()(ids).numpy()
    logits, _ = graph.read(ids.numpy())
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.slow
@needs(*LIBRARIES)
@pytest.mark.parametrize("name", STATEFUL)
def test_a_graph_with_a_state_goes_on_from_its_state(runs, exported, name):
    graph = OnnxExport(exported(name))
    ids = np.arange(3, 33).reshape(2, 15)
    whole, last = graph.read(ids)
    state, parts = None, []
    for start, end in ((0, 6), (6, 7), (7, 15)):
        logits, state = graph.read(ids[:, start:end], state)
        parts.append(logits)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)
    for ours, theirs in zip(state, last, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.slow
@needs(*LIBRARIES)
def test_the_graph_says_what_it_needs(exported):
    for name in ("v1", "v_final"):
        facts = json.loads((exported(name) / "config.json").read_text())
        inputs = [given.name for given in OnnxExport(exported(name)).session.get_inputs()]
        assert inputs == (["ids"] if name in GPT2 else ["ids", "state"])
        shapes = [tuple(given.shape) for given in OnnxExport(exported(name)).session.get_outputs()]
        assert shapes[0] == ("batch", "tokens", facts["vocab_size"])
        assert shapes[1:] == ([] if name in GPT2 else [(2, 1, "batch", 20)])
        assert facts["context_tokens"] == (48 if name in GPT2 else None)
        assert "onnxruntime.InferenceSession" in (exported(name) / "README.md").read_text()


@pytest.mark.slow
@needs(*LIBRARIES)
@pytest.mark.parametrize("name", ["v1", "v_final", "v_next"])
def test_the_code_on_the_card_runs(runs, exported, monkeypatch, name):
    monkeypatch.chdir(exported(name))
    found = run_python_of(exported(name) / "README.md")
    tokenizer = runs(name).tokenizer
    assert found["ids"].tolist() == [[tokenizer.bos_id, *tokenizer.encode("Era uma vez")]]
    assert found["logits"].shape == (*found["ids"].shape, tokenizer.vocab_size)
