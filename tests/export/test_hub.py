"""The folder for transformers: what it holds, and that transformers computes our logits with it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.export.conftest import (
    AWKWARD,
    GPT2,
    SHAPES,
    STATEFUL,
    greedy_of_ours,
    needs,
    run_python_of,
)

from escada.errors import EscadaError
from escada.evaluation.task import Subject, complete
from escada.evaluation.tasks.documents import TEST
from escada.export.checks import compare
from escada.export.forms.transformers import REMOTE_FILES, TOLERANCE, HubExport
from escada.export.forms.transformers import export as export_hub
from escada.files import read_json


@pytest.mark.parametrize("name", SHAPES)
def test_the_folder_says_what_it_is_of(runs, tmp_path, name):
    run = runs(name)
    folder = export_hub(run, tmp_path / "out")
    mark = read_json(folder / "escada.json")
    assert mark["key"] == run.record.key
    assert mark["tokenizer"] == run.tokenizer.hash
    config = read_json(folder / "config.json")
    assert config["vocab_size"] == run.tokenizer.vocab_size
    assert config["bos_token_id"] == run.tokenizer.bos_id
    own_code = set(REMOTE_FILES)
    found = {path.name for path in folder.iterdir()}
    assert own_code & found == (set() if name in GPT2 else own_code)
    assert ("auto_map" in config) == (name not in GPT2)
    weights = load_file(folder / "model.safetensors")
    assert sum(w.numel() for w in weights.values()) == run.load_model().parameter_count() + (
        run.load_model().position_rows().numel() if name == "v5" else 0
    )


def test_generation_never_draws_what_is_no_text(runs, tmp_path):
    for name, never in (("v1", [0, 1]), ("v_final", [1])):
        folder = export_hub(runs(name), tmp_path / name)
        config = read_json(folder / "generation_config.json")
        assert config["suppress_tokens"] == never
        assert (config["temperature"], config["top_p"]) == (0.8, 0.95)


def test_nothing_is_overwritten_unless_asked_and_only_an_export(runs, tmp_path):
    folder = export_hub(runs("v1"), tmp_path / "out")
    with pytest.raises(EscadaError, match=r"it exists already .*--overwrite"):
        export_hub(runs("v_final"), folder)
    export_hub(runs("v_final"), folder, overwrite=True)
    assert read_json(folder / "config.json")["model_type"] == "gpt2"
    assert not (folder / "modeling_escada.py").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("precious")
    with pytest.raises(EscadaError, match="this is no export"):
        export_hub(runs("v1"), mine, overwrite=True)
    assert (mine / "thesis.tex").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


def test_a_failed_export_leaves_the_older_one(runs, tmp_path, monkeypatch):
    folder = export_hub(runs("v1"), tmp_path / "out")
    before = (folder / "model.safetensors").read_bytes()
    monkeypatch.setattr("escada.export.forms.transformers.export_card", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_hub(runs("v1"), folder, overwrite=True)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def card_of(run, folder):
    return (export_hub(run, folder, overwrite=True) / "README.md").read_text(encoding="utf-8")


def test_the_card_has_the_figure_and_how_to_load(runs, tmp_path):
    run = runs("v_final")
    assert "model-index" not in card_of(run, tmp_path / "out")
    complete(Subject(run, runs.corpus, device="cpu"), TEST)
    found = read_json(run.layout.evaluation("test"))
    card = card_of(run, tmp_path / "out")
    front = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)[1]
    assert "library_name: transformers" in front
    assert "language: pt" in front
    assert "type: bits_per_byte" in front
    assert f"value: {found['bits_per_byte']:.4f}" in front
    assert f"95 % interval {found['ci95'][0]:.4f} to {found['ci95'][1]:.4f}" in front
    assert card.count("## Using it") == 1
    assert "escada sample" not in card
    assert "trust_remote_code" not in card
    assert "trust_remote_code=True" in card_of(runs("v1"), tmp_path / "v1")
    assert "## Hashes" in card


def test_a_figure_of_other_weights_is_no_figure_of_this_export(runs, tmp_path):
    run = runs("untied")
    complete(Subject(run, runs.corpus, device="cpu"), TEST)
    assert "value:" in card_of(run, tmp_path / "out")
    for split in ("test", "validation"):
        path = run.layout.evaluation(split)
        found = read_json(path)
        path.write_text(json.dumps(found | {"weights_sha256": "0" * 64}))
    assert "value:" not in card_of(run, tmp_path / "out")


@pytest.mark.slow
@needs("transformers")
@pytest.mark.parametrize("name", ["v1", "v_final", "v_next"])
def test_the_code_on_the_card_runs(runs, tmp_path, monkeypatch, capsys, name):
    folder = export_hub(runs(name), tmp_path / "out")
    monkeypatch.chdir(folder)
    run_python_of(folder / "README.md")
    assert "ra uma vez" in capsys.readouterr().out  # the small alphabet has no capital E


@pytest.mark.slow
@needs("transformers")
@pytest.mark.parametrize("name", SHAPES)
def test_transformers_gives_our_ids_and_logits(runs, tmp_path, name):
    run = runs(name)
    exported = HubExport(export_hub(run, tmp_path / "out"))
    parity = compare(run, exported, TOLERANCE)
    assert parity.ok, parity
    assert parity.sentences > 100
    assert parity.tokens > 200
    assert parity.same_greedy == parity.greedy_prompts
    for text in AWKWARD:
        ids = run.tokenizer.encode(text).tolist()
        assert exported.encode(text) == ids
        assert exported.decode(ids) == run.tokenizer.decode(ids)
    native = type(exported.model).__module__.startswith("transformers.models.")
    assert native == (name in GPT2)


@pytest.mark.slow
@needs("transformers")
def test_a_wrong_weight_is_noticed(runs, tmp_path):
    exported = HubExport(export_hub(runs("v_final"), tmp_path / "out"))
    with torch.no_grad():
        exported.model.transformer.h[1].mlp.c_fc.bias += 1e-2
    assert not compare(runs("v_final"), exported, TOLERANCE).ok


@pytest.mark.slow
@needs("transformers")
@pytest.mark.parametrize("name", SHAPES)
def test_generate_continues_as_ours_alone_padded_and_with_beams(runs, tmp_path, name):
    run = runs(name)
    exported = HubExport(export_hub(run, tmp_path / "out"))
    prompts = ["O carteiro", "A professora guardou a carta do irmão"]
    alone = []
    for prompt in prompts:
        ids = exported.tokenizer(prompt, return_tensors="pt")
        found = exported.model.generate(**ids, do_sample=False, max_new_tokens=12)
        start = ids["input_ids"].shape[1]
        assert found[0, start:].tolist() == greedy_of_ours(run, ids["input_ids"][0].tolist(), 12)
        alone.append((ids, start))
    together = exported.tokenizer(prompts, return_tensors="pt", padding=True)
    for options in ({}, {"num_beams": 3}):
        settings = {"do_sample": False, "max_new_tokens": 12, **options}
        batch = exported.model.generate(**together, **settings)
        width = together["input_ids"].shape[1]
        for row, (ids, start) in zip(batch, alone, strict=True):
            solo = exported.model.generate(**ids, **settings)[0, start:].tolist()
            assert row[width : width + len(solo)].tolist() == solo


@pytest.mark.slow
@needs("transformers")
@pytest.mark.parametrize("name", STATEFUL)
def test_an_export_with_a_state_goes_on_from_its_state(runs, tmp_path, name):
    exported = HubExport(export_hub(runs(name), tmp_path / "out"))
    ids = torch.tensor([exported.encode("O padeiro vendeu três maçãs na praça.")])
    with torch.no_grad():
        whole = exported.model(ids).logits
        first = exported.model(ids[:, :7])
        rest = exported.model(ids[:, 7:], state=first.state).logits
    np.testing.assert_allclose(torch.cat((first.logits, rest), 1), whole, atol=1e-5)


@pytest.mark.slow
@needs("transformers")
@pytest.mark.parametrize("name", STATEFUL)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_seen_by_nobody(runs, tmp_path, name, side):
    exported = HubExport(export_hub(runs(name), tmp_path / "out"))
    texts = ["O mapa.", "A juíza perdeu a chave da porta em São Paulo."]
    exported.tokenizer.padding_side = side
    batch = exported.tokenizer(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        found = exported.model(**batch)
    for row, text in enumerate(texts):
        alone = exported.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            expected = exported.model(**alone)
        real = batch["attention_mask"][row].bool()
        np.testing.assert_allclose(found.logits[row][real], expected.logits[0], atol=1e-5)
        reorder = exported.model._reorder_cache
        for theirs, own in zip(
            reorder(found.state, torch.tensor([row])), expected.state, strict=True
        ):
            np.testing.assert_allclose(theirs, own, atol=1e-5)


@pytest.mark.slow
@needs("transformers")
@pytest.mark.parametrize("name", ["tied", "v_next"])
def test_an_export_can_be_trained_on(runs, tmp_path, name):
    exported = HubExport(export_hub(runs(name), tmp_path / "out"))
    ids = torch.tensor([exported.encode("O padeiro vendeu três maçãs na praça.")])
    optimizer = torch.optim.Adam(exported.model.parameters(), lr=1e-2)
    losses = []
    for _ in range(6):
        loss = exported.model(ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
