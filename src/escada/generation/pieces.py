"""Streams text from tokens: whole characters only, up to a stop string.

A token may be one byte of a character (byte fallback), and a stop string may span tokens. Text that
was returned is final: bytes wait until their character is complete, and text that may begin a stop
string waits too. All pieces together equal `Tokenizer.decode` of the same tokens, up to the stop.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from escada.text.tokenizers import Tokenizer


class PieceTable:
    """Cache of the text, or the byte, of each token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._known: dict[int, str | bytes] = {}

    def __getitem__(self, token: int) -> str | bytes:
        piece = self._known.get(token)
        if piece is None:
            piece = self.tokenizer.token_text(token)
            if isinstance(piece, str):  # special tokens decode to their text, not their name
                piece = self.tokenizer.decode([token])
            self._known[token] = piece
        return piece


def token_name(table: PieceTable, token: int) -> str:
    """A token's text for display; a byte token as `bytes:\\xc3`."""
    piece = table.tokenizer.token_text(token)
    return "bytes:" + "".join(f"\\x{b:02x}" for b in piece) if isinstance(piece, bytes) else piece


class TextPieces:
    """The text of one row, up to the first stop string; `stopped` once that was found."""

    def __init__(self, table: PieceTable, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        self._table = table
        self._stop: tuple[str, ...] = tuple(stop)
        self._byte_ids: list[int] = []
        self._bytes: bytes = b""  # of these ids, one each
        self._waiting: str = ""

    def push(self, token: int) -> str:
        """Add a token; returns the text that is now final."""
        piece = self._table[token]
        if isinstance(piece, bytes):
            self._byte_ids.append(token)
            self._bytes += piece
            whole = len(self._bytes) - unfinished_bytes(self._bytes)
            return self._emit(self._take_bytes(whole))
        return self._emit(self._take_bytes(len(self._byte_ids)) + piece)

    def flush(self) -> str:
        """Return the rest, when no token follows."""
        text = self._emit(self._take_bytes(len(self._byte_ids)))
        text, self._waiting = text + self._waiting, ""
        return text

    def _take_bytes(self, count: int) -> str:
        ids, self._byte_ids = self._byte_ids[:count], self._byte_ids[count:]
        self._bytes = self._bytes[count:]
        return self._table.tokenizer.decode(ids) if ids else ""

    def _emit(self, text: str) -> str:
        """Return text, except what may begin a stop string."""
        if self.stopped:
            return ""
        if not self._stop:
            return text
        text = self._waiting + text
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, self._waiting = True, ""
            return text[: min(found)]
        held = max(_overlap(text, stop) for stop in self._stop)
        certain = len(text) - held
        self._waiting = text[certain:]
        return text[:certain]


def unfinished_bytes(data: bytes) -> int:
    """Number of trailing bytes that begin an incomplete UTF-8 character: 0 to 3."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    waiting, _ = decoder.getstate()
    return len(waiting)


def _overlap(text: str, stop: str) -> int:
    """Length of the longest suffix of the text that begins the stop string."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
