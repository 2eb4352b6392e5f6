"""Reference figures of a corpus: n-gram models, compressors, human text and noise.

    controls = read_controls(corpus, path) or make_controls(corpus, path)
    scores = control_scores(path)     # of the n-gram model, to pair with a rung's

Measured once per corpus, on the same documents as the rungs and, for models, by the same ruler.
Next to the file are the sums per document of every baseline that reads documents separately, and
the n-gram models' answers to the minimal pairs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue

from escada.code_hash import code_hash
from escada.evaluation.baselines.byte_ngrams import (
    bigram_model,
    character_tokenizer,
    uniform_model,
    unigram_model,
)
from escada.evaluation.baselines.cloze import ClozeBaseline, cloze_baselines
from escada.evaluation.baselines.compressors import (
    Compressed,
    xz_after_training,
    xz_stream,
    zstd_with_dictionary,
)
from escada.evaluation.baselines.kneser_ney import fit_kneser_ney
from escada.evaluation.portuguese.agreement import agreement_pairs, has_pairs
from escada.evaluation.portuguese.lexicon import lexicon_share, samples_lexicon_share
from escada.evaluation.ruler import DocumentScores, bits_per_byte, score_documents
from escada.evaluation.statistics import Items, estimate
from escada.evaluation.task import MAKES_DOCUMENTS, MEASURES
from escada.evaluation.tasks.documents import BESIDE, has_few_groups, read_scores, write_scores
from escada.evaluation.tasks.minimal_pairs import PairScores, PairsResult, score_pairs
from escada.files import content_hash, read_json, write_sealed_json, write_sealed_json_lines
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.models.contract import LanguageModel
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer
from escada.typed_json import Interval, JsonObject, parse

SCHEMA_VERSION = 2
NOISE_SAMPLES, NOISE_TOKENS = 20, 400
LEARN_NOTHING = ("uniform", "xz")
ASKED_PAIRS = ("kneser_ney", "bigram")
"""Baselines also evaluated on the minimal pairs, where the corpus has them."""
MOST_TRAINING_BYTES = 2**25
"""Limit of training text for the controls; of a larger corpus, every n-th document is used."""
MOST_VALIDATION_BYTES = 2**22
"""The same limit for the choice of the order."""


class BaselineRow(JsonObject):
    """A baseline on the test documents, as in ladder.json; `seconds` includes training.

    `scored_splits` have stored sums per document.
    """

    name: str
    key: str
    bits_per_byte: float
    ci95: Interval | None = None
    protocol: str | None = None
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    seconds: float | None = None
    scored_splits: tuple[str, ...] = ()
    minimal_pairs: PairsResult | None = None


class LexiconShare(JsonObject):
    """Share of words in the lexicon (0 to 1): of human text the ceiling, of noise the floor."""

    lexicon_share: float | None = None


class CorpusControls(JsonObject):
    """Everything that is measured once per corpus."""

    baselines: list[BaselineRow] = Field(default_factory=list[BaselineRow])
    cloze_baselines: list[ClozeBaseline] = Field(default_factory=list[ClozeBaseline])
    human: LexiconShare | None = None
    noise: LexiconShare | None = None

    @property
    def best_baseline(self) -> BaselineRow:
        """The baseline with the fewest bits per byte; there must be one."""
        return min(self.baselines, key=lambda baseline: baseline.bits_per_byte)


def read_controls(corpus: Corpus, path: Path) -> CorpusControls | None:
    """The controls at `path`; None if corpus or code have changed since."""
    if path.exists():
        kept = read_json(path)
        if "controls" in kept and kept.get("key") == _key(corpus) and _is_whole(path, kept):
            return parse(CorpusControls, kept["controls"], path)
    return None


def make_controls(corpus: Corpus, path: Path) -> CorpusControls:
    """Measure the controls and write them to `path`."""
    controls, measured = _measure(corpus)
    for name, baseline in measured.items():
        for split, scores in baseline.scores.items():
            write_scores(document_scores_path(path, name, split), scores)
        if baseline.pairs is not None:
            write_sealed_json_lines(pair_rows_path(path, name), baseline.pairs.rows())
    table = {"schema_version": SCHEMA_VERSION, "key": _key(corpus), "controls": controls}
    write_sealed_json(path, table)
    return CorpusControls.model_validate(controls)


def control_scores(path: Path, key: str = "kneser_ney", split: str = "test") -> DocumentScores:
    """A baseline's sums per document, for a paired comparison with a rung.

    Raises:
        EscadaError: not written yet.
    """
    return read_scores(document_scores_path(path, key, split))


def document_scores_path(path: Path, key: str, split: str) -> Path:
    """Path of a baseline's sums per document, next to `controls.json`."""
    return path.with_name(f"{path.stem}-{key}-{split}-documents.jsonl")


