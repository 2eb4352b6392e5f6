"""Kills a preparation again and again, and repeats it until it has ended."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from escada.files import read_json

PROGRAM = """
import sys
from functools import partial
from escada.cli import main
from escada.text.preparation import prepare
if __name__ == "__main__":
    prepare.make_parts = partial(prepare.make_parts, part_characters=int(sys.argv.pop(1)))
    main()
"""
PART_CHARACTERS = 2**22
"""As users have them; fewer make more parts of a source."""


def command(out: Path, options: Sequence[object], part_characters: int) -> list[str]:
    verb = ["data", "prepare", *map(str, options), "--out", str(out)]
    return [sys.executable, "-c", PROGRAM, str(part_characters), *verb]


def prepare(
    out: Path,
    options: Sequence[object],
    env: Mapping[str, str] = os.environ,
    part_characters: int = PART_CHARACTERS,
) -> None:
    """A preparation that nobody kills."""
    told = command(out, options, part_characters)
    subprocess.run(told, check=True, capture_output=True, env=dict(env))


def prepare_killed(
    out: Path,
    options: Sequence[object],
    env: Mapping[str, str] = os.environ,
    part_characters: int = PART_CHARACTERS,
) -> int:
    """Kill the whole process group after every new part, and start again; returns the kills."""
    chance = random.Random(1)
    most_seconds = 0.5 * part_characters / PART_CHARACTERS
    kills = made = 0
    while True:
        process = subprocess.Popen(
            command(out, options, part_characters),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=dict(env),
        )
        while (code := process.poll()) is None:
            if len(list(out.glob(".parts-*/[0-9]*"))) > made:
                time.sleep(chance.uniform(0, most_seconds))
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
                break
            time.sleep(0.02)
        if code is not None:
            assert code == 0
            return kills
        made = len(list(out.glob(".parts-*/[0-9]*")))


def corpus_hash(folder: Path) -> str:
    return read_json(folder / "manifest.json")["hash"]


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}
