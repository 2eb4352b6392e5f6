"""From a request to the rows of a batch.

Prompts are treated as `escada sample` treats them: text is cleaned by the run's profile, BOS comes
first, and random streams are those of `escada.generation.decoding`, so the same prompt, seed and
settings give the same text there and here. A text longer than the model's context is no error for
either: the older half is dropped when the context is full.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from escada.errors import EscadaError, counted
from escada.generation.batch import Request
from escada.generation.decoding import random_stream
from escada.generation.samplers import SamplerSettings, settings_as_written
from escada.serve.errors import ApiError
from escada.serve.lane import ToScore
from escada.serve.limits import Limits
from escada.serve.models import ServedModel
from escada.serve.schema import CompletionRequest
from escada.text.cleaning import clean_prompt

DRAWN_SEEDS = 2**31


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, understood.

    Attributes:
        rows: n for each prompt; none when nothing is to be written.
        prompts: as the model reads them, one for each of the answer's texts.
        n: texts of each prompt.
        prompt_tokens: of all prompts, once each.
        seed: given or drawn.
        to_score: each prompt once, where its tokens are to be told of; else none.
    """

    rows: list[Request]
    prompts: list[Prompt]
    n: int
    prompt_tokens: int
    seed: int
    to_score: list[ToScore]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as the model reads it.

    Attributes:
        text: cleaned; of ids, what they decode to.
        ids: from BOS on.
        given_ids: those that an echo names: without BOS, unless it was given.
    """

    text: str
    ids: list[int]
    given_ids: list[int]


def understand(body: CompletionRequest, served: ServedModel, limits: Limits) -> Asked:
    """The rows that a request asks for.

    Raises:
        ApiError: something that is refused.
    """
    _refuse_what_is_not_there(body)
    n, max_tokens = body.n or 1, 16 if body.max_tokens is None else body.max_tokens
    prompts = _prompts(body, served, limits)
    if n * len(prompts) > limits.max_n:
        raise ApiError(
            400,
            f"{counted(len(prompts), 'prompt')} with n = {n} are {n * len(prompts)} samples; "
            f"at most {limits.max_n} are allowed in one request.",
            param="n",
        )
    if max_tokens > limits.max_tokens:
        raise ApiError(
            400,
            f"max_tokens is {max_tokens}; at most {limits.max_tokens} are allowed.",
            param="max_tokens",
        )
    settings = _settings(body)
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    seed = secrets.randbelow(DRAWN_SEEDS) if body.seed is None else body.seed
    numbers = _numbers([prompt.text for prompt in prompts], n)
    logprobs = body.logprobs or 0
    rows = [
        Request(
            prompt.ids,
            settings,
            max_tokens,
            random_stream(seed, prompt.text, number),
            stop,
            logprobs,
        )
        for prompt, first in zip(prompts, numbers, strict=True)
        for number in range(first, first + n)
        if max_tokens
    ]
    scored = bool(body.echo) and body.logprobs is not None
    return Asked(
        rows=rows,
        prompts=[prompt for prompt in prompts for _ in range(n)],
        n=n,
        prompt_tokens=sum(len(prompt.ids) for prompt in prompts),
        seed=seed,
        to_score=[
            ToScore(np.array(prompt.ids, dtype=np.int64), logprobs) for prompt in prompts if scored
        ],
    )


def _refuse_what_is_not_there(body: CompletionRequest) -> None:
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise ApiError(400, "best_of is not supported: it must equal n.", param="best_of")
    if body.max_tokens == 0 and not body.echo:
        raise ApiError(
            400,
            "max_tokens is 0, so nothing would be written: set echo to have the prompt back "
            "(with logprobs, its tokens are scored), or at least 1.",
            param="max_tokens",
        )
    if body.stream_options is not None and not body.stream:
        raise ApiError(400, "stream_options is allowed only with stream.", param="stream_options")


def _settings(body: CompletionRequest) -> SamplerSettings:
    penalty = body.repetition_penalty
    try:
        return settings_as_written(
            temperature=1.0 if body.temperature is None else body.temperature,
            top_k=body.top_k,
            top_p=body.top_p,
            min_p=body.min_p,
            repetition_penalty=1.0 if penalty is None else penalty,
        )
    except EscadaError as error:
        raise ApiError(400, f"{error}.") from error


def _prompts(body: CompletionRequest, served: ServedModel, limits: Limits) -> list[Prompt]:
    given = "" if body.prompt is None else body.prompt
    if isinstance(given, str):
        texts: Sequence[str | list[int]] = [given]
    elif isinstance(given[0], int):
        texts = [cast(list[int], given)]
    else:
        texts = cast("list[str | list[int]]", given)
    if len(texts) > limits.max_n:  # before any work is done for them
        raise ApiError(
            400,
            f"{len(texts)} prompts; at most {limits.max_n} samples are allowed in one request.",
            param="prompt",
        )
    return [_prompt(text, served, limits) for text in texts]


def _prompt(given: str | list[int], served: ServedModel, limits: Limits) -> Prompt:
    tokenizer = served.tokenizer
    if isinstance(given, str):
        text = clean_prompt(given, served.profile)
        given_ids = tokenizer.encode(text).tolist()
        ids = [tokenizer.bos_id, *given_ids]
    else:
        if max(given) >= tokenizer.vocab_size:
            raise ApiError(
                400,
                f"token {max(given)} is not in the vocabulary of {tokenizer.vocab_size}.",
                param="prompt",
            )
        given_ids = given
        ids = given if given[0] == tokenizer.bos_id else [tokenizer.bos_id, *given]
        text = tokenizer.decode(ids)
    check_length(len(ids), limits, param="prompt")
    return Prompt(text, ids, given_ids)


def check_length(tokens: int, limits: Limits, *, param: str) -> None:
    """Refuse a text that is too long.

    Raises:
        ApiError: it has more tokens than a prompt may have.
    """
    if tokens > limits.max_prompt_tokens:
        raise ApiError(
            400,
            f"The {param} has {tokens} tokens; at most {limits.max_prompt_tokens} are allowed.",
            param=param,
            code="context_length_exceeded",
        )


def _numbers(texts: Sequence[str], n: int) -> list[int]:
    """The number of each prompt's first sample: a prompt that comes again is sampled anew."""
    earlier: Counter[str] = Counter()
    numbers: list[int] = []
    for text in texts:
        numbers.append(n * earlier[text])
        earlier[text] += 1
    return numbers
