"""A lock has one holder, who is named, and whose death frees it."""

import contextlib
import platform
import subprocess
import sys
import threading
import time

import pytest

from escada.errors import EscadaError
from escada.locks import exclusive, is_held

HOLD = """
import pathlib, sys, time
from escada.locks import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def another_process_holding(lock):
    command = [sys.executable, "-c", HOLD, str(lock)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_second_process_is_told_who_holds_a_lock(tmp_path):
    lock = tmp_path / "run" / ".lock"
    with another_process_holding(lock) as process:
        assert is_held(lock)
        with (
            pytest.raises(EscadaError, match="another training") as told,
            exclusive(lock, "another training", fix="wait for it"),
        ):
            pass
        assert f"process {process.pid} on {platform.node()} since 2" in str(told.value)
        assert str(told.value).endswith("; wait for it")
        process.kill()  # SIGKILL: the system gives the lock back, nobody else can
        process.wait()
        assert not is_held(lock)
        with exclusive(lock, "another training"):
            assert is_held(lock)
    assert not is_held(lock)


def test_whoever_waits_for_a_lock_gets_it_when_it_is_free(tmp_path):
    lock = tmp_path / ".lock"
    order = []
    with another_process_holding(lock) as process:

        def wait():
            with exclusive(lock):
                order.append("held")

        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.3)
        order.append("killed")
        process.kill()
        thread.join(10)
    assert order == ["killed", "held"]


def test_threads_of_one_process_exclude_each_other(tmp_path):
    inside, most = [], []

    def work():
        with exclusive(tmp_path / ".lock"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] * 5


def test_looking_whether_a_lock_is_held_never_makes_its_taker_fail(tmp_path):
    lock = tmp_path / ".lock"
    with exclusive(lock):
        pass
    stop = threading.Event()

    def look():
        while not stop.is_set():
            is_held(lock)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(100):
            with exclusive(lock, "held by nobody"):
                pass
    finally:
        stop.set()
        thread.join()


def test_a_lock_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EscadaError, match="a file is where"), exclusive(tmp_path / "file" / "x"):
        pass
