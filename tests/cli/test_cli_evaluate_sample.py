"""`escada evaluate` and `escada sample` on a run of a few steps."""

import json

import pytest
import typer
from typer.testing import CliRunner

from escada.cli.measure.evaluate import evaluate
from escada.cli.sample import sample
from escada.errors import EscadaError
from escada.files import read_json

app = typer.Typer()
app.command()(evaluate)
app.command()(sample)


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


PROMISED = (
    "bits_per_byte ci95 perplexity accuracy documents bytes tokens tokenizer tokens_per_second"
).split()


def test_evaluate_prints_what_was_promised_and_keeps_it(run, corpus):
    found = json.loads(invoke("evaluate", run.path, "--json"))
    assert set(PROMISED) <= set(found)
    assert found["split"] == "test"
    assert found["documents"] == len(list(corpus.documents("test")))
    assert found["bytes"] == corpus.text_bytes("test")
    assert found["ci95"][0] < found["bits_per_byte"] < found["ci95"][1]
    assert found["bits_per_byte"] < 8
    stored = read_json(run.layout.evaluation("test"))
    assert stored == found
    assert f"**{found['bits_per_byte']:.3f}**" in run.layout.card.read_text(encoding="utf-8")
    assert json.loads(invoke("evaluate", run.path, "--json")) == found


def test_evaluate_shows_the_figure_with_its_tokenizer(run):
    shown = invoke("evaluate", run.path, "--split", "validation")
    assert "bits per byte" in shown
    assert "characters" in shown
    assert "not comparable across tokenizers" in shown


def test_evaluate_measures_a_file_of_the_users_after_cleaning(run, tmp_path):
    file = tmp_path / "mine.jsonl"
    texts = ["A menina perdeu o livro\u200b azul.", "O vizinho  vendeu três maçãs.", "Sem acento"]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    found = json.loads(invoke("evaluate", run.path, "--text", file, "--json"))
    assert found["documents"] == 3
    cleaned = ["A menina perdeu o livro azul.", "O vizinho vendeu três maçãs.", "Sem acento"]
    assert found["bytes"] == sum(len(text.encode()) for text in cleaned)
    assert found["corpus_hash"] is None
    assert not run.layout.evaluation(str(file)).exists()


