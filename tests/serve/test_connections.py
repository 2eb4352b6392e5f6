"""How many connections, and how long each may leave the service waiting, on a real server."""

import http.client
import json
import socket
import subprocess
import sys
import time

import pytest
from tests.serve.conftest import (
    SlowBatch,
    eventually,
    is_closed,
    request_bytes,
    running,
    usual_models,
)

from escada.serve.limits import Limits, client_of

HALF = b"GET /v1/models HTTP/1.1\r\nHost: local"
REST = b"host\r\n\r\n"
LONG = {"model": "v1", "prompt": "Era", "max_tokens": 1000, "stream": True}


def connect(service, data=b"", source="127.0.0.1"):
    connection = socket.create_connection((service.host, service.port), 30, (source, 0))
    connection.sendall(data)
    return connection


def read_response(connection):
    """Status and body of the next response."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.headers, answer.read()


def test_headers_that_do_not_end_are_told_408_and_silence_is_closed():
    limits = Limits(head_seconds=1)
    with running(limits=limits) as service:
        silent, half = connect(service), connect(service, HALF)
        for _ in range(5):  # a byte now and then gains nothing
            half.sendall(b"h")
            time.sleep(0.1)
        status, headers, body = read_response(half)
        assert (status, headers["connection"]) == (408, "close")
        assert headers["x-content-type-options"] == "nosniff"
        assert json.loads(body)["error"]["message"] == "The headers did not arrive in time."
        eventually(lambda: is_closed(silent))
        assert is_closed(half)


def test_half_of_the_next_request_does_not_hold_a_connection_either(monkeypatch):
    monkeypatch.setattr("escada.serve.server.KEEP_ALIVE_SECONDS", 2)
    with running(limits=Limits(head_seconds=1)) as service:
        connection = connect(service, HALF + REST)
        assert read_response(connection)[0] == 200
        time.sleep(1.2)  # longer than a first request may take
        connection.sendall(HALF + REST)
        assert read_response(connection)[0] == 200
        connection.sendall(HALF)
        assert read_response(connection)[0] == 408
        assert is_closed(connection)


def test_a_request_in_progress_is_not_idle():
    limits = Limits(head_seconds=1, unread_seconds=1)
    with running(usual_models(limits, SlowBatch), limits, grace_seconds=0.2) as service:
        wish = request_bytes(LONG | {"stream": False, "max_tokens": 300, "n": 8})
        status, _, body = read_response(connect(service, wish))
        assert status == 200
        choices = json.loads(body)["choices"]
        assert len(choices) == 8
        # So it was in progress for three times as long as an idle connection may be.
        assert any(choice["finish_reason"] == "length" for choice in choices)
        assert 300 * SlowBatch.seconds >= 3 * limits.head_seconds


def test_the_idle_connection_of_a_client_gives_way_to_its_new_one():
    limits = Limits(max_connections_per_client=3)
    with running(usual_models(limits, SlowBatch), limits, grace_seconds=0.2) as service:
        busy = connect(service, request_bytes(LONG))
        assert b" 200 OK" in busy.recv(100)
        silent = connect(service)
        time.sleep(0.1)
        used = connect(service, HALF + REST)
        assert read_response(used)[0] == 200
        other = connect(service, source="127.0.0.2")
        assert service.request("GET", "/v1/models")[0] == 200
        eventually(lambda: is_closed(silent))
        assert not is_closed(used)
        assert not is_closed(other)  # another client's does not
        busy.settimeout(5)
        assert busy.recv(100)


def test_a_client_whose_connections_are_all_in_use_is_told_so():
    limits = Limits(max_connections_per_client=2)
    with running(usual_models(limits, SlowBatch), limits, grace_seconds=0.2) as service:
        busy = [connect(service, request_bytes(LONG)) for _ in range(2)]
        for connection in busy:
            assert b" 200 OK" in connection.recv(100)
        for body in (None, {"model": "v1", "prompt": "a" * 200_000}):
            method = "POST" if body else "GET"
            status, headers, answer = service.request(method, "/v1/completions", body)
            assert status == 429
            assert answer["error"]["code"] == "too_many_connections"
            assert headers["retry-after"] == "1"
            assert headers["connection"] == "close"
            assert headers["x-frame-options"] == "DENY"
        assert service.request("GET", "/ready", source="127.0.0.2")[0] == 200
        waiting = [connect(service) for _ in range(2)]
        with pytest.raises(ConnectionError):  # beyond twice the number there is no answer
            service.request("GET", "/ready")
        busy.pop().close()
        waiting.pop().close()
        eventually(lambda: len(service.server.server_state.connections) == 2)
        waiting.pop().close()
        eventually(lambda: len(service.server.server_state.connections) == 1)
        assert service.request("GET", "/ready")[0] == 200


def test_when_the_service_is_full_an_idle_connection_of_anybody_gives_way():
    limits = Limits(max_connections=10, max_connections_per_client=5)
    with running(limits=limits) as service:
        idle = [connect(service, source=f"127.0.1.{1 + number}") for number in range(10)]
        for _ in range(3):
            assert service.request("GET", "/ready")[0] == 200
        eventually(lambda: is_closed(idle[0]))
        assert [is_closed(connection) for connection in idle[3:]] == [False] * 7
        assert len(service.server.server_state.connections) <= 10


def test_a_stream_that_is_not_read_is_ended_and_its_samples_with_it():
    limits = Limits(unread_seconds=1, max_tokens=100_000)
    with running(limits=limits) as service:
        wish = request_bytes(LONG | {"n": 16, "max_tokens": 100_000, "logprobs": 20})
        connection = connect(service, wish)
        eventually(lambda: service.service.scheduler.rows()["v1"][0] == 16)
        eventually(lambda: service.service.scheduler.rows()["v1"] == (0, 0), 15)
        eventually(lambda: service.service.active == 0)
        assert is_closed(connection)  # after what the buffers held


@pytest.mark.parametrize("stream", [True, False])
def test_a_slow_reader_is_not_taken_for_one_that_does_not_read(stream):
    limits = Limits(unread_seconds=1)
    with running(limits=limits) as service:
        wish = {"n": 16, "max_tokens": 300, "logprobs": 10, "seed": 1, "stream": stream}
        connection = connect(service, request_bytes(LONG | wish))
        received, slept_seconds = bytearray(), 0.0
        while part := connection.recv(20_000):  # 400 kB/s
            received += part
            time.sleep(0.05)
            slept_seconds += 0.05
        assert slept_seconds > 3 * limits.unread_seconds
        end = b"data: [DONE]\n\n\r\n0\r\n\r\n" if stream else b"}"
        assert received.endswith(end), len(received)


def test_what_is_no_http_is_answered_in_the_form_of_other_errors(here):
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", b"GET\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 20_000):  # fmt: skip
        status, headers, body = read_response(connect(here, data))
        assert (status, headers["connection"]) == (400, "close")
        assert headers["x-frame-options"] == "DENY"
        assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_ready_says_whether_a_new_client_would_be_served():
    limits = Limits(max_rows=1, max_queue=2)
    with running(usual_models(limits, SlowBatch), limits, grace_seconds=0.2) as service:
        assert service.request("GET", "/ready")[0] == 200
        held = []
        for number in range(3):
            held.append(connect(service, request_bytes(LONG), f"127.0.0.{2 + number}"))
            eventually(lambda: sum(service.service.scheduler.rows()["v1"]) == len(held))
        status, headers, body = service.request("GET", "/ready")
        assert (status, body["error"]["code"]) == (503, "overloaded")
        assert 1 <= int(headers["retry-after"]) <= 60
        status, headers, body = service.complete(model="v1", prompt="a")
        assert (status, body["error"]["code"]) == (503, "overloaded")
        assert 1 <= int(headers["retry-after"]) <= 60
        status, headers, body = service.complete("127.0.0.3", model="v1", prompt="a")
        assert (status, body["error"]["code"]) == (429, "queue_full")
        held.pop().close()
        eventually(lambda: service.request("GET", "/ready")[0] == 200)


def test_ready_counts_the_request_that_is_still_to_come():
    limits = Limits(max_rows=1, max_queue=2)
    with running(limits=limits) as service:
        most = limits.max_queue + limits.max_rows * len(service.service.models)
        for active, ready, served in ((most - 1, 200, 200), (most, 503, 503)):
            service.service.active = active
            assert service.request("GET", "/ready")[0] == ready
            assert service.complete(model="v1", prompt="a", max_tokens=1)[0] == served
            # A request is no longer counted only some time after its response was read.
            eventually(lambda active=active: service.service.active == active)
        service.service.active = 0


def test_clients_are_addresses_and_networks():
    assert client_of("192.0.2.7") == client_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert client_of("2001:db8:1:2:3:4:5:6") == client_of("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert client_of("2001:db8:1:3::9") != client_of("2001:db8:1:2::9")
    assert client_of("fe80::1%eth0") == "fe80::/64"
    assert client_of("") == ""
    assert client_of("testclient") == "testclient"


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(256, 10_000, (100, 484)), (256, 400, (16, 400)), (5000, 10_000, (100, 5000)), (64, 64, None)],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_may(soft, hard, expected):
    resource = pytest.importorskip("resource")
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from escada.serve.connections import raise_descriptors\n"
        "print(raise_descriptors(100), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= hard
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if expected is None:
        assert "EscadaError: only 64 files may be open at the same time" in done.stderr
    else:
        assert done.stdout.split() == [str(part) for part in expected], done.stderr
