"""A model behind lm-eval, on tasks of our own, without a network."""

import json
from dataclasses import dataclass, replace

import pytest

pytest.importorskip("lm_eval")

from escada.budget import Budget
from escada.errors import EscadaError
from escada.evaluation.continuations import score_continuations
from escada.evaluation.ruler import score_documents
from escada.evaluation.tasks.lm_eval import HarnessModel, evaluate_tasks, sampler_settings
from escada.files import read_json
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.text.documents import Document

CHOICES = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
"""
MULTIPLE_CHOICE = """\
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: "{{choices}}"
doc_to_target: label
metric_list:
  - metric: acc
"""
WRITING = """\
output_type: generate_until
doc_to_text: "{{q}}"
doc_to_target: "{{choices[0]}}"
generation_kwargs:
  until: [" "]
  max_gen_toks: 12
metric_list:
  - metric: exact_match
"""
ROLLING = """\
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{q}} {{choices[0]}}"
metric_list:
  - metric: bits_per_byte
"""
ROWS = [
    {"q": "A menina encontrou", "choices": ["o livro azul", "os livro azul"], "label": 0},
    {"q": "O vizinho", "choices": ["perderam a chave", "perdeu a chave"], "label": 1},
    {"q": "A professora vendeu", "choices": ["três maçãs", "três maçã"], "label": 0},
]


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@dataclass
class Request:
    args: tuple


@pytest.fixture(params=["lstm", "learned"])
def model_and_tokenizer(request, tiny, tokenizers):
    tokenizer = tokenizers["bpe"]
    return tiny(request.param, tokenizer.vocab_size).eval(), tokenizer


def test_a_continuation_is_charged_after_its_context_wherever_the_blank_stands(
    model_and_tokenizer,
):
    model, tokenizer = model_and_tokenizer
    harness = HarnessModel(model, tokenizer, "reference")
    (expected,) = score_continuations(model, tokenizer, ["O vento levou"], [" o chapéu"])
    for context, continuation in [
        ("O vento levou", " o chapéu"),
        ("O vento levou ", "o chapéu"),
        ("O  vento levou", " o chapéu\n"),
    ]:
        ((logprob, greedy),) = harness.loglikelihood([Request((context, continuation))])
        assert logprob == pytest.approx(-expected.nats, rel=1e-6)
        assert greedy == expected.greedy


def test_a_whole_text_costs_what_the_ruler_charges_less_its_end(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    text = "A menina correu, mas o chapéu já descia a corrente. " * 3
    (logprob,) = HarnessModel(model, tokenizer, "reference").loglikelihood_rolling(
        [Request((text,))]
    )
    text = text.strip()
    ruler = score_documents(model, tokenizer, [Document("d", "s", "g", text)]).nats[0]
    with_end, without = (
        score_continuations(model, tokenizer, [""], [text], with_eos=eos)[0].nats
        for eos in (True, False)
    )
    assert -logprob == pytest.approx(ruler - (with_end - without), rel=1e-6)


def test_nothing_to_continue_costs_nothing(model_and_tokenizer):
    harness = HarnessModel(*model_and_tokenizer, "reference")
    assert harness.loglikelihood([Request(("O vento", ""))]) == [(0.0, True)]


def test_writing_stops_at_the_first_stop_string(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    written = generate(
        model,
        tokenizer,
        ["O vento"],
        SamplerSettings(greedy=True),
        max_tokens=20,
        profile="reference",
    )[0].text
    stop = written[3:5]
    harness = HarnessModel(model, tokenizer, "reference")
    asked = {"until": ["never there", stop], "max_gen_toks": 20}
    (text,) = harness.generate_until([Request(("O vento", asked))])
    assert text == written[: written.index(stop)]
    (text,) = harness.generate_until([Request(("O vento", {"max_gen_toks": 20}))])
    assert text == written


def test_a_task_samples_only_when_it_asks_for_it():
    assert sampler_settings({"temperature": 0.7}).greedy
    assert sampler_settings({"do_sample": True}).greedy
    asked = {"do_sample": True, "temperature": 0.7, "top_k": 5, "top_p": 0.9}
    assert sampler_settings(asked) == SamplerSettings(temperature=0.7, top_k=5, top_p=0.9)


@pytest.fixture(scope="module")
def run(corpus_path, tmp_path_factory):
    from escada.training.run import start

    overrides = ["model.d_hidden=24", "model.d_embedding=12", "train.batch_sequences=4"]
    spec = load_spec("v1", preset="laptop", overrides=[*overrides, "train.window_tokens=32"])
    out = tmp_path_factory.mktemp("runs")
    spec = spec.with_budget(Budget.parse("20 steps"))
    return start(spec, Corpus.open(corpus_path), out, device="cpu")


def write_task(folder, name, body):
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    path = folder / f"{name}.yaml"
    path.write_text(CHOICES.format(name=name, data=data) + body)
    return str(path)


def test_local_tasks_of_all_three_kinds_are_evaluated_and_kept(run, tmp_path):
    paths = [
        write_task(tmp_path, "concordancia", MULTIPLE_CHOICE),
        write_task(tmp_path, "escreve", WRITING),
        write_task(tmp_path, "texto", ROLLING),
    ]
    found = evaluate_tasks(run, paths, device="cpu")
    assert set(found["tasks"]) == {"concordancia", "escreve", "texto"}
    harness = HarnessModel(run.load_model(), run.tokenizer, "reference")
    right = 0
    for row in ROWS:
        asked = [Request((row["q"], f" {choice}")) for choice in row["choices"]]
        logprobs = [logprob for logprob, _ in harness.loglikelihood(asked)]
        right += logprobs.index(max(logprobs)) == row["label"]
    assert found["tasks"]["concordancia"]["acc,none"] == pytest.approx(right / 3)
    bits = found["tasks"]["texto"]["bits_per_byte,none"]
    texts = [f"{row['q']} {row['choices'][0]}" for row in ROWS]
    nats = -sum(harness.loglikelihood_rolling([Request((text,)) for text in texts]))
    n_bytes = sum(len(text.encode()) for text in texts)
    assert bits == pytest.approx(nats / n_bytes / 0.6931471805599453, rel=1e-6)
    kept = read_json(run.layout.evaluation("lm-eval-concordancia"))
    assert kept["metrics"] == found["tasks"]["concordancia"]
    assert kept["key"]


def test_a_task_file_that_is_not_there_is_one_clear_error(run, tmp_path):
    with pytest.raises(EscadaError, match=r"file not found.*no\.yaml"):
        evaluate_tasks(run, [str(tmp_path / "no.yaml")])


@pytest.mark.slow
def test_a_task_that_nobody_knows_is_one_clear_error(run):
    with pytest.raises(EscadaError, match="no task 'lambada_pt_no_one_made'"):
        evaluate_tasks(run, ["lambada_pt_no_one_made"])


def test_dropping_context_follows_the_half_window(tiny, tokenizers):
    tokenizer = tokenizers["characters"]
    model = tiny("sinusoidal", tokenizer.vocab_size).eval()
    request = Request(("O vento levou o chapéu até o rio", " e voltou"))
    ((whole, _),) = HarnessModel(model, tokenizer, "reference").loglikelihood([request])
    ((half, _),) = HarnessModel(model, tokenizer, "reference", 8).loglikelihood([request])
    assert half != pytest.approx(whole, rel=1e-3)
    later = replace(request, args=(request.args[0][-20:], request.args[1]))
    assert HarnessModel(model, tokenizer, "reference").loglikelihood([later])[0][0] != half