def test_evaluate_refuses_another_corpus_whose_test_documents_may_be_training(run, tmp_path):
    from escada.text.preparation.prepare import prepare

    source = tmp_path / "other.jsonl"
    rows = [{"text": f"Este é o texto de número {i}, e há outros {i * i}."} for i in range(40)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = prepare(str(source), tmp_path / "other")
    with pytest.raises(EscadaError, match="not the corpus that the run was trained on"):
        invoke("evaluate", run.path, "--data", other.path)


def test_sample_is_repeatable_and_seeded(run):
    arguments = ("sample", run.path, "--prompt", "A menina", "--max-tokens", 30, "--json")
    once = json.loads(invoke(*arguments, "--n", 2))
    again = json.loads(invoke(*arguments, "--n", 2))
    assert once == again
    assert [s["prompt"] for s in once["samples"]] == ["A menina"] * 2
    assert once["samples"][0]["text"] != once["samples"][1]["text"]
    other = json.loads(invoke(*arguments, "--seed", 7))
    assert other["samples"][0]["text"] != once["samples"][0]["text"]
    assert once["settings"]["temperature"] == 0.8


def test_sample_passes_its_settings_on(run):
    found = json.loads(
        invoke(
            *("sample", run.path, "--prompt", "A", "--prompt", "O vizinho", "--greedy", "--json"),
            *("--top-k", 5, "--top-p", 1, "--min-p", 0.1, "--repetition-penalty", 1.5),
            *("--max-tokens", 4, "--temperature", 0.5),
        )
    )
    assert found["settings"] == {
        "temperature": 0.5,
        "top_k": 5,
        "top_p": 1.0,
        "min_p": 0.1,
        "repetition_penalty": 1.5,
        "greedy": True,
    }
    assert [s["prompt"] for s in found["samples"]] == ["A", "O vizinho"]
    assert all(s["tokens"] <= 4 for s in found["samples"])


def test_sample_without_a_prompt_takes_the_twenty(run):
    shown = invoke("sample", run.path, "--max-tokens", 3)
    assert shown.count("bits per token") == 20
    assert "Era uma vez" in shown


def test_a_stream_prints_the_text_of_the_samples(run):
    arguments = ("sample", run.path, "--prompt", "A menina", "--prompt", "O", "--max-tokens", 12)
    plain = invoke(*arguments, "--n", 2)
    assert invoke(*arguments, "--n", 2, "--stream").split() == plain.split()


def test_a_stream_ends_before_a_stop_string(run):
    arguments = ("sample", run.path, "--prompt", "A menina", "--stream", "--max-tokens", 60)
    whole = invoke(*arguments).split("\n  [")[0]
    stop = whole.removeprefix("A menina")[3:5]
    shown = invoke(*arguments, "--stop", stop).split("\n  [")[0]
    assert shown == whole[: whole.index(stop, len("A menina"))]


def test_logprobs_name_each_token_with_its_bits_and_alternatives(run):
    shown = invoke(
        "sample", run.path, "--prompt", "A", "--stream", "--logprobs", 2, "--max-tokens", 5
    )
    lines = [line for line in shown.splitlines() if line and not line.startswith("  [")]
    assert lines[0] == "A"
    assert len(lines) == 6
    for line in lines[1:]:
        bits = [float(part.rsplit(" ", 1)[1]) for part in line.split("  ")]
        assert len(bits) == 3
        assert bits[1] <= min(bits[0], bits[2])  # the best one comes first of the alternatives


def test_samples_say_with_which_weights_they_were_written(run):
    plain = ("sample", run.path, "--prompt", "A", "--max-tokens", 2, "--json")
    assert json.loads(invoke(*plain))["weights"] == "fp32"
    found = json.loads(invoke(*plain, "--weights", "auto"))
    assert found["weights"] == "fp32"  # what it was written with; a recurrent model has no other
    with pytest.raises(EscadaError, match="recurrent"):
        invoke("sample", run.path, "--weights", "int8")


@pytest.mark.parametrize("arguments", [["--stop", "x"], ["--logprobs", 1], ["--stream", "--json"]])
def test_options_of_a_stream_that_exclude_one_another_are_an_error(run, arguments):
    with pytest.raises(EscadaError, match="--stream"):
        invoke("sample", run.path, "--prompt", "A", *arguments)


def test_sample_with_a_setting_out_of_range_is_one_clear_error(run):
    with pytest.raises(EscadaError, match="temperature"):
        invoke("sample", run.path, "--temperature", -1)


def test_a_folder_that_is_no_run_is_one_clear_error(tmp_path):
    for verb in ("evaluate", "sample"):
        with pytest.raises(EscadaError, match="not a run folder"):
            invoke(verb, tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [[], ["RUN", "--pretrained", "gemma3-270m"], ["--pretrained", "x", "--text", "a.txt"]],
)
def test_evaluate_measures_one_thing(run, arguments):
    with pytest.raises(
        EscadaError,
        match=r"measures one thing|is measured by the ruler",
    ):
        invoke("evaluate", *(run.path if word == "RUN" else word for word in arguments))


def test_evaluate_measures_a_pretrained_model_on_a_corpus(run, corpus, monkeypatch):
    from escada.evaluation.baselines import pretrained

    loaded = []
    monkeypatch.setattr(
        pretrained,
        "load_pretrained",
        lambda name: loaded.append(name) or (run.load_model(), run.tokenizer),
    )
    found = json.loads(
        invoke(
            "evaluate", "--pretrained", "other", "--data", corpus.path, "--device", "cpu", "--json"
        )
    )
    own = json.loads(invoke("evaluate", run.path, "--json"))
    assert loaded == ["other"] == [found["pretrained"]]
    assert found["bits_per_byte"] == pytest.approx(own["bits_per_byte"], rel=1e-6)
    assert found["corpus_hash"] == corpus.hash
