"""lm-eval itself against a real server: its figures are those of `escada evaluate --lm-eval`."""

import json

import pytest
from tests.serve.conftest import running

pytest.importorskip("lm_eval")
pytest.importorskip("aiohttp")
pytest.importorskip("tenacity")

from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager

from escada.evaluation.tasks.lm_eval import evaluate_tasks
from escada.serve.limits import Limits
from escada.serve.models import open_models

pytestmark = pytest.mark.slow
HEAD = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
"""
CHOICES = """\
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: "{{choices}}"
doc_to_target: label
metric_list:
  - metric: acc
  - metric: acc_norm
"""
LAST_WORD = """\
output_type: loglikelihood
doc_to_text: "{{q}}"
doc_to_target: " {{choices[label]}}"
metric_list:
  - metric: perplexity
  - metric: acc
"""
ROLLING = """\
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{q}} {{choices[label]}}"
metric_list:
  - metric: bits_per_byte
"""
SUBJECTS = ("A menina", "O vizinho", "A professora", "O rio", "A costureira", "O carteiro")
ENDS = (
    (("encontrou o livro azul.", "encontraram o livro azul.", "encontrou os livro azul."), 0),
    (("perderam a chave 😀", "perdeu a chave 😀"), 1),
    (("não sabia nadar,\nmas aprendeu", "não sabiam nadar,\nmas aprendeu"), 0),
)
ROWS = [
    {"q": subject, "choices": list(choices), "label": label}
    for subject in SUBJECTS
    for choices, label in ENDS
]


@pytest.fixture(scope="module", params=["v1", "v5"])
def run(request, corpus_path, tmp_path_factory):
    """A character LSTM, and a Transformer whose context is shorter than the texts."""
    from escada.budget import Budget
    from escada.spec import load_spec
    from escada.text.corpus import Corpus
    from escada.training.run import start

    sizes = {
        "v1": ["model.d_hidden=24", "model.d_embedding=12"],
        "v5": ["tokenizer.vocab_size=400", "model.d_model=48", "model.n_heads=3", "model.d_ff=96"],
    }[request.param]
    small = [*sizes, "train.batch_sequences=8", "train.window_tokens=12"]
    spec = load_spec(request.param, preset="laptop", overrides=small)
    spec = spec.with_budget(Budget.parse("20 steps"))
    out = tmp_path_factory.mktemp("runs")
    return start(spec, Corpus.open(corpus_path), out, device="cpu")


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.mark.parametrize("batch", [1, 8])
def test_local_completions_gives_the_figures_of_evaluate_lm_eval(run, tmp_path, batch):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    paths = []
    for name, body in (("escolha", CHOICES), ("palavra", LAST_WORD), ("texto", ROLLING)):
        paths.append(str(tmp_path / f"{name}.yaml"))
        (tmp_path / f"{name}.yaml").write_text(HEAD.format(name=name, data=data) + body)
    direct = evaluate_tasks(run, paths, device="cpu")["tasks"]
    models = open_models([run.path], device="cpu")
    with running(models, Limits()) as service:
        base = f"{service.url}/v1/completions"
        found = simple_evaluate(
            model="local-completions",
            model_args=f"model={run.spec.name},base_url={base},batch_size={batch}",
            tasks=paths,
            task_manager=TaskManager(include_defaults=False),
            bootstrap_iters=0,
        )["results"]
    for task, metric in (("escolha", "acc,none"), ("escolha", "acc_norm,none"),
                         ("palavra", "acc,none")):  # fmt: skip
        assert found[task][metric] == direct[task][metric]
    for task, metric in (("palavra", "perplexity,none"), ("texto", "bits_per_byte,none")):
        assert found[task][metric] == pytest.approx(direct[task][metric], rel=1e-6)
    print({task: (found[task], direct[task]) for task in direct})
