"""Clients that leave, and a server that is told to."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from tests.serve.conftest import SlowBatch, eventually, running, usual_models

from escada.serve.limits import Limits

LONG = {"model": "v1", "prompt": "Era", "max_tokens": 1000, "n": 3, "seed": 1}


def rows(service):
    return service.service.scheduler.rows()["v1"]


def metric(service, name):
    _, _, body = service.request("GET", "/metrics", raw=True)
    lines = [line for line in body.decode().splitlines() if line.startswith(name + " ")]
    assert len(lines) == 1, name
    return float(lines[0].rpartition(" ")[2])


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_rows(stream):
    limits = Limits(max_rows=2)  # two of the three rows wait
    with running(usual_models(limits, SlowBatch), limits) as service:
        body = json.dumps(LONG | {"stream": stream}).encode()
        connection = socket.create_connection((service.host, service.port))
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        eventually(lambda: rows(service) == (1, 2))
        if stream:
            assert b"200 OK" in connection.recv(100)
        connection.close()
        eventually(lambda: rows(service) == (0, 0), seconds=3)
        eventually(lambda: service.service.active == 0)
        assert metric(service, 'escada_requests_total{model="v1",status="499"}') == 1
        assert service.complete(model="v1", prompt="a", max_tokens=1)[0] == 200


def test_a_client_that_leaves_while_it_waits_leaves_the_queue():
    limits = Limits(max_rows=1)
    with running(usual_models(limits, SlowBatch), limits) as service:
        with httpx.stream("POST", f"{service.url}/v1/completions", json=LONG | {"stream": True}):
            eventually(lambda: rows(service) == (1, 2))
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{service.url}/v1/completions", json=LONG, timeout=0.3)
            eventually(lambda: rows(service) == (1, 2))
        eventually(lambda: rows(service) == (0, 0))


def test_fifty_requests_of_one_address_do_not_delay_anothers_first_token():
    limits = Limits(max_rows=4)
    with running(usual_models(limits, SlowBatch), limits) as service:
        answers = []

        def greedy():
            answers.append(service.complete(**LONG | {"n": 1, "max_tokens": 12})[0])

        threads = [threading.Thread(target=greedy) for _ in range(50)]
        for thread in threads:
            thread.start()
        eventually(lambda: sum(rows(service)) > 40)
        before = time.perf_counter()
        status, _, _ = service.complete("127.0.0.2", model="v1", prompt="O", max_tokens=3)
        seconds = time.perf_counter() - before
        assert status == 200
        still = sum(rows(service))
        assert still > 25, f"{50 - still} of the 50 were served before it, in {seconds:.2f} s"
        for thread in threads:
            thread.join()
        assert answers == [200] * 50


def test_two_tokens_are_two_clients():
    limits = Limits(max_rows=1)
    with running(usual_models(limits, SlowBatch), limits, tokens=["um", "dois"]) as service:
        order = []

        def ask(token, number):
            headers = {"Authorization": f"Bearer {token}"}
            service.complete(headers=headers, model="v1", prompt="a", max_tokens=20)
            order.append((token, number))

        threads = []
        for token, number in [("um", 0), ("um", 1), ("um", 2), ("dois", 0)]:
            threads.append(threading.Thread(target=ask, args=(token, number)))
            threads[-1].start()
            eventually(lambda: sum(rows(service)) == len(threads))
        for thread in threads:
            thread.join()
        assert order == [("um", 0), ("um", 1), ("dois", 0), ("um", 2)]


def test_metrics_count_requests_tokens_and_times():
    with running() as service:
        for _ in range(2):
            service.complete(model="v5", prompt="abc", max_tokens=7, n=2, seed=1)
        service.complete(model="v5", prompt="abc", max_tokens=0)
        service.complete(model="v5", prompt="abc", max_tokens=10**6)
        service.complete(model="../../etc", prompt="abc")
        assert metric(service, 'escada_requests_total{model="v5",status="200"}') == 2
        assert metric(service, 'escada_requests_total{model="v5",status="400"}') == 2
        assert metric(service, 'escada_prompt_tokens_total{model="v5"}') == 8
        written = metric(service, 'escada_completion_tokens_total{model="v5"}')
        assert 4 < written <= 28
        assert metric(service, 'escada_first_token_seconds_count{model="v5"}') == 4
        assert metric(service, 'escada_next_token_seconds_count{model="v5"}') == written - 4
        assert metric(service, 'escada_queue_rows{model="v1"}') == 0
        assert metric(service, 'escada_rows{model="v1"}') == 0
        _, headers, body = service.request("GET", "/metrics", raw=True)
        assert headers["content-type"].startswith("text/plain")
        assert b"etc" not in body  # strangers make no series
        assert b"process_resident_memory_bytes" in body


def test_at_the_end_streams_finish_and_nothing_new_is_taken():
    models = usual_models(batch_class=SlowBatch)
    with running(models, grace_seconds=20) as service:
        wish = {"model": "v1", "prompt": "Era", "max_tokens": 100, "seed": 3}
        expected = service.complete(**wish)[2]["choices"][0]["text"]
        with httpx.stream("POST", f"{service.url}/v1/completions", json=wish | {"stream": True},
                          timeout=30) as answer:  # fmt: skip
            lines = answer.iter_lines()
            text = [next(lines)]
            service.stop()
            status, headers, body = service.complete(model="v1", prompt="a", max_tokens=1)
            assert status == 503
            assert headers["retry-after"]
            assert body["error"]["code"] == "shutting_down"
            assert service.request("GET", "/ready")[0] == 503
            assert service.request("GET", "/health")[0] == 200
            text += lines
        assert text[-2:] == ["data: [DONE]", ""] or "data: [DONE]" in text
        chunks = [json.loads(line[6:]) for line in text if line.startswith("data: {")]
        assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == expected


def test_what_is_not_finished_in_the_grace_time_is_told_so():
    models = usual_models(batch_class=SlowBatch)
    with running(models, Limits(max_rows=2), grace_seconds=0.5) as service:
        answers = []

        def ask(**change):
            answers.append(httpx.post(f"{service.url}/v1/completions", json=LONG | change,
                                      timeout=30))  # fmt: skip

        threads = [threading.Thread(target=ask, kwargs=change) for change in ({"stream": True}, {})]
        for number, thread in enumerate(threads, start=1):  # the stream has the one row
            thread.start()
            eventually(lambda expected=3 * number: sum(rows(service)) == expected)
        eventually(lambda: metric(service, 'escada_completion_tokens_total{model="v1"}') > 0)
        service.stop()
        for thread in threads:
            thread.join()
        by_kind = {answer.headers["content-type"].split(";")[0]: answer for answer in answers}
        assert by_kind["application/json"].status_code == 503
        last = by_kind["text/event-stream"].text.strip().split("\n\n")[-1]
        assert json.loads(last[6:])["error"]["code"] == "shutting_down"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_real_process_with_exit_code_0(a_run, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "escada", "serve", str(a_run.path), "--port", "0"],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "ESCADA_TOKEN": "segredo"},
    )  # fmt: skip
    try:
        line = process.stderr.readline()
        url = line.split(" at ")[1].split()[0]
        headers = {"Authorization": "Bearer segredo"}
        assert httpx.get(f"{url}v1/models").status_code == 401
        wish = {"model": "v1", "prompt": "A menina", "max_tokens": 300, "stream": True}
        with httpx.stream("POST", f"{url}v1/completions", json=wish, headers=headers,
                          timeout=60) as answer:  # fmt: skip
            lines = answer.iter_lines()
            next(lines)
            process.send_signal(number)
            *_, last = [line for line in lines if line]
        assert last == "data: [DONE]"
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
