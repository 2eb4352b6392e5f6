"""Whoever opens a folder made by others runs none of their code, unless with --trust-code."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tomli_w
from tests.processes import escada
from typer.testing import CliRunner

from escada import extensions
from escada.cli import app
from escada.errors import EscadaError
from escada.files import content_hash, read_json, write_json, write_sealed_json
from escada.runs.run import open_run
from escada.spec import TokenizerSpec, load_spec
from escada.text.tokenizers import load_tokenizer, train_tokenizer

EVIL = "from pathlib import Path\nPath({mark!r}).write_text('ran')\n"
KEYS = {
    "model.kind": "evil_model",
    "tokenizer.kind": "evil.tokenizer",
    "train.optimizer": "evil_optimizer",
    "train.schedule": "evil.schedule",
}
VERBS = (
    "sample RUN --prompt Era",
    "evaluate RUN",
    "evaluate RUN --task documents",
    "resume RUN",
    "train --continue-from RUN --budget 1e9flop",
    "train v1 --warm-start RUN",
    "serve RUN --port 0",
    "export RUN OUT --to gguf",
    "compare RUN RUN",
    "judge RUN --reference RUN",
    "pairs RUN",
    "cloze RUN",
    "score RUN Era",
    "guard RUN",
    "tokenizer encode --tokenizer RUN Era",
    "tokenizer decode --tokenizer RUN 3",
    "tokenizer stats --tokenizer RUN",
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory, corpus_path) -> Path:
    """A run of one step."""
    out = tmp_path_factory.mktemp("runs")
    small = ("--set", "train.batch_sequences=2", "--set", "train.window_tokens=16")
    training = ("--preset", "laptop", "--budget", "1 steps", "--data", corpus_path, *small)
    done = escada(["train", "v1", *training, "--device", "cpu", "--out", out])
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def hostile(run: Path, key: str, mark: Path) -> Path:
    """The run with a module of its own under a key of its spec, in every place that may be read."""
    name = KEYS[key]
    for folder in (run, run / "code"):
        file = folder / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(EVIL.format(mark=str(mark)))
        if "." in name:
            (file.parent / "__init__.py").write_text(EVIL.format(mark=str(mark)))
    spec = tomllib.loads((run / "spec.toml").read_text())
    table, _, entry = key.partition(".")
    spec[table][entry] = name
    (run / "spec.toml").write_text(tomli_w.dumps(spec))
    # Whoever writes a folder writes its checksums.
    record = read_json(run / "record.json") | {"module_folders": [str(run / "code"), str(run), "."]}
    write_sealed_json(run / "record.json", record)
    if key == "tokenizer.kind":
        content = json.loads((run / "tokenizer" / "tokenizer.json").read_text()) | {"kind": name}
        content = {k: v for k, v in content.items() if k not in ("hash", "schema_version")}
        write_json(
            run / "tokenizer" / "tokenizer.json",
            {"schema_version": 1, "hash": content_hash(content), **content},
        )
    return run


def copy_of(run: Path, folder: Path) -> Path:
    subprocess.run(["cp", "-r", run, folder / "run"], check=True)
    return folder / "run"


def hostile_for(verb: str, honest: Path, folder: Path) -> tuple[str, Path, list[str]]:
    """The key that names the code, the run, and the verb's words."""
    key = "tokenizer.kind" if verb.startswith("tokenizer") else "model.kind"
    run = hostile(copy_of(honest, folder), key, folder / "mark")
    words = [str({"RUN": run, "OUT": folder / "out"}.get(w, w)) for w in verb.split()]
    return key, run, words


@pytest.fixture
def as_new(monkeypatch):
    """This process as a new one: it trusts nothing, and has imported nothing of a run's folder."""
    monkeypatch.setattr(extensions._TRUST, "names", set())
    monkeypatch.setattr(extensions._TRUST, "all", None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.startswith("evil")]:
        del sys.modules[name]


@pytest.mark.usefixtures("as_new")
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_runs_the_code_of_a_run_folder(honest, tmp_path, verb, monkeypatch):
    key, run, words = hostile_for(verb, honest, tmp_path)
    monkeypatch.chdir(run)
    path = list(sys.path)
    sys.path.insert(0, str(run))  # as `python -m` in that folder
    refused = CliRunner().invoke(app, words).exception
    assert isinstance(refused, EscadaError)
    assert f"{key} {KEYS[key]!r} is code from outside escada ({run}/" in str(refused)
    assert "--trust-code" in str(refused)
    assert "\n" not in str(refused)
    assert not (tmp_path / "mark").exists()
    if key == "model.kind":  # the record names the folder
        sys.path[:] = path
    trusted = CliRunner().invoke(app, [*words, "--trust-code"])
    assert (tmp_path / "mark").read_text() == "ran"  # it was able to
    assert f"running code from outside escada: {key} {KEYS[key]!r}" in trusted.stderr


