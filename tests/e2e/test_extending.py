"""docs/extending.md, done as it says: one of each thing, from outside the package, a file each."""

import json
import re
import sys
import zipfile
from pathlib import Path

import pytest
from tests.training.conftest import last_hashes, train_until

from escada.budget import Budget
from escada.code_hash import bare_code
from escada.errors import EscadaError
from escada.export.tokenizer import tokenizer_json
from escada.files import read_json
from escada.runs.run import open_run, run_key
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.text.preparation.prepare import prepare
from escada.text.sources import open_source
from escada.text.tokenizers import load_tokenizer
from escada.training.run import resume, start

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
MODULES = (
    *("my_model", "my_optimizer", "my_schedule", "my_tokenizer"),
    *("my_source", "my_filter", "my_task", "my_guardrail", "my_form", "my_section"),
)


def files_of_page() -> dict[str, str]:
    """The page's blocks of code: those of Python by the file that its text names, and the spec."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"`(my_\w+\.py)`.*?```python\n(.*?)```", text, re.DOTALL)
    (spec,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    return {**dict(found), "mine.toml": spec}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page's files, in a folder on the path."""
    folder = tmp_path_factory.mktemp("mine")
    for name, source in files_of_page().items():
        (folder / name).write_text(source, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def verb(monkeypatch, capsys):
    """A verb of the command line, and what it prints."""
    from escada.cli import main

    def call(*arguments: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["escada", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        assert (end.value.code or 0) in (code, 0), shown.err
        return shown.err if end.value.code == 2 else shown.out

    return call


@pytest.fixture(scope="module")
def climbed(folder, corpus_path, tmp_path_factory):
    """A climb of a rung whose model, tokenizer, optimizer and schedule are the page's."""
    from typer.testing import CliRunner

    from escada.cli import app

    out = tmp_path_factory.mktemp("climb") / "climb"
    small = ["--set", "train.batch_sequences=4", "--set", "train.window_tokens=32"]
    added = ["--task", "my_task", "--guardrail", "my_guardrail"]
    arguments = ["climb", str(folder / "mine.toml"), "--preset", "full", "--budget", "4 steps"]
    arguments += [*small, *added, "--data", str(corpus_path), "--out", str(out), "--device", "cpu"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def run(climbed):
    (row,) = read_json(climbed / "ladder.json")["rungs"]
    return open_run(climbed / row["run"])


def test_the_page_has_a_file_of_each():
    assert {*files_of_page()} == {*(f"{name}.py" for name in MODULES), "mine.toml"}


def test_a_rung_is_trained_with_a_model_a_tokenizer_an_optimizer_and_a_schedule(run, folder):
    assert run.spec.about.follows == "v1"
    assert type(run.load_model()).__module__ == "my_model"
    assert run.record.tokenizer.kind == "my_tokenizer"
    rows = [json.loads(line) for line in run.layout.metrics.read_text().splitlines()]
    rates = [row["learning_rate"] for row in rows if "learning_rate" in row]
    assert rates[-1] == pytest.approx(0.5 * (1 - 3 / 4))
    assert run.record.module_folders == [str(folder)]


def test_a_rung_with_a_model_from_elsewhere_is_planned_and_writes(run, folder, corpus_path, verb):
    budget = ("--budget", "9 steps")
    planned = json.loads(
        verb("plan", folder / "mine.toml", *budget, "--data", corpus_path, "--json")
    )
    assert planned["vocab_size"] == 18
    assert planned["parameters"] == run.load_model().parameter_count()
    asked = ("--prompt", "Era", "--max-tokens", 6, "--json")
    (sample,) = json.loads(verb("sample", run.path, *asked))["samples"]
    assert sample["prompt"] == "Era"
    assert 1 <= sample["tokens"] <= 6


def test_an_optimizer_from_elsewhere_is_resumed_bit_identically(
    folder, corpus_path, tmp_path, monkeypatch
):
    overrides = ["train.window_tokens=16", "train.batch_sequences=2", "train.validation_bytes=500"]
    spec = load_spec(str(folder / "mine.toml"), overrides=overrides)
    spec = spec.with_budget(Budget.parse("6 steps"))
    whole = start(spec, Corpus.open(corpus_path), tmp_path / "whole", device="cpu")
    stopped = train_until(corpus_path, tmp_path / "stopped", monkeypatch, 4, spec)
    assert last_hashes(stopped) != last_hashes(whole)
    assert last_hashes(resume(stopped.path)) == last_hashes(whole)


def test_a_tokenizer_from_elsewhere_is_measured_by_the_ruler(run, climbed):
    (row,) = read_json(climbed / "ladder.json")["rungs"]
    found = read_json(run.layout.evaluation("test"))
    assert found["tokenizer"]["kind"] == "my_tokenizer"
    assert found["tokens"] == 2 * found["bytes"] + found["documents"]  # half bytes, and EOS
    assert row["bits_per_byte"] == found["bits_per_byte"] > 0


def test_a_tokenizer_made_of_one_of_ours_is_not_exported_as_that_one(run):
    with pytest.raises(EscadaError, match="no form of a tokenizer of kind 'my_tokenizer'"):
        tokenizer_json(run.tokenizer)


def test_a_tokenizer_is_saved_with_its_run_and_loses_nothing(run):
    tokenizer = load_tokenizer(run.layout.tokenizer)
    text = "São João, 1º — ☃"
    assert tokenizer.vocab_size == 18
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("name", MODULES[:4])
def test_what_decides_the_weights_is_part_of_the_runs_key(run, folder, name):
    def key() -> str:
        bare_code.cache_clear()
        return run_key(load_spec(str(folder / "mine.toml")), seed=0, corpus_hash="c")

    file = folder / f"{name}.py"
    source, before = file.read_text(encoding="utf-8"), key()
    try:
        file.write_text(source.replace('"""\n', ' Said better."""\n', 1), encoding="utf-8")
        assert key() == before
        file.write_text(source + "\nANOTHER = 1\n", encoding="utf-8")
        assert key() != before
    finally:
        file.write_text(source, encoding="utf-8")


def test_a_tasks_figure_stands_in_the_ladder_the_card_the_report_and_evaluate(run, climbed, verb):
    (row,) = read_json(climbed / "ladder.json")["rungs"]
    (figure,) = row["tasks"]["vowels"]
    assert 0 <= figure["value"] <= 1
    shown = f"{figure['value']:.4f}"
    assert f"| vowels | vowels | {shown} share" in (run.path / "README.md").read_text("utf-8")
    assert f"vowels {shown} share" in verb("evaluate", run.path, "--task", "my_task")
    page = (climbed / "report" / "index.html").read_text(encoding="utf-8")
    assert "vowels" in page.split('<section id="en-other_tasks"')[1].split("</section>")[0]


def test_a_section_stands_in_whatever_sections_are_written_as(climbed, tmp_path, verb):
    verb("report", climbed, "--section", "my_section")
    page = (climbed / "report" / "index.html").read_text(encoding="utf-8")
    assert '<section id="en-reading"' in page
    assert '<section id="pt-reading"' in page
    files = {"--csv": tmp_path, "--latex": tmp_path / "tex", "--markdown": tmp_path / "tables.md"}
    arguments = [part for pair in files.items() for part in pair]
    verb("report", climbed, "--section", "my_section", *arguments)
    assert (tmp_path / "reading.csv").read_text("utf-8").startswith("rung,training_bytes")
    assert "How much they read" in (tmp_path / "tables.md").read_text("utf-8")
    tables = "".join(file.read_text("utf-8") for file in (tmp_path / "tex").rglob("*.tex"))
    assert "How much they read" in tables


def test_a_guardrail_gets_its_limit_from_controls_and_stands_with_the_others(run, climbed, verb):
    found = read_json(run.layout.evaluation("guardrails"))
    mine = found["guardrails"]["longest_word"]
    assert mine["verdict"] in ("pass", "fail", "invalid")
    assert found["controls"]["human"]["longest_word"]["value"] > 1
    page = (climbed / "report" / "index.html").read_text(encoding="utf-8")
    assert "longest_word" in page
    said = verb("guard", run.path, "--guardrail", "my_guardrail", code=1)
    assert "longest_word" in said


def test_an_export_form_writes_the_weights(run, tmp_path, verb):
    out = tmp_path / "weights.npz"
    verb("export", run.path, out, "--to", "my_form")
    assert "embedding.weight.npy" in zipfile.ZipFile(out).namelist()


def test_a_form_that_does_not_say_how_it_is_read_is_not_checked(run, tmp_path, verb):
    said = verb("export", run.path, tmp_path / "out", "--to", "my_form", "--check", code=2)
    assert said.count("\n") == 1
    assert "the form 'my_form' cannot be checked: its file offers no load" in said
    assert not list(tmp_path.iterdir())


READ_FORM = """
import torch

TOLERANCE = 1e-6


def export(run, out, which, overwrite):
    torch.save(run.load_model(which).state_dict(), out)


class Reader:
    def __init__(self, run, path):
        self.tokenizer, self.model = run.tokenizer, run.new_model().eval()
        self.model.load_state_dict(torch.load(path))

    def encode(self, text):
        return self.tokenizer.encode(text).tolist()

    def decode(self, ids):
        return self.tokenizer.decode(ids)

    @torch.no_grad()
    def logits(self, ids):
        return self.model(torch.tensor([ids]))[0].numpy()


load = Reader
"""


def test_a_form_that_says_how_it_is_read_is_checked(run, folder, tmp_path, verb):
    (folder / "my_read_form.py").write_text(READ_FORM, encoding="utf-8")
    to = ("--to", "my_read_form", "--check", "--json")
    check = json.loads(verb("export", run.path, tmp_path / "out.pt", *to))["check"]
    assert check["ok"]
    assert check["tolerance"] == 1e-6
    assert check["same_ids"] == check["same_texts"] == check["sentences"] > 100


def test_a_model_that_states_no_export_is_not_exported_as_the_one_that_it_is_made_of(run, tmp_path):
    from escada.export.forms import export_run

    with pytest.raises(EscadaError, match="a my_model model has no such form"):
        export_run(run, tmp_path / "out", to="transformers")


def test_a_data_source_is_prepared_and_known_by_its_code(folder, tmp_path):
    corpus = prepare("my_source", tmp_path / "corpus", documents=1500)
    assert Corpus.open(corpus.path).manifest.licences["numbers"].name == "CC0 1.0"
    assert next(iter(corpus.documents("train"))).text.endswith(".")

    def identity():
        bare_code.cache_clear()
        return open_source("my_source").identity

    file = folder / "my_source.py"
    source, before = file.read_text(encoding="utf-8"), identity()
    assert before == corpus.manifest.source_identity
    try:
        file.write_text(source.replace('"""\n', ' Said better."""\n', 1), encoding="utf-8")
        assert identity() == before
        file.write_text(source + "\nANOTHER = 1\n", encoding="utf-8")
        assert identity() != before
    finally:
        file.write_text(source, encoding="utf-8")


def test_a_filter_removes_documents_and_is_known_by_its_settings_and_code(folder, tmp_path):
    rows = [{"text": f"Texto de número {n}, " + "abcdefg"[n % 7] * (n + 9)} for n in range(60)]
    rows += [{"text": f"ATENÇÃO, NÚMERO {n}: COMPRE JÁ"} for n in range(5)]
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def prepared(name: str) -> Corpus:
        bare_code.cache_clear()
        return prepare(str(source), tmp_path / "corpus", filters=[name])

    first = prepared("my_filter").manifest
    removed = first.filters.removed["my_filter"]
    assert removed.documents == 5
    assert removed.examples[0].reason == "100% capitals"
    assert prepared("my_filter").manifest == first
    assert prepared("my_filter=0.6").manifest.key != first.key
    file = folder / "my_filter.py"
    code = file.read_text(encoding="utf-8")
    try:
        file.write_text(code + "\nANOTHER = 1\n", encoding="utf-8")
        assert prepared("my_filter").manifest.key != first.key
    finally:
        file.write_text(code, encoding="utf-8")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.optimizer=adamx", "unknown optimizer 'adamx'.*'adam"),
        ("train.schedule=cosin", "unknown schedule 'cosin'.*'cosine'"),
        ("tokenizer.kind=caracters", "unknown tokenizer 'caracters'.*'characters'"),
        ("train.optimizer=json", "module json offers no build"),
        ("train.optimizer=no.where", "no module 'no.where' for the optimizer"),
    ],
)
def test_a_name_that_is_not_found_is_said_with_the_nearest(override, said):
    with pytest.raises(EscadaError, match=said):
        load_spec("v1", overrides=[override])
