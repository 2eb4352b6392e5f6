"""`escada tokenizer` as a user types it."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from escada.cli import tokenizer as verb
from escada.errors import EscadaError
from escada.text.preparation.prepare import prepare
from escada.text.tokenizers import load_tokenizer

WORDS = "casa escada menina gato livro rua manhã noite pão vento chuva pedra mar céu janela".split()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    lines = [
        {
            "id": str(n),
            "text": " ".join(WORDS[(n * 7 + k * (n % 11 + 1)) % len(WORDS)] for k in range(30))
            + f" fim {n}.",
        }
        for n in range(80)
    ]
    source = folder / "documents.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return prepare(str(source), folder / "prepared")


@pytest.fixture(scope="module")
def folder(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("tokenizer") / "bpe"
    run("train", "--data", corpus.path, "--vocab-size", 330, "--out", out)
    return out


def run(*arguments, stdin=None):
    result = CliRunner().invoke(verb.app, [str(a) for a in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_train_saves_a_tokenizer_of_that_size(folder):
    tokenizer = load_tokenizer(folder)
    assert (tokenizer.kind, tokenizer.vocab_size) == ("bpe", 330)


@pytest.mark.parametrize("text", ["a casa  é\n▁ <s>☃", " "])
def test_decode_undoes_encode(folder, text):
    ids = run("encode", "--tokenizer", folder, text)
    assert ids.split() == list(map(str, load_tokenizer(folder).encode(text)))
    assert run("decode", "--tokenizer", folder, *ids.split()) == text + "\n"
    assert run("decode", "--tokenizer", folder, stdin=ids) == text + "\n"


def test_a_file_and_standard_input_are_read_as_they_are(folder, tmp_path):
    (tmp_path / "text").write_bytes(b"casa\r\nmar")
    expected = " ".join(map(str, load_tokenizer(folder).encode("casa\r\nmar"))) + "\n"
    assert run("encode", "--tokenizer", folder, "--file", tmp_path / "text") == expected
    assert run("encode", "--tokenizer", folder, stdin="casa\r\nmar") == expected


def test_pieces_are_shown_and_text_is_cleaned_on_request(folder):
    shown = run("encode", "--tokenizer", folder, "--pieces", "casa ☃")
    assert "b'\\xe2'" in shown
    dirty = run("encode", "--tokenizer", folder, "--profile", "reference", "casa\u200b")
    assert dirty == run("encode", "--tokenizer", folder, "casa")


def test_a_runs_folder_stands_for_its_tokenizer(folder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/tokenizer").symlink_to(folder)
    of_run = run("encode", "--tokenizer", tmp_path / "run", "casa")
    assert of_run == run("encode", "--tokenizer", folder, "casa")


def test_statistics_are_printed_and_given_as_json(folder, corpus):
    out = json.loads(
        run("stats", "--tokenizer", folder, "--data", corpus.path, "--split", "test", "--json")
    )
    assert out["corpus_hash"] == corpus.hash
    assert out["bytes"] == corpus.text_bytes("test")
    assert out["unknown_ratio"] == 0
    assert out["tokens_per_word"] == pytest.approx(out["tokens"] / out["words"])
    assert out["p50_tokens"] <= out["p95_tokens"] <= out["p99_tokens"]
    assert "tokens per word" in run("stats", "--tokenizer", folder, "--data", corpus.path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--kind", "bqe", "--out", "x"], "unknown tokenizer.*'bpe'"),
        (["train", "--kind", "bytes", "--vocab-size", "300", "--out", "x"], "no meaning"),
        (["encode", "--tokenizer", "absent", "a"], "no tokenizer here"),
        (["encode", "--tokenizer", "{folder}", "--file", "absent"], "file not found.*absent"),
        (["encode", "--tokenizer", "{folder}", "--file", "{latin}"], "not UTF-8.*latin"),
        (["encode", "--tokenizer", "{folder}", "--file", "{latin}", "a"], "both a text and a file"),
        (["encode", "--tokenizer", "{folder}", "\udce1"], "not UTF-8.*the argument"),
        (["decode", "--tokenizer", "{folder}", "3", "x"], "whole numbers"),
        (["decode", "--tokenizer", "{folder}", "330"], "id 330 is outside the vocabulary of 330"),
        (["stats", "--tokenizer", "{folder}", "--data", "absent"], "absent"),
    ],
)
def test_a_users_error_is_one_clear_line(folder, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin").write_bytes("ação".encode("latin-1"))
    places = {"{folder}": str(folder), "{latin}": str(tmp_path / "latin")}
    with pytest.raises(EscadaError, match=message) as caught:
        run(*[places.get(argument, argument) for argument in arguments])
    assert "\n" not in str(caught.value)


def test_a_vocabulary_too_large_leaves_no_folder(corpus, tmp_path):
    with pytest.raises(EscadaError, match="too large for the corpus"):
        run("train", "--data", corpus.path, "--vocab-size", 9000, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_verb_imports_nothing_heavy():
    heavy = "numpy sentencepiece pyarrow torch pydantic"
    code = (
        "import sys, escada.cli.tokenizer; "
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path[:0] = " + repr(sys.path) + "; " + code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert loaded.stdout.strip() == "[]"
