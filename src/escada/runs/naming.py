"""Finds runs by path or name; light, since every verb's completion does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from escada.errors import EscadaError, nearest
from escada.files import read_json
from escada.runs.layout import Layout

RUNS = Path("runs")
"""Where a run's name alone is looked up."""
_NAMED = 6
"""Maximum number of runs listed in a message."""


def find_run(given: Path) -> Path:
    """The folder of a run given by path, or by the name of its rung if only one run has it.

    Args:
        given: a run's folder; or `v4`, the only run of v4 in `RUNS` and the climbs in it; or
            `runs/demo/v4`, the only one below `runs/demo`. A run that a finished one continues does
            not count.

    Raises:
        EscadaError: a climb's folder, a file, a name of several runs or of none.
    """
    if is_run_folder(given):
        return given
    if given.is_dir():
        if inside := list(named_runs(given)):
            raise EscadaError(
                "not a run folder, but one that holds runs",
                where=given,
                fix=f"name one of them: {_listed(path for path, _ in inside)}",
            )
        return given  # the caller reports what is missing
    if given.is_file():
        fix = f"`escada runs {given.parent}` lists those below its folder"
        raise EscadaError("not a run folder, but a file", where=given, fix=fix)
    folder = RUNS if len(given.parts) == 1 else given.parent
    runs = list(named_runs(folder))
    if any(sign in given.name for sign in "*?["):
        found = [path for path, _ in runs]
        fix = f"there are {_listed(found)}" if found else "`escada runs` lists those that there are"
        raise EscadaError("no run matches this pattern", where=given, fix=fix)
    found = _not_continued([path for path, name in runs if given.name in (name, path.name)])
    if len(found) > 1:
        raise EscadaError(
            f"{given.name} is the name of {len(found)} runs below {folder}",
            fix=f"name one of them: {_listed(found)}",
        )
    if found:
        return found[0]
    names = sorted({name for _, name in runs})
    near = nearest(given.name, [*names, *(path.name for path, _ in runs)]) if runs else ""
    hint = near if "?" in near else f"`escada runs {folder}` lists those below it"
    raise EscadaError("not a run folder, nor the name of a run", where=given, fix=hint)


def _not_continued(found: list[Path]) -> list[Path]:
    """Without the runs that a finished one of the others continues."""
    if len(found) < 2:
        return found
    replaced: set[Path] = set()
    for path in found:
        try:
            record = read_json(Layout(path).record)
        except EscadaError:  # damaged: it can be given by its path
            continue
        match record:
            case {"status": "finished", "continued_from": {"run": str(before)}}:
                replaced.add(Path(before))
            case _:
                pass
    return [path for path in found if path.resolve() not in replaced]


def is_run_folder(given: str | Path) -> bool:
    """Whether this is the path of a run; accepts any text."""
    return os.path.isfile(Layout(Path(given)).record)  # noqa: PTH113 the method fails on long names


def named_runs(folder: Path) -> Iterator[tuple[Path, str]]:
    """Runs in a folder and in the climbs in it, with the names of their rungs."""
    for record in sorted((*folder.glob("*/record.json"), *folder.glob("*/*/record.json"))):
        if record.parent.name.startswith(".") or record.parent.parent.name.startswith("."):
            continue
        try:
            name = str(read_json(record).get("name"))
        except EscadaError:  # damaged: it can be given by its path
            name = record.parent.name
        yield record.parent, name


def _listed(paths: Iterable[Path]) -> str:
    shown = [str(path) for path in paths]
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more
