"""A report that follows a climb while it runs: `escada report DIR --watch`.

    look → has anything changed? → write the page → say one line → wait → look …

The ladder of a climb in progress is ladder.json, which holds the rungs that are reviewed, and the
run folders of those that are not. The page that is written says how old it is and loads itself
again; the last one, when the climb has ended or the watcher is stopped, does not.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from escada.errors import EscadaError
from escada.files import read_json, read_json_lines
from escada.report.data import LADDER_FILE, RECORD_FILE, by_rung, ladder_of_run, read_rows
from escada.report.i18n import Language
from escada.report.progress import Progress
from escada.report.schema import Ladder
from escada.report.writers.html import Live, write_report
from escada.runs.underway import Planned, is_under_way, read_plan

_WATCHED = (
    *(LADDER_FILE, "climb.json", "*/record.json", "*/metrics.jsonl", "*/cost.json"),
    *("*/evaluation/*.json", "*/samples/samples.json"),
)
_LOOK_SECONDS = 0.5
"""How often the end of the climb is looked for between two pages."""


def watch(
    folder: Path,
    every_seconds: float,
    say: Callable[[str], None],
    *,
    more_sections: Sequence[str] = (),
) -> Path | None:
    """Write the page of a running climb until the climb ends.

    Args:
        folder: of the climb.
        every_seconds: between two pages.
        say: called with one line whenever a page was written.
        more_sections: dotted names of modules with a section each.

    Returns:
        The path of the last page, that of the climb as it ended; None if it ended before it had
        a rung to show.

    Raises:
        EscadaError: no climb is under way there and none has left a ladder, or a file is damaged.
        KeyboardInterrupt: the user stopped watching; the page has been written without its reload.
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
    """The ladder of a climb as far as it is; None before its first rung has a folder.

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
            ladder = ladder or alone  # what it knows of corpus and budget
    if ladder is None:
        return None
    order = {run.key: place for place, run in enumerate(planned)}
    rungs = sorted(rows.values(), key=lambda row: order.get(row.key or "", len(order)))
    return by_rung(ladder.model_copy(update={"rungs": rungs}), folder / LADDER_FILE)


def progress(folder: Path) -> Progress:
    """Where the climb is.

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
            step, bits = _last_metrics(path / "metrics.jsonl")
            total = record.get("total_steps")
            return Progress(count, len(planned), run.name, step, total, bits)
    return Progress(count, len(planned), None)


def _reviewed(folder: Path) -> Ladder | None:
    """The rungs that are in ladder.json, if there is one."""
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


def _last_metrics(path: Path) -> tuple[int, float | None]:
    """Step and bits per byte of the last rows that are whole."""
    if not path.is_file():
        return 0, None
    step, bits = 0, None
    for row in read_json_lines(path, unfinished=True):
        step = row.get("step", step)
        bits = row.get("bits_per_byte", bits)
    return step, bits


def _signature(folder: Path) -> object:
    """Changes whenever a file that the page is made of does."""
    found: list[tuple[str, int, int]] = []
    for pattern in _WATCHED:
        for path in sorted(folder.glob(pattern)):
            state = path.stat()
            found.append((str(path), state.st_mtime_ns, state.st_size))
    return found


def _write(folder: Path, every_seconds: float | None, more_sections: Sequence[str]) -> Path | None:
    """Write the page as things are; one that loads itself again if there is an interval."""
    ladder = live_ladder(folder)
    if ladder is None:
        return None
    live = None
    if every_seconds is not None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        live = Live(every_seconds, now, progress(folder))
    return write_report(folder, ladder=ladder, live=live, more_sections=more_sections)


def _wait(folder: Path, seconds: float) -> None:
    """Until the next page is due, or the climb has ended."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and is_under_way(folder):
        time.sleep(min(_LOOK_SECONDS, left))


def step_aside() -> None:
    """Leave the processor to the training that is watched."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(10)
