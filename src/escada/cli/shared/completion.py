"""What the tab key offers as a value: rungs, presets, run folders, GPUs and the like.

A completion must come at once, so nothing heavy is imported here: names are read from the package's
TOML files and from the folders below the working directory. Where nothing is found the shell falls
back to its own file names, so that a path of any kind can be typed everywhere.
"""

from __future__ import annotations

import glob
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import islice
from pathlib import Path

from escada.runs.naming import named_runs

RUNS = "runs/"
CORPORA = "data/"
MOST = 200
"""Most folders that are offered."""

Complete = Callable[[str], list[str]]
"""From what was typed of a word to the words that it may become."""


def among(*values: str) -> Complete:
    """One of some fixed values."""
    return lambda incomplete: _beginning(values, incomplete)


def rungs(incomplete: str) -> list[str]:
    """The package's rungs; a spec file is found by the shell."""
    return _beginning(sorted(_rung_files()), incomplete)


def presets(incomplete: str) -> list[str]:
    """`full` and every preset of any rung."""
    tables = (tomllib.loads(file.read_text("utf-8")) for file in _rung_files().values())
    named = {name for table in tables for name in table.get("presets", {})}
    return _beginning(["full", *sorted(named)], incomplete)


def gpus(incomplete: str) -> list[str]:
    """The GPUs that a plan can name."""
    file = resources.files("escada.cost").joinpath("gpus.toml")
    table = tomllib.loads(file.read_text("utf-8"))
    return _beginning((name for name, row in table.items() if "memory_mib" in row), incomplete)


def run_folders(incomplete: str) -> list[str]:
    """Names that stand for one run; runs below what was typed, or below `runs/`."""
    return _rung_names(incomplete) + _folders_with("record.json", incomplete, RUNS)


def runs_and_climbs(incomplete: str) -> list[str]:
    """Names that stand for one run, climbs, then runs."""
    return _rung_names(incomplete) + [
        folder
        for marker in ("ladder.json", "record.json")
        for folder in _folders_with(marker, incomplete, RUNS)
    ]


def corpora(incomplete: str) -> list[str]:
    """Prepared corpora below what was typed, or below `data/`."""
    return _folders_with("manifest.json", incomplete, CORPORA)


def _rung_names(incomplete: str) -> list[str]:
    """Names of rungs that exactly one run below `runs/` has: they stand for it."""
    if "/" in incomplete or not Path(RUNS).is_dir():
        return []
    counted = Counter(name for _, name in islice(named_runs(Path(RUNS)), MOST))
    return _beginning((name for name, runs in counted.items() if runs == 1), incomplete)


def _beginning(values: Iterable[str], incomplete: str) -> list[str]:
    return [value for value in values if value.startswith(incomplete)]


def _rung_files() -> dict[str, Traversable]:
    files = resources.files("escada.rungs").iterdir()
    return {f.name.removesuffix(".toml"): f for f in files if f.name.endswith(".toml")}


def _folders_with(marker: str, incomplete: str, usual: str) -> list[str]:
    """Folders that hold the marker, at most two levels below what was typed."""
    start = usual if usual.startswith(incomplete) and Path(usual).is_dir() else incomplete
    typed = glob.escape(start)
    found = [
        path.removesuffix(f"/{marker}")
        for pattern in (f"{typed}*/{marker}", f"{typed}*/*/{marker}")
        for path in sorted(glob.glob(pattern))  # noqa: PTH207 the shell's form: as it was typed
    ]
    return found[:MOST]
