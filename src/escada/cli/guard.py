"""`escada guard`: whether a run's samples can be trusted as text of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from escada.cli.shared import options
from escada.errors import counted
from escada.terminal import echo, echo_json

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
) -> None:
    """Judge a run's samples by controls; the exit code is 1 if they cannot be trusted."""
    from escada.evaluation.task import Subject
    from escada.files import read_json
    from escada.guardrails.task import Guardrails, guard_samples
    from escada.guardrails.texts import read_samples
    from escada.guardrails.verdicts import with_roadmap_limits
    from escada.runs.corpus import corpus_of
    from escada.runs.run import open_run

    opened = open_run(run)
    subject = Subject(opened, corpus_of(opened, data), device=device)
    task = Guardrails(guardrail or ())
    if samples is None:
        subject.need(task)
        found = read_json(task.path(opened))
    else:
        also = list(task.also.values())
        found = guard_samples(subject, read_samples(samples), also).to_json()
    if roadmap_limits:
        found = with_roadmap_limits(found)
    if json:
        echo_json(found)
    else:
        _show(found)
    if found["verdict"] != "pass":
        raise typer.Exit(FAILED)


def _show(found: dict[str, Any]) -> None:
    rows = [*found["guardrails"].values(), found["origin"]]
    head = ("", "samples [95 %]", "limit", "must pass", "must fail", "verdict")
    table = [head, *(_row(record, found["controls"]) for record in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        echo("  ".join(cells).rstrip())
    echo()
    for record in rows:
        if record["reason"]:
            echo(f"{record['name']}, {record['verdict']}: {record['reason']}")
        for control in record.get("not_told_apart", ()):
            echo(f"{record['name']}: {control} cannot be told from {record['must_pass']}")
    judged = found["samples"]
    echo(f"{judged['judged']} of {counted(judged['there'], 'sample')}: {found['verdict']}")
    for cause in found["causes"]:
        echo(f"  {cause['text']} ({', '.join(cause['shown_by'])})")


def _row(record: dict[str, Any], controls: dict[str, Any]) -> tuple[str, ...]:
    from escada.guardrails.verdicts import in_words, limit_in_words

    name, limit, verdict = record["name"], record["limit"], record["verdict"]
    if verdict == "not applicable":
        return (name, "–", "–", "–", "–", verdict)
    values = {control: in_words(of[name]["value"]) for control, of in controls.items()}
    edge, interval = record["calibration"], record["ci95"]
    nearest = [edge["nearest"]] if edge else record["must_fail"]
    return (
        name,
        in_words(record["value"])
        + (f" [{in_words(interval[0])}, {in_words(interval[1])}]" if interval else ""),
        "–" if limit is None else limit_in_words(record),
        f"{record['must_pass']} {values[record['must_pass']]}",
        ", ".join(f"{control} {values[control]}" for control in nearest),
        verdict,
    )
