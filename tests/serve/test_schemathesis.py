"""Requests that nobody thought of, made from the OpenAPI description, against a real server."""

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.serve.conftest import running, usual_models

from escada.serve.limits import Limits

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
LIMITS = Limits(max_tokens=8, max_prompt_tokens=64)


OPERATIONS = [
    "GET /v1/models", "GET /v1/models/{model}", "POST /v1/completions",
    "POST /v1/chat/completions", "GET /health", "GET /ready",
    "GET /metrics", "GET /escada/ladder", "GET /escada/kept", "POST /escada/inside",
    "POST /escada/score", "POST /tokenize", "POST /detokenize", "GET /tokenizer_info",
]  # fmt: skip


@pytest.fixture(scope="module")
def description():
    with running(usual_models(LIMITS), LIMITS) as service:
        yield schemathesis.openapi.from_url(f"{service.url}/openapi.json")


def check(operation, change=lambda case: None):
    """Send what hypothesis makes of an operation's description, well-formed and not."""
    statuses = Counter()

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @seed(0)
    @given(case=operation.as_strategy())
    def ask(case):
        change(case)
        answer = case.call_and_validate(checks=CHECKS)
        statuses[answer.status_code] += 1

    ask()
    return statuses


def test_every_operation_is_described(description):
    found = [f"{o.method.upper()} {o.path}" for o in operations(description)]
    assert sorted(found) == sorted(OPERATIONS)


def operations(description):
    return [result.ok() for result in description.get_all_operations()]


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_request_makes_a_server_error(description, name):
    method, path = name.split()
    assert check(description[path][method])


@pytest.mark.parametrize("path", ["/escada/score", "/tokenize", "/detokenize"])
def test_no_text_to_a_model_makes_a_server_error(description, path):
    def ask_v1(case):
        if isinstance(case.body, dict):
            case.body["model"] = "v1"

    assert check(description[path]["POST"], ask_v1)[200] > 5


def test_no_request_to_a_model_makes_a_server_error(description):
    """With a name of a model that there is, many get as far as the scheduler."""

    def ask_v1(case):
        if isinstance(case.body, dict):
            case.body["model"] = "v1"
            for name in ("best_of", "n", "stream_options"):  # mostly refused
                case.body.pop(name, None)
            if isinstance(case.body.get("max_tokens"), int):
                case.body["max_tokens"] = 3

    statuses = check(description["/v1/completions"]["POST"], ask_v1)
    assert statuses[200] > 5
    assert statuses[400] > 5
