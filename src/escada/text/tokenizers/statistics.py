"""How a tokenizer splits text: token counts, piece lengths, byte fallback."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.text.tokenizers.contract import Tokenizer

SHORT_CHARACTERS = 2
"""A piece of at most this many characters is short; a leading space does not count."""
_DOCUMENTS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class TokenizerStatistics:
    """Figures over some documents, without BOS and EOS; words are separated by white space.

    Attributes:
        fallback_ratio: share of the tokens that are fallback bytes; 0 for the byte tokenizer.
        short_piece_ratio: share of the tokens with at most `SHORT_CHARACTERS` characters; bytes
            count as short.
        unknown_ratio: share of the tokens that are UNK.
        p50_tokens, p95_tokens, p99_tokens: percentiles of tokens per document.
    """

    documents: int
    bytes: int
    characters: int
    words: int
    tokens: int
    tokens_per_character: float
    tokens_per_word: float
    bytes_per_token: float
    fallback_ratio: float
    short_piece_ratio: float
    unknown_ratio: float
    p50_tokens: float
    p95_tokens: float
    p99_tokens: float


def tokenizer_statistics(tokenizer: Tokenizer, texts: Iterable[str]) -> TokenizerStatistics:
    """Measure a tokenizer on some texts, in one pass.

    Raises:
        EscadaError: the texts have no words.
    """
    n_bytes = n_characters = n_words = 0
    lengths: list[int] = []
    uses_V = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    remaining = iter(texts)
    while chunk := list(islice(remaining, _DOCUMENTS_AT_ONCE)):
        encoded = tokenizer.encode_batch(chunk)
        n_bytes += sum(len(text.encode("utf-8")) for text in chunk)
        n_characters += sum(len(text) for text in chunk)
        n_words += sum(len(text.split()) for text in chunk)
        lengths += [len(ids) for ids in encoded]
        uses_V += np.bincount(np.concatenate(encoded), minlength=tokenizer.vocab_size)
    n_tokens = sum(lengths)
    if not n_words:
        raise EscadaError("no words to measure the tokenizer on", fix="give it other documents")
    is_byte_V, is_short_V = _kinds_of_pieces(tokenizer)
    p50, p95, p99 = np.percentile(lengths, [50, 95, 99]).tolist()
    unknown = 0 if tokenizer.unk_id is None else int(uses_V[tokenizer.unk_id])
    return TokenizerStatistics(
        documents=len(lengths),
        bytes=n_bytes,
        characters=n_characters,
        words=n_words,
        tokens=n_tokens,
        tokens_per_character=n_tokens / n_characters,
        tokens_per_word=n_tokens / n_words,
        bytes_per_token=n_bytes / n_tokens,
        fallback_ratio=int(uses_V[is_byte_V].sum()) / n_tokens,
        short_piece_ratio=int(uses_V[is_short_V].sum()) / n_tokens,
        unknown_ratio=unknown / n_tokens,
        p50_tokens=p50,
        p95_tokens=p95,
        p99_tokens=p99,
    )


def _kinds_of_pieces(tokenizer: Tokenizer) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which ids are fallback bytes and which are short pieces; two masks of shape (V,)."""
    pieces = [tokenizer.token_text(token) for token in range(tokenizer.vocab_size)]
    special = {tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id}
    falls_back = tokenizer.kind != "bytes"
    is_byte = [falls_back and isinstance(piece, bytes) for piece in pieces]
    is_short = [
        token not in special
        and (isinstance(piece, bytes) or len(piece.removeprefix(" ")) <= SHORT_CHARACTERS)
        for token, piece in enumerate(pieces)
    ]
    return np.array(is_byte, dtype=np.bool_), np.array(is_short, dtype=np.bool_)
