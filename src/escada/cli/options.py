"""Options that several verbs share, with their one help text."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from escada.cli import completion
from escada.terminal import echo

if TYPE_CHECKING:
    from escada.runs.run import Run
    from escada.text.corpus import Corpus
    from escada.training.distributed import World

Rung = Annotated[
    str,
    typer.Argument(
        help="A rung's name, or a spec file ending in .toml.", autocompletion=completion.rungs
    ),
]


def run_or_folder(given: Path) -> Path:
    """A folder as it is; else the run that has this name."""
    from escada.runs.catalogue import find_run

    return given if given.is_dir() else find_run(given)


def _run_meant(context: typer.Context, given: Path | None) -> Path | None:
    """The folder of the run that was given by its path or by its rung's name."""
    if given is None or context.resilient_parsing:
        return given
    from escada.runs.catalogue import find_run

    return find_run(given)


def _runs_meant(context: typer.Context, given: list[Path]) -> list[Path]:
    """As `_run_meant`, of several; a folder of runs stays as it was given."""
    return given if context.resilient_parsing else [run_or_folder(path) for path in given]


def _folder_meant(context: typer.Context, given: Path) -> Path:
    return given if context.resilient_parsing else run_or_folder(given)


def _tokenizer_meant(context: typer.Context, given: Path) -> Path:
    """A tokenizer's folder as it is; else that of the run that has this name."""
    from escada.errors import EscadaError

    try:
        return _folder_meant(context, given)
    except EscadaError as error:
        what = f"no tokenizer here; {error.what}"
        raise EscadaError(what, where=error.where, fix=error.fix) from error


RUN_HELP = "A run's folder, or its rung's name where one run below runs/ has it."
RunFolder = Annotated[
    Path,
    typer.Argument(help=RUN_HELP, callback=_run_meant, autocompletion=completion.run_folders),
]
MaybeRunFolder = Annotated[
    Path | None,
    typer.Argument(help=RUN_HELP, callback=_run_meant, autocompletion=completion.run_folders),
]
RunsOrClimbs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN…",
        help="Runs (folders, or names of rungs), or a climb's folder for all its runs.",
        callback=_runs_meant,
        autocompletion=completion.runs_and_climbs,
    ),
]
RunOrClimb = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="A climb's folder (it holds ladder.json), or a run: its folder, or its rung's name.",
        callback=_folder_meant,
        autocompletion=completion.runs_and_climbs,
    ),
]
TokenizerFolder = Annotated[
    Path,
    typer.Option(
        "--tokenizer",
        help="A tokenizer's folder, or a run: its folder, or its rung's name.",
        callback=_tokenizer_meant,
        autocompletion=completion.run_folders,
    ),
]
Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN…",
        help="Runs: their folders, or the names of their rungs.",
        callback=_runs_meant,
        autocompletion=completion.run_folders,
    ),
]


def other_run(help_text: str) -> Any:
    """An option that takes a run, as the argument of the verbs does."""
    return typer.Option(help=help_text, callback=_run_meant, autocompletion=completion.run_folders)


Preset = Annotated[
    str,
    typer.Option(
        help="full (the roadmap's sizes) or laptop (two CPU cores).",
        autocompletion=completion.presets,
    ),
]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget", help="'60 s', '5 min', '3 epochs', '50k steps', '800M tokens', '1e17 flop'."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="A prepared corpus folder; without it, the default corpus.",
        autocompletion=completion.corpora,
    ),
]
RunData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="The run's corpus folder, if it was moved.",
        autocompletion=completion.corpora,
    ),
]
Out = Annotated[Path, typer.Option("--out", help="The folder that run folders are made in.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE over the preset, such as train.learning_rate=3e-4."),
]
Seed = Annotated[
    int, typer.Option(help="Seed of weights, batches and dropout.", min=0, max=2**63 - 1)
]
Guardrail = Annotated[
    list[str] | None,
    typer.Option(
        "--guardrail", help="A module on the path with a GUARDRAIL to ask too; may be repeated."
    ),
]
Split = Annotated[
    str,
    typer.Option(
        help="train, validation or test.",
        autocompletion=completion.among("train", "validation", "test"),
    ),
]
Device = Annotated[
    str,
    typer.Option(help="auto, cpu or cuda.", autocompletion=completion.among("auto", "cpu", "cuda")),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def open_corpus(data: Path | None, profile: str) -> Corpus:
    """The corpus at `data`; else the default corpus, prepared in the cache if need be."""
    from escada.text.corpus import Corpus, default_corpus_path, prepare

    if data is not None:
        return Corpus.open(data)
    return prepare("default", default_corpus_path(profile), profile=profile)


def check_paths(data: Path | None, out: Path) -> None:
    """Find out whether a training can read its corpus and write its run, before torch is loaded.

    Raises:
        EscadaError: no corpus at `data`, or no folder can be made at `out`.
    """
    from escada.errors import EscadaError
    from escada.text.corpus import Corpus

    if data is not None:
        Corpus.open(data)
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        what = "a file is where a folder is needed"
        raise EscadaError(what, where=there, fix="choose another --out")
    if not os.access(there, os.W_OK):
        raise EscadaError("no permission to write", where=there, fix="choose another --out")


INTERRUPTED = 130
"""Exit code of a process stopped by Ctrl-C (128 + SIGINT)."""


def say_interrupted(run: Path) -> None:
    """Write the card of a run that Ctrl-C stopped, and say how to go on with it."""
    from escada.report.writers.card import write_card
    from escada.runs.run import open_run

    write_card(open_run(run))
    echo(f"Stopped and saved. Resume with: escada resume {run}", err=True)


def _say_finished(run: Run) -> None:
    """The score of a training, whether it kept to its time, and what to do next."""
    from escada.runs.time_budget import budget_seconds, time_warning
    from escada.runs.underway import is_under_way

    record = run.record
    given = budget_seconds(run.spec, record)
    if warning := time_warning(run.spec.name, record["training_seconds"], given):
        echo(f"warning: {warning}", err=True)
    if record["best_bits_per_byte"] is not None:
        echo(
            f"validation: {record['best_bits_per_byte']:.3f} bits per byte at step "
            f"{record['best_step']:,}: what the model needs per byte of text that it has not "
            "read (lower is better; 8 is knowing nothing)",
            err=True,
        )
    if not is_under_way(run.path.parent):  # a climb evaluates its runs itself
        echo(f"next: escada evaluate {run.path}   or: escada sample {run.path}", err=True)


def say_first(world: World) -> Callable[[str], None]:
    """Says on standard error what a training is doing; of several processes, the first one."""

    def say(text: str) -> None:
        if world.first:
            echo(text, err=True)

    return say


def train_together(device: str, train: Callable[[World], Run]) -> None:
    """Train in one process or in several, and close the run as it ended.

    Args:
        device: `auto`, `cpu` or `cuda`.
        train: starts or resumes a run in the world that it is given.
    """
    from escada.cost.sheet import in_one_line, read_sheet
    from escada.report.writers.card import write_card
    from escada.training.distributed import joined
    from escada.training.loop import Interrupted

    stopped = False
    with joined(device) as world:
        # Inside, since the others wait here for the first one, which does the closing.
        try:
            run = train(world)
        except Interrupted as stop:
            stopped = True
            if world.first:
                say_interrupted(stop.path)
        else:
            if world.first:
                write_card(run)
                if sheet := read_sheet(run.layout.cost):
                    echo(in_one_line(sheet), err=True)
                _say_finished(run)
                echo(run.path)
    if stopped:
        raise typer.Exit(INTERRUPTED)
