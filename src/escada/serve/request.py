"""From a request's body to the rows that the scheduler works on.

Prompts are treated as in `escada sample`: text is cleaned by the run's profile, BOS comes first,
and random streams come from `escada.generation.decoding`, so the same prompt, seed and settings
give the same text in both. A text may exceed the model's context: the older half is dropped when
the context is full.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from escada.errors import EscadaError, counted
from escada.evaluation.text_score import sequence_of
from escada.generation.batch import Request
from escada.generation.decoding import random_stream
from escada.generation.samplers import settings_as_written
from escada.serve.errors import ApiError
from escada.serve.limits import Limits
from escada.serve.models import LoadedModel
from escada.serve.schema import CompletionRequest, ScoreRequest
from escada.serve.scoring_queue import TextToScore
from escada.text.cleaning import clean_prompt

DRAWN_SEEDS = 2**31


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as the model reads it.

    Attributes:
        text: cleaned; for ids, their decoded text.
        ids: from BOS on.
        given_ids: the ids that an echo reports: without BOS, unless the client gave it.
    """

    text: str
    ids: list[int]
    given_ids: list[int]


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A validated completion request.

    Attributes:
        rows: n per prompt; empty if nothing is to be generated.
        prompts: one for each text of the response.
        n: texts per prompt.
        prompt_tokens: over all prompts, each counted once.
        seed: given or drawn.
        to_score: each prompt once, if both echo and logprobs are set.
    """

    rows: list[Request]
    prompts: list[Prompt]
    n: int
    prompt_tokens: int
    seed: int
    echo: bool
    logprobs: bool
    to_score: list[TextToScore]


def parse_request(body: CompletionRequest, model: LoadedModel, limits: Limits) -> ParsedRequest:
    """Validate a completion request; an ApiError if it is refused."""
    _refuse_unsupported(body)
    n, max_tokens = body.n or 1, 16 if body.max_tokens is None else body.max_tokens
    prompts = _prompts(body, model, limits)
    if n * len(prompts) > limits.samples_per_request:
        raise ApiError(
            400,
            f"{counted(len(prompts), 'prompt')} with n = {n} are {n * len(prompts)} samples; "
            f"at most {limits.samples_per_request} are allowed in one request.",
            param="n",
        )
    if max_tokens > limits.max_tokens:
        raise ApiError(
            400,
            f"max_tokens is {max_tokens}; at most {limits.max_tokens} are allowed.",
            param="max_tokens",
        )
    penalty = body.repetition_penalty
    try:
        settings = settings_as_written(
            temperature=1.0 if body.temperature is None else body.temperature,
            top_k=body.top_k,
            top_p=body.top_p,
            min_p=body.min_p,
            repetition_penalty=1.0 if penalty is None else penalty,
        )
    except EscadaError as error:
        raise ApiError(400, f"{error}.") from error
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    seed = secrets.randbelow(DRAWN_SEEDS) if body.seed is None else body.seed
    echo, logprobs, alternatives = bool(body.echo), body.logprobs is not None, body.logprobs or 0
    rows: list[Request] = []
    samples: Counter[str] = Counter()  # by prompt: a repeated prompt continues the numbering
    for prompt in prompts if max_tokens else ():
        for _ in range(n):
            stream = random_stream(seed, prompt.text, samples[prompt.text])
            rows.append(Request(prompt.ids, settings, max_tokens, stream, stop, alternatives))
            samples[prompt.text] += 1
    return ParsedRequest(
        rows=rows,
        prompts=[prompt for prompt in prompts for _ in range(n)],
        n=n,
        prompt_tokens=sum(len(prompt.ids) for prompt in prompts),
        seed=seed,
        echo=echo,
        logprobs=logprobs,
        to_score=[
            TextToScore(np.array(prompt.ids, dtype=np.int64), alternatives)
            for prompt in prompts
            if echo and logprobs
        ],
    )


def _refuse_unsupported(body: CompletionRequest) -> None:
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


def _prompts(body: CompletionRequest, model: LoadedModel, limits: Limits) -> list[Prompt]:
    given = "" if body.prompt is None else body.prompt
    if isinstance(given, str):
        texts: Sequence[str | list[int]] = [given]
    elif isinstance(given[0], int):
        texts = [cast(list[int], given)]
    else:
        texts = cast("list[str | list[int]]", given)
    if len(texts) > limits.samples_per_request:  # before doing any work
        raise ApiError(
            400,
            f"{len(texts)} prompts; at most {limits.samples_per_request} samples are allowed "
            "in one request.",
            param="prompt",
        )
    return [_prompt(text, model, limits) for text in texts]


def _prompt(given: str | list[int], model: LoadedModel, limits: Limits) -> Prompt:
    tokenizer = model.tokenizer
    if isinstance(given, str):
        text = clean_prompt(given, model.profile)
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
    _check_length(len(ids), limits, param="prompt")
    return Prompt(text, ids, given_ids)


def parse_score_request(
    body: ScoreRequest, model: LoadedModel, limits: Limits
) -> tuple[str, TextToScore]:
    """The cleaned text of a score request, and its row for the scheduler.

    Raises:
        ApiError: it is empty or too long.
    """
    text = clean_prompt(body.text, model.profile)
    try:
        sequence = sequence_of(text, model.tokenizer)
    except EscadaError as error:
        raise ApiError(400, f"{error}.", param="text") from error
    _check_length(len(sequence) - 1, limits, param="text")
    return text, TextToScore(sequence, body.alternatives)


def _check_length(tokens: int, limits: Limits, *, param: str) -> None:
    if tokens > limits.max_prompt_tokens:
        raise ApiError(
            400,
            f"The {param} has {tokens} tokens; at most {limits.max_prompt_tokens} are allowed.",
            param=param,
            code="context_length_exceeded",
        )
