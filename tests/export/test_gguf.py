"""The GGUF file: who gets one, and that llama.cpp reads our ids and logits from it."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from tests.export.conftest import AWKWARD, GPT2, STATEFUL, greedy_of_ours, needs

from escada.errors import EscadaError
from escada.export.checks import compare
from escada.export.forms import export_run
from escada.export.forms.gguf import TOLERANCE, GgufExport, gguf_tensors
from escada.export.forms.gguf import export as export_gguf
from escada.spec import load_spec

LIBRARIES = ("gguf", "llama_cpp")


@pytest.mark.parametrize("name", STATEFUL)
def test_a_rung_that_llama_cpp_does_not_know_is_refused_in_one_line(runs, tmp_path, name):
    with pytest.raises(EscadaError, match=r"to gguf: .*; it has: transformers, onnx$"):
        export_run(runs(name), tmp_path / "out.gguf", to="gguf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rung", "form", "why"),
    [
        ("v_next", "gguf", "llama.cpp has no model with this recurrence"),
        ("v_next_counts", "gguf", "llama.cpp has no model with this recurrence"),
        ("v_next_counts", "onnx", "nothing there looks up the counts"),
        ("v_next_counts", "transformers", "nothing there looks up the counts"),
    ],
)
def test_the_modern_rungs_say_why_a_form_is_not_theirs(runs, tmp_path, rung, form, why):
    run = replace(runs("v_next"), spec=load_spec(rung, preset="laptop"))
    with pytest.raises(EscadaError, match=f"{rung} cannot be exported to {form}: .*{why}"):
        export_run(run, tmp_path / "out", to=form)
    assert not list(tmp_path.iterdir())


def test_without_the_package_one_line_names_the_extra(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(EscadaError, match=r"gguf is not installed; .*escada\[export\]"):
        export_gguf(runs("v_final"), tmp_path / "out.gguf")


@pytest.mark.parametrize("name", GPT2)
def test_the_tensors_are_ours_by_name(runs, name):
    model = runs(name).load_model()
    tensors = gguf_tensors(model, "f32")
    block = model.blocks[1]
    for theirs, ours in (
        ("attn_qkv", block.attention.qkv),
        ("attn_output", block.attention.out),
        ("ffn_up", block.ff.up),
        ("ffn_down", block.ff.down),
    ):
        assert np.array_equal(tensors[f"blk.1.{theirs}.weight"], ours.weight.detach())
        assert np.array_equal(tensors[f"blk.1.{theirs}.bias"], ours.bias.detach())
    assert ("output.weight" in tensors) == (name == "untied")
    assert tensors["position_embd.weight"].shape == (48, 24)


def test_f16_narrows_matrices_only(runs):
    for name, tensor in gguf_tensors(runs("v_final").load_model(), "f16").items():
        narrow = tensor.ndim == 2 and name != "position_embd.weight"
        assert tensor.dtype == (np.float16 if narrow else np.float32), name


def test_only_a_gguf_file_is_overwritten(tmp_path):
    from escada.export.target import export_file

    mine = tmp_path / "thesis.tex"
    mine.write_text("precious")
    with pytest.raises(EscadaError, match="this is no export"), export_file(mine, True, b"GGUF"):
        pass
    assert mine.read_text() == "precious"
    older = tmp_path / "older.gguf"
    older.write_bytes(b"GGUF older")
    with pytest.raises(EscadaError, match="--overwrite"), export_file(older, False, b"GGUF"):
        pass
    with export_file(older, True, b"GGUF") as path:
        path.write_bytes(b"GGUF newer")
    assert older.read_bytes() == b"GGUF newer"
    with pytest.raises(ZeroDivisionError), export_file(older, True, b"GGUF") as path:
        path.write_bytes(b"GGUF %d" % (1 // 0))
    assert older.read_bytes() == b"GGUF newer"
    assert {file.name for file in tmp_path.iterdir()} == {"thesis.tex", "older.gguf"}


@pytest.mark.slow
@needs(*LIBRARIES)
@pytest.mark.parametrize("name", GPT2)
@pytest.mark.parametrize("numbers", ["f32", "f16"])
def test_llama_cpp_gives_our_ids_and_logits(runs, tmp_path, name, numbers):
    run = runs(name)
    path = export_gguf(run, tmp_path / "out.gguf", numbers=numbers)
    parity = compare(run, GgufExport(path, 48), TOLERANCE[numbers])
    assert parity.ok, parity
    assert parity.sentences > 100
    if numbers == "f32":
        assert parity.same_greedy == parity.greedy_prompts


@pytest.mark.slow
@needs(*LIBRARIES)
def test_llama_cpp_generates_what_ours_does(runs, tmp_path):
    run = runs("v_final")
    llama = GgufExport(export_gguf(run, tmp_path / "out.gguf"), 48).llama
    for prompt in ("O carteiro", "A professora guardou"):
        ids = llama.tokenize(prompt.encode(), add_bos=True, special=False)
        assert ids == [run.tokenizer.bos_id, *run.tokenizer.encode(prompt)]
        llama.reset()
        found = []
        bos = run.tokenizer.bos_id
        for token in llama.generate(ids, temp=0.0, logits_processor=_never(bos), reset=False):
            found.append(token)
            if len(found) == 12 or token == llama.token_eos():
                break
        assert found == greedy_of_ours(run, ids, 12)


def _never(token):
    from llama_cpp import LogitsProcessorList

    def forbid(_, scores):
        scores[token] = -np.inf
        return scores

    return LogitsProcessorList([forbid])


@pytest.mark.slow
@needs(*LIBRARIES)
def test_awkward_texts_have_our_ids_but_for_the_known_two(runs, tmp_path):
    """U+2581 is a space to llama.cpp, and it does not cut runs of more than 1,000 characters."""
    run = runs("v_final")
    exported = GgufExport(export_gguf(run, tmp_path / "out.gguf"), 48)
    for text in AWKWARD:
        if "▁" in text or max(map(len, text.split(" ")), default=0) > 1000:
            continue
        ids = run.tokenizer.encode(text).tolist()
        assert exported.encode(text) == ids, text
        assert exported.decode(ids) == text
    assert exported.decode(exported.encode("a▁b")) == "a b"
