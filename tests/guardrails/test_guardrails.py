"""`escada guard` on a run: its own samples pass, and what did not come from it does not."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from typer.testing import CliRunner

from escada.budget import Budget
from escada.cli import app
from escada.errors import EscadaError
from escada.evaluation.baselines.byte_ngrams import bigram_model, uniform_model
from escada.evaluation.task import Subject, complete, read
from escada.evaluation.tasks.samples import SAMPLES
from escada.files import read_json, write_json
from escada.generation import batch, decoding
from escada.generation.prompts import load_prompts
from escada.generation.samplers import SamplerSettings
from escada.guardrails.task import GUARDRAILS, guard_samples
from escada.guardrails.texts import read_samples
from escada.runs.run import open_run
from escada.spec import load_spec


@pytest.fixture(scope="module")
def trained(corpus_path, tmp_path_factory):
    """A small run with its samples, judged."""
    from escada.text.corpus import Corpus
    from escada.training.run import start

    # The rate is high, so that a hundred steps teach it to write.
    overrides = ["model.d_hidden=64", "model.d_embedding=16", "train.batch_sequences=16"]
    overrides += ["train.learning_rate=1.6e-2"]
    spec = load_spec("v1", preset="laptop", overrides=[*overrides, "train.window_tokens=64"])
    corpus = Corpus.open(corpus_path)
    out = tmp_path_factory.mktemp("runs")
    run = start(spec.with_budget(Budget.parse("100 steps")), corpus, out, device="cpu")
    assert complete(Subject(run, corpus, device="cpu"), GUARDRAILS)
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


def written(model, tokenizer, settings=None, max_tokens=120):
    """A file of samples of a model, as `escada sample --json` prints it."""
    settings = settings or SamplerSettings()
    samples = decoding.generate(
        model,
        tokenizer,
        [prompt.text for prompt in load_prompts()],
        settings,
        max_tokens=max_tokens,
        profile="reference",
    )
    rows = [asdict(sample) | {"tokens": len(sample.ids)} for sample in samples]
    facts = {"settings": asdict(settings), "max_tokens": max_tokens, "seed": 42}
    return {"schema_version": 1, **facts, "samples": rows}


def verdicts(found):
    records = {**found["guardrails"], "origin": found["origin"]}
    return {name: record["verdict"] for name, record in records.items()}


def causes(found):
    return {cause["cause"] for cause in found["causes"]}


def test_a_runs_own_samples_come_from_it_and_every_valid_guardrail_holds_its_controls(trained):
    found = read(trained, GUARDRAILS).to_json()
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


def test_the_origins_sampler_makes_guard_fail_and_name_the_cause(run, corpus, monkeypatch):
    run.layout.samples.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(batch, "sample_with_doubt", the_origins_sampler)
        assert complete(Subject(run, corpus, device="cpu"), SAMPLES)
    result = invoke("guard", run.path, "--device", "cpu")
    assert result.exit_code == 1
    assert "the samples look uniformly drawn, not drawn from this model" in result.stdout
    found = read(run, GUARDRAILS).to_json()
    assert found["verdict"] == "fail"
    assert causes(found) == {"uniform"}
    for guardrail in ("self_likelihood", "origin", "lexicon_share"):
        assert verdicts(found)[guardrail] == "fail"


def test_a_sampler_that_is_still_broken_and_lies_is_caught_all_the_same(run, corpus, monkeypatch):
    run.layout.samples.unlink()
    monkeypatch.setattr(batch, "sample_with_doubt", the_origins_sampler)
    complete(Subject(run, corpus, device="cpu"), SAMPLES)
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
    path = tmp_path / "samples.json"
    write_json(path, written(other, run.tokenizer))
    before = run.layout.evaluation("guardrails").read_bytes()
    result = invoke("guard", run.path, "--samples", path, "--device", "cpu")
    assert result.exit_code == 1
    assert "not drawn from this model with these sampler settings" in result.stdout
    assert run.layout.evaluation("guardrails").read_bytes() == before


def test_a_judgement_is_kept_until_the_samples_change(run, corpus):
    assert not complete(Subject(run, corpus, device="cpu"), GUARDRAILS)
    before = read_json(GUARDRAILS.path(run))
    table = read_json(run.layout.samples)
    training = max((d.text for d in corpus.documents("train")), key=len)
    table["samples"][3]["text"] = training[: training.index(" ", 300)]
    write_json(run.layout.samples, table)
    assert complete(Subject(run, corpus, device="cpu"), GUARDRAILS)
    found = read_json(GUARDRAILS.path(run))
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
    assert f"20 of 20 samples: {read(trained, GUARDRAILS).to_json()['verdict']}" in shown


def test_another_corpus_and_a_file_that_is_none_are_the_users_mistakes(trained, corpus, tmp_path):
    from escada.text.preparation.prepare import prepare

    source = tmp_path / "other.jsonl"
    rows = [{"text": f"Este é o texto de número {i}, e há outros {i * i}."} for i in range(40)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = prepare(str(source), tmp_path / "other")
    with pytest.raises(EscadaError, match="not the corpus that the run was trained on"):
        complete(Subject(trained, other), GUARDRAILS)
    with pytest.raises(EscadaError, match="not a file of samples"):
        guard_samples(Subject(trained, corpus), read_samples(trained.layout.record))


# A young run: after 60 steps a model is flat and writes hardly a word, by no fault of its sampler.

ACCUSATIONS = {"uniform", "another_writer"}
YOUNG_TOKENS = 60


@pytest.fixture(scope="module", params=["v1", "v4"])
def young(request, corpus_path, tmp_path_factory):
    """A small run of 60 steps."""
    from escada.text.corpus import Corpus
    from escada.training.run import start

    overrides = ["model.d_hidden=64", "model.d_embedding=32", "train.window_tokens=64"]
    if request.param == "v4":
        overrides.append("tokenizer.vocab_size=400")
    spec = load_spec(request.param, preset="laptop", overrides=overrides)
    out = tmp_path_factory.mktemp("young")
    return start(
        spec.with_budget(Budget.parse("60 steps")), Corpus.open(corpus_path), out, device="cpu"
    )


@pytest.fixture
def guarded(young, corpus, tmp_path):
    """Judges a file of samples under the young run."""

    def guard(table):
        write_json(tmp_path / "samples.json", table)
        return guard_samples(
            Subject(young, corpus, device="cpu"), read_samples(tmp_path / "samples.json")
        ).to_json()

    return guard


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.8, 1.0])
def test_the_samples_of_a_run_of_60_steps_are_not_called_another_s(young, guarded, temperature):
    settings = SamplerSettings(temperature=temperature, top_p=0.95 if temperature < 1 else None)
    found = guarded(written(young.load_model("best"), young.tokenizer, settings, YOUNG_TOKENS))
    assert not causes(found) & ACCUSATIONS, (found["evidence"], found["causes"])
    assert "undertrained" in causes(found) or found["verdict"] == "pass"


def index_against_value(young, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(batch, "sample_with_doubt", the_origins_sampler)
        return written(young.load_model("best"), young.tokenizer, max_tokens=YOUNG_TOKENS)


def uniform_noise(young, _):
    return written(uniform_model(young.tokenizer), young.tokenizer, max_tokens=YOUNG_TOKENS)


def a_bigram_model(young, _):
    """Nearer to a young v4 than the others are: one needs more of its text."""
    from escada.text.corpus import Corpus

    texts = [document.text for document in Corpus.open(young.data_path).documents("train")]
    other = bigram_model(young.tokenizer, texts)
    return written(other, young.tokenizer, max_tokens=3 * YOUNG_TOKENS)


@pytest.mark.slow
@pytest.mark.parametrize("impostor", [index_against_value, uniform_noise, a_bigram_model])
def test_impostors_of_a_run_of_60_steps_are_accused(young, guarded, monkeypatch, impostor):
    found = guarded(impostor(young, monkeypatch))
    assert causes(found) & ACCUSATIONS, (found["evidence"], found["causes"])