def pair_rows_path(path: Path, key: str) -> Path:
    """Path of a baseline's answers to the minimal pairs, next to `controls.json`."""
    return path.with_name(f"{path.stem}-{key}-pairs.jsonl")


def _is_whole(path: Path, kept: dict[str, Any]) -> bool:
    """Whether the files of its baselines are there."""
    beside: list[Path] = []
    for row in kept["controls"]["baselines"]:
        beside += [document_scores_path(path, row["key"], split) for split in row["scored_splits"]]
        beside += [pair_rows_path(path, row["key"])] if "minimal_pairs" in row else []
    return all(file.exists() for file in beside)


@dataclass(frozen=True, slots=True)
class _Baseline:
    row: dict[str, Any]
    scores: dict[str, DocumentScores]
    pairs: PairScores | None = None


def _key(corpus: Corpus) -> str:
    return content_hash(
        {
            "corpus": corpus.hash,
            "code": code_hash(__name__, within=MEASURES, without=MAKES_DOCUMENTS),
            "versions": {name: metadata.version(name) for name in ("zstandard", "wordfreq")},
        }
    )


def _measure(corpus: Corpus) -> tuple[dict[str, Any], dict[str, _Baseline]]:
    training = some_texts(corpus, "train", MOST_TRAINING_BYTES)
    held_out = {"test": list(corpus.documents("test"))}
    if has_few_groups(held_out["test"]):
        held_out[BESIDE] = list(corpus.documents(BESIDE))
    tokenizer = character_tokenizer(training)
    training_bytes = sum(len(text.encode()) for text in training)
    read = {"training_documents": len(training), "training_bytes": training_bytes}
    test, asker = held_out["test"], _Asker(corpus, tokenizer, held_out)
    ngrams, ngram_model = _kneser_ney(asker, training)
    measured = {
        baseline.row["key"]: baseline
        for baseline in (
            ngrams,
            *_tables(asker, training),
            *_compressors(training, held_out),
        )
    }
    for key, baseline in measured.items():
        if key not in LEARN_NOTHING:
            baseline.row["settings"] |= read
    noise = generate(
        uniform_model(tokenizer),
        tokenizer,
        [""] * NOISE_SAMPLES,
        SamplerSettings(temperature=1.0, top_p=None),
        max_tokens=NOISE_TOKENS,
        profile=corpus.profile,
    )
    controls = {
        "baselines": [baseline.row for baseline in measured.values()],
        "cloze_baselines": cloze_baselines(corpus, ngram_model, tokenizer),
        "human": {"lexicon_share": lexicon_share(document.text for document in test)},
        "noise": {"lexicon_share": samples_lexicon_share(noise)},
    }
    return controls, measured


