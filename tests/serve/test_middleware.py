"""What is decided before a request reaches its route, on a real server."""

import http.client
import json
import socket
import time

import pytest
from tests.serve.conftest import running, usual_models

from escada.serve.limits import Limits
from escada.serve.middleware import HEADERS, host_name, is_this_machine


def raw(service, text, more=()):
    """Bytes over a socket: what a well-behaved client would not send."""
    with socket.create_connection((service.host, service.port), timeout=30) as connection:
        connection.sendall(text)
        for part in more:
            connection.sendall(part)
        received = b""
        while part := connection.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:{port}", "127.0.0.1:{port}", "[::1]:{port}", "127.9.9.9"]
)
def test_names_of_this_machine_are_answered(here, host):
    status, _, _ = here.request("GET", "/v1/models", headers={"Host": host.format(port=here.port)})
    assert status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.nip.io",
             "", "[::1].evil.example", "10.0.0.1", "localhost@evil.example"]
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/v1/models", "/health"])
def test_other_names_are_not_so_that_no_page_can_rebind_its_own(here, host, path):
    status, _, body = here.request("GET", path, headers={"Host": host.format(port=here.port)})
    assert status == 421
    assert body["error"]["code"] == "unknown_host"


def test_the_named_host_is_answered_too():
    assert host_name("Example.org:80") == "example.org"
    assert host_name("[::1]:80") == "::1"
    assert host_name("::1") == host_name("a b@c") == host_name("[::1]x") == ""
    assert [is_this_machine(name) for name in ("::1", "127.0.0.2", "::", "0.0.0.0", "a")] == [
        True, True, False, False, False
    ]  # fmt: skip


def test_security_headers_are_on_every_answer(here):
    for method, path, body in (
        ("GET", "/v1/models", None),
        ("GET", "/nothing", None),
        ("DELETE", "/v1/models", None),
        ("POST", "/v1/completions", {"model": "v1", "prompt": "a", "stream": True}),
        ("POST", "/v1/completions", b"{"),
    ):
        _, headers, _ = here.request(method, path, body, raw=True)
        for name, value in HEADERS.items():
            assert headers[name] == value
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert "server" not in headers
    assert "'unsafe" not in HEADERS["content-security-policy"]


def test_other_pages_are_not_allowed_anything(here):
    """No CORS: a preflight fails, and what needs none (text/plain) is refused."""
    status, headers, _ = here.request(
        "OPTIONS", "/v1/completions",
        headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
    )  # fmt: skip
    assert status == 405
    assert "access-control-allow-origin" not in headers
    body = json.dumps({"model": "v1", "prompt": "a"}).encode()
    for given, said in (
        ({"Content-Type": "text/plain"}, "not 'text/plain'"),
        ({"Content-Type": ""}, "none was given"),
    ):
        status, _, answer = here.request("POST", "/v1/completions", body, given)
        assert status == 415
        assert "must be application/json" in answer["error"]["message"]
        assert said in answer["error"]["message"]


def test_a_token_opens_everything_but_the_page_needs_none():
    with running(tokens=["um", "dois"]) as service:
        for path in ("/v1/models", "/v1/completions", "/escada/ladder", "/metrics",
                     "/openapi.json", "/nothing"):  # fmt: skip
            for header in (None, "um", "Bearer", "Bearer ", "Bearer trois", "Basic um"):
                headers = {} if header is None else {"Authorization": header}
                status, answered, body = service.request("GET", path, headers=headers)
                assert status == 401
                assert answered["www-authenticate"] == "Bearer"
                assert body["error"]["type"] == "authentication_error"
        for token in ("um", "dois"):
            for scheme in ("Bearer", "bearer"):
                headers = {"Authorization": f"{scheme} {token}"}
                assert service.request("GET", "/v1/models", headers=headers)[0] == 200
        for path in ("/health", "/ready"):
            assert service.request("GET", path)[0] == 200
        assert service.request("GET", "/favicon.ico", raw=True)[0] == 204
        assert service.request("GET", "/static/nothing.css")[0] == 404


