"""One call to an OpenAI-compatible endpoint.

    endpoint = Endpoint(base_url, judge, timeout_seconds=120)
    reply = await endpoint.ask(question, attempt=1)

A call returns a `Reply`, whose text may still be invalid, or raises `RetryableError` (429, 5xx,
time-outs, broken connections), `RefusedError` (the server rejects this request) or `EscadaError`
(every call will fail: no such model, no permission). The openai client provides transport,
authentication and error classes; retries are made in `client`, which records every call.

Some servers reject a part of the request: the temperature, the name of the output limit, or the
response format, which is a JSON schema, else a JSON object (with the schema, which some servers
enforce), else described in words only. `RefusedError` then names the part, and the caller adds it
to `Endpoint.dropped`.

The API key comes from the environment and is held by the openai client only. All text from the
server or an error passes through `Endpoint.scrub`.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import logging
import os
import re
import time
from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import BaseModel, Field, ValidationError

from escada.errors import EscadaError
from escada.judge.questions import Judge, Question, again_message, answer_schema

if TYPE_CHECKING:
    from openai import APIStatusError

KEY_VARIABLES = ("ESCADA_JUDGE_API_KEY", "OPENAI_API_KEY")
"""Environment variables for the key; the first that is set wins, and an empty one means no key."""
LEAST_SECRET = 6
"""Minimum characters; shorter keys are placeholders for local servers, and ordinary words."""
HIDDEN = "[hidden]"
CUT_OFF = "cut off at --max-output-tokens"

Part = Literal["json_schema", "json_object", "temperature", "max_tokens"]
"""Optional parts of a request; `json_schema` is dropped before `json_object`."""
Form = Literal["json_schema", "json_object", "words"]
"""How the response format is requested."""
TEXT_PARTS = ("text", "output_text")
_FORM_SIGNS = ("response_format", "json_schema", "json_object", "json schema", "structured output")

_UNKNOWN_MODEL = re.compile(
    r"model\b[^.]{0,80}\b(?:not found|does not exist|not exist)"
    r"|(?:invalid|unknown) model\b|not a valid model\b|no such model\b",
    re.IGNORECASE,
)


def read_address(base_url: str) -> tuple[str, dict[str, str]]:
    """Check a base URL and part it from its query, which may be secret and is not recorded.

    Raises:
        EscadaError: not an http(s) address, or one with a user or password; the message does not
            repeat it.
    """
    try:
        parts = urlsplit(base_url)
        _ = parts.port  # raises ValueError if invalid
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not http")
    except ValueError:
        raise EscadaError(
            "--base-url is not an address", fix="such as http://localhost:8000/v1"
        ) from None
    if "@" in parts.netloc:
        raise EscadaError(
            "--base-url carries a user or password, which would be seen by others",
            fix=f"leave them out and set {KEY_VARIABLES[0]}",
        )
    url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return url, dict(parse_qsl(parts.query, keep_blank_values=True))


def key_from_environment() -> str | None:
    """The API key; None if there is none."""
    for name in KEY_VARIABLES:
        if name in os.environ:
            return os.environ[name].strip() or None
    return None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts reported by the server."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of the server.

    Attributes:
        text: written by the model, or the whole response if that is no chat completion.
        tokens: None if not reported.
        problem: why `text` cannot be a complete answer; None if it may be one.
        elsewhere: it is a web page, not from a chat API.
    """

    text: str
    tokens: Tokens | None
    form: Form
    problem: str | None = None
    elsewhere: bool = False


@dataclass(eq=False)
class RetryableError(Exception):
    """A failed call that may succeed later, with a scrubbed reason and the server's Retry-After.

    `maybe_billed`: the server may have processed the request.
    """

    reason: str
    wait_seconds: float | None = None
    maybe_billed: bool = False


@dataclass(eq=False)
class RefusedError(Exception):
    """The server rejects this request; `part` is the part that it names, if any."""

    reason: str
    part: Part | None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Part(BaseModel):
    """One part of a multi-part message; types other than text are thinking or media."""

    type: str
    text: str | None = None


