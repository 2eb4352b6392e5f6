"""The command line: one verb a file, thin.

Each verb's module imports only typer at the top; what is heavy is imported inside its function, so
that `escada --help` answers at once.
"""

from __future__ import annotations

import sys

import typer

import escada
from escada.cli import (
    climb,
    data,
    doctor,
    evaluate,
    judge,
    report,
    resume,
    rungs,
    runs,
    sample,
    tokenizer,
    train,
)
from escada.errors import EscadaError

INTERRUPTED = 130
"""Exit code of a process stopped by Ctrl-C (128 + SIGINT)."""

app = typer.Typer(
    name="escada",
    help="A ladder of Portuguese language models, measured by one ruler.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    doctor.doctor,
    rungs.rungs,
    runs.runs,
    train.train,
    resume.resume,
    climb.climb,
    evaluate.evaluate,
    sample.sample,
    judge.judge,
    report.report,
):
    app.command()(verb)
app.add_typer(data.app, name="data")
app.add_typer(tokenizer.app, name="tokenizer")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"escada {escada.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True),
) -> None:
    del version


def main() -> None:
    """Run the command line; a user's error is one line and exit code 2."""
    try:
        app()
    except EscadaError as error:
        typer.echo(f"escada: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
