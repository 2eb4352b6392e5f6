"""What a prepared corpus consists of, by source and by split, and what a character model will meet.

Everything is counted in one pass over each split; only the characters of each split are held.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from escada.choices import SPLITS
from escada.text.corpus import Corpus

SCHEMA_VERSION = 1
RARE = 3
"""A character seen fewer times in training becomes UNK for a character tokenizer by default."""


def percentile(values: Sequence[int], share: float) -> int:
    """The smallest value that at least `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0


def _sizes(document_bytes: Sequence[int]) -> dict[str, int]:
    return {f"p{p}": percentile(document_bytes, p / 100) for p in (50, 95, 99)} | {
        "max": max(document_bytes, default=0)
    }


def corpus_statistics(corpus: Corpus) -> dict[str, Any]:
    """Counts of a corpus, as JSON values.

    Returns:
        `splits` and `by_source` (source → split): documents, groups, bytes, characters, words (what
        stands between blanks), lines, and `document_bytes` with P50, P95, P99 and the maximum. With
        `characters`: how many different ones training has, how many of them fewer than `RARE`
        times, and how many of each held-out split's characters training has too seldom. With
        `across_splits`: the manifest's counts of held-out documents with a copy in another split;
        None for a corpus prepared before they were looked for.
    """
    names = ("documents", "bytes", "characters", "words", "lines")
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    characters: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for split in SPLITS:
        for document in corpus.documents(split):
            place, text = (document.source, split), document.text
            size = document.n_bytes
            counts[place].update(
                documents=1,
                bytes=size,
                characters=len(text),
                words=len(text.split()),
                lines=text.count("\n") + 1,
            )
            sizes[place].append(size)
            groups[place].add(document.group)
            characters[split].update(text)
    sources = sorted({source for source, _ in counts})

    def entry(places: Sequence[tuple[str, str]]) -> dict[str, Any]:
        return {
            **{name: sum(counts[place][name] for place in places) for name in names},
            "groups": sum(len(groups[place]) for place in places),
            "document_bytes": _sizes([size for place in places for size in sizes[place]]),
        }

    train = characters["train"]
    return {
        "schema_version": SCHEMA_VERSION,
        "corpus_hash": corpus.hash,
        "profile": corpus.profile,
        "across_splits": corpus.manifest.get("across_splits"),
        "splits": {split: entry([(source, split) for source in sources]) for split in SPLITS},
        "by_source": {
            source: {split: entry([(source, split)]) for split in SPLITS} for source in sources
        },
        "characters": {
            "train_distinct": len(train),
            "train_rare": sum(count < RARE for count in train.values()),
            "unseen_or_rare": {
                split: sum(n for char, n in characters[split].items() if train[char] < RARE)
                for split in SPLITS
                if split != "train"
            },
        },
    }
