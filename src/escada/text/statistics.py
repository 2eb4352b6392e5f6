"""Size of a prepared corpus by source and split, and its characters, in one pass."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel

from escada.choices import SPLITS
from escada.text.corpus import Corpus
from escada.text.manifest import AcrossSplits, Size

RARE = 3
"""By default a character tokenizer maps characters seen fewer times in training to UNK."""


class DocumentBytes(BaseModel):
    """Document sizes in bytes: nearest-rank percentiles and the maximum."""

    p50: int = 0
    p95: int = 0
    p99: int = 0
    max: int = 0

    @classmethod
    def of(cls, sizes: Sequence[int]) -> DocumentBytes:
        """Percentiles of some sizes; 0 where there are none."""
        if not sizes:
            return cls()
        p50, p95, p99, largest = np.percentile(sizes, [50, 95, 99, 100], method="inverted_cdf")
        return cls(p50=p50, p95=p95, p99=p99, max=largest)


class TextCounts(Size):
    """How much text there is; words are separated by white space."""

    characters: int
    words: int
    lines: int
    document_bytes: DocumentBytes


class CharacterCounts(BaseModel):
    """Characters of the splits.

    Attributes:
        train_rare: those seen fewer than `RARE` times.
        unseen_or_rare: by held-out split, occurrences of characters that training has fewer than
            `RARE` times.
    """

    train_distinct: int
    train_rare: int
    unseen_or_rare: dict[str, int]


class CorpusStatistics(BaseModel):
    """Counts of a corpus; `by_source` is keyed by source, then split."""

    schema_version: int = 1
    corpus_hash: str
    profile: str
    across_splits: AcrossSplits | None
    splits: dict[str, TextCounts]
    by_source: dict[str, dict[str, TextCounts]]
    characters: CharacterCounts


def corpus_statistics(corpus: Corpus) -> CorpusStatistics:
    """Count a corpus."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    characters: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for split in SPLITS:
        for document in corpus.documents(split):
            place, text = (document.source, split), document.text
            counts[place].update(
                characters=len(text), words=len(text.split()), lines=text.count("\n") + 1
            )
            sizes[place].append(document.n_bytes)
            groups[place].add(document.group)
            characters[split].update(text)
    sources = sorted({source for source, _ in counts})

    def text_counts(*places: tuple[str, str]) -> TextCounts:
        all_sizes = [size for place in places for size in sizes[place]]
        return TextCounts(
            documents=len(all_sizes),
            groups=sum(len(groups[place]) for place in places),
            bytes=sum(all_sizes),
            characters=sum(counts[place]["characters"] for place in places),
            words=sum(counts[place]["words"] for place in places),
            lines=sum(counts[place]["lines"] for place in places),
            document_bytes=DocumentBytes.of(all_sizes),
        )

    train = characters["train"]
    return CorpusStatistics(
        corpus_hash=corpus.hash,
        profile=corpus.profile,
        across_splits=corpus.manifest.across_splits,
        splits={split: text_counts(*((source, split) for source in sources)) for split in SPLITS},
        by_source={
            source: {split: text_counts((source, split)) for split in SPLITS} for source in sources
        },
        characters=CharacterCounts(
            train_distinct=len(train),
            train_rare=sum(count < RARE for count in train.values()),
            unseen_or_rare={
                split: sum(n for char, n in characters[split].items() if train[char] < RARE)
                for split in SPLITS
                if split != "train"
            },
        ),
    )
