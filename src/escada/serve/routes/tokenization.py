"""`/tokenize`, `/detokenize` and `/tokenizer_info`, compatible with vLLM's, which lm-eval uses.

Text is cleaned by the run's profile, as a prompt is, so the ids can be sent back as a prompt in
place of the text.

Source: vLLM's `entrypoints/openai` (`TokenizeCompletionRequest`, `DetokenizeRequest`,
`TokenizerInfoResponse`), and `RemoteTokenizer` in lm-eval 0.4.13.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter

from escada.generation.pieces import token_name
from escada.serve.errors import ApiError
from escada.serve.models import LoadedModel, find_model
from escada.serve.routes import ERRORS, CurrentService
from escada.serve.schema import (
    Detokenized,
    DetokenizeRequest,
    Tokenized,
    TokenizeRequest,
    TokenizerInfo,
)
from escada.text.cleaning import clean_prompt

router = APIRouter(responses=ERRORS)


@router.post("/tokenize")
async def tokenize(body: TokenizeRequest, service: CurrentService) -> Tokenized:
    """The ids of a text."""
    model = _only_or_named(service.models, body.model)
    ids = await asyncio.to_thread(_ids_of, body, model)
    names = [token_name(model.pieces, token) for token in ids] if body.return_token_strs else None
    return Tokenized(
        count=len(ids),
        max_model_len=service.limits.max_prompt_tokens,
        tokens=ids,
        token_strs=names,
    )


def _ids_of(body: TokenizeRequest, model: LoadedModel) -> list[int]:
    tokenizer = model.tokenizer
    for token in (tokenizer.bos_id, tokenizer.eos_id):
        if body.prompt == token_name(model.pieces, token):
            return [token]
    ids = tokenizer.encode(clean_prompt(body.prompt, model.profile)).tolist()
    return [tokenizer.bos_id, *ids] if body.add_special_tokens else ids


@router.post("/detokenize")
async def detokenize(body: DetokenizeRequest, service: CurrentService) -> Detokenized:
    """The text of some ids; BOS and EOS have none."""
    tokenizer = _only_or_named(service.models, body.model).tokenizer
    if (greatest := max(body.tokens, default=0)) >= tokenizer.vocab_size:
        raise ApiError(
            400,
            f"token {greatest} is not in the vocabulary of {tokenizer.vocab_size}.",
            param="tokens",
        )
    return Detokenized(prompt=tokenizer.decode(body.tokens))


@router.get("/tokenizer_info")
async def tokenizer_info(service: CurrentService, model: str | None = None) -> TokenizerInfo:
    """Names of special tokens."""
    found = _only_or_named(service.models, model)
    tokenizer = found.tokenizer
    return TokenizerInfo(
        tokenizer_class=tokenizer.kind,
        vocab_size=tokenizer.vocab_size,
        bos_token=token_name(found.pieces, tokenizer.bos_id),
        eos_token=token_name(found.pieces, tokenizer.eos_id),
    )


def _only_or_named(models: Mapping[str, LoadedModel], name: str | None) -> LoadedModel:
    """The model of that name, or the only one.

    Raises:
        ApiError: no such model, or no name given and several are served.
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
    return find_model(models, name)
