"""One call of an OpenAI-compatible endpoint, and what became of it.

    endpoint = Endpoint.connect(base_url, judge, timeout_seconds=120)
    reply = await endpoint.ask(question, attempt=1)

A call ends in one of four ways: a `Reply`, whose text may still be no answer; `RetryableError`,
which is worth another try (429, 5xx, time-outs, connections that break); `RefusedError`, the server
will not take this request; or an `EscadaError`, nothing more can be had here (no such model, no
permission).

Some servers refuse a part of the request: a temperature, the name of the limit, or the form of the
answer, which is asked for as a JSON schema, else as a JSON object (with the schema, which some
servers enforce), else in words only. Such a `RefusedError` names the part, and
`Endpoint.do_without` drops it; whoever calls that records it.

The key comes from the environment only, is held by the openai client, and every text that comes
from the server or an error passes `Endpoint.scrub` before anything else sees it.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import BaseModel, Field, ValidationError

from escada.errors import EscadaError
from escada.judge.questions import Judge, Question, again_message, answer_schema

if TYPE_CHECKING:
    from openai import AsyncOpenAI

KEY_VARIABLES = ("ESCADA_JUDGE_API_KEY", "OPENAI_API_KEY")
"""Where the key is looked for; the first that is set counts, and an empty one means no key."""
LEAST_SECRET = 6
"""Characters. Shorter "keys" are placeholders for local servers, and words of ordinary text."""
HIDDEN = "[hidden]"
CUT_OFF = "cut off at --max-output-tokens"

Part = Literal["json_schema", "json_object", "temperature", "max_tokens"]
"""What a request can do without, `json_schema` before `json_object`."""
Form = Literal["json_schema", "json_object", "words"]
"""How the form of an answer is asked for."""
TEXT_PARTS = ("text", "output_text")
"""Types of the parts of a message that hold the answer."""
_FORM_SIGNS = ("response_format", "json_schema", "json_object", "json schema", "structured output")

_UNKNOWN_MODEL = re.compile(
    r"model\b[^.]{0,80}\b(?:not found|does not exist|not exist)"
    r"|(?:invalid|unknown) model\b|not a valid model\b|no such model\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Address:
    """An endpoint's address, divided: `url` is without the query and is what may be recorded."""

    url: str
    query: dict[str, str]


