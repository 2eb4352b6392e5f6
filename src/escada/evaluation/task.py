"""Tasks (anything that is measured of a finished run), and the driver that runs those that are due.

    subject = Subject(run, corpus)
    evaluate(subject, climb_tasks(), print)        # computes missing results; loads the model once
    read(run, find_task("cloze")).accuracy

A task is one file: a subclass of `Task`, the pydantic model of its result, and `TASKS`, the tasks
that the file offers. Those in `evaluation/tasks/` and the guardrails are found by name, any other
by its dotted module name (`--task my_module`).

A result stores a key: a hash of the weights, the inputs and the code. A task whose key has not
changed is not evaluated again.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from escada.code_hash import code_hash
from escada.cost.processor import onednn_pays
from escada.errors import EscadaError
from escada.extensions import ExtensionPoint
from escada.files import content_hash, read_json, write_sealed_json
from escada.models.contract import LanguageModel
from escada.models.onednn import multiply_by_onednn
from escada.runs.checkpoint import Which, weights_sha256
from escada.runs.device import resolve_device
from escada.runs.run import Run
from escada.spec import MODELS, TOKENIZERS
from escada.text.corpus import Corpus
from escada.typed_json import Interval, JsonObject, parse

MEASURES = tuple(
    f"escada.{name}"
    for name in ("evaluation", "guardrails", "judge", "generation", "models", "text")
)
"""Packages whose code can change a figure."""
MAKES_DOCUMENTS = tuple(
    f"escada.text.{name}" for name in ("corpus", "sources", "reading", "preparation", "tables")
)
"""Code that only decides the documents; the hash of the documents covers it."""
PLACE = ExtensionPoint("escada.evaluation.tasks", "task", offers=("TASKS",), where="--task")
ELSEWHERE = ("escada.guardrails.task",)
"""Modules outside `evaluation/tasks/` that also offer tasks."""


class Figure(JsonObject):
    """One number of a result, for readers that know nothing else about the task."""

    name: str
    value: float
    unit: str = ""
    ci95: Interval | None = None


class Result(JsonObject):
    """The result of a task: the only description of its JSON."""

    schema_version: int = 1

    def figures(self) -> list[Figure]:
        """The numbers to show when the report has no section for the task."""
        return []

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return self.model_dump(mode="json")


R = TypeVar("R", bound=Result)
_R = TypeVar("_R", bound=Result)


@dataclass(frozen=True)
class Subject:
    """A run to evaluate, with a corpus of its profile.

    Raises:
        EscadaError: the corpus has another profile.
    """

    run: Run
    corpus: Corpus
    which: Which = "best"
    device: str = "auto"

    def __post_init__(self) -> None:
        wanted = self.run.spec.text.profile
        if self.corpus.profile != wanted:
            raise EscadaError(
                f"the run reads profile {wanted!r}, the corpus has {self.corpus.profile!r}",
                where=self.corpus.path,
                fix="give the corpus that the run was trained on",
            )

    @cached_property
    def model(self) -> LanguageModel:
        """The model, loaded on first use; multiplies by the library that is faster here."""
        model = self.run.load_model(self.which, resolve_device(self.device))
        if model.device.type == "cpu" and onednn_pays():
            multiply_by_onednn(model)
        return model

    def need(self, task: Task[_R]) -> _R:
        """The result of another task, evaluated first if needed."""
        complete(self, task)
        return read(self.run, task)


class Task(ABC, Generic[R]):
    """One thing to measure.

    Attributes:
        name: of its result: the file in the run's folder, the key in ladder.json.
        result: the model of that JSON.
        done: what is said once it is evaluated; None: nothing.
        every_climb: whether a climb evaluates it without being asked.
        shows_figures: in the card, ladder.json and the report, as they are; not where those have a
            place of their own for the result.
    """

    name: str
    result: type[R]
    done: str | None = None
    every_climb: ClassVar[bool] = True
    shows_figures: ClassVar[bool] = True

    def applies(self, subject: Subject) -> bool:
        """Whether run and corpus have what the task needs; loads no model."""
        return True

    def path(self, run: Run) -> Path:
        """Path of the result."""
        return run.layout.evaluation(self.name)

    def rows(self, run: Run) -> Path | None:
        """A file that `evaluate` also writes; without it the task is not done."""
        return None

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """JSON values that decide the result, besides weights, tokenizer and code."""
        return {"corpus": subject.corpus.hash}

    def sentence(self, found: R) -> str | None:
        """Message about a new result."""
        return self.done

    @abstractmethod
    def evaluate(self, subject: Subject) -> R:
        """Compute the result.

        Raises:
            EscadaError: the run or the corpus cannot be evaluated.
        """

    def which(self, subject: Subject) -> Which:
        """The checkpoint to evaluate."""
        return subject.which

    def key(self, subject: Subject, found: R | None = None) -> str:
        """Hash of everything that decides the result; `found` is given once it is known."""
        module = type(self).__module__
        return result_key(subject.run, self.which(subject), module, **self.depends_on(subject))

    def is_done(self, subject: Subject) -> bool:
        """Whether the current result and its rows exist."""
        rows = self.rows(subject.run)
        there = rows is None or rows.exists()
        return there and is_done(self.path(subject.run), self.key(subject))


def evaluate(
    subject: Subject,
    tasks: Sequence[Task[Any]],
    say: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Evaluate the tasks that apply and are not done yet, into the run's folder.

    Returns their names; `say` gets a message after each.
    """
    due = [task for task in tasks if task.applies(subject) and not task.is_done(subject)]
    for task in due:
        # Another task may have needed and evaluated it in the meantime.
        complete(subject, task)
        if sentence := task.sentence(read(subject.run, task)):
            say(sentence)
    return [task.name for task in due]


