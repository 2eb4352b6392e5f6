"""What a climb starts ends with it, however it ends; and it ends soon when it is asked to."""

import signal
import time
from pathlib import Path

import psutil
import pytest
from tests.faults.conftest import gone_within
from tests.processes import Escada

SIZES = "model.d_hidden=16 model.d_embedding=8 train.batch_sequences=4 train.window_tokens=16"
SECONDS = 10.0


def climb(corpus: Path, out: Path, *more: str) -> list[str]:
    sizes = [part for size in SIZES.split() for part in ("--set", size)]
    common = ("--budget", "1000000 steps", "--device", "cpu", "--data", str(corpus))
    return ["climb", "v1", "v2", *common, "--out", str(out), *sizes, *more]


def wait_for(process: Escada, pattern: str, folder: Path) -> None:
    while not list(folder.glob(pattern)):
        assert process.poll() is None
        time.sleep(0.05)


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_killed_climb_leaves_no_training_behind(corpus_path, tmp_path, jobs):
    process = Escada(climb(corpus_path, tmp_path / "climb", "--jobs", jobs))
    wait_for(process, "climb/*/metrics.jsonl", tmp_path)
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("train" in child.cmdline() for child in children)
    process.kill()
    assert gone_within(children, SECONDS)


# One call of C that takes minutes and is not interrupted by a signal, as compressors have them.
LONG_CONTROLS = """
import hashlib
import escada.ladder.climb as climb
climb.make_controls = lambda *_: hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)
"""


def test_a_climb_in_its_controls_ends_when_it_is_asked_to(corpus_path, tmp_path):
    process = Escada(climb(corpus_path, tmp_path / "climb"), prelude=LONG_CONTROLS)
    wait_for(process, "climb/climb.json", tmp_path)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(SECONDS)
    finally:
        process.kill()
    _, said = process.communicate()
    assert process.returncode == 130
    assert "The same command goes on with the climb" in said