def read_address(base_url: str) -> Address:
    """Check a base URL.

    Raises:
        EscadaError: it is no http(s) address, or carries a user or password. The message does not
            repeat it, since it may hold one.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise EscadaError("--base-url is not an address") from error
    if parts.scheme not in ("http", "https") or not host:
        raise EscadaError("--base-url is not an address", fix="such as http://localhost:8000/v1")
    if "@" in parts.netloc:
        raise EscadaError(
            "--base-url carries a user or password, which would be seen by others",
            fix=f"leave them out and set {KEY_VARIABLES[0]}",
        )
    del port
    url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return Address(url, dict(parse_qsl(parts.query, keep_blank_values=True)))


def key_from_environment() -> str | None:
    """The API key, if there is one."""
    for name in KEY_VARIABLES:
        if name in os.environ:
            return os.environ[name].strip() or None
    return None


@dataclass(frozen=True, slots=True)
class Tokens:
    """As the server counted them."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    `form` is how the form was asked for (`json_schema`, `json_object`, `words`).

    `problem` says why `text` cannot be a whole answer, if so; `elsewhere` that it does not come
    from a chat API at all, but is a web page.
    """

    text: str
    tokens: Tokens | None
    form: Form
    problem: str | None = None
    elsewhere: bool = False


class RetryableError(Exception):
    """The call failed in a way that may pass.

    Attributes:
        reason: short, scrubbed.
        wait_seconds: as the server asked for; None if it did not.
        maybe_billed: the server may have done the work.
    """

    def __init__(self, reason: str, wait_seconds: float | None, maybe_billed: bool) -> None:
        super().__init__(reason)
        self.reason, self.wait_seconds, self.maybe_billed = reason, wait_seconds, maybe_billed


class RefusedError(Exception):
    """The server will not take this request; `part` is what it names as the reason, if it does."""

    def __init__(self, reason: str, part: Part | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.part: Part | None = part


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Part(BaseModel):
    """Of a message that comes in parts; those of another type than text are thinking or media."""

    type: str
    text: str | None = None


class _Message(BaseModel):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning: object = None
    reasoning_content: object = None

    @property
    def text(self) -> str:
        """What was answered; parts of text are joined, and thinking is left out."""
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
    """An endpoint that questions are put to. Use `connect`."""

    def __init__(
        self,
        client: AsyncOpenAI,
        address: Address,
        judge: Judge,
        timeout_seconds: float,
        secrets: Sequence[str],
    ) -> None:
        self._client = client
        self.address = address
        self.judge = judge
        self.timeout_seconds = timeout_seconds
        self._secrets = sorted({s for s in secrets if len(s) >= LEAST_SECRET}, key=len)[::-1]
        self.dropped: frozenset[Part] = frozenset()

    @classmethod
    def connect(cls, base_url: str, judge: Judge, *, timeout_seconds: float) -> Self:
        """Make the client; nothing is sent yet.

        Raises:
            EscadaError: see `read_address`; or the openai package is missing.
        """
        address = read_address(base_url)
        try:
            import openai
        except ImportError as error:
            raise EscadaError(
                "the judge needs the openai package", fix="pip install 'escada[judge]'"
            ) from error
        # its debug log, switched on by OPENAI_LOG, shows whole requests, and replies unscrubbed
        logging.getLogger("openai").setLevel(logging.WARNING)
        key = key_from_environment()
        client = openai.AsyncOpenAI(
            base_url=address.url,
            api_key=key or "none",  # the client insists on one
            default_query=address.query,
            max_retries=0,  # retries are made in one place, client.py
            timeout=timeout_seconds,
        )
        return cls(client, address, judge, timeout_seconds, [key or "", *address.query.values()])

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def scrub(self, text: str) -> str:
        """The text without any secret."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def do_without(self, part: Part) -> bool:
        """Leave a part out of every later request; False if it was left out already."""
        if part in self.dropped:
            return False
        self.dropped = frozenset([*self.dropped, part])
        return True

    async def ask(self, question: Question, attempt: int) -> Reply:
        """One call; see the module for how it may end.

        Raises:
            RetryableError: another try may help.
            RefusedError: it will not, as the request is.
            EscadaError: no call to this endpoint will.
        """
        import openai

        sent = self.dropped
        create: Any = self._client.chat.completions.with_raw_response.create
        try:
            async with asyncio.timeout(self.timeout_seconds):
                response = await create(**self._request(question, attempt, sent))
        except (TimeoutError, openai.APITimeoutError):
            # `from None`: the chain would print the request of the client in a traceback
            raise RetryableError("no answer in time", None, maybe_billed=True) from None
        except openai.APIConnectionError as error:
            cause = type(error.__cause__ or error).__name__
            raise RetryableError(f"connection failed ({cause})", None, maybe_billed=True) from None
        except openai.APIStatusError as error:
            raise self._of_status(error, sent) from None
        return self._read(str(response.text), _form(sent))

    def _request(self, question: Question, attempt: int, dropped: frozenset[Part]) -> Any:
        words = question.words if attempt == 1 else f"{question.words}\n\n{again_message()}"
        limit = "max_completion_tokens" if "max_tokens" in dropped else "max_tokens"
        request: dict[str, Any] = {
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

    def _of_status(self, error: Any, sent: frozenset[Part]) -> Exception:
        """What an HTTP status other than success means."""
        status = int(error.status_code)
        message = str(error.message).removeprefix(f"Error code: {status} - ")
        said = self.scrub(" ".join(message.split()))[:300]
        reason = f"HTTP {status}: {said}"
        where = self.address.url
        if status in (401, 403):
            return EscadaError(
                f"the endpoint wants another key ({reason})",
                where=where,
                fix="set " + " or ".join(KEY_VARIABLES),
            )
        if status == 404 or _is_unknown_model(error, said):
            return EscadaError(
                f"the endpoint knows no such path or model ({reason})",
                where=where,
                fix="check --base-url, which mostly ends in /v1, and --model",
            )
        if getattr(error, "code", None) == "insufficient_quota":
            return EscadaError(
                f"the account has no money left ({reason})",
                where=where,
                fix="what was answered is kept: run the same command later",
            )
        if status in (408, 409, 425, 429) or status >= 500:
            wait = _retry_after(error.response.headers)
            part = _named_part(str(error.message), sent)
            if status >= 500 and part in ("json_schema", "json_object"):
                return RefusedError(reason, part)  # some servers call it a fault of their own
            return RetryableError(reason, wait, maybe_billed=False)
        return RefusedError(reason, _named_part(str(error.message), sent))

    def _read(self, body: str, form: Form) -> Reply:
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


def _is_unknown_model(error: Any, said: str) -> bool:
    """Whether a refusal is of the model's name, which some servers answer with 400."""
    if getattr(error, "code", None) in ("model_not_found", "invalid_model", "model_not_exist"):
        return True
    return error.status_code in (400, 422) and _UNKNOWN_MODEL.search(said) is not None


def _form(dropped: frozenset[Part]) -> Form:
    """How the form of an answer is asked for."""
    if "json_schema" not in dropped:
        return "json_schema"
    return "words" if "json_object" in dropped else "json_object"


def form_part(dropped: frozenset[Part]) -> Part | None:
    """What to drop so that less of a form is asked for; None when it is in words already."""
    form = _form(dropped)
    return None if form == "words" else form


def _named_part(said: str, dropped: frozenset[Part]) -> Part | None:
    """The part of the request that a refusal names, if it was still in it."""
    said = said.lower()
    if any(sign in said for sign in _FORM_SIGNS) and (part := form_part(dropped)):
        return part
    if "temperature" in said and "temperature" not in dropped:
        return "temperature"
    if "max_tokens" in said and "max_tokens" not in dropped:
        return "max_tokens"
    return None


def _retry_after(headers: Any) -> float | None:
    """Seconds from a Retry-After header: a number or a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
