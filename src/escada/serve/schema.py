"""Requests and responses in the format of OpenAI's completions API, with three more settings.

Fields that this service does not support (`suffix`, `best_of`, `logit_bias`, presence and frequency
penalties) are accepted only with their neutral value, so nothing is ignored silently.

Source: the description of OpenAI's API, POST /v1/completions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from escada.inside.views import ViewRequest, Views
from escada.serve.limits import LOGPROBS, STOP_CHARACTERS, STOP_STRINGS
from escada.spec import Bilingual

TokenId = Annotated[int, Field(ge=0)]
TokenIds = Annotated[list[TokenId], Field(min_length=1)]
Prompts = str | Annotated[list[str], Field(min_length=1)] | TokenIds | (
    Annotated[list[TokenIds], Field(min_length=1)]
)  # fmt: skip
StopString = Annotated[str, Field(min_length=1, max_length=STOP_CHARACTERS)]
Stop = StopString | Annotated[list[StopString], Field(max_length=STOP_STRINGS)] | None
INT64 = 2**63
CHAT_TEMPLATE = r"{{ messages | map(attribute='content') | select | join('\n\n') }}"
"""How a chat becomes a prompt, as Jinja, in which chat templates are written."""


class Strict(BaseModel):
    """No unknown keys, no guessing of types, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class StreamOptions(Strict):
    """How a stream ends."""

    include_usage: bool | None = None
    """Send a last chunk with the token counts."""


class CompletionRequest(Strict):
    """POST /v1/completions."""

    model: str
    prompt: Prompts | None = ""
    """Text or token ids (BOS is prepended); one prompt or a list. Empty: a new document."""
    max_tokens: Annotated[int, Field(ge=0)] | None = 16
    """0, with echo: nothing is generated; with logprobs too, the prompt is scored."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 1.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = 1.0
    n: Annotated[int, Field(ge=1)] | None = 1
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    logprobs: Annotated[int, Field(ge=0, le=LOGPROBS)] | None = None
    echo: bool | None = False
    """Begin the text with the prompt as the model read it; with logprobs, score its tokens too."""
    stop: Stop = None
    seed: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    user: str | None = None
    """Ignored."""
    top_k: Annotated[int, Field(ge=0)] | None = None
    """0 is off."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(ge=1e-3, le=1e3)] | None = 1.0
    best_of: Annotated[int, Field(ge=1)] | None = None
    """Must equal n."""
    suffix: Literal[""] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = 0.0
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = 0.0
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None


class Logprobs(BaseModel):
    """What the model thought of each token: natural logarithms, under the model itself.

    A token is written as it decodes alone: a byte of a character as `bytes:\\xc3`, the end of the
    text as `<eos>`. An offset is where in `text` the token's own text begins. BOS, where a prompt
    of ids begins with it, has null: nothing comes before it.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class Choice(BaseModel):
    """One text, or the next piece of it."""

    text: str
    index: int
    logprobs: Logprobs | None
    finish_reason: Literal["stop", "length"] | None


class Usage(BaseModel):
    """Counts of tokens; BOS counts with the prompt, EOS with the completion."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """The response, or a chunk of the stream.

    `seed` is the one that was used: the request's, or one drawn for it.
    """

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    seed: int
    choices: list[Choice]
    usage: Usage | None = None


class ScoreRequest(Strict):
    """POST /escada/score."""

    model: str
    text: str
    alternatives: Annotated[int, Field(ge=0, le=LOGPROBS)] = 0
    """Number of most probable tokens reported per position."""


class InsideRequest(Strict):
    """POST /escada/inside."""

    model: str
    look: ViewRequest
    """A view, by its name, and what it needs; `/escada/ladder` says which a model has."""


class TokenizeRequest(Strict):
    """POST /tokenize, as vLLM has it."""

    model: str | None = None
    """Optional if one model is served."""
    prompt: str
    add_special_tokens: bool = True
    """Begin with BOS."""
    return_token_strs: bool | None = False


class Tokenized(BaseModel):
    """The ids of a text as the model reads it: cleaned. Sent as a prompt, they are that text."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class DetokenizeRequest(Strict):
    """POST /detokenize, as vLLM has it."""

    model: str | None = None
    tokens: list[TokenId]


class Detokenized(BaseModel):
    """The text of some ids."""

    prompt: str


class TokenizerInfo(BaseModel):
    """GET /tokenizer_info, what lm-eval reads of it.

    The names stand for their tokens where one of them is the whole prompt of `/tokenize`; anywhere
    else they are characters like others.
    """

    tokenizer_class: str
    vocab_size: int
    bos_token: str
    eos_token: str
    chat_template: None = None


class ModelCard(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["escada"] = "escada"
    chat_template: str = CHAT_TEMPLATE
    """Plain: see `routes.chat`."""


class ModelList(BaseModel):
    """GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class RungText(BaseModel):
    """What a rung sets out to do."""

    objective: Bilingual
    changes: Bilingual | None
    """From the rung that it follows, derived from both specs; None: unknown."""
    expected: Bilingual


class RungTokenizer(BaseModel):
    """A rung's tokenizer."""

    kind: str
    vocab_size: int


class LadderRung(BaseModel):
    """One rung for the playground; what was not measured is null."""

    name: str
    """As clients use it."""
    rung: str
    preset: str
    seed: int
    title: Bilingual
    follows: str | None
    about: RungText
    parameters: int | None
    bits_per_byte: float | None
    interval: tuple[float, float] | None
    context_tokens: int | None
    tokenizer: RungTokenizer
    training_tokens: int | None
    training_seconds: float | None
    hash: str
    run: str
    weights: str
    inside: Views
    """What can be seen of it by `/escada/inside`."""
    kept: bool = False
    """Whether `/escada/kept` has what it wrote on the way through its training."""


class LadderLimits(BaseModel):
    """What the playground may ask for."""

    max_prompt_tokens: int
    max_tokens: int
    n: int
    stop: int = STOP_STRINGS


class LadderResponse(BaseModel):
    """GET /escada/ladder."""

    schema_version: Literal[1] = 1
    rungs: list[LadderRung]
    limits: LadderLimits


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The response to a request that cannot be served."""

    error: ErrorDetail
