"""Clients that hold connections, never read or never finish, against a real server process.

In the quick test the numbers are small; in the slow one they are those of a siege, and the process
may have fewer open files than there are connections.
"""

import contextlib
import http.client
import json
import random
import re
import signal
import socket
import struct
import time
from dataclasses import dataclass

import psutil
import pytest
from tests.processes import Escada
from tests.serve.conftest import eventually, is_closed, request_bytes

ME = "127.0.0.1"
HALF_A_HEAD = b"GET /v1/models HTTP/1.1\r\nHost: local"
STREAM = {"model": "v1", "prompt": "A", "max_tokens": 1024, "n": 16, "stream": True, "logprobs": 5}


@dataclass
class Numbers:
    """How much of everything."""

    idle: int
    streams: int
    aborted: int
    open_files: int
    times: int


def address(number):
    """One of many loopback addresses."""
    return f"127.1.{1 + number // 250}.{1 + number % 250}"


class Served:
    """A server process, and what a well-behaved client sees of it."""

    def __init__(self, run, numbers, *options):
        resource = pytest.importorskip("resource")
        limit = (numbers.open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        self.process = Escada(
            ["serve", run.path, "--port", "0", *options],
            prelude=f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, {limit})",
        )
        self._stderr = self.process._outputs[1]
        eventually(lambda: "Ctrl-C" in self._stderr.read_text(), seconds=60)
        self.port = int(re.search(r":(\d+)/", self._stderr.read_text())[1])
        self.memory = psutil.Process(self.process.pid).memory_info

    def connect(self, source, data=b""):
        connection = socket.create_connection((ME, self.port), 10, (source, 0))
        connection.sendall(data)
        return connection

    def ask(self, method, path, body=None, source=ME):
        """Status, headers and body."""
        connection = http.client.HTTPConnection(
            ME, self.port, timeout=30, source_address=(source, 0)
        )
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def metric(self, name):
        text = self.ask("GET", "/metrics")[2].decode()
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])

    def seconds_of_a_visit(self):
        """What another client asks for is answered; the seconds that it takes."""
        began = time.monotonic()
        assert self.ask("GET", "/v1/models")[0] == 200
        wish = {"model": "v1", "prompt": "A", "max_tokens": 8, "seed": 1}
        status, _, body = self.ask("POST", "/v1/completions", wish)
        assert status == 200, body
        return time.monotonic() - began


def abort(connection):
    """Close with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hold_idle(served, count):
    """Connections, half of them of one address; half of them have sent half a head."""
    return [
        served.connect(
            "127.2.0.1" if number % 2 else address(number), HALF_A_HEAD if number % 4 < 2 else b""
        )
        for number in range(count)
    ]


def abort_requests(served, count):
    """Requests that are given up at any moment, 100 at a time."""
    rng = random.Random(0)
    data = request_bytes(STREAM | {"n": 1})
    held = []
    for number in range(count):
        cut = rng.choice([0, 20, len(data) // 2, len(data), len(data)])
        held.append(served.connect(address(number % 50), data[:cut]))
        if len(held) == 100 or number == count - 1:
            time.sleep(rng.choice([0, 0.05, 0.2]))
            for connection in held:
                abort(connection)
            held.clear()


def besiege(served, numbers):
    """Everything at once; the seconds of another client's visits meanwhile."""
    idle = hold_idle(served, numbers.idle)
    visits = [served.seconds_of_a_visit() for _ in range(5)]
    data = request_bytes(STREAM)
    streams = [served.connect(address(number), data) for number in range(numbers.streams)]
    began = time.monotonic()
    while time.monotonic() < began + 3:
        visits.append(served.seconds_of_a_visit())
    abort_requests(served, numbers.aborted)
    visits += [served.seconds_of_a_visit() for _ in range(5)]
    eventually(lambda: all(map(is_closed, idle)), 15)
    eventually(lambda: served.metric('escada_rows{model="v1"}') == 0, 30)
    print("all ended after", time.monotonic() - began, "s")
    for connection in streams:
        connection.close()
    return visits


def withstand(run, numbers, *options):
    served = Served(run, numbers, *options)
    try:
        for _ in range(20):
            served.seconds_of_a_visit()
        memory = [served.memory().rss / 2**20]
        for _ in range(numbers.times):
            visits = besiege(served, numbers)
            print(len(visits), "visits, at most", max(visits), "s")
            assert served.ask("GET", "/ready")[0] == 200
            memory.append(served.memory().rss / 2**20)
        print("MiB", memory)
        if numbers.times > 1:  # what is held grows with the first one, and is not lost
            assert memory[-1] - memory[1] < 10 * numbers.times

        reader = served.connect(ME, request_bytes(STREAM | {"n": 1, "max_tokens": 50}))
        unread = [served.connect(address(n), request_bytes(STREAM)) for n in range(4)]
        assert b" 200 OK" in reader.recv(100)
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert reader.makefile("rb").read().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert served.process.wait(40) == 0
        print("the end took", time.monotonic() - began, "s")
        for connection in unread:
            connection.close()
        assert served._stderr.read_text().count("\n") == 1  # the address
    finally:
        served.process.kill()


def test_others_are_answered_whatever_some_clients_do(a_run):
    withstand(
        a_run,
        Numbers(idle=200, streams=8, aborted=200, open_files=256, times=1),
        "--grace-seconds",
        "4",
    )


@pytest.mark.slow
def test_others_are_answered_under_the_issues_numbers(a_run):
    withstand(a_run, Numbers(idle=1100, streams=64, aborted=2000, open_files=1024, times=3))