def some_texts(corpus: Corpus, split: str, most_bytes: int) -> list[str]:
    """The texts of a split, or every n-th one, so that they hold about `most_bytes` at most.

    Without a limit, the n-gram tables of a multi-gigabyte corpus would not fit into memory.
    """
    every = max(1, -(-corpus.text_bytes(split) // most_bytes))
    return [document.text for document in islice(corpus.documents(split), 0, None, every)]


@dataclass(frozen=True, slots=True)
class _Asker:
    """Evaluates a baseline model by the ruler and on the pairs, if there are any."""

    corpus: Corpus
    tokenizer: Tokenizer
    held_out: dict[str, list[Document]]

    def ask(
        self, model: LanguageModel, name: str, key: str, settings: dict[str, Any], began: float
    ) -> _Baseline:
        scores = {
            split: score_documents(model, self.tokenizer, documents)
            for split, documents in self.held_out.items()
        }
        pairs = None
        if key in ASKED_PAIRS and has_pairs(self.corpus):
            pairs = score_pairs(model, self.tokenizer, agreement_pairs(self.corpus))
        row = _row(name, key, scores, settings)
        if pairs is not None:
            row["minimal_pairs"] = pairs.summary().to_json()
        return _Baseline(row | {"seconds": time.perf_counter() - began}, scores, pairs)


def _kneser_ney(asker: _Asker, training: Sequence[str]) -> tuple[_Baseline, LanguageModel]:
    """The n-gram model of the best order on the validation documents."""
    began = time.perf_counter()
    validation = some_texts(asker.corpus, "validation", MOST_VALIDATION_BYTES)
    model, figures = fit_kneser_ney(asker.tokenizer, training, validation)
    settings = {
        "order": model.order,
        "validation_bits_per_byte": {str(order): figure for order, figure in figures.items()},
        "parameters": model.parameter_count(),
    }
    name = "character Kneser-Ney n-grams"
    return asker.ask(model, name, "kneser_ney", settings, began), model


def _tables(asker: _Asker, training: Sequence[str]) -> Iterator[_Baseline]:
    tokenizer = asker.tokenizer
    for name, key, build in (
        ("character bigram", "bigram", lambda: bigram_model(tokenizer, training)),
        ("character unigram", "unigram", lambda: unigram_model(tokenizer, training)),
        ("every character alike", "uniform", lambda: uniform_model(tokenizer)),
    ):
        began = time.perf_counter()
        yield asker.ask(build(), name, key, {"vocab_size": tokenizer.vocab_size}, began)


def _compressors(
    training: Sequence[str], held_out: dict[str, list[Document]]
) -> Iterator[_Baseline]:
    compressors: list[tuple[str, str, Callable[[Sequence[Document]], Compressed | None]]] = [
        ("xz after the training text", "xz_train", lambda test: xz_after_training(test, training)),
        ("xz", "xz", xz_stream),
        ("zstd with dictionary", "zstd_dictionary", lambda d: zstd_with_dictionary(d, training)),
    ]
    for name, key, compress in compressors:
        began = time.perf_counter()
        if (found := compress(held_out["test"])) is None:
            continue
        scores: dict[str, DocumentScores] = {}
        if found.scores is not None:
            scores["test"] = found.scores
            beside = compress(held_out[BESIDE]) if BESIDE in held_out else None
            if beside is not None and beside.scores is not None:
                scores[BESIDE] = beside.scores
        row = _row(name, key, scores, found.settings)
        row |= {"bits_per_byte": found.bits_per_byte, "protocol": found.protocol}
        yield _Baseline(row | {"seconds": time.perf_counter() - began}, scores)


def _row(
    name: str, key: str, scores: Mapping[str, DocumentScores], settings: dict[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "key": key, "ci95": None, "settings": settings}
    row["scored_splits"] = list(scores)
    if "test" in scores:
        beside = Items.of(scores[BESIDE]) if BESIDE in scores else None
        found = estimate(Items.of(scores["test"]), beside)
        row |= {
            "bits_per_byte": bits_per_byte(scores["test"]),
            "ci95": found.ci95,
            "protocol": scores["test"].protocol,
        }
    return row
