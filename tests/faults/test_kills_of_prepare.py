"""SIGKILL of `data prepare` at random moments: the same command goes on, to the same corpus.

Who is killed is the command, one of its processes, or all of them at once. Nothing may be left
behind: no process, and no file beside those of the corpus.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.faults.conftest import gone_within
from tests.faults.table import FULL, outcomes

from escada.files import read_json

pytestmark = pytest.mark.slow
KILLS = 100 if FULL else 4
WORDS = "casa rio vento livro mar noite pedra caminho festa janela cidade chuva tempo".split()
SMALL_PARTS = """
from functools import partial
from escada.text.preparation import across, prepare

prepare.make_parts = partial(prepare.make_parts, part_characters=200_000)
across.ALONE_BYTES = 0
from escada.cli import main

main()
"""
"""A small source in many parts, and each step in two processes."""


def source_in(folder: Path) -> Path:
    """Two megabytes of documents, some of them near-duplicates."""
    chance = random.Random(1)
    texts: list[str] = []
    for i in range(1500):
        words = [chance.choice(WORDS) + str(chance.randrange(9999)) for _ in range(150)]
        texts.append(texts[-1] + " fim" if i % 50 == 49 else " ".join(words))
    path = folder / "texts.jsonl"
    rows = [json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)]
    path.write_text("".join(rows), encoding="utf-8")
    return path


def begun(source: Path, out: Path) -> subprocess.Popen[str]:
    arguments = ["data", "prepare", "--source", str(source), "--out", str(out), "--workers", "2"]
    return subprocess.Popen(
        [sys.executable, "-c", SMALL_PARTS, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str], chance: random.Random) -> list[psutil.Process]:
    """Kill the command, one of its processes, or all; returns what it had started."""
    children = psutil.Process(process.pid).children(recursive=True)
    victim = chance.choice(["command", "all", *(["one"] if children else [])])
    if victim == "command":
        process.kill()
    elif victim == "all":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        try:
            chance.choice(children).kill()
        except psutil.NoSuchProcess:
            process.kill()
    return children


@pytest.mark.timeout(3600)
def test_a_preparation_killed_at_random_moments_ends_with_the_same_corpus(tmp_path: Path):
    chance = random.Random("kills of prepare")
    found = outcomes("SIGKILL of `data prepare`, then the same command")
    source = source_in(tmp_path)
    began = time.monotonic()
    assert begun(source, tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - began
    whole = read_json(tmp_path / "whole" / "manifest.json")
    files = {entry.name for entry in (tmp_path / "whole").iterdir()}
    kills = since_an_end = number = 0
    while kills < KILLS or since_an_end:
        out = tmp_path / str(number)
        process = begun(source, out)
        if kills < KILLS:
            time.sleep(chance.uniform(0, seconds))
        if kills < KILLS and process.poll() is None:
            children = kill(process, chance)
            kills, since_an_end = kills + 1, since_an_end + 1
            _, said = process.communicate()
            assert gone_within(children, 10.0), children
            assert process.returncode in (-signal.SIGKILL, 0, 2), said
            if process.returncode == 2:
                assert "a worker process was killed" in said
        else:
            _, said = process.communicate()
            assert process.returncode == 0, said
        if process.returncode == 0:
            made = read_json(out / "manifest.json")
            same = made == whole and {entry.name for entry in out.iterdir()} == files
            found["survived" if same else "wrong"] += since_an_end
            assert same, (number, sorted(entry.name for entry in out.iterdir()))
            since_an_end, number = 0, number + 1
