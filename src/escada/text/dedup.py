"""Removes documents that say what an earlier one said, so that no test text was seen in training.

This happens before the split. A document falls when its text was seen before (exact), or when its
shingles are estimated to share at least `THRESHOLD` of their union with those of a kept document
(near). Shingles are runs of five characters of a comparison form without addresses, mentions, case
and signs: a tweet and its retweet are one text. The estimate is MinHash (Broder, 1997): of 128
minima, the share that agrees, ± 0.04; locality-sensitive hashing (32 bands of 4) proposes whom to
compare with and misses a pair at the threshold once in five thousand times.

Only hashes are held, not texts: about a kilobyte for each kept document, so 4 GB for all of BrWaC.
The first of several stays, so the result depends on the order of the documents and on nothing else.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from escada.text.documents import Document

_rensa: Any = importlib.import_module("rensa")
"""Its names come from Rust, without types."""

THRESHOLD = 0.7
"""Jaccard similarity of shingles from which two documents count as one."""
SHINGLE_CHARACTERS = 5
N_MINIMA = 128
N_BANDS = 32
SEED = 42
_BATCH = 512
SETTINGS = {
    "threshold": THRESHOLD,
    "shingle_characters": SHINGLE_CHARACTERS,
    "minima": N_MINIMA,
    "bands": N_BANDS,
}
"""For a manifest: what counts as near."""

_UNCOMPARED = re.compile(r"(?:https?://|www\.)\S+|@\w+|\brt\b(?=\s*(?:@|$))")
_WORDS = re.compile(r"\w+")


@dataclass
class DedupCounts:
    """How many documents fell, and why."""

    exact: int = 0
    near: int = 0


def comparison_form(text: str) -> str:
    """What of a text is compared: its words in lower case, without addresses and mentions.

    A text of nothing else is compared as it is.
    """
    lower = text.casefold()
    form = " ".join(_WORDS.findall(_UNCOMPARED.sub(" ", lower)))
    return form if len(form) >= SHINGLE_CHARACTERS else lower


def shingles(text: str) -> set[str]:
    """The runs of `SHINGLE_CHARACTERS` characters of a text's comparison form, at least one."""
    form = comparison_form(text)
    last = max(1, len(form) - SHINGLE_CHARACTERS + 1)
    return {form[start : start + SHINGLE_CHARACTERS] for start in range(last)}


def _fingerprint(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big")


def unique(documents: Iterable[Document], counts: DedupCounts) -> Iterator[Document]:
    """The documents that say something new, in their order.

    Args:
        documents: cleaned ones, streamed.
        counts: updated as the stream is read.
    """
    seen: set[int] = set()
    near: Any = _rensa.RMinHashDeduplicator(THRESHOLD, N_MINIMA, True, N_BANDS, SEED)
    n_new = 0
    stream = iter(documents)
    while batch := list(islice(stream, _BATCH)):
        new: list[Document] = []
        for document in batch:
            mark = _fingerprint(document.text)
            if mark in seen:
                counts.exact += 1
            else:
                seen.add(mark)
                new.append(document)
        entries = [(str(n_new + i), list(shingles(d.text))) for i, d in enumerate(new)]
        n_new += len(new)
        is_new: list[bool] = near.add_pairs(entries)
        for document, kept in zip(new, is_new, strict=True):
            if kept:
                yield document
            else:
                counts.near += 1
