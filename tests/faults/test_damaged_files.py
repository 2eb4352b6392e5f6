"""Every file of a climb and of its runs, cut short, bit-flipped and removed in turn, by verb.

Which files a verb reads is seen by an audit hook. After each fault the verb must print and write
what it did before, or end with exit code 2 and one line; another figure, or a trace, is a bug.
"""

from __future__ import annotations

import difflib
import json
import random
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer
from tests.faults.table import FULL, outcomes
from tests.processes import escada
from typer.testing import CliRunner

from escada.checksums import SHA256
from escada.cli import app
from escada.errors import EscadaError
from escada.files import disk_error, sha256_file

SIZES = (
    *("model.d_hidden=16", "model.d_embedding=8", "train.batch_sequences=4"),
    *("train.window_tokens=16", "train.validations=2", "train.validation_bytes=2000"),
)
SET = [part for size in SIZES for part in ("--set", size)]
PER_FILE = 2 if FULL else 1
"""Faults of each kind per verb and file."""
SHARE = 1.0 if FULL else 0.08
"""Share of the pairs of a verb and a file that is tried."""
WITHOUT, GONE = "without a key", "that is gone"
"""Faults after which a verb may say something else, as of a run of an earlier version."""
_opened: set[str] | None = None
_hooked = False


def _note_opened(event: str, arguments: tuple[object, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(arguments[0], str | Path):
        _opened.add(str(arguments[0]))


@dataclass(frozen=True)
class Scene:
    """A climb of two rungs, and a run that was stopped, with their corpus."""

    folder: Path
    corpus: Path

    @property
    def climb(self) -> Path:
        return self.folder / "climb"

    def run(self, rung: str) -> Path:
        return next(self.climb.glob(f"*-{rung}-*"))

    @property
    def stopped(self) -> Path:
        return next((self.folder / "stopped").glob("*-v1-*"))

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Verb:
    """A command, and what it leaves besides what it prints."""

    arguments: list[object]
    written: Callable[[], object] = field(default=lambda: None)

    @property
    def name(self) -> str:
        return str(self.arguments[0])


def climb_command(scene_folder: Path, corpus: Path) -> list[object]:
    common = ["--budget", "8 steps", "--device", "cpu", "--data", corpus]
    return ["climb", "v1", "v2", *common, "--out", scene_folder / "climb", *SET]


@pytest.fixture(scope="module")
def scene(corpus_path, tmp_path_factory) -> Scene:
    import escada.training.loop as loop
    from escada.budget import Budget
    from escada.spec import load_spec
    from escada.text.corpus import Corpus
    from escada.training.run import start

    folder = tmp_path_factory.mktemp("damaged") / "work"
    done = escada(climb_command(folder, corpus_path))
    assert done.returncode == 0, done.stderr
    step = loop.Training.step

    def stopping(self: loop.Training) -> None:
        if self.state.step == 6:
            raise loop.Interrupted(self.run.path)
        step(self)

    spec = load_spec("v1", preset="laptop", overrides=list(SIZES))
    spec = spec.with_budget(Budget.parse("8 steps"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Training, "step", stopping)
        with pytest.raises(loop.Interrupted):
            start(spec, Corpus.open(corpus_path), folder / "stopped", device="cpu")
    shutil.copytree(folder, folder.with_name("whole"))
    return Scene(folder, corpus_path)


def verbs(scene: Scene, tmp_path: Path) -> list[Verb]:
    v1, v2, cpu = scene.run("v1"), scene.run("v2"), ["--device", "cpu"]
    tables, page = tmp_path / "tables.md", tmp_path / "page.md"

    def weights() -> list[str]:
        return [sha256_file(p) for p in sorted(scene.stopped.glob("checkpoints/*/*.safetensors"))]

    def text_of(path: Path) -> Callable[[], str]:
        return lambda: path.read_text(encoding="utf-8") if path.exists() else ""

    return [
        Verb(["runs", scene.folder]),
        Verb(["runs", scene.folder, "--json"]),
        Verb(["compare", v1, v2]),
        Verb(["compare", scene.climb]),
        Verb(["report", scene.climb, "--markdown", tables], text_of(tables)),
        Verb(["report", v1, "--markdown", page], text_of(page)),
        Verb(["evaluate", v1, "--json", *cpu]),
        Verb(["cloze", v1, *cpu]),
        Verb(["guard", v1, *cpu]),
        Verb(["sample", v1, "--max-tokens", 4, "--prompt", "A menina", *cpu]),
        Verb(["score", v1, "A menina encontrou o livro.", *cpu]),
        Verb(["export", v1, tmp_path / "exported", "--to", "transformers"]),
        Verb(["tokenizer", "encode", "--tokenizer", v1, "A menina"]),
        Verb(climb_command(scene.folder, scene.corpus)),
        Verb(["resume", scene.stopped], weights),
    ]


VERBS = (
    *("runs", "runs", "compare", "compare", "report", "report", "evaluate", "cloze", "guard"),
    *("sample", "score", "export", "tokenizer", "climb", "resume"),
)
"""The names of `verbs`, which need a scene."""


def invoke(verb: Verb) -> tuple[str, object]:
    """What became of a command: `refused` and its line, or `done` and what it gave."""
    command = [str(argument) for argument in verb.arguments]
    result = CliRunner().invoke(app, command, standalone_mode=False)
    error = result.exception
    if isinstance(error, SystemExit | typer.Exit) or error is None:
        assert result.exit_code == 0, result.output
        return "done", (result.stdout, verb.written())
    if isinstance(error, OSError):
        error = disk_error(error, error.filename) or error
    if isinstance(error, EscadaError) and "\n" not in str(error):
        return "refused", str(error)
    raise error


def fresh(scene: Scene, tmp_path: Path) -> None:
    shutil.rmtree(scene.folder)
    shutil.copytree(scene.folder.with_name("whole"), scene.folder)
    for path in tmp_path.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def read_by(verb: Verb) -> set[str]:
    global _opened, _hooked
    if not _hooked:
        sys.addaudithook(_note_opened)
        _hooked = True
    _opened = set()
    try:
        invoke(verb)
        return _opened
    finally:
        _opened = None


def faults(data: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    yield GONE, b""
    for _ in range(PER_FILE):
        if (table := json_object(data)) is not None:
            del table[rng.choice(sorted(table))]
            yield WITHOUT, json.dumps(table).encode()
        yield "cut short", data[: rng.randrange(len(data))]
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield "bit flipped", bytes(changed)


def difference(expected: object, gave: object) -> str:
    """The lines that a verb printed or wrote differently."""
    lines = [str(one).replace("\\n", "\n").splitlines() for one in (expected, gave)]
    return "\n".join(difflib.unified_diff(*lines, lineterm="", n=0))


def json_object(data: bytes) -> dict[str, object] | None:
    """A JSON object without its checksum, as other programs write it; None for other files."""
    try:
        table = json.loads(data)
    except ValueError:
        return None
    return {key: table[key] for key in table if key != SHA256} if isinstance(table, dict) else None


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("number", "name"), list(enumerate(VERBS)))
def test_a_damaged_file_is_refused_in_one_line_or_changes_nothing(scene, tmp_path, number, name):
    rng, verb = random.Random(f"damaged files/{number}"), verbs(scene, tmp_path)[number]
    assert verb.name == name
    bugs: list[str] = []
    fresh(scene, tmp_path)
    invoke(verb)  # what is cached on the way is cached now
    fresh(scene, tmp_path)
    how, expected = invoke(verb)
    assert how == "done", expected
    fresh(scene, tmp_path)
    opened = read_by(verb)
    fresh(scene, tmp_path)  # without files that the verb made
    files = [path for path in scene.files() if str(path) in opened and path.stat().st_size]
    assert files
    for path in files:
        if rng.random() > SHARE:
            continue
        for kind, damaged in faults(path.read_bytes(), rng):
            fresh(scene, tmp_path)
            path.unlink() if kind == GONE else path.write_bytes(damaged)
            found = outcomes(f"`escada {verb.name}`, a file {kind}")
            try:
                how, gave = invoke(verb)
            except Exception:  # noqa: BLE001 every one of them is a finding
                how, gave = "wrong", traceback.format_exc(limit=-4)
            if how == "done":
                same = gave == expected or kind in (WITHOUT, GONE)
                listed = verb.name == "runs" and "damaged" in str(gave)
                how = "refused" if listed else "survived" if same else "wrong"
            found[how] += 1
            if how == "wrong":
                what = difference(expected, gave) if isinstance(gave, tuple) else gave
                bugs.append(f"{verb.name}: {path.relative_to(scene.folder)} {kind}: {what}")
                print(bugs[-1], flush=True)
    fresh(scene, tmp_path)
    assert not bugs, f"{len(bugs)} bugs\n" + "\n".join(bugs)
