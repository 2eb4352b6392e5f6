"""The tab key, in a real bash and by the functions behind it."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from escada.cli.shared import completion
from escada.cost.gpus import device
from escada.spec import rung_names

BIN = Path(sys.executable).parent
ASK = """
eval "$(escada --show-completion bash)"
while IFS= read -r line; do
  read -ra COMP_WORDS <<< "$line"
  [[ $line == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
  _escada_completion escada
  echo "${COMPREPLY[*]//$'\\n'/ }"
done
"""
bash = shutil.which("bash")
needs_bash = pytest.mark.skipif(
    bash is None or not (BIN / "escada").exists(), reason="needs bash and an installed escada"
)


@pytest.fixture
def folder(tmp_path):
    """Three runs, two of them in a climb, and a corpus; of runs only the rung's name is read."""
    for path, name in (("one", "v5"), ("demo/two", "v4"), ("demo/three", "v5")):
        (tmp_path / "runs" / path).mkdir(parents=True)
        (tmp_path / "runs" / path / "record.json").write_text(f'{{"name": "{name}"}}')
    (tmp_path / "runs" / "demo" / "ladder.json").touch()
    (tmp_path / "data" / "mine").mkdir(parents=True)
    (tmp_path / "data" / "mine" / "manifest.json").touch()
    return tmp_path


def environment():
    return os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}


def ask(folder: Path, *lines: str) -> list[list[str]]:
    done = subprocess.run(
        [str(bash), "--norc", "-c", ASK],
        input="".join(f"{line}\n" for line in lines),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


@needs_bash
def test_verbs_and_values_complete_in_bash(folder):
    asked = {
        "escada tra": ["train"],
        "escada train v_": ["v_final", "v_next", "v_next_counts"],
        "escada plan v5 --gpu rtx306": ["rtx3060-12gb"],
        "escada climb v1 --preset ": ["full", "laptop"],
        "escada resume ": ["v4", "runs/one", "runs/demo/three", "runs/demo/two"],
        "escada sample runs/demo/tw": ["runs/demo/two"],
        "escada score v": ["v4"],
        "escada tokenizer encode --tokenizer v": ["v4"],
        "escada report v": ["v4"],
        "escada compare runs/d": ["runs/demo", "runs/demo/three", "runs/demo/two"],
        "escada train v1 --data ": ["data/mine"],
        "escada evaluate runs/one --split v": ["validation"],
        "escada tokenizer train --kind by": ["bytes"],
        "escada train mine.t": [],
    }
    assert dict(zip(asked, ask(folder, *asked), strict=True)) == asked


@needs_bash
def test_the_tab_key_completes_in_an_interactive_bash(folder):
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(str(bash), ["bash", "--norc", "--noprofile", "-i"], environment())
    try:
        os.write(terminal, b'eval "$(escada --show-completion bash)"; echo rea""dy\n')
        assert _read_until(terminal, b"ready")
        os.write(terminal, b"escada plan v5 --gpu rtx306\t")
        assert _read_until(terminal, b"rtx3060-12gb")
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


def _read_until(terminal: int, wanted: bytes, seconds: float = 60) -> bool:
    seen, end = b"", time.monotonic() + seconds
    while wanted not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 4096)
    return wanted in seen


def test_completion_imports_nothing_heavy(folder):
    code = (
        "import sys, typer.main; from escada.cli import app;"
        "from escada.cli.shared import completion as c;"
        "typer.main.get_command(app);"
        "c.gpus(''), c.presets(''), c.rungs(''), c.runs_and_climbs(''), c.corpora('');"
        "print({'torch', 'numpy', 'pydantic', 'matplotlib', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_what_is_offered_is_what_is_accepted(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert sorted(completion.rungs("")) == sorted(rung_names())
    assert completion.presets("") == ["full", "laptop"]
    assert completion.among("train", "test")("tr") == ["train"]
    for name in completion.gpus(""):
        assert device(name).name == name
    assert completion.run_folders("") == []


@pytest.mark.parametrize(
    ("command", "option"), [(("data", "prepare"), "--filter"), (("tokenizer", "train"), "--kind")]
)
def test_help_and_the_tab_key_name_every_module_that_an_option_takes(command, option):
    import click
    import typer.main

    from escada.cli import app
    from escada.text.filters import filter_names
    from escada.text.tokenizers import TOKENIZERS

    found = typer.main.get_command(app)
    for name in command:
        found = found.commands[name]
    (parameter,) = (one for one in found.params if option in one.opts)
    names = sorted(filter_names() if option == "--filter" else TOKENIZERS.names())
    offered = parameter.shell_complete(click.Context(found), "")
    assert sorted(one.value.rstrip("=") for one in offered) == names
    assert [name for name in names if name not in parameter.help] == []


def test_signs_of_a_pattern_in_a_path_are_taken_as_they_are(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "runs" / "a[1]").mkdir()
    (folder / "runs" / "a[1]" / "record.json").touch()
    assert completion.run_folders("runs/a[") == ["runs/a[1]"]
    assert completion.run_folders("runs/*") == []
