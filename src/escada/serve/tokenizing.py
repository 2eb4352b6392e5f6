"""`/tokenize`, `/detokenize` and `/tokenizer_info`, in the form of vLLM's, which lm-eval speaks.

A text is read as a prompt is: cleaned by the run's profile. So its ids, sent back as a prompt, are
the text sent as a prompt.

Source: vLLM's `entrypoints/openai` (`TokenizeCompletionRequest`, `DetokenizeRequest`,
`TokenizerInfoResponse`), and `RemoteTokenizer` in lm-eval 0.4.13.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from escada.generation.pieces import token_name
from escada.serve.errors import ApiError
from escada.serve.limits import Limits
from escada.serve.models import ServedModel, model_named
from escada.serve.schema import (
    Detokenized,
    DetokenizeRequest,
    Tokenized,
    TokenizeRequest,
    TokenizerInfo,
)
from escada.text.cleaning import clean_prompt


def add_tokenizer_routes(
    app: FastAPI,
    models: Mapping[str, ServedModel],
    limits: Limits,
    errors: dict[int | str, dict[str, Any]],
) -> None:
    """The three routes.

    Args:
        app: that answers.
        models: by name.
        limits: of prompts.
        errors: what may be answered instead, for the description.
    """

    @app.post("/tokenize", response_model=Tokenized, responses=errors)
    async def tokenize(body: TokenizeRequest) -> Tokenized:  # pyright: ignore[reportUnusedFunction]
        """The ids of a text."""
        return await asyncio.to_thread(_tokenized, body, _model(models, body.model), limits)

    @app.post("/detokenize", response_model=Detokenized, responses=errors)
    async def detokenize(body: DetokenizeRequest) -> Detokenized:  # pyright: ignore[reportUnusedFunction]
        """The text of some ids; BOS and EOS have none."""
        tokenizer = _model(models, body.model).tokenizer
        if (greatest := max(body.tokens, default=0)) >= tokenizer.vocab_size:
            raise ApiError(
                400,
                f"token {greatest} is not in the vocabulary of {tokenizer.vocab_size}.",
                param="tokens",
            )
        return Detokenized(prompt=tokenizer.decode(body.tokens))

    @app.get("/tokenizer_info", response_model=TokenizerInfo, responses=errors)
    async def tokenizer_info(model: str | None = None) -> TokenizerInfo:  # pyright: ignore[reportUnusedFunction]
        """Names of special tokens."""
        served = _model(models, model)
        tokenizer = served.tokenizer
        return TokenizerInfo(
            tokenizer_class=tokenizer.kind,
            vocab_size=tokenizer.vocab_size,
            bos_token=token_name(served.pieces, tokenizer.bos_id),
            eos_token=token_name(served.pieces, tokenizer.eos_id),
        )


def _tokenized(body: TokenizeRequest, served: ServedModel, limits: Limits) -> Tokenized:
    tokenizer, table = served.tokenizer, served.pieces
    special = {token_name(table, token): token for token in (tokenizer.bos_id, tokenizer.eos_id)}
    if body.prompt in special:
        ids = [special[body.prompt]]
    else:
        ids = tokenizer.encode(clean_prompt(body.prompt, served.profile)).tolist()
        ids = [tokenizer.bos_id, *ids] if body.add_special_tokens else ids
    return Tokenized(
        count=len(ids),
        max_model_len=limits.max_prompt_tokens,
        tokens=ids,
        token_strs=[token_name(table, token) for token in ids] if body.return_token_strs else None,
    )


def _model(models: Mapping[str, ServedModel], name: str | None) -> ServedModel:
    """The model of that name, or the only one.

    Raises:
        ApiError: there is none, or the name is missing and there are several.
    """
    if name is None and len(models) == 1:
        return next(iter(models.values()))
    if name is None:
        raise ApiError(
            400,
            f"Several models are served, each with its tokenizer: name one of {', '.join(models)} "
            "in model, or serve one alone.",
            param="model",
        )
    return model_named(models, name)