def test_a_body_is_refused_as_soon_as_it_is_too_large():
    limits = Limits(max_body_bytes=1000)
    with running(usual_models(limits), limits) as service:
        body = {"model": "v1", "prompt": "a", "max_tokens": 1}
        padded = json.dumps(body) + " " * (1000 - len(json.dumps(body)))
        assert service.request("POST", "/v1/completions", padded.encode())[0] == 200
        status, headers, answer = service.request(
            "POST", "/v1/completions", (padded + " ").encode()
        )
        assert status == 413
        assert answer["error"]["code"] == "body_too_large"
        assert headers["connection"] == "close"
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        chunk = b"190\r\n" + b" " * 0x190 + b"\r\n"  # 400 bytes: the third is too much
        status, answer = raw(service, head + b"Transfer-Encoding: chunked\r\n\r\n", [chunk] * 3)
        assert status == 413
        status, _ = raw(service, head + b"Content-Length: 99999999\r\n\r\n")
        assert status == 413  # before a byte of it was read


def test_who_is_still_sending_a_body_that_is_too_large_hears_why():
    """And does not find the connection reset, with the answer lost."""
    with (
        running() as service,
        socket.create_connection((service.host, service.port), timeout=30) as connection,
    ):
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n"
        )
        for _ in range(5):
            connection.sendall(b" " * 100_000)
            time.sleep(0.05)
        assert b" 413 " in connection.makefile("rb").readline()


def test_a_body_that_does_not_arrive_does_not_hold_its_place_for_ever():
    limits = Limits(body_seconds=1)
    with running(usual_models(limits), limits) as service:
        connection = http.client.HTTPConnection(service.host, service.port, timeout=30)
        connection.putrequest("POST", "/v1/completions")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b"{")
        answer = connection.getresponse()
        assert answer.status == 408
        assert json.loads(answer.read())["error"]["message"]
        connection.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"a"', b"\xff\xfe", b"[" * 100_000, b'{"model": NaN}',
     b'{"model": "v1", "temperature": NaN}', b'{"model": "v1", "temperature": 1e999}',
     b'{"model": "\\ud800"}', b'{"model": "v1", "\\ud800": 1}', b'{"model": "v1", "n": 1.5}',
     b'{"model": "v1", "n": true}', b'{"model": "v1", "seed": 9223372036854775808}',
     b'{"model": "v1", "max_tokens": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_no_body_is_a_server_error(here, body):
    status, _, answer = here.request("POST", "/v1/completions", body)
    assert status in (400, 404)
    assert set(answer["error"]) == {"message", "type", "param", "code"}


def test_lone_surrogates_are_cleaned_from_a_prompt_and_refused_elsewhere(here):
    """JSON can name what UTF-8 cannot carry."""
    body = b'{"model": "v1", "prompt": "a\\ud800", "max_tokens": 1, "echo": true%s}'
    status, _, answer = here.request("POST", "/v1/completions", body % b"")
    assert status == 200
    assert answer["choices"][0]["text"].startswith("a\N{REPLACEMENT CHARACTER}")
    status, _, answer = here.request("POST", "/v1/completions", body % b', "stop": "\\ud800"')
    assert (status, answer["error"]["param"]) == (400, "stop")


def test_unknown_paths_and_methods_are_answered_in_the_same_form(here):
    for method, path, status in (
        ("GET", "/v1/nothing", 404), ("GET", "/v1/completions", 405), ("PUT", "/health", 405),
        ("GET", "/docs", 404), ("GET", "/v1/models/a/b", 404),
    ):  # fmt: skip
        found, _, answer = here.request(method, path)
        assert found == status
        assert answer["error"]["type"] in ("not_found_error", "invalid_request_error")
