"""`escada score`: what your text costs each run, token by token."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from escada.cli.shared import completion, options
from escada.errors import EscadaError, counted
from escada.runs.naming import find_run, is_run_folder
from escada.terminal import Style, echo, echo_json, echo_styled, in_line

if TYPE_CHECKING:
    from escada.evaluation.text_score import ScoredToken, TextScore

LEVELS: tuple[tuple[float, Style], ...] = (
    (8.0, "red"),
    (4.0, "magenta"),
    (2.0, "yellow"),
    (1.0, "cyan"),
)
"""From so many bits on a token has that colour; below, none. The steps are the playground's."""
BAR_BITS = 16.0
"""A bar of as many signs; more is cut, and the number says so."""


def score(
    runs_and_text: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN… TEXT",
            help="Runs (folders, or names of rungs), then the text in quotes; - reads it from "
            "standard input.",
            autocompletion=completion.run_folders,
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Score this UTF-8 text file as one text, in place of TEXT."),
    ] = None,
    top: Annotated[
        int, typer.Option(help="Also name the most probable tokens at each place.", min=0, max=100)
    ] = 0,
    device: options.Device = "auto",
    json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Score a text: each token's bits under each run, and the bits per byte of the whole."""
    from escada.api.run import Run
    from escada.evaluation.text_score import SCHEMA_VERSION

    runs, text = _runs_and_text(runs_and_text, file)
    scores: list[tuple[str, TextScore]] = []
    for path in runs:
        run = Run.open(path, device=device)
        scores.append((run.path.name, run.surprisal(text, alternatives=top).score))
    if json:
        table = {
            "schema_version": SCHEMA_VERSION,
            "scores": [{"run": name, **found.model_dump()} for name, found in scores],
        }
        echo_json(table)
        return
    for name, found in scores:
        _show(name, found)
    if len(scores) > 1:
        _compare(scores)


def _runs_and_text(given: list[str], file: Path | None) -> tuple[list[Path], str]:
    """The runs, and the text: the last argument, standard input or a file.

    Raises:
        EscadaError: no run, no text, or a file that cannot be read.
    """
    *runs, last = given
    if file is not None:
        from escada.text.sources.streams import whole_text

        return [find_run(Path(run)) for run in given], whole_text(file)
    if not runs:
        raise EscadaError("a run and a text are needed", fix='as in: escada score RUN "uma frase"')
    found = [_run(run, given) for run in runs]
    if last == "-":
        return found, _decoded(sys.stdin.buffer.read())
    if is_run_folder(last):
        raise EscadaError(
            "this is a run, and the text is missing",
            where=last,
            fix="put the text after the runs, in quotes",
        )
    return found, last


def _run(name: str, given: list[str]) -> Path:
    """The run of that name, which may be a word of a text without quotes.

    Raises:
        EscadaError: no run of this name, or several.
    """
    try:
        return find_run(Path(name))
    except EscadaError as error:
        at = given.index(name)
        if at == 0:
            raise
        fix = f'a text of several words needs quotes: "{" ".join(given[at:])}"; {error.fix}'
        raise EscadaError(error.what, where=error.where, fix=fix) from error


def _decoded(data: bytes) -> str:
    """The text of standard input."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EscadaError(
            f"not UTF-8: byte {error.start} is 0x{data[error.start]:02x}",
            where="standard input",
            fix="save it as UTF-8",
        ) from error


def _show(name: str, found: TextScore) -> None:
    """The text in colours, a line for each token, and the sums."""
    echo_styled([(in_line(name), "bold")])
    echo_styled([("  ", None), *map(_coloured, found.tokens)])
    for token in found.tokens:
        bar = "#" * round(min(token.bits, BAR_BITS))
        line = f"{token.bits:9.2f}  {bar:{int(BAR_BITS)}}  {_named(token)}"
        others = "  ".join(f"{o.name!r} {o.bits:.2f}" for o in token.alternatives)
        echo(line + (f"    {others}" if others else ""))
    echo(f"{found.bits:9.2f}  {_sums(found)}")
    echo()


def _sums(found: TextScore) -> str:
    unknown = f", {found.unknown} unknown to the tokenizer" if found.unknown else ""
    return (
        f"bits in {counted(len(found.tokens), 'token')} (the end of the text is one), "
        f"{counted(found.bytes, 'byte')}"
        f"{unknown}: {found.bits_per_byte:.4f} bits per byte"
    )


def _coloured(token: ScoredToken) -> tuple[str, Style | None]:
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in token.text)
    colour: Style | None = next((name for least, name in LEVELS if token.bits >= least), None)
    return text, colour


def _named(token: ScoredToken) -> str:
    """As it decodes alone, in quotes, with signs that a terminal would obey written out."""
    if token.name == "<unk>":
        return f"{token.text!r} (unknown)"
    special = token.name == "<eos>" or token.name.startswith("bytes:")
    return token.name if special else repr(token.name)


def _compare(scores: list[tuple[str, TextScore]]) -> None:
    echo_styled([("bits per byte", "bold")])
    for name, found in sorted(scores, key=lambda one: one[1].bits_per_byte):
        echo(f"{found.bits_per_byte:9.4f}  {name}")
