"""A report follows a climb while it runs, and ends with it or with Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from escada.runs.climb_lock import is_under_way

pytestmark = pytest.mark.slow
TINY = (
    *("train.batch_sequences=6", "train.micro_batch_sequences=3", "train.window_tokens=24"),
    *("model.d_embedding=16", "model.d_hidden=32"),
)
STEPS = 1500


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1"}


def start_climb(corpus_path: Path, out: Path) -> subprocess.Popen:
    command = [
        *(sys.executable, "-m", "escada", "climb", "v1", "v2", "--preset", "laptop"),
        *("--budget", f"{STEPS} steps", "--device", "cpu"),
        *("--data", str(corpus_path), "--out", str(out)),
        *(part for setting in TINY for part in ("--set", setting)),
    ]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: is_under_way(out), process)
    return process


def start_watch(out: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "escada", "report", str(out), "--watch", "--every", "1s"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(true, process: subprocess.Popen, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not true():
        if process.poll() is not None:
            raise AssertionError(f"ended early: {process.stderr.read()}")
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def page_of(out: Path) -> str:
    page = out / "report" / "index.html"
    return page.read_text(encoding="utf-8") if page.exists() else ""


def is_live(page: str) -> bool:
    return 'data-every="1.0"' in page


@pytest.fixture
def climbing(corpus_path, tmp_path):
    """A climb that has just begun; it is ended with the test."""
    out = tmp_path / "out"
    process = start_climb(corpus_path, out)
    yield out, process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)


def test_the_page_follows_a_climb_to_its_end(climbing):
    out, climb = climbing
    watching = start_watch(out)
    wait_until(lambda: is_live(page_of(out)), watching)
    live = page_of(out)
    assert "The climb is running." in live
    assert "runs done: 0 of 2; v1: step" in live
    assert "://" not in live
    stdout, stderr = watching.communicate(timeout=280)
    _, said = climb.communicate(timeout=60)
    assert climb.returncode == 0, said
    assert watching.returncode == 0, stderr
    assert re.search(rf"v1: step [\d,]+ of {STEPS:,}", stderr)
    assert "\nruns done: 1 of 2" in stderr
    last = page_of(out)
    assert not is_live(last)
    assert "data-every" not in last
    assert stdout.splitlines()[-1] == str(out / "report" / "index.html")
    assert "bits per byte" in stdout


def test_a_page_that_two_watchers_write_is_whole_whenever_it_is_read(climbing):
    out, climb = climbing
    watching, beside = start_watch(out), start_watch(out)
    wait_until(lambda: is_live(page_of(out)), watching)
    while beside.poll() is None:
        page = page_of(out)
        assert page.startswith("<!doctype html>"), page[:80]
        assert page.rstrip().endswith("</html>"), page[-80:]
        time.sleep(0.02)
    assert beside.returncode == 0, beside.stderr.read()
    assert watching.wait(timeout=60) == 0, watching.stderr.read()
    climb.communicate(timeout=60)
    assert climb.returncode == 0


def test_ctrl_c_ends_the_watching_and_nothing_else(climbing):
    out, climb = climbing
    watching = start_watch(out)
    wait_until(lambda: is_live(page_of(out)), watching)
    watching.send_signal(signal.SIGINT)
    _, stderr = watching.communicate(timeout=60)
    assert watching.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert climb.poll() is None
    assert not is_live(page_of(out))  # it does not ask for itself for ever


def test_a_climb_that_was_watched_and_stopped_goes_on(climbing, corpus_path):
    out, climb = climbing
    watching = start_watch(out)
    wait_until(lambda: is_live(page_of(out)), watching)
    climb.send_signal(signal.SIGINT)
    climb.communicate(timeout=120)
    assert watching.wait(timeout=60) == 0  # it ended with the climb
    assert not is_live(page_of(out))
    again = start_climb(corpus_path, out)  # the report that lies there is no stranger's
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=120)
    assert again.returncode == 130


def test_a_second_climb_in_the_same_folder_is_refused(climbing, corpus_path):
    out, _ = climbing
    command = [sys.executable, "-m", "escada", "climb", "v1", "--preset", "laptop"]
    command += ["--budget", "10 steps", "--data", str(corpus_path), "--out", str(out)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert "another climb is under way here" in done.stderr
