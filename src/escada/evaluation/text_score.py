"""Token-by-token score of one text: the output of `escada score` and of `/escada/score`.

    score = score_text(model, tokenizer, "O vento levou.", profile="reference", context_tokens=128)
    score.bits_per_byte, [token.bits for token in score.tokens]

The text is scored as the ruler scores a document: cleaned by the run's profile, after BOS, with EOS
charged. The models below are the only description of the JSON.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from escada.errors import EscadaError
from escada.evaluation.ruler import Protocol, protocol_of
from escada.evaluation.scoring import (
    Integers,
    Reading,
    TokenScores,
    bracketed,
    check_scores,
    window_of,
)
from escada.generation.pieces import PieceTable, token_name
from escada.models.contract import LanguageModel
from escada.text.cleaning import clean_prompt
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Alternative(_Frozen):
    """A probable token; `name` is as in `ScoredToken`."""

    id: int
    name: str
    bits: float


class ScoredToken(_Frozen):
    """One token of the text, or EOS at the end.

    Attributes:
        name: as it decodes alone; a byte of a character as `bytes:\\xc3`; `<eos>`, `<unk>`.
        text: the characters completed by this token: empty for a byte inside a character, the whole
            character for its last byte. Concatenated, they are the score's text.
        start_byte, stop_byte: its UTF-8 bytes in the text; empty at the end for EOS.
        greedy: whether it was the model's first choice.
        alternatives: the most probable tokens, best first; as many as requested.
    """

    id: int
    name: str
    text: str
    start_byte: int
    stop_byte: int
    bits: float
    greedy: bool
    alternatives: list[Alternative] = []


class TextScore(_Frozen):
    """The score of a text, cleaned by the profile, under one model.

    `unknown` counts characters that the tokenizer cannot write; `tokens` include EOS.
    """

    schema_version: int = SCHEMA_VERSION
    text: str
    profile: str
    tokenizer: str
    vocab_size: int
    protocol: Protocol
    context_tokens: int | None
    bytes: int
    unknown: int
    bits: float
    bits_per_byte: float
    tokens: list[ScoredToken]


def score_text(
    model: LanguageModel,
    tokenizer: Tokenizer,
    text: str,
    *,
    profile: str,
    context_tokens: int | None = None,
    alternatives: int = 0,
) -> TextScore:
    """Score one text as the ruler scores a document.

    Args:
        context_tokens: W of models without a state; None: the model's own.
        alternatives: how many of the most probable tokens to list at each token.

    Raises:
        EscadaError: the cleaned text is empty, or a score is not finite.
    """
    cleaned = clean_prompt(text, profile)
    (scores,) = Reading(
        model,
        tokenizer,
        [sequence_of(cleaned, tokenizer)],
        context_tokens=context_tokens,
        alternatives=alternatives,
    ).scores()
    window = window_of(model, context_tokens)
    return text_score(scores, cleaned, tokenizer, profile=profile, window=window)


def sequence_of(cleaned: str, tokenizer: Tokenizer) -> Integers:
    """Ids of a text between BOS and EOS.

    Raises:
        EscadaError: the text is empty.
    """
    if not cleaned:
        raise EscadaError("there is no text to score", fix="give at least one character")
    return bracketed(tokenizer.encode(cleaned), tokenizer)


def text_score(
    scores: TokenScores, cleaned: str, tokenizer: Tokenizer, *, profile: str, window: int | None
) -> TextScore:
    """Build the `TextScore` from the scores of `sequence_of(cleaned, tokenizer)`.

    `window` is W, or None when the state was carried.

    Raises:
        EscadaError: a score that is not finite.
    """
    check_scores([scores], [f"a text that begins with {cleaned[:40]!r}"])
    table = PieceTable(tokenizer)
    ids = scores.ids.tolist()
    ends = byte_ends(ids, cleaned, table)
    bits = (scores.nats / math.log(2)).tolist()
    named = scores.alternatives or [()] * len(ids)
    tokens = [
        ScoredToken(
            id=token,
            name=token_name(table, token),
            text=piece,
            start_byte=start,
            stop_byte=stop,
            bits=cost,
            greedy=greedy,
            alternatives=[
                Alternative(id=other, name=token_name(table, other), bits=nats / math.log(2))
                for other, nats in others
            ],
        )
        for token, piece, start, stop, cost, greedy, others in zip(
            ids,
            completed_texts(cleaned, ends),
            [0, *ends],
            ends,
            bits,
            scores.correct.tolist(),
            named,
            strict=False,
        )
    ]
    total, n_bytes = float(scores.nats.sum()) / math.log(2), len(cleaned.encode())
    return TextScore(
        text=cleaned,
        profile=profile,
        tokenizer=tokenizer.kind,
        vocab_size=tokenizer.vocab_size,
        protocol=protocol_of(window),
        context_tokens=window,
        bytes=n_bytes,
        unknown=0 if tokenizer.unk_id is None else ids.count(tokenizer.unk_id),
        bits=total,
        bits_per_byte=total / n_bytes,
        tokens=tokens,
    )


def byte_ends(ids: Sequence[int], text: str, table: PieceTable) -> list[int]:
    """UTF-8 byte offset in `text` at which each token ends.

    An unknown character has as many bytes as in the text; BOS and EOS have none.
    """
    data, tokenizer = text.encode(), table.tokenizer
    ends: list[int] = []
    end = 0
    for token in ids:
        if token == tokenizer.unk_id:
            end += _character_bytes(data[end])
        elif token not in (tokenizer.bos_id, tokenizer.eos_id):
            piece = table[token]
            end += len(piece if isinstance(piece, bytes) else piece.encode())
        ends.append(end)
    if end != len(data):
        raise AssertionError(f"the tokens have {end} bytes, the text {len(data)}")
    return ends


def completed_texts(text: str, ends: Sequence[int]) -> list[str]:
    """The characters completed at each byte offset."""
    data = text.encode()
    pieces: list[str] = []
    start = 0
    for end in ends:
        whole = end
        while whole < len(data) and data[whole] & 0b1100_0000 == 0b1000_0000:
            whole -= 1  # inside a character: move to its first byte
        whole = max(whole, start)
        pieces.append(data[start:whole].decode())
        start = whole
    return pieces


def _character_bytes(first: int) -> int:
    """Length of the UTF-8 character that starts with this byte."""
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
