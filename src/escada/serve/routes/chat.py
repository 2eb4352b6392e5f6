"""`/v1/chat/completions`: a chat for models that know no chat, by a plain template.

The models served continue documents; none has seen a dialogue with roles. So a chat is one
document: the texts of its messages, whoever wrote them, with a blank line between two. The answer
is what the model writes next, until the document's end, a stop string or `max_tokens`; there is no
role marker, and none to stop at. A chat is a completion in another form: limits, turns, seeds and
metrics are those of `/v1/completions`.

Fields that mean nothing here (tools, formats, penalties) are accepted only with their neutral
value, so nothing is ignored silently.

Source: the description of OpenAI's API, POST /v1/chat/completions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from escada.serve.errors import ApiError
from escada.serve.routes import CHAT, ERRORS, CurrentService
from escada.serve.routes.openai import STREAM_CONTENT
from escada.serve.schema import (
    INT64,
    Choice,
    Completion,
    CompletionRequest,
    Stop,
    StreamOptions,
    Strict,
    Usage,
)

DEFAULT_TOKENS = 256
"""Of an answer: 16, as of a completion, would cut every one; the service's limit may be lower."""
MESSAGES = 1000

router = APIRouter(responses=ERRORS)


class TextPart(Strict):
    """A part of a message; other kinds (images, sound) are refused."""

    type: Literal["text"]
    text: str


class Message(Strict):
    """One message. The text of every role is text of the document."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    """Ignored."""
    refusal: None = None
    audio: None = None
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None
    function_call: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None

    @property
    def text(self) -> str:
        """Its parts, joined."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class ChatRequest(Strict):
    """POST /v1/chat/completions."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=MESSAGES)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """Goes before max_tokens; neither: 256, or the service's limit where that is lower."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] | None = 1.0
    n: Annotated[int, Field(ge=1)] | None = 1
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    stop: Stop = None
    seed: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    user: str | None = None
    """Ignored, as metadata is."""
    metadata: dict[str, Any] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(ge=1e-3, le=1e3)] | None = 1.0
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = 0.0
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = 0.0
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    logprobs: bool | None = False
    """Only false: `/v1/completions` has them."""
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none"] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    response_format: None = None


class AnswerMessage(BaseModel):
    """What the model wrote."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """One answer."""

    index: int
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"] | None


class _Answer(BaseModel):
    """What a whole response and a chunk have alike; `seed` is the one that was used."""

    id: str
    created: int
    model: str
    system_fingerprint: str
    seed: int
    usage: Usage | None = None


class ChatCompletion(_Answer):
    """The response."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatChoice]


class Delta(BaseModel):
    """The next piece of an answer."""

    content: str


class FirstDelta(Delta):
    """The first piece: clients join strings, so no other one has the role."""

    role: Literal["assistant"] = "assistant"


class ChunkChoice(BaseModel):
    """The next piece, of the answer with this index."""

    index: int
    delta: FirstDelta | Delta
    logprobs: None = None
    finish_reason: Literal["stop", "length"] | None


class ChatChunk(_Answer):
    """A chunk of a stream."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[ChunkChoice]


@router.post(CHAT, response_model=ChatCompletion, responses={200: {"content": STREAM_CONTENT}})
async def chat(body: ChatRequest, request: Request, service: CurrentService) -> Response:
    """Continue the document that the messages make."""
    if body.logprobs:
        what = f"logprobs are not supported in a chat: ask {CHAT.replace('/chat', '')} for them."
        raise ApiError(400, what, param="logprobs")
    default = min(DEFAULT_TOKENS, service.limits.max_tokens)
    asked = CompletionRequest(
        model=body.model,
        prompt=document_of(body.messages),
        max_tokens=body.max_completion_tokens or body.max_tokens or default,
        temperature=body.temperature,
        top_p=body.top_p,
        n=body.n,
        stream=body.stream,
        stream_options=body.stream_options,
        stop=body.stop,
        seed=body.seed,
        top_k=body.top_k,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
    )
    try:
        return await service.complete(asked, request, ChatForm())
    except ApiError as error:
        if error.param == "prompt":
            error.param = "messages"
        raise


def document_of(messages: Sequence[Message]) -> str:
    """The texts of messages with a blank line between two; one without text is left out.

    `escada.serve.schema.CHAT_TEMPLATE` says the same to clients.
    """
    return "\n\n".join(message.text for message in messages if message.text)


class ChatForm:
    """Completions in the form of a chat's; one object for each response."""

    def __init__(self) -> None:
        self._begun: set[int] = set()

    def whole(self, completion: Completion) -> BaseModel:
        """The whole answer."""
        choices = [
            ChatChoice(
                index=choice.index,
                message=AnswerMessage(content=choice.text),
                finish_reason=choice.finish_reason,
            )
            for choice in completion.choices
        ]
        return ChatCompletion(choices=choices, **_common(completion))

    def chunk(self, completion: Completion) -> BaseModel:
        """A piece of a stream."""
        choices = [
            ChunkChoice(
                index=choice.index,
                delta=self._delta(choice),
                finish_reason=choice.finish_reason,
            )
            for choice in completion.choices
        ]
        return ChatChunk(choices=choices, **_common(completion))

    def _delta(self, choice: Choice) -> Delta:
        if choice.index in self._begun:
            return Delta(content=choice.text)
        self._begun.add(choice.index)
        return FirstDelta(content=choice.text)


def _common(completion: Completion) -> dict[str, Any]:
    return {
        "id": completion.id.replace("cmpl-", "chatcmpl-", 1),
        **completion.model_dump(
            include={"created", "model", "system_fingerprint", "seed", "usage"}
        ),
    }
