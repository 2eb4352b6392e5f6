"""`escada guard`: whether a run's samples can be trusted as text of its model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from escada.cli.shared import options
from escada.errors import counted
from escada.files import read_json
from escada.terminal import echo, echo_json

if TYPE_CHECKING:
    from escada.guardrails.results import ControlFound, GuardrailFound, GuardrailsResult

Row = tuple[str, str, str, str, str, str]
FAILED = 1
"""Exit code of samples that fail: a finding, not a mistake of the user's."""


def guard(
    run: options.RunFolder,
    samples: Annotated[
        Path | None,
        typer.Option(
            help="Judge the samples in this file instead, printed by `escada sample --json`. "
            "Nothing is stored."
        ),
    ] = None,
    roadmap_limits: Annotated[
        bool,
        typer.Option(
            "--roadmap-limits",
            help="The roadmap's fixed limits: 3 % byte pieces, 12 % short pieces. Nothing is "
            "stored.",
        ),
    ] = False,
    guardrail: options.Guardrail = None,
    data: options.RunData = None,
    device: options.Device = "auto",
    json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Judge a run's samples by controls; the exit code is 1 if they cannot be trusted."""
    from escada.evaluation.task import Subject
    from escada.guardrails.task import Guardrails, guard_samples
    from escada.guardrails.texts import read_samples
    from escada.guardrails.verdicts import with_roadmap_limits
    from escada.runs.corpus import corpus_of
    from escada.runs.run import open_run

    opened = open_run(run)
    subject = Subject(opened, corpus_of(opened, data), device=device)
    task = Guardrails(guardrail or ())
    stored: dict[str, object] = {}
    if samples is None:
        found = subject.need(task)
        stored = read_json(task.path(opened))
    else:
        found = guard_samples(subject, read_samples(samples), list(task.also.values()))
    if roadmap_limits:
        found = with_roadmap_limits(found)
    if json:
        echo_json(stored | found.to_json())
    else:
        _show(found)
    if found.verdict != "pass":
        raise typer.Exit(FAILED)


def _show(found: GuardrailsResult) -> None:
    rows = list(found.all_guardrails().values())
    head = ("", "samples [95 %]", "limit", "must pass", "must fail", "verdict")
    table = [head, *(_row(one, found.controls) for one in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        echo("  ".join(cells).rstrip())
    echo()
    for one in rows:
        if one.reason:
            echo(f"{one.name}, {one.verdict}: {one.reason}")
        for control in one.not_told_apart:
            echo(f"{one.name}: {control} cannot be told from {one.must_pass}")
    if judged := found.samples:
        echo(f"{judged.judged} of {counted(judged.there, 'sample')}: {found.verdict}")
    for cause in found.causes:
        echo(f"  {cause.text} ({', '.join(cause.shown_by)})")


def _row(one: GuardrailFound, controls: Mapping[str, Mapping[str, ControlFound]]) -> Row:
    from escada.guardrails.results import in_words

    if one.verdict == "not applicable":
        return (one.name, "–", "–", "–", "–", one.verdict)

    def control(name: str) -> str:
        return f"{name} {in_words(controls[name][one.name].value)}"

    interval = f" [{in_words(one.ci95[0])}, {in_words(one.ci95[1])}]" if one.ci95 else ""
    nearest = [one.calibration.nearest] if one.calibration else one.must_fail
    return (
        one.name,
        in_words(one.value) + interval,
        "–" if one.limit is None else one.limit_in_words,
        control(one.must_pass) if one.must_pass else "–",
        ", ".join(map(control, nearest)),
        one.verdict,
    )
