"""The command line: one verb a file, thin; those that measure in `measure/`.

Each verb's module imports only typer at the top; what is heavy is imported inside its function, so
that `escada --help` answers at once.
"""

from __future__ import annotations

import itertools
import os
import sys
from typing import NoReturn, cast

import typer

import escada
from escada.cli import (
    archive,
    climb,
    data,
    demo,
    doctor,
    export,
    plan,
    report,
    rungs,
    runs,
    sample,
    scale,
    serve,
    tokenizer,
    train,
)
from escada.cli.measure import cloze, compare, evaluate, guard, judge, pairs, score
from escada.cli.shared import usage
from escada.cli.shared.panels import PanelGroup
from escada.errors import EscadaError
from escada.files import disk_error
from escada.signals import INTERRUPTED, end_with_parent
from escada.terminal import echo, echo_error, print_what_can_be_shown
from escada.training.launch import processes, speaks_for_all

_TOGETHER = ("train", "resume")
"""The verbs that several processes do together."""
_USAGE_ERROR: type[BaseException] = typer.BadParameter.__mro__[1]
"""What the parser raises for a command line that it cannot read; typer does not export its name."""

app = typer.Typer(
    name="escada",
    cls=PanelGroup,
    help="A ladder of Portuguese language models, measured by one ruler.\n\nA rung is one model of "
    "the ladder (v1 to v_final); a run is one training of it; a climb trains several rungs and "
    "compares them. First: escada demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    doctor.doctor,
    rungs.rungs,
    runs.runs,
    plan.plan,
    train.train,
    train.resume,
    demo.demo,
    climb.climb,
    scale.scale,
    evaluate.evaluate,
    compare.compare,
    pairs.pairs,
    cloze.cloze,
    sample.sample,
    score.score,
    guard.guard,
    judge.judge,
    report.report,
    serve.serve,
    export.export,
    archive.archive,
):
    app.command()(verb)
app.add_typer(data.app, name="data")
app.add_typer(tokenizer.app, name="tokenizer")


def _version(wanted: bool) -> None:
    if wanted:
        echo(f"escada {escada.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True),
) -> None:
    del version
    verb = context.invoked_subcommand
    if processes() > 1 and verb not in _TOGETHER:
        raise EscadaError(
            f"`escada {verb}` is the work of one process, and {processes()} were started",
            fix="start it without torchrun",
        )


def main() -> None:
    """Run the command line; a user's error is one line and exit code 2."""
    print_what_can_be_shown()
    end_with_parent()
    try:
        # Not standalone: an error of usage is raised to us, in place of a box of several lines.
        code = app(standalone_mode=False)
    except EscadaError as error:
        _fail(error)
    except _USAGE_ERROR as error:
        _fail_usage(cast(typer.BadParameter, error))
    except BrokenPipeError:
        # Whoever read our output left (`escada runs | head`): nothing to say, nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if (known := disk_error(error, error.filename) or _of_given_path(error)) is None:
            raise
        _fail(known)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    else:
        sys.exit(code)


def _of_given_path(error: OSError) -> EscadaError | None:
    """What is wrong with a path of the command line; None when the path is our own."""
    if error.filename is None or str(error.filename) not in sys.argv[1:]:
        return None
    what = (error.strerror or type(error).__name__).lower()
    return EscadaError(what, where=error.filename, fix="check the path")


def _fail(error: EscadaError) -> NoReturn:
    if speaks_for_all():
        echo_error(f"escada: {error}")
    sys.exit(error.exit_code)


def _fail_usage(error: typer.BadParameter) -> NoReturn:
    """A wrong option or argument, in one line; a group of verbs without its verb shows its help."""
    if "\n" in error.message:
        error.show()
        sys.exit(error.exit_code)
    what = usage.plain(error.format_message())
    fixes = [usage.remedy(what, error.ctx, sys.argv[1:]), f"see {_verb(error)} --help"]
    _fail(EscadaError(what, fix="; ".join(filter(None, fixes))))


def _verb(error: typer.BadParameter) -> str:
    """`escada report`, also where the parser did not note which verb it was reading."""
    if error.ctx is not None:
        return error.ctx.command_path
    named = itertools.takewhile(lambda word: not word.startswith("-"), sys.argv[1:])
    words = list(itertools.islice(named, 2))
    groups = [group.name for group in app.registered_groups]
    return " ".join(["escada", *words[: 2 if words[:1] and words[0] in groups else 1]])