@pytest.mark.parametrize("verb", ["resume RUN", "tokenizer encode --tokenizer RUN Era"])
def test_a_process_in_that_folder_does_not_either(honest: Path, tmp_path: Path, verb: str):
    key, run, words = hostile_for(verb, honest, tmp_path)
    in_path = f"import sys; sys.path.insert(0, {str(run)!r})"
    refused = escada(words, cwd=run, prelude=in_path)
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.count("\n") == 1, refused.stderr
    assert f"{key} {KEYS[key]!r} is code from outside escada ({run}/" in refused.stderr
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("key", KEYS)
def test_no_name_in_a_run_folder_is_imported(honest: Path, tmp_path: Path, key, monkeypatch):
    mark = tmp_path / "mark"
    run = hostile(copy_of(honest, tmp_path), key, mark)
    monkeypatch.chdir(run)
    monkeypatch.syspath_prepend(run)
    with pytest.raises(extensions.UntrustedError, match=f"{key} '{KEYS[key]}' is code from outs"):
        open_run(run)
    assert not mark.exists()


def test_lists_and_reports_open_no_run(honest: Path, tmp_path: Path):
    mark = tmp_path / "mark"
    run = hostile(copy_of(honest, tmp_path), "model.kind", mark)
    listed = escada(["runs", tmp_path], cwd=run)
    assert listed.returncode == 0
    assert str(run) in listed.stdout
    escada(["report", tmp_path], cwd=run)
    assert not mark.exists()


def test_the_working_folder_is_not_on_the_path_of_python_m_escada(tmp_path: Path):
    mark = tmp_path / "mark"
    for name in ("numpy", "torch", "typer", "pydantic", "tomli_w"):
        (tmp_path / f"{name}.py").write_text(EVIL.format(mark=str(mark)))
    (tmp_path / "PYTHONPATH").mkdir()
    command = [sys.executable, "-m", "escada", "tokenizer", "train", "--kind", "bigram_nowhere"]
    done = subprocess.run(
        [*command, "--out", "tokenizer"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "bigram_nowhere" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not mark.exists()
    # A folder that the user puts on the path is there, even if it is the working one.
    given = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    (tmp_path / "typer.py").write_text("print('mine')\nraise SystemExit(7)\n")
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": given}, capture_output=True
    )
    assert done.returncode == 7


def test_a_spec_file_that_the_user_names_is_the_users_own(tmp_path: Path, monkeypatch):
    mark = tmp_path / "mark"
    (tmp_path / "named_by_me.py").write_text(EVIL.format(mark=str(mark)))
    (tmp_path / "mine.toml").write_text(
        "[about]\ntitle = {en='', pt=''}\nobjective = {en='', pt=''}\nexpected = {en='', pt=''}\n"
        "[tokenizer]\nkind='bytes'\n[model]\nkind='named_by_me'\n"
    )
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", before)
    with pytest.raises(EscadaError):
        load_spec(str(tmp_path / "mine.toml"))  # which lacks a name and [train]
    assert not mark.exists()
    spec = (tmp_path / "mine.toml").read_text() + (
        "[train]\nbudget='1 steps'\nwindow_tokens=4\nstride_tokens=4\nbatch_sequences=1\n"
        "learning_rate=1e-3\n"
    )
    (tmp_path / "mine.toml").write_text(f"name='mine'\n{spec}")
    with pytest.raises(EscadaError, match="offers no Config"):
        load_spec(str(tmp_path / "mine.toml"))
    assert mark.read_text() == "ran"
    assert "named_by_me" in extensions.trusted()


def test_a_folder_of_a_spec_file_without_modules_is_not_on_the_path(tmp_path: Path, monkeypatch):
    from importlib import resources

    monkeypatch.setattr(sys, "path", list(sys.path))
    text = resources.files("escada.rungs").joinpath("v1.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(text)
    load_spec(str(tmp_path / "mine.toml"))
    assert str(tmp_path) not in sys.path


def test_a_tokenizer_of_others_is_refused_and_in_python_trusted_by_name(
    tmp_path: Path, monkeypatch
):
    (tmp_path / "my_tokenizer_kind.py").write_text(
        "from escada.text.tokenizers import characters\n"
        "class Mine(characters.CharacterTokenizer):\n    kind = 'my_tokenizer_kind'\n"
        "def train(spec, texts):\n    return Mine.train(texts, min_count=1)\n"
        "def load(folder, content):\n    return Mine(content['characters'], min_count=1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(extensions._TRUST, "names", set())
    spec = TokenizerSpec(kind="my_tokenizer_kind")
    with pytest.raises(extensions.UntrustedError):
        train_tokenizer(spec, ["uma"])
    extensions.trust("my_tokenizer_kind")
    train_tokenizer(spec, ["uma"]).save(tmp_path / "t")
    assert load_tokenizer(tmp_path / "t").kind == "my_tokenizer_kind"
    monkeypatch.setattr(extensions._TRUST, "names", set())
    with pytest.raises(EscadaError, match=r"is code from outside escada \(.*tokenizer\.json"):
        load_tokenizer(tmp_path / "t")
