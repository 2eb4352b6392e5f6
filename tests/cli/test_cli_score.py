"""`escada score`: a text of the user's, token by token."""

import json
import math
import re

import pytest
import typer
from typer.testing import CliRunner

from escada.cli.measure.score import score
from escada.cli.sample import sample
from escada.errors import EscadaError
from escada.evaluation.ruler import score_documents
from escada.evaluation.task import ruler_context
from escada.text.documents import Document

app = typer.Typer()
app.command()(score)
app.command()(sample)
TEXT = "A menina viu o [b]rio[/b]."


def invoke(*arguments, given=None):
    result = CliRunner().invoke(app, [str(a) for a in arguments], input=given, color=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_has_the_rulers_bits_token_by_token(run):
    (found,) = json.loads(invoke("score", run.path, TEXT, "--json", "--top", "2"))["scores"]
    document = Document("d", "s", "g", TEXT)
    ruler = score_documents(
        run.load_model(), run.tokenizer, [document], context_tokens=ruler_context(run)
    )
    bits = float(ruler.nats[0]) / math.log(2)
    assert found["run"] == run.name
    assert found["bits"] == pytest.approx(bits, rel=1e-9)
    assert found["bits_per_byte"] == pytest.approx(bits / len(TEXT), rel=1e-9)
    assert sum(token["bits"] for token in found["tokens"]) == pytest.approx(bits, rel=1e-9)
    assert "".join(token["text"] for token in found["tokens"]) == TEXT
    assert {len(token["alternatives"]) for token in found["tokens"]} == {2}


def test_the_table_has_a_line_for_each_token_and_the_sums(run, monkeypatch):
    shown = invoke("score", run.path, TEXT)
    (found,) = json.loads(invoke("score", run.path, TEXT, "--json"))["scores"]
    lines = shown.splitlines()
    assert lines[0] == run.name
    assert lines[1].strip() == TEXT  # brackets are no markup
    for line, token in zip(lines[2:], found["tokens"], strict=False):
        assert float(line[:9]) == pytest.approx(token["bits"], abs=0.0051)
    assert lines[2].endswith("'A'")
    assert lines[1 + len(found["tokens"])].endswith("<eos>")
    assert f"{found['bits_per_byte']:.4f} bits per byte" in lines[2 + len(found["tokens"])]
    assert "\x1b" not in shown
    monkeypatch.setattr("escada.terminal.in_colour", lambda: True)
    coloured = invoke("score", run.path, TEXT)
    assert "\x1b[1m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == shown


def test_several_runs_are_ranked_and_text_comes_from_a_file_or_standard_input(run, tmp_path):
    file = tmp_path / "texto.txt"
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    expected = invoke("score", run.path, TEXT)
    assert invoke("score", run.path, "--file", file) == expected
    assert invoke("score", run.path, "-", given=TEXT) == expected
    both = invoke("score", run.path, run.path, TEXT)
    assert both.startswith(expected * 2)
    assert both.splitlines()[-3:][0] == "bits per byte"


def test_the_name_of_a_rung_stands_for_its_run_and_a_text_is_of_any_length(
    run, tmp_path, monkeypatch
):
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "one").symlink_to(run.path.resolve())
    long = TEXT * 200  # longer than a path may be
    expected = invoke("score", run.path, TEXT), invoke("score", run.path, long)
    monkeypatch.chdir(tmp_path)
    name = run.record.name
    by_name = invoke("score", name, TEXT), invoke("score", name, long)
    assert [shown.splitlines()[1:] for shown in by_name] == [
        shown.splitlines()[1:] for shown in expected
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}"], "a run and a text are needed"),
        (["{run}", "{run}"], "this is a run, and the text is missing"),
        (["{run}", " \u200b "], "no text to score"),
        (["{run}", "--file", "{tmp}/no.txt"], "file not found"),
        (["{run}", "--file", "{tmp}/latin.txt"], r"not UTF-8 at byte 1 \(0xe7\)"),
        (["{tmp}", "oi"], "run"),
    ],
)
def test_a_mistake_is_one_clear_error(run, tmp_path, arguments, message):
    (tmp_path / "latin.txt").write_bytes("açaí".encode("latin-1"))
    with pytest.raises(EscadaError, match=message):
        invoke("score", *(a.format(run=run.path, tmp=tmp_path) for a in arguments))


def test_temperature_zero_is_greedy_and_zero_switches_filters_off(run):
    def text(*options):
        found = invoke("sample", run.path, "--prompt", "A", "--max-tokens", 20, "--json", *options)
        return [one["text"] for one in json.loads(found)["samples"]]

    assert text("--temperature", "0") == text("--greedy")
    assert text("--top-k", "0", "--min-p", "0") == text()
    with pytest.raises(EscadaError, match=r"top_k = -1.*0 is off"):
        text("--top-k", "-1")
    with pytest.raises(EscadaError, match=r"temperature = -1.*0 is greedy"):
        text("--temperature", "-1")