def complete(subject: Subject, task: Task[Any]) -> bool:
    """Evaluate a task into the run's folder; False if it was already done."""
    if task.is_done(subject):
        return False
    found = task.evaluate(subject)
    which = task.which(subject)
    stored: dict[str, object] = {
        "key": task.key(subject, found),
        "weights": which,
        "weights_sha256": subject.run.weights_sha256(which),
    }
    if task.shows_figures:
        stored["figures"] = [figure.model_dump(mode="json") for figure in found.figures()]
    write_sealed_json(task.path(subject.run), found.to_json() | stored)
    return True


def read(run: Run, task: Task[R]) -> R:
    """The result of a task.

    Raises:
        EscadaError: missing, or not such a result.
    """
    path = task.path(run)
    return parse(task.result, read_json(path), path)


def read_if_there(run: Run, task: Task[R]) -> R | None:
    """The result of a task; None where it was not evaluated."""
    return read(run, task) if task.path(run).exists() else None


def shown_figures(run: Run) -> dict[str, list[Figure]]:
    """What tasks without a place of their own in the card found of the present weights, by name."""
    folder = run.layout.evaluation("test").parent
    tables = {path: read_json(path) for path in sorted(folder.glob("*.json"))}
    return {
        path.stem: [parse(Figure, one, path) for one in table["figures"]]
        for path, table in tables.items()
        if "figures" in table
        and table.get("weights_sha256")
        == weights_sha256(run.layout.checkpoints, table.get("weights", "best"))
    }


@cache
def climb_tasks() -> tuple[Task[Any], ...]:
    """The tasks that every climb evaluates."""
    return tuple(task for task in _ours() if task.every_climb)


def find_tasks(name: str) -> tuple[Task[Any], ...]:
    """The task of a name, or those that a module on the path offers.

    Raises:
        EscadaError: no such task or module, or an external task with the name of one of ours.
    """
    ours = {task.name: task for task in _ours()}
    if name in ours:
        return (ours[name],)
    found: tuple[Task[Any], ...] = tuple(PLACE.load(name).TASKS)
    if taken := [task.name for task in found if task.name in ours and task is not ours[task.name]]:
        raise EscadaError(
            f"the task {taken[0]!r} has the name of one of escada's own, whose result it would "
            "overwrite",
            where=name,
            fix="give it another name",
        )
    return found


@cache
def _ours() -> tuple[Task[Any], ...]:
    modules = [*map(PLACE.module_name, PLACE.names()), *ELSEWHERE]
    return tuple(task for name in modules for task in importlib.import_module(name).TASKS)


def result_key(run: Run, which: Which, module: str, **of: object) -> str:
    """Hash of the weights, of `of` (JSON values), and of the code that makes the result.

    The weights are those that the run loaded, or would. `module` is the module that makes the
    result; its imports count too.
    """
    model = MODELS.module_name(run.spec.model.kind)
    tokenizer = TOKENIZERS.module_name(run.spec.tokenizer.kind)
    return content_hash(
        {
            "weights": run.weights_sha256(which),
            "tokenizer": run.tokenizer.hash,
            "context_tokens": ruler_context(run),
            "code": code_hash(module, model, tokenizer, within=MEASURES, without=MAKES_DOCUMENTS),
            **of,
        }
    )


def is_done(path: Path, key: str) -> bool:
    """Whether `path` holds the result with that key."""
    return path.exists() and read_json(path).get("key") == key


def ruler_context(run: Run) -> int:
    """The ruler's window for a model without a state."""
    return run.spec.evaluation.context_tokens or run.spec.train.window_tokens
