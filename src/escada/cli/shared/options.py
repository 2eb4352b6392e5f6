"""Options that several verbs share, with their one help text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from escada import choices
from escada.cli.shared import completion
from escada.errors import EscadaError
from escada.extensions import trust_all
from escada.files import TOML_BYTES, check_size
from escada.runs.naming import find_run
from escada.terminal import echo


def check_spec_size(name: str | None) -> str | None:
    """The name of a rung as it was given, or of its file, which is read whole.

    Raises:
        EscadaError: the file is too large to be a spec.
    """
    if name is not None and ("/" in name or name.endswith(".toml")) and Path(name).is_file():
        check_size(Path(name), TOML_BYTES, "name a spec file: it ends in .toml")
    return name


def check_spec_sizes(names: list[str] | None) -> list[str] | None:
    """As `check_spec_size`, of several."""
    for name in names or ():
        check_spec_size(name)
    return names


RUNG_HELP = "A rung's name, or a spec file ending in .toml."
Rung = Annotated[
    str,
    typer.Argument(help=RUNG_HELP, callback=check_spec_size, autocompletion=completion.rungs),
]
MaybeRung = Annotated[
    str | None,
    typer.Argument(help=RUNG_HELP, callback=check_spec_size, autocompletion=completion.rungs),
]


def run_or_folder(given: Path) -> Path:
    """A folder as it is; else the run that has this name."""
    return given if given.is_dir() else find_run(given)


def _run_meant(given: Path | None) -> Path | None:
    """The folder of the run that was given by its path or by its rung's name."""
    return None if given is None else find_run(given)


def _runs_meant(given: list[Path]) -> list[Path]:
    """As `_run_meant`, of several; a folder of runs stays as it was given."""
    return [run_or_folder(path) for path in given]


def _tokenizer_meant(given: Path) -> Path:
    """A tokenizer's folder as it is; else that of the run that has this name."""
    try:
        return run_or_folder(given)
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
        callback=run_or_folder,
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
Scale = Annotated[
    Path | None,
    typer.Option(
        "--scale",
        metavar="DIR",
        help="The --out of an `escada scale`, whose crossings the report shows; without it, the "
        "climb's own folder if it has a scale.json.",
    ),
]
Tracker = Annotated[
    str | None,
    typer.Option(
        "--tracker",
        metavar="NAME",
        help="Send the log to a tracker too: wandb, mlflow, trackio, or a module on the path; see "
        "docs/trackers.md. ESCADA_TRACKER=NAME is the same.",
        autocompletion=completion.among("wandb", "mlflow", "trackio"),
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        min=1,
        help="Rungs trained and measured at a time, sharing the threads: small models gain little "
        "from a second thread.",
    ),
]
Split = Annotated[choices.Split, typer.Option(help="Part of the corpus.")]
Device = Annotated[choices.Device, typer.Option(help="What computes; auto: a GPU if there is one.")]
CorpusProfile = Annotated[
    choices.Profile, typer.Option(help="Which default corpus, when there is no --data.")
]


def _trust_code(given: bool) -> bool:
    def note(line: str) -> None:
        if os.environ.get("RANK", "0") == "0":  # the first of the processes of torchrun
            echo(line, err=True)

    trust_all(note if given else None)
    return given


TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Run the code from outside escada that the run's folder names (its model, tokenizer, "
        "optimizer or schedule). Read it first.",
        callback=_trust_code,
        is_eager=True,
        expose_value=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def check_paths(data: Path | None, out: Path) -> None:
    """Find out whether a training can read its corpus and write its run, before torch is loaded.

    Raises:
        EscadaError: no corpus at `data`, or no folder can be made at `out`.
    """
    from escada.text.corpus import Corpus

    if data is not None:
        Corpus.open(data, verify=False)  # it is opened again, once torch is there
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        what = "a file is where a folder is needed"
        raise EscadaError(what, where=there, fix="choose another --out")
    if not os.access(there, os.W_OK):
        raise EscadaError("no permission to write", where=there, fix="choose another --out")
