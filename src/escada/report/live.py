"""A report that follows a running climb: `escada report DIR --watch`.

    poll → changed? → write the page → print one line → wait → poll …

The ladder of a running climb is ladder.json (the evaluated rungs) plus the run folders of the
others. Each page says how old it is and reloads itself, except the last one, written when the climb
ends or the user stops watching.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from escada.errors import EscadaError
from escada.files import read_json, utc_now
from escada.report.data import LADDER_FILE, RECORD_FILE, by_rung, ladder_of_run, read_rows
from escada.report.i18n import Language
from escada.report.progress import Progress
from escada.report.schema import Ladder
from escada.report.writers.html import Live, write_report
from escada.runs.climb_lock import Planned, is_under_way, read_plan
from escada.runs.layout import Layout
from escada.runs.log import read_log

_WATCHED = (
    *(LADDER_FILE, "climb.json", "beside.json", "*/record.json", "*/metrics.jsonl", "*/cost.json"),
    *("*/evaluation/*.json", "*/samples/samples.json"),
)
_LOOK_SECONDS = 0.5
"""How often to check between two pages whether the climb has ended."""


def watch(
    folder: Path,
    every_seconds: float,
    say: Callable[[str], None],
    *,
    more_sections: Sequence[str] = (),
) -> Path | None:
    """Write the page of a running climb until the climb ends.

    Args:
        every_seconds: between two pages.
        say: called with one progress line per iteration.
        more_sections: dotted names of modules with a section each.

    Returns:
        The path of the last page; None if the climb ended before its first rung.

    Raises:
        EscadaError: no climb is running there and none has left a ladder, or a file is damaged.
        KeyboardInterrupt: the user stopped watching, after a last page without reload.
    """
    if not is_under_way(folder) and not (folder / LADDER_FILE).is_file():
        raise EscadaError(
            "no climb is under way here, and none has left its ladder",
            where=folder,
            fix="start `escada climb --out` with this folder, then watch it",
        )
    english, seen = Language.load("en"), None
    try:
        while is_under_way(folder):
            now = _signature(folder)
            if now != seen:
                _write(folder, every_seconds, more_sections)
                seen = now
            say(progress(folder).sentence(english))
            _wait(folder, every_seconds)
    except KeyboardInterrupt:
        _write(folder, None, more_sections)
        raise
    return _write(folder, None, more_sections)


def live_ladder(folder: Path) -> Ladder | None:
    """The ladder of a climb so far; None before its first run folder exists.

    Raises:
        EscadaError: a file is damaged.
    """
    planned = read_plan(folder)
    ladder = _reviewed(folder)
    rows = {row.key: row for row in ladder.rungs} if ladder else {}
    for run, path in _begun(folder, planned):
        if run.key not in rows:
            alone = ladder_of_run(path, path.name)
            rows[run.key] = alone.rungs[0]
            ladder = ladder or alone  # for its corpus and budget
    if ladder is None:
        return None
    order = {run.key: place for place, run in enumerate(planned)}
    rungs = sorted(rows.values(), key=lambda row: order.get(row.key or "", len(order)))
    return by_rung(ladder.model_copy(update={"rungs": rungs}), folder / LADDER_FILE)


def progress(folder: Path) -> Progress:
    """The progress of a climb.

    Raises:
        EscadaError: a file is damaged.
    """
    planned = read_plan(folder)
    ladder = _reviewed(folder)
    done = {row.key for row in ladder.rungs} if ladder else set[str | None]()
    count = sum(run.key in done for run in planned)
    for run, path in _begun(folder, planned):
        if run.key not in done:
            record = read_json(path / RECORD_FILE)
            step, bits = _last_metrics(Layout(path))
            total = record.get("total_steps")
            return Progress(count, len(planned), run.name, step, total, bits)
    return Progress(count, len(planned), None)


def _reviewed(folder: Path) -> Ladder | None:
    """The ladder of evaluated rungs, if ladder.json exists."""
    return read_rows(folder) if (folder / LADDER_FILE).is_file() else None


def _begun(folder: Path, planned: list[Planned]) -> Iterator[tuple[Planned, Path]]:
    """The planned runs that have a folder, in the order of the plan."""
    folders = {
        read_json(path).get("key"): path.parent
        for path in sorted(folder.glob(f"*/{RECORD_FILE}"))
        if not path.parent.name.startswith(".") and not read_json(path).get("dry_run")
    }
    for run in planned:
        if run.key in folders:
            yield run, folders[run.key]


def _last_metrics(run: Layout) -> tuple[int, float | None]:
    """The last step and validation bits per byte in a run's log."""
    step, bits = 0, None
    for row in read_log(run):
        step = row.get("step", step)
        bits = row.get("bits_per_byte", bits)
    return step, bits


def _signature(folder: Path) -> object:
    """Changes whenever a file that the page depends on changes."""
    found: list[tuple[str, int, int]] = []
    for pattern in _WATCHED:
        for path in sorted(folder.glob(pattern)):
            state = path.stat()
            found.append((str(path), state.st_mtime_ns, state.st_size))
    return found


def _write(folder: Path, every_seconds: float | None, more_sections: Sequence[str]) -> Path | None:
    """Write the current page; it reloads itself if `every_seconds` is given."""
    ladder = live_ladder(folder)
    if ladder is None:
        return None
    live = None
    if every_seconds is not None:
        live = Live(every_seconds, utc_now(), progress(folder))
    return write_report(folder, ladder=ladder, live=live, more_sections=more_sections)


def _wait(folder: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and is_under_way(folder):
        time.sleep(min(_LOOK_SECONDS, left))


def step_aside() -> None:
    """Lower this process's priority in favour of the training."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(10)
