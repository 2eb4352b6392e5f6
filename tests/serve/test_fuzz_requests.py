"""Requests of any bytes, against a real server: each is answered, in one form, and logs nothing.

`ESCADA_FUZZ_REQUESTS=20000` sends that many a test; the slow fuzzing of the readers is in
`tests/faults`. Requests made from the OpenAPI description are in `test_schemathesis`.
"""

import http.client
import json
import logging
import os
import socket
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serve.conftest import running, usual_models

from escada.serve.limits import Limits
from escada.serve.middleware import HEADERS
from escada.serve.routes.chat import ChatRequest
from escada.serve.schema import (
    CompletionRequest,
    DetokenizeRequest,
    InsideRequest,
    ScoreRequest,
    TokenizeRequest,
)

REQUESTS = int(os.environ.get("ESCADA_FUZZ_REQUESTS", "100"))
LIMITS = Limits(
    max_tokens=4, max_prompt_tokens=64, max_body_bytes=4096, head_seconds=1, body_seconds=0.2
)
ANSWERS = {200, 204, 304, 307, 400, 404, 405, 408, 413, 415, 421}
ROUTES = {
    "/v1/completions": {"model": "v1", "prompt": "Era", "max_tokens": 2, "seed": 1},
    "/v1/chat/completions": {
        "model": "v1",
        "messages": [{"role": "user", "content": "Era"}],
        "max_tokens": 2,
    },
    "/escada/score": {"model": "v1", "text": "Era uma vez"},
    "/escada/inside": {"model": "v1", "look": {"view": "tree", "text": "Era", "depth": 2}},
    "/tokenize": {"model": "v1", "prompt": "Era"},
    "/detokenize": {"model": "v1", "tokens": [4, 5]},
}
SCHEMAS = {
    "/v1/completions": CompletionRequest,
    "/v1/chat/completions": ChatRequest,
    "/escada/score": ScoreRequest,
    "/escada/inside": InsideRequest,
    "/tokenize": TokenizeRequest,
    "/detokenize": DetokenizeRequest,
}
FUZZ = settings(
    max_examples=REQUESTS, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture(scope="module")
def service():
    with running(usual_models(LIMITS), LIMITS) as one:
        yield one


@pytest.fixture(autouse=True)
def nothing_is_logged():
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addHandler(handler)
    yield
    for logger in loggers:
        logger.removeHandler(handler)
    assert not [record.getMessage() for record in records]


def send(service, data, method="GET"):
    """One request as bytes: status, headers and body."""
    with socket.create_connection((service.host, service.port), 20) as connection:
        connection.sendall(data)
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        return answer.status, answer.headers, answer.read()


def check(status, headers, body, method="GET"):
    assert status in ANSWERS, (status, body)
    for name, value in HEADERS.items():
        assert headers[name] == value
    if status >= 400 and method != "HEAD":
        error = json.loads(body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
        assert "Traceback" not in error["message"]


# --- the request line, headers and framing -------------------------------------------

PATHS = st.one_of(
    st.sampled_from(["/", "/health", "/ready", "/metrics", "/openapi.json", "/escada/ladder",
                     "/v1/models", "/v1/models/v1", "/static/app.js", "/tokenizer_info?model=v1",
                     *ROUTES]),
    st.builds(
        "".join,
        st.lists(
            st.sampled_from(["/", "/static", "..", "%2e%2e", "%2f", "%00", "%", "%ff", "%zz", "\\",
                             "//", "/v1/models/", "app.js", "messages", "etc/passwd", "?", "#", "=",
                             "model", "&", ":", "@", "*", "é", "http://a/", "a" * 300,
                             "/tokenizer_info"]),
            max_size=8,
        ),
    ),
)  # fmt: skip
BYTES = st.binary(max_size=30)
VALUES = st.one_of(
    st.sampled_from([
        b"", b"localhost", b"evil.example", b"application/json", b"text/plain", b"close",
        b"keep-alive", b"chunked", b"gzip, chunked", b"identity", b"100-continue", b"0", b"5",
        b"-1",
        b"+5", b"5, 5", b"5, 6", b"1" * 30, b"1e3", b"bytes=0-", b"bytes=-5", b"bytes=5-1",
        b"bytes=9999-", b"bytes=0-1,3-4", b"bytes=a-b", b"*", b'"x"', b"Bearer", b"Basic \xff",
        b"websocket", b"h2c", b"Thu, 01 Jan 1970 00:00:00 GMT", b"99999999999", b"a" * 5000,
    ]),
    BYTES,
)  # fmt: skip
NAMES = st.sampled_from(
    [
        b"Host", b"Content-Type", b"Content-Length", b"Transfer-Encoding", b"Connection",
        b"Expect", b"Upgrade", b"Range", b"If-Range", b"If-None-Match", b"If-Modified-Since",
        b"Accept", b"Authorization", b"Accept-Encoding", b"Origin", b"X-Forwarded-For",
        b"Cookie", b"Sec-WebSocket-Key",
    ]
)  # fmt: skip
METHODS = ["GET"] * 4 + [
    "HEAD",
    "POST",
    "POST",
    "PUT",
    "OPTIONS",
    "DELETE",
    "TRACE",
    "CONNECT",
    "A",
]
ODD = st.integers(0, 15).map(lambda number: number == 15)


@st.composite
def requests(draw):
    """Mostly valid HTTP, so that it gets as far as the routes."""
    method, path = draw(st.sampled_from(METHODS)), draw(PATHS)
    version = draw(st.sampled_from([b"HTTP/1.0", b"HTTP/9", b""])) if draw(ODD) else b"HTTP/1.1"
    lines = [method.encode() + b" " + path.encode() + b" " + version]
    body = draw(st.one_of(st.just(b""), st.just(json.dumps(ROUTES["/tokenize"]).encode()), BYTES))
    headers = {b"Host": b"localhost", b"Content-Length": b"%d" % len(body)}
    if draw(st.booleans()):
        headers[b"Content-Type"] = b"application/json"
    headers |= dict(draw(st.lists(st.tuples(NAMES, VALUES), max_size=3)))
    if draw(ODD):
        headers[draw(BYTES)] = draw(BYTES)
    lines += [name + b": " + value for name, value in headers.items()]
    end = b"\n" if draw(ODD) else b"\r\n"
    return method, end.join(lines) + end + end + body


def test_any_request_is_answered(service):
    statuses = Counter()

    @FUZZ
    @given(requests())
    def ask(request):
        method, data = request
        status, headers, body = send(service, data, method)
        check(status, headers, body, method)
        statuses[status] += 1

    ask()
    print(dict(statuses))
    assert statuses[200]
    assert statuses[400]
    assert service.request("GET", "/ready")[0] == 200


def test_any_bytes_are_answered(service):
    @FUZZ
    @given(st.binary(min_size=1, max_size=200))
    def ask(data):
        status, headers, body = send(service, data.strip(b"\r\n") + b"!\r\n\r\n")
        check(status, headers, body)
        assert status == 400

    ask()


# --- bodies ------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([-1, 0, 1, 2**31, 2**63, -(2**63), 2**64, 1e308])
)
TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # with lone surrogates
SIMPLE = st.one_of(
    st.integers(-1, 8), st.floats(-1, 3), st.booleans(), st.none(), TEXT,
    st.sampled_from(["v1", "v5", "", "<bos>"]), st.lists(st.integers(-1, 300), max_size=4),
    st.lists(TEXT, max_size=3),
)  # fmt: skip
JSON = st.recursive(
    SIMPLE | NUMBERS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=12,
)


@pytest.mark.parametrize("path", ROUTES)
def test_any_body_is_answered(service, path):
    fields = st.sampled_from(sorted(SCHEMAS[path].model_fields))
    statuses = Counter()

    @FUZZ
    @given(
        st.one_of(
            st.dictionaries(fields, SIMPLE, max_size=2).map(lambda changed: ROUTES[path] | changed),
            st.dictionaries(fields | TEXT, JSON, max_size=4),
            JSON,
        )
    )
    def ask(body):
        data = json.dumps(body).encode()
        status, headers, answer = service.request("POST", path, data, raw=True)
        check(status, headers, answer)
        statuses[status] += 1

    ask()
    print(path, dict(statuses))
    assert statuses[200]
    assert statuses[400]


@pytest.mark.parametrize("path", ROUTES)
def test_any_damage_to_a_body_is_answered(service, path):
    whole = json.dumps(ROUTES[path]).encode()

    @FUZZ
    @given(st.integers(0, len(whole)), st.integers(0, 8), BYTES)
    def ask(at, length, inserted):
        data = whole[:at] + inserted + whole[at + length :]
        status, headers, answer = service.request("POST", path, data, raw=True)
        check(status, headers, answer)

    ask()
