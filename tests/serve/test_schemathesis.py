"""Requests that nobody thought of, made from the OpenAPI description, against a real server."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
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


@pytest.fixture(scope="module")
def description():
    with running(usual_models(LIMITS), LIMITS) as service:
        yield schemathesis.openapi.from_url(f"{service.url}/openapi.json")


schema = schemathesis.pytest.from_fixture("description")
EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@schema.parametrize()
@EXAMPLES
def test_no_request_makes_a_server_error(case):
    case.call_and_validate(checks=CHECKS)


@schema.include(path="/v1/completions").parametrize()
@EXAMPLES
def test_no_request_to_a_model_makes_a_server_error(case):
    """With a name of a model that there is, most requests get as far as the engine."""
    if isinstance(case.body, dict):
        case.body["model"] = "v1"
        if not isinstance(case.body.get("max_tokens"), str):
            case.body["max_tokens"] = 3
    case.call_and_validate(checks=CHECKS)
