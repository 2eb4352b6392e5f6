"""Addresses and keys."""

import sys

import pytest

from escada.errors import EscadaError
from escada.judge.endpoint import Endpoint, key_from_environment, read_address
from escada.judge.questions import Judge


@pytest.mark.parametrize(
    "url", ["http://ana:senha@host/v1", "https://senha@host/v1", "http://:senha@host:80/v1"]
)
def test_an_address_with_a_user_or_password_is_refused_without_repeating_it(url):
    with pytest.raises(EscadaError, match="carries a user or password") as raised:
        read_address(url)
    assert "senha" not in str(raised.value)


@pytest.mark.parametrize("url", ["", "host/v1", "ftp://host", "http://", "http://host:xx/v1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(EscadaError, match="not an address"):
        read_address(url)


def test_the_query_is_sent_but_not_part_of_what_is_recorded():
    url, query = read_address("https://host:8443/openai/v1/?api-version=2024-10&sig=hush-hush#x")
    assert url == "https://host:8443/openai/v1"
    assert query == {"api-version": "2024-10", "sig": "hush-hush"}
    endpoint = Endpoint("http://host/v1?sig=hush-hush", Judge("j"), timeout_seconds=1)
    assert endpoint.scrub("GET /v1?sig=hush-hush") == "GET /v1?sig=[hidden]"


def test_the_project_s_own_variable_goes_before_the_general_one(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "general-key")
    monkeypatch.delenv("ESCADA_JUDGE_API_KEY", raising=False)
    assert key_from_environment() == "general-key"
    monkeypatch.setenv("ESCADA_JUDGE_API_KEY", "own-key")
    assert key_from_environment() == "own-key"
    monkeypatch.setenv("ESCADA_JUDGE_API_KEY", "")
    assert key_from_environment() is None


def test_a_placeholder_for_a_key_is_no_secret_to_hide(monkeypatch):
    monkeypatch.setenv("ESCADA_JUDGE_API_KEY", "none")
    endpoint = Endpoint("http://host/v1", Judge("j"), timeout_seconds=1)
    assert endpoint.scrub("there is none") == "there is none"


def test_without_the_openai_package_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(EscadaError, match=r"pip install 'escada\[judge\]'"):
        Endpoint("http://host/v1", Judge("j"), timeout_seconds=1)
