"""Several sources as one: one after another, or mixed by weight.

    open_sources(["a.jsonl", "b.jsonl"])             # all of a, then all of b
    open_sources(["a.jsonl=0.7", "b.jsonl=0.3"])     # 70 and 30 % of the bytes read

A mixture draws each next document from a random source, with probabilities that hold the shares in
UTF-8 bytes of the texts as read; it ends when the next one would come from a source without any.
So each source gives its first documents, in order. The draws depend on the seed alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from escada.errors import EscadaError
from escada.text.documents import Document
from escada.text.sources.base import Licence, MixturePart, ReadCounts, Source
from escada.text.sources.streams import printable

_WEIGHTED = re.compile(r"(.+)=(\d+(?:\.\d+)?)")
MIXED = " + "
"""Between the names of several sources."""
_LOOK_AHEAD = 16
"""Documents of average size within which a share that is off is put right."""


def weighted(written: str) -> tuple[str, float | None]:
    """The name and the weight of a source; None without a weight, as for a file with such a name.

    Raises:
        EscadaError: the weight is 0.
    """
    found = _WEIGHTED.fullmatch(written)
    if found is None or Path(written).exists():
        return written, None
    if not float(found[2]):
        raise EscadaError("the weight is 0", where=written, fix="leave the source out")
    return found[1], float(found[2])


def open_sources(
    written: Sequence[str], open_one: Callable[[str], Source], documents: int | None, seed: int
) -> Source:
    """One source of several.

    Args:
        written: names, all with a weight or none.
        open_one: opens a name.
        documents: maximum number in all.

    Raises:
        EscadaError: what `open_one` raises; one weight without the others; a source twice.
    """
    names = [name for name, _ in map(weighted, written)]
    weights = [weight for _, weight in map(weighted, written) if weight is not None]
    if weights and len(weights) < len(names):
        fix = "give all of them one, for example a=0.7 b=0.3, or none"
        raise EscadaError("only some sources have a weight", where=" ".join(written), fix=fix)
    if twice := {name for name in names if names.count(name) > 1}:
        raise EscadaError("a source is given twice", where=min(twice), fix="give it once")
    sources = [open_one(name) for name in names]
    shares = [weight / sum(weights) for weight in weights]

    def read(counts: ReadCounts) -> Iterator[Document]:
        parts = [MixturePart(source=one.name) for one in sources]
        for part, share in zip(parts, shares, strict=False):
            part.share = share
        counts.mixture = parts
        streams = [source.read(counts) for source in sources]
        if shares:
            return islice(_mixed(streams, parts, shares, random.Random(seed)), documents)
        return islice(chain.from_iterable(map(_counted, streams, parts)), documents)

    identity: dict[str, object] = {"sources": [dict(source.identity) for source in sources]}
    if shares:
        identity |= {"shares": shares, "seed": seed}
    licences: dict[str, Licence] = {}
    cards: dict[str, str] = {}
    for source in sources:
        licences |= source.licences
        cards |= source.cards
    return Source(MIXED.join(map(printable, written)), identity, read, licences, None, cards)


def _counted(stream: Iterator[Document], part: MixturePart) -> Iterator[Document]:
    for document in stream:
        part.documents += 1
        part.bytes += document.n_bytes
        yield document


def _mixed(
    streams: Sequence[Iterator[Document]],
    parts: Sequence[MixturePart],
    shares: Sequence[float],
    rng: random.Random,
) -> Iterator[Document]:
    """Documents of all streams, in shares of their bytes.

    A source is drawn in proportion to the number of its documents, of their mean size so far, that
    it lacks of its share of the bytes some documents ahead.
    """
    counted = [_counted(stream, part) for stream, part in zip(streams, parts, strict=True)]
    while True:
        n_bytes, n = sum(part.bytes for part in parts), sum(part.documents for part in parts)
        ahead = n_bytes + _LOOK_AHEAD * (n_bytes + 1) / (n + 1)
        lacking = [
            max(0.0, share * ahead - part.bytes) / ((part.bytes + 1) / (part.documents + 1))
            for share, part in zip(shares, parts, strict=True)
        ]
        (drawn,) = rng.choices(range(len(parts)), lacking)
        document = next(counted[drawn], None)
        if document is None:
            parts[drawn].is_exhausted = True
            return
        yield document
