"""`escada guard` on a run: its own samples pass, and what did not come from it does not."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from typer.testing import CliRunner

from escada.cli import app
from escada.errors import EscadaError
from escada.evaluation import review
from escada.evaluation.baselines import bigram_model
from escada.evaluation.guardrails.guard import guard_run, guard_samples, read_guardrails
from escada.files import read_json, write_json
from escada.generation import batch, decoding
from escada.generation.prompts import load_prompts
from escada.generation.samplers import SamplerSettings
from escada.runs.run import open_run
from escada.spec import Budget, load_spec


@pytest.fixture(scope="module")
def trained(corpus_path, tmp_path_factory):
    """A small run with its samples, judged."""
    from escada.text.corpus import Corpus
    from escada.training.start import start

    # The rate is high, so that a hundred steps teach it to write.
    overrides = ["model.d_hidden=64", "model.d_embedding=16", "train.batch_sequences=16"]
    overrides += ["train.learning_rate=1.6e-2"]
    spec = load_spec("v1", preset="laptop", overrides=[*overrides, "train.window_tokens=64"])
    corpus = Corpus.open(corpus_path)
    out = tmp_path_factory.mktemp("runs")
    run = start(spec.with_budget(Budget.parse("100 steps")), corpus, out, device="cpu")
    assert guard_run(run, corpus, device="cpu")
    return run


@pytest.fixture
def run(trained, tmp_path):
    """A copy, to be spoilt."""
    return open_run(shutil.copytree(trained.path, tmp_path / trained.name))


def the_origins_sampler(logits_BV, uniforms_B, settings, **_):
    """Its bug: the index of the k-th best token, not its logit, is what logits are compared with.

    Every token is masked, the probabilities are not numbers, and uniform ones take their place.
    """
    del settings
    k_best_BK = np.argsort(logits_BV, axis=1)[:, -5:]
    masked_BV = np.where(logits_BV < k_best_BK[:, :1], -np.inf, logits_BV)
    with np.errstate(invalid="ignore"):
        weights_BV = np.exp(masked_BV - masked_BV.max(axis=1, keepdims=True))
    broken_B = np.isnan(weights_BV).any(axis=1)
    weights_BV[broken_B] = 1.0
    cumulative_BV = np.cumsum(weights_BV / weights_BV.sum(axis=1, keepdims=True), axis=1)
    chosen_B = (cumulative_BV > uniforms_B[:, None]).argmax(axis=1)
    return chosen_B, np.zeros(len(chosen_B), dtype=np.bool_)  # never in doubt


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def verdicts(found):
    records = {**found["guardrails"], "origin": found["origin"]}
    return {name: record["verdict"] for name, record in records.items()}


def causes(found):
    return {cause["cause"] for cause in found["causes"]}


def test_a_runs_own_samples_come_from_it_and_every_valid_guardrail_holds_its_controls(trained):
    found = read_guardrails(trained)
    assert verdicts(found)["origin"] == verdicts(found)["self_likelihood"] == "pass"
    assert found["stored_bits_per_token"] == pytest.approx(
        found["guardrails"]["self_likelihood"]["value"], rel=1e-3
    )
    perplexity = read_json(trained.layout.evaluation("test"))["perplexity"]
    assert 2 ** found["held_out_bits_per_token"] == pytest.approx(perplexity)
    assert 2 ** found["log2_vocabulary"] == pytest.approx(trained.tokenizer.vocab_size)
    for record in found["guardrails"].values():
        if record["verdict"] in ("pass", "fail"):
            controls = {name: of[record["name"]] for name, of in found["controls"].items()}
            assert controls["human"]["verdict"] == "pass"
            assert {controls[name]["verdict"] for name in record["must_fail"]} == {"fail"}


def test_the_origins_sampler_makes_guard_fail_and_name_the_cause(run, monkeypatch):
    run.layout.samples.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(batch, "sample_with_doubt", the_origins_sampler)
        assert review.sample_run(run, device="cpu")
    result = invoke("guard", run.path, "--device", "cpu")
    assert result.exit_code == 1
    assert "the samples look uniformly drawn, not drawn from this model" in result.stdout
    found = read_guardrails(run)
    assert found["verdict"] == "fail"
    assert causes(found) == {"uniform"}
    for guardrail in ("self_likelihood", "origin", "lexicon_share"):
        assert verdicts(found)[guardrail] == "fail"


def test_a_sampler_that_is_still_broken_and_lies_is_caught_all_the_same(run, monkeypatch):
    run.layout.samples.unlink()
    monkeypatch.setattr(batch, "sample_with_doubt", the_origins_sampler)
    review.sample_run(run, device="cpu")
    table = read_json(run.layout.samples)
    for row in table["samples"]:
        row["bits_per_token"] = 1.0
    write_json(run.layout.samples, table)
    result = invoke("guard", run.path, "--device", "cpu", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["stored_bits_per_token"] == 1.0
    assert verdicts(found)["self_likelihood"] == "fail"
    assert verdicts(found)["origin"] == "invalid"  # what it draws now is noise as well
    assert causes(found) == {"uniform"}


def test_samples_of_another_model_are_named_as_such_and_nothing_is_stored(run, corpus, tmp_path):
    other = bigram_model(run.tokenizer, [document.text for document in corpus.documents("train")])
    settings = SamplerSettings()
    samples = decoding.generate(
        other,
        run.tokenizer,
        [prompt.text for prompt in load_prompts()],
        settings,
        max_tokens=120,
        profile="reference",
    )
    path = tmp_path / "samples.json"
    rows = [asdict(sample) for sample in samples]
    facts = {"settings": asdict(settings), "max_tokens": 120, "seed": 42}
    write_json(path, {"schema_version": 1, **facts, "samples": rows})
    before = run.layout.evaluation("guardrails").read_bytes()
    result = invoke("guard", run.path, "--samples", path, "--device", "cpu")
    assert result.exit_code == 1
    assert "not drawn from this model with these sampler settings" in result.stdout
    assert run.layout.evaluation("guardrails").read_bytes() == before


def test_a_judgement_is_kept_until_the_samples_change(run, corpus):
    assert not guard_run(run, corpus, device="cpu")
    before = read_guardrails(run)
    table = read_json(run.layout.samples)
    training = max((d.text for d in corpus.documents("train")), key=len)
    table["samples"][3]["text"] = training[: training.index(" ", 300)]
    write_json(run.layout.samples, table)
    assert guard_run(run, corpus, device="cpu")
    found = read_guardrails(run)
    assert found["key"] != before["key"]
    assert found["samples"]["sha256"] != before["samples"]["sha256"]
    copied = found["guardrails"]["copied_training_text"]
    assert copied["details"]["sample"] == 3
    assert copied["value"] > 40
    assert copied["verdict"] == "fail"
    assert "copy" in causes(found)


def test_guard_shows_what_it_found_and_what_it_cannot_say(trained):
    shown = invoke("guard", trained.path, "--device", "cpu").stdout
    assert "self_likelihood" in shown
    assert "byte_fallback_ratio, not applicable: tokens of kind 'characters'" in shown
    assert f"20 of 20 samples: {read_guardrails(trained)['verdict']}" in shown


def test_another_corpus_and_a_file_that_is_none_are_the_users_mistakes(trained, corpus, tmp_path):
    from escada.text.corpus import prepare

    source = tmp_path / "other.jsonl"
    rows = [{"text": f"Este é o texto de número {i}, e há outros {i * i}."} for i in range(40)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = prepare(str(source), tmp_path / "other")
    with pytest.raises(EscadaError, match="not the corpus that the run was trained on"):
        guard_run(trained, other)
    with pytest.raises(EscadaError, match="not a file of samples"):
        guard_samples(trained, corpus, trained.layout.record)
