"""Names, paths and texts of users go through every printer as they are."""

import json
import os
import subprocess
import sys

import pytest

SENTENCES = (
    "A feira abre cedo na praça do bairro.|O trem parou longe da estação de novo.|"
    "Minha avó plantou manjericão no quintal.|Os alunos leram dois capítulos em silêncio."
).split("|")
PLAIN_PIPES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp1252": {"PYTHONIOENCODING": "cp1252:strict"},
}


def escada(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", "from escada.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        env=os.environ | environment,
        timeout=120,
        check=False,
    )


def corpus_of(source, tmp_path, **environment):
    file = tmp_path / "fontes.jsonl"
    rows = (json.dumps({"source": source, "text": text}) for text in SENTENCES)
    file.write_text("\n".join(rows) + "\n")
    return escada("data", "prepare", "--source", file, "--out", tmp_path / "c", **environment)


def test_a_source_named_like_markup_is_shown_whole(tmp_path):
    prepared = corpus_of("[/a] coluna [bold]", tmp_path)
    assert prepared.returncode == 0, prepared.stderr
    assert "[/a] coluna [bold]" in prepared.stdout.decode()


def test_a_folder_named_like_markup_is_listed_under_its_own_name(tmp_path):
    folder = tmp_path / "r [final]" / "a-run"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text('{"status": "finished", "step": 3}')
    shown = escada("runs", tmp_path / "r [final]")
    assert shown.returncode == 0, shown.stderr
    assert f"{folder}  damaged" in shown.stdout.decode()
    assert f"({folder / 'record.json'})" in shown.stderr.decode()


@pytest.mark.parametrize(
    "name",
    ["C", *(pytest.param(n, marks=pytest.mark.slow) for n in ("cp1252", "ascii", "latin-1"))],
)
def test_a_terminal_that_is_not_utf_8_gets_escapes_and_no_traceback(tmp_path, name):
    prepared = corpus_of("Crônicas “à mão” 👋", tmp_path, **PLAIN_PIPES[name])
    assert prepared.returncode == 0, prepared.stderr
    assert b"nicas" in prepared.stdout
    for arguments in (["runs", "pasta-que-não-há"], ["train", "vê5"], ["rungs", "--lang", "pt"]):
        shown = escada(*arguments, **PLAIN_PIPES[name])
        assert b"Traceback" not in shown.stderr
        assert shown.returncode == (0 if arguments[0] == "rungs" else 2)


def test_a_path_that_is_not_utf_8_is_named_in_one_line():
    shown = escada("runs", os.fsdecode(b"runs/caf\xe9"))
    assert shown.returncode == 2
    (line,) = shown.stderr.decode("ascii").splitlines()
    assert "runs/caf\\udce9" in line
