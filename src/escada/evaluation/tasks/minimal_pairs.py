"""Which of two sentences a model finds more likely: the right one, or the one that breaks a rule?

    found = score_pairs(model, tokenizer, pairs)
    found.accuracy, found.by_phenomenon()["subject_verb_number"]

A pair is right when the whole good sentence, as BOS + sentence + EOS, is charged fewer nats than
the bad one by the ruler (as in BLiMP, Warstadt et al. 2020). Whole sentences, because tokenizers
cut the changed word differently; unknown characters pay as everywhere. Two sentences that a model
cannot tell apart are half right, so guessing is 0.5.

Intervals are over groups within their sources (`statistics`), in Wilson's form, which stays within
0 and 1: pairs of one thesis are alike, and of one sentence even more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.evaluation.portuguese.agreement import Pair, agreement_pairs, check_corpus, pairs_hash
from escada.evaluation.results import is_done, result_key, ruler_context
from escada.evaluation.ruler import Protocol, score_documents
from escada.evaluation.statistics import Interval, Items, estimate
from escada.files import read_json, write_json, write_json_lines
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Which
from escada.runs.device import resolve_device
from escada.runs.run import Run
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 2
NAME = "pairs"
TIE = 1e-6
"""Two sums closer than this share of the larger cannot be told from rounding."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some pairs are right.

    Attributes:
        accuracy: right ones, ties half, over all.
        ci95: None where no source has two groups.
        pairs: how many.
        groups: that they come from.
        effective_groups: equal groups which would inform as much (Kish).
        alone: sources with one group, whose variance between groups ci95 leaves out ("n = 1").
    """

    accuracy: float
    ci95: Interval | None
    pairs: int
    groups: int
    effective_groups: float
    alone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairScores:
    """Both sentences of each pair, in the order of the pairs.

    Attributes:
        pairs: what was asked.
        good_nats: charged to the good sentence.
        bad_nats: charged to the bad one.
        right: 1, 0, or 0.5 where the two cannot be told apart.
        protocol: of the ruler.
        context_tokens: window of the protocol; None when the state was carried.
    """

    pairs: Sequence[Pair]
    good_nats: Floats
    bad_nats: Floats
    right: Floats
    protocol: Protocol
    context_tokens: int | None

    @property
    def accuracy(self) -> float:
        """Of all pairs."""
        return float(self.right.mean())

    @property
    def ci95(self) -> Interval | None:
        """Of the accuracy."""
        return self.overall.ci95

    @property
    def overall(self) -> Share:
        """All pairs."""
        return self._share(range(len(self.pairs)))

    def by_phenomenon(self) -> dict[str, Share]:
        """Each phenomenon, by name."""
        return self._shares(lambda pair: pair.phenomenon)

    def by_split(self) -> dict[str, Share]:
        """Each split; of a file of the user's, nothing."""
        return {name: share for name, share in self._shares(lambda p: p.split).items() if name}

    def by_attractor(self) -> dict[str, Share]:
        """`with` and `without` a noun of the other number in between, of the phenomena that may."""
        may = {pair.phenomenon for pair in self.pairs if pair.attractor}
        names = {True: "with", False: "without"}
        return self._shares(lambda p: names[p.attractor] if p.phenomenon in may else None)

    def summary(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            **asdict(self.overall),
            "ties": int((self.right == 0.5).sum()),
            "by_phenomenon": {name: asdict(s) for name, s in self.by_phenomenon().items()},
            "by_attractor": {name: asdict(s) for name, s in self.by_attractor().items()},
            "by_split": {name: asdict(s) for name, s in self.by_split().items()},
            "protocol": self.protocol,
            "context_tokens": self.context_tokens,
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a pair, with its sums."""
        columns = (self.good_nats.tolist(), self.bad_nats.tolist(), self.right.tolist())
        return [
            {**asdict(pair), "good_nats": good, "bad_nats": bad, "right": right}
            for pair, good, bad, right in zip(self.pairs, *columns, strict=True)
        ]

    def _shares(self, name_of: Callable[[Pair], str | None]) -> dict[str, Share]:
        names = [name_of(pair) for pair in self.pairs]
        return {
            name: self._share([i for i, other in enumerate(names) if other == name])
            for name in sorted({name for name in names if name is not None})
        }

    def _share(self, which: Sequence[int]) -> Share:
        asked, right = [self.pairs[i] for i in which], self.right[list(which)]
        found = estimate(
            Items(
                [pair.source for pair in asked],
                [pair.group for pair in asked],
                right,
                np.ones(len(right)),
                questions=True,
            )
        )
        return Share(
            float(right.mean()),
            found.share_ci95,
            len(right),
            found.groups,
            found.effective_groups,
            found.alone,
        )


def score_pairs(
    model: LanguageModel,
    tokenizer: Tokenizer,
    pairs: Sequence[Pair],
    *,
    context_tokens: int | None = None,
) -> PairScores:
    """Score both sentences of each pair; a sentence of several pairs is read once.

    Args:
        model: any of the ladder, or a baseline behind the same contract.
        tokenizer: the model's.
        pairs: cleaned as the model's text was.
        context_tokens: see `score_documents`.

    Raises:
        EscadaError: no pair, or what `score_documents` raises.
    """
    if not pairs:
        raise EscadaError("there is no pair to score", fix="check the file")
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.good, pair.bad)))
    scores = score_documents(
        model,
        tokenizer,
        [Document(f"sentence {i}", NAME, "", text) for i, text in enumerate(texts, start=1)],
        context_tokens=context_tokens,
    )
    nats = dict(zip(texts, scores.nats.tolist(), strict=True))
    good = np.array([nats[pair.good] for pair in pairs])
    bad = np.array([nats[pair.bad] for pair in pairs])
    alike = np.abs(bad - good) <= TIE * np.maximum(bad, good)
    right = np.where(alike, 0.5, (good < bad).astype(np.float64))
    return PairScores(pairs, good, bad, right, scores.protocol, scores.context_tokens)


def pairs_run(
    run: Run,
    corpus: Corpus,
    *,
    which: Which = "best",
    device: str = "auto",
    source_file: Path | None = None,
) -> bool:
    """Score a run on the pairs of the default corpus, into its folder.

    Writes `evaluation/pairs.json` and, one line a pair, `evaluation/pairs-rows.jsonl`.

    Returns:
        Whether there was anything to do.

    Raises:
        EscadaError: another corpus, or another profile than the run's.
    """
    check_corpus(corpus)
    if corpus.profile != run.spec.text.profile:
        raise EscadaError(
            f"the run reads profile {run.spec.text.profile!r}, the corpus has {corpus.profile!r}",
            where=corpus.path,
        )
    pairs = agreement_pairs(corpus, source_file=source_file)
    path, rows = run.layout.evaluation(NAME), pair_rows_path(run)
    key = result_key(run, which, __name__, pairs=pairs_hash(pairs))
    if is_done(path, key) and rows.exists():
        return False
    found = score_pairs(
        run.load_model(which, resolve_device(device)),
        run.tokenizer,
        pairs,
        context_tokens=ruler_context(run),
    )
    write_json_lines(rows, found.rows())
    facts = {"profile": corpus.profile, "corpus_hash": corpus.hash, "key": key, "weights": which}
    write_json(path, {"schema_version": SCHEMA_VERSION, **found.summary(), **facts})
    return True


def read_pairs_result(run: Run) -> dict[str, Any]:
    """The figures that `pairs_run` wrote."""
    return read_json(run.layout.evaluation(NAME))


def pair_rows_path(run: Run) -> Path:
    """Where `pairs_run` writes the sums of each pair."""
    return run.layout.evaluation(f"{NAME}-rows").with_suffix(".jsonl")
