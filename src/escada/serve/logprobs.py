"""Token log-probabilities in the format of OpenAI's `logprobs`."""

from __future__ import annotations

from collections.abc import Sequence

from escada.evaluation.scoring import TokenScores
from escada.generation.batch import Event
from escada.generation.pieces import PieceTable, TextPieces, token_name
from escada.serve.request import Prompt
from escada.serve.schema import Logprobs


def event_logprobs(table: PieceTable, event: Event, offset: int) -> Logprobs:
    """For one generated token; `offset` is where its text begins."""
    return Logprobs(
        tokens=[token_name(table, event.token)],
        token_logprobs=[-event.nats],
        top_logprobs=[_top_logprobs(table, event.token, event.nats, event.alternatives)],
        text_offset=[offset],
    )


def prompt_logprobs(table: PieceTable, prompt: Prompt, scored: TokenScores) -> Logprobs:
    """For a prompt's tokens: the ids given by the client, or those of its text."""
    values: list[float | None] = [-nats for nats in scored.nats.tolist()]
    named = scored.alternatives or [()] * len(scored.ids)
    tops: list[dict[str, float] | None] = [
        _top_logprobs(table, token, nats, alternatives)
        for token, nats, alternatives in zip(
            scored.ids.tolist(), scored.nats.tolist(), named, strict=True
        )
    ]
    if len(prompt.given_ids) == len(prompt.ids):  # BOS was given: it has none
        values, tops = [None, *values], [None, *tops]
    pieces = TextPieces(table)
    offsets, offset = list[int](), 0
    for token in prompt.given_ids:
        offsets.append(offset)
        offset += len(pieces.push(token))
    return Logprobs(
        tokens=[token_name(table, token) for token in prompt.given_ids],
        token_logprobs=values,
        top_logprobs=tops,
        text_offset=offsets,
    )


def _top_logprobs(
    table: PieceTable, token: int, nats: float, alternatives: Sequence[tuple[int, float]]
) -> dict[str, float]:
    """The most probable tokens and the actual one, best first.

    If UNK is among the most probable, its entry is the model's own log-probability, without the
    cost of naming the character.
    """
    named = {token: nats} | dict(alternatives)
    best_first = sorted(named.items(), key=lambda item: (item[1], item[0]))
    return {token_name(table, token): -nats for token, nats in best_first}


def merge_logprobs(parts: Sequence[Logprobs]) -> Logprobs:
    """Concatenate consecutive parts."""
    return Logprobs(
        tokens=[token for part in parts for token in part.tokens],
        token_logprobs=[value for part in parts for value in part.token_logprobs],
        top_logprobs=[names for part in parts for names in part.top_logprobs],
        text_offset=[offset for part in parts for offset in part.text_offset],
    )