class _Message(BaseModel):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning: object = None
    reasoning_content: object = None

    @property
    def text(self) -> str:
        """The answer: text parts are joined, thinking is left out."""
        if isinstance(self.content, list):
            return "".join(part.text or "" for part in self.content if part.type in TEXT_PARTS)
        return self.content or ""

    @property
    def why_empty(self) -> str:
        """Why there is no text."""
        if self.refusal:
            return f"the model declines: {self.refusal}"
        if self.reasoning or self.reasoning_content:
            return "no answer after the thinking"
        return "no text in the reply"


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class Endpoint:
    """A chat endpoint; nothing is sent before `ask`.

    Raises:
        EscadaError: see `read_address`; or the openai package is missing.
    """

    def __init__(self, base_url: str, judge: Judge, *, timeout_seconds: float) -> None:
        self.url, query = read_address(base_url)
        self.judge = judge
        self.timeout_seconds = timeout_seconds
        self.dropped: set[Part] = set()
        """Parts left out of all later requests."""
        try:
            import openai
        except ImportError as error:
            raise EscadaError(
                "the judge needs the openai package", fix="pip install 'escada[judge]'"
            ) from error
        # its debug log (OPENAI_LOG) shows whole requests, and unscrubbed replies
        logging.getLogger("openai").setLevel(logging.WARNING)
        key = key_from_environment()
        self._client = openai.AsyncOpenAI(
            base_url=self.url,
            api_key=key or "none",  # required by the client
            default_query=query,
            max_retries=0,  # retries are made in client.py
            timeout=None,  # `ask` has a time-out for the whole call
        )
        secrets = {s for s in (key or "", *query.values()) if len(s) >= LEAST_SECRET}
        self._secrets = sorted(secrets, key=len, reverse=True)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def scrub(self, text: str) -> str:
        """Hide secrets in a text."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    async def ask(self, question: Question, attempt: int) -> Reply:
        """Make one call.

        Raises:
            RetryableError: a retry may succeed.
            RefusedError: the request as it is will not succeed.
            EscadaError: no call to this endpoint will succeed.
        """
        import openai

        dropped = frozenset(self.dropped)  # other calls may add to it meanwhile
        create: Any = self._client.chat.completions.with_raw_response.create
        try:
            async with asyncio.timeout(self.timeout_seconds):
                response = await create(**self._request(question, attempt, dropped))
        except TimeoutError:
            # `from None`: a chained traceback would print the request
            raise RetryableError("no answer in time", maybe_billed=True) from None
        except openai.APIConnectionError as error:
            cause = type(error.__cause__ or error).__name__
            raise RetryableError(f"connection failed ({cause})", maybe_billed=True) from None
        except openai.APIStatusError as error:
            raise self._of_status(error, dropped) from None
        return _read(str(response.text), _form(dropped))

    def _request(
        self, question: Question, attempt: int, dropped: frozenset[Part]
    ) -> dict[str, object]:
        words = question.words if attempt == 1 else f"{question.words}\n\n{again_message()}"
        limit = "max_completion_tokens" if "max_tokens" in dropped else "max_tokens"
        request: dict[str, object] = {
            "model": self.judge.model,
            "messages": [{"role": "user", "content": words}],
            limit: self.judge.max_output_tokens,
        }
        if "temperature" not in dropped:
            request["temperature"] = self.judge.temperature
        schema, form = answer_schema(question.kind), _form(dropped)
        if form == "json_schema":
            named = {"name": question.kind, "strict": True, "schema": schema}
            request["response_format"] = {"type": form, "json_schema": named}
        elif form == "json_object":
            request["response_format"] = {"type": form, "schema": schema}
        return request

    def _of_status(self, error: APIStatusError, dropped: frozenset[Part]) -> Exception:
        """The exception for an HTTP status other than success."""
        status = error.status_code
        message = error.message.removeprefix(f"Error code: {status} - ")
        said = self.scrub(" ".join(message.split()))[:300]
        reason = f"HTTP {status}: {said}"
        unknown_model = error.code in ("model_not_found", "invalid_model", "model_not_exist") or (
            status in (400, 422) and _UNKNOWN_MODEL.search(said)  # some servers give no code
        )
        what = fix = None
        if status in (401, 403):
            what, fix = "the endpoint wants another key", "set " + " or ".join(KEY_VARIABLES)
        elif status == 404 or unknown_model:
            what = "the endpoint knows no such path or model"
            fix = "check --base-url, which mostly ends in /v1, and --model"
        elif error.code == "insufficient_quota":
            what = "the account has no money left"
            fix = "what was answered is kept: run the same command later"
        if what is not None:
            return EscadaError(f"{what} ({reason})", where=self.url, fix=fix)
        part = _named_part(error.message, dropped)
        if status >= 500 and part in ("json_schema", "json_object"):
            return RefusedError(reason, part)  # some servers report it as a 5xx
        if status in (408, 409, 425, 429) or status >= 500:
            return RetryableError(reason, _retry_after(error.response.headers.get("retry-after")))
        return RefusedError(reason, part)


def _read(body: str, form: Form) -> Reply:
    if body.lstrip("\ufeff \t\r\n").startswith("<"):
        return Reply(body, None, form, "a web page, not a chat completion", elsewhere=True)
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError:
        return Reply(body, None, form, "the server's reply is no chat completion")
    choice, usage = completion.choices[0], completion.usage
    tokens = Tokens(usage.prompt_tokens, usage.completion_tokens) if usage else None
    text, problem = choice.message.text, None
    if choice.finish_reason == "length":
        problem = CUT_OFF
    elif not text.strip():
        problem = choice.message.why_empty
    return Reply(text, tokens, form, problem)


def _form(dropped: Set[Part]) -> Form:
    if "json_schema" not in dropped:
        return "json_schema"
    return "words" if "json_object" in dropped else "json_object"


def form_part(dropped: Set[Part]) -> Part | None:
    """The next part to drop to relax the response format; None if it is in words already."""
    form = _form(dropped)
    return None if form == "words" else form


def _named_part(said: str, dropped: frozenset[Part]) -> Part | None:
    """The part of the request that a refusal names, unless already dropped."""
    said = said.lower()
    if any(sign in said for sign in _FORM_SIGNS) and (part := form_part(dropped)):
        return part
    parts: tuple[Part, ...] = ("temperature", "max_tokens")
    return next((part for part in parts if part in said and part not in dropped), None)


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(value))
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None
