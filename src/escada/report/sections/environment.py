"""Hashes that identify each run, and the machines and versions it ran with."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from escada.report.blocks import Block, Details, Section, Text
from escada.report.contents import Contents
from escada.report.i18n import NOTHING
from escada.report.schema import RungRow
from escada.report.sections.shared import as_typed, rung_names, status, tokenizer_column
from escada.report.tables import (
    Cell,
    Column,
    Filled,
    Row,
    Table,
    columns_of,
    csv_attributes,
    csv_only,
    figure,
    page_table,
    rung_rows,
    text,
)
from escada.typed_json import flat


def section(contents: Contents) -> Section:
    """Build the section."""
    say = contents.language.say
    machines = list(_machines(contents)) or [Text(say("environment.none"))]
    return Section(
        "environment",
        say("environment.title"),
        say("nav.environment"),
        [Text(say("environment.hashes"), "caption"), runs_table(contents), *machines],
    )


def runs_table(contents: Contents) -> Table:
    """Hashes and machine of each run."""
    t, say, runs = contents.language, contents.language.say, contents.runs

    def code(value: str | None) -> Cell:
        return Cell((value or NOTHING)[:12], value, "code")

    def machine(rung: RungRow) -> Cell:
        name = runs[rung.name].environment.processor or NOTHING
        return Cell(f"{name}, {rung.precision or NOTHING}", f"{name}, {rung.precision}")

    filled: list[Filled[RungRow]] = [
        rung_names(t),
        tokenizer_column("vocab_size", t),
        figure("seed", say("tables.seed"), t.number),
        (Column("key", say("environment.key"), numeric=False), lambda r: code(r.key)),
        (Column("spec_hash", say("environment.spec"), numeric=False), lambda r: code(r.spec_hash)),
        *csv_attributes("corpus_hash"),
        (Column("machine", say("tables.machine"), numeric=False, width=0.2), machine),
        text("run", say("environment.run"), "code"),
        csv_only("torch", lambda r: runs[r.name].environment.packages.get("torch")),
        csv_only("git_commit", lambda r: runs[r.name].environment.git_commit),
        (
            Column("status", say("ladder.status"), numeric=False),
            lambda r: Cell(status(r, t), r.status),
        ),
        (
            Column("missing", say("environment.missing"), numeric=False, csv=False),
            lambda r: Cell(", ".join(runs[r.name].missing) or NOTHING),
        ),
    ]
    return Table(
        "runs",
        say("tables.runs"),
        columns_of(filled),
        rung_rows(filled, contents.ladder.rungs),
        [say("tables.runs_note"), contents.origin],
        page=("rung", "run", "status", "spec_hash", "key", "missing"),
        paper=("rung", "vocab_size", "seed", "key", "spec_hash", "machine"),
        label=say("environment.hashes"),
    )


def _machines(contents: Contents) -> Iterator[Block]:
    """The machine, what all runs share, and what differs by run, on demand."""
    flats = {
        name: _facts(run.environment)
        for name, run in contents.runs.items()
        if "env.json" not in run.missing
    }
    first = next(iter(flats.values())) if flats else {}
    shared = {k for k, v in first.items() if all(one.get(k) == v for one in flats.values())}
    tables = {
        "machine": _facts(contents.ladder.machine),
        "shared": {key: value for key, value in first.items() if key in shared},
        "differing": {
            f"{name} · {key}": value
            for name, facts in flats.items()
            for key, value in facts.items()
            if key not in shared
        },
    }
    say = contents.language.say
    columns = [
        Column("name", say("environment.name"), numeric=False),
        Column("value", say("environment.value"), numeric=False),
    ]
    for key, values in tables.items():
        if values:
            title = say(f"environment.{key}")
            rows = [Row([Cell(name, name, "code"), Cell(v, v)]) for name, v in values.items()]
            yield Details(title, [page_table(key, title, columns, rows, kind="pairs")])


def _facts(table: BaseModel) -> dict[str, str]:
    """Dotted names and plain values of what was recorded."""
    values = flat(table.model_dump(mode="json", exclude_unset=True))
    return {name: as_typed(value) for name, value in values.items()}
