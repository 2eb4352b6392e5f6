"""Repetition: removes documents that mostly repeat themselves.

`repetition=0.3` removes a document when more than 30 % of its characters are lines that were there
before, or more than 30 % of its words lie in a run of five words that was there before. Both are
measures of Rae et al. 2021 (Gopher, table A1), which removes at 20 % of characters in repeated
lines and at 15 % in repeated runs of five words; the limit here is wider, since a text of law or a
song repeats itself too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from escada.text.documents import Document
from escada.text.filters.values import percent, share
from escada.text.preparation.hashes import run_hashes_of_words

LIMIT = 0.3
RUN_WORDS = 5


@dataclass(frozen=True)
class Repetition:
    """Removes documents of which more than `limit` is repeated."""

    limit: float = LIMIT

    def __call__(self, document: Document) -> Document | str:
        """See `Filter`."""
        lines = repeated_lines(document.text)
        if lines > self.limit:
            return f"{percent(lines)} of the characters are repeated lines"
        words = repeated_words(document.text)
        if words > self.limit:
            return f"{percent(words)} of the words are in repeated runs of {RUN_WORDS}"
        return document


def repeated_lines(text: str) -> float:
    """The share of characters in lines that occurred before, without empty lines."""
    lines = [line.strip() for line in text.split("\n")]
    seen: set[str] = set()
    repeated = 0
    for line in lines:
        repeated += len(line) if line in seen else 0
        seen.add(line)
    return repeated / max(1, sum(map(len, lines)))


def repeated_words(text: str) -> float:
    """The share of words in a run of `RUN_WORDS` words that occurred before."""
    hashes = run_hashes_of_words(text.split(), RUN_WORDS)
    is_first = np.zeros(len(hashes), dtype=bool)
    is_first[np.unique(hashes, return_index=True)[1]] = True
    starts = np.flatnonzero(~is_first)
    reach = np.diff(starts, prepend=-RUN_WORDS).clip(max=RUN_WORDS)  # words not counted yet
    return int(reach.sum()) / max(1, len(hashes) + RUN_WORDS - 1)


def build(value: str | None) -> Repetition:
    """A share between 0 and 1.

    Raises:
        EscadaError: no such number.
    """
    return Repetition(share(value, LIMIT, "repetition"))
