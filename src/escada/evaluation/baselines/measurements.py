"""How the controls of a corpus are measured, in memory that does not grow with the corpus.

    controls, measured = measure(corpus, say)

Held-out documents are streamed, once or a few times per baseline. Of the training text at most
`MOST_TRAINING_BYTES` are read and held.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.evaluation.baselines.byte_ngrams import (
    bigram_model,
    character_tokenizer,
    uniform_model,
    unigram_model,
)
from escada.evaluation.baselines.cloze import asked_of, cloze_baselines, cloze_scores
from escada.evaluation.baselines.compressors import (
    Compressed,
    xz_after_training,
    xz_stream,
    zstd_dictionary,
    zstd_with_dictionary,
)
from escada.evaluation.baselines.kneser_ney import Asked, KneserNeyBaseline
from escada.evaluation.portuguese.agreement import Pair, agreement_pairs, has_pairs
from escada.evaluation.portuguese.lexicon import lexicon_share, samples_lexicon_share
from escada.evaluation.ruler import DocumentNames, DocumentScores, bits_per_byte, protocol_of
from escada.evaluation.statistics import Items, estimate
from escada.evaluation.tasks.cloze import ClozeItem, ClozeScores, cloze_items
from escada.evaluation.tasks.documents import BESIDE, has_few_groups
from escada.evaluation.tasks.minimal_pairs import PairScores, sentences_of
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.terminal import PLAIN_SECONDS, duration
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

Floats = NDArray[np.float64]
Say = Callable[[str], None]

NOISE_SAMPLES, NOISE_TOKENS = 20, 400
LEARN_NOTHING = ("uniform", "xz")
ASKED_PAIRS = ("kneser_ney", "bigram")
"""Baselines also evaluated on the minimal pairs, where the corpus has them."""
MOST_TRAINING_BYTES = 2**25
"""Limit of training text for the controls; of a larger corpus, every n-th document is used."""
MOST_VALIDATION_BYTES = 2**21
"""The same limit for the choice of the order."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A baseline's row, its sums per document by split, and its answers to the pairs."""

    row: dict[str, Any]
    scores: dict[str, DocumentScores]
    pairs: PairScores | None = None


def measure(corpus: Corpus, say: Say) -> tuple[dict[str, Any], dict[str, Measured]]:
    """The content of `CorpusControls`, and every baseline by its key."""
    training = some_texts(corpus, "train", MOST_TRAINING_BYTES)
    tokenizer = character_tokenizer(training)
    training_bytes = sum(len(text.encode()) for text in training)
    read = {"training_documents": len(training), "training_bytes": training_bytes}
    test = _Split(corpus, "test")
    held_out = {"test": test}
    if has_few_groups((document.source, document.group) for document in test):
        held_out[BESIDE] = _Split(corpus, BESIDE)
    material = _Material(
        corpus,
        tokenizer,
        training,
        held_out,
        agreement_pairs(corpus) if has_pairs(corpus) else [],
        cloze_items(test),
        say,
    )
    ngrams, last_words = _kneser_ney(material)
    measured = {
        baseline.row["key"]: baseline
        for baseline in (ngrams, *_tables(material), *_compressors(material))
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
        "cloze_baselines": cloze_baselines(corpus, material.cloze, last_words)
        if last_words
        else [],
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
class _Split:
    """The documents of a split, streamed with each iteration."""

    corpus: Corpus
    name: str

    def __iter__(self) -> Iterator[Document]:
        return self.corpus.documents(self.name)


@dataclass(frozen=True, slots=True)
class _Material:
    """What baselines read, and what they are asked."""

    corpus: Corpus
    tokenizer: Tokenizer
    training: list[str]
    held_out: dict[str, _Split]
    pairs: Sequence[Pair]
    cloze: Sequence[ClozeItem]
    say: Say

    def progress(self, name: str, n_characters: float) -> Callable[[float], None]:
        """Say, at most every `PLAIN_SECONDS`, how many of about so many characters are done."""
        began = said = time.monotonic()

        def done(held: float) -> None:
            nonlocal said
            now = time.monotonic()
            if now - said >= PLAIN_SECONDS and held:
                said = now
                rate = held / (now - began)
                left = duration(max(0.0, n_characters - held) / rate)
                self.say(
                    f"controls: {name}, {held / 1e6:.1f} of about {n_characters / 1e6:.1f} million "
                    f"characters, {rate / 1e3:,.0f} thousand a second, {left} left"
                )

        return done


def _kneser_ney(material: _Material) -> tuple[Measured, ClozeScores | None]:
    """The n-gram model of the best order on the validation documents."""
    began = time.perf_counter()
    corpus, name = material.corpus, "character Kneser-Ney n-grams"
    validation = some_texts(corpus, "validation", MOST_VALIDATION_BYTES)
    sentences = sentences_of(material.pairs)
    characters, n_bytes = sum(map(len, validation)), sum(len(t.encode()) for t in validation)
    held_out = sum(map(corpus.text_bytes, material.held_out)) * characters / max(1, n_bytes)
    model = KneserNeyBaseline(
        material.tokenizer,
        material.training,
        validation,
        progress=material.progress(name, held_out + sum(map(len, sentences))),
    )
    names = {split: DocumentNames() for split in material.held_out}
    found = model.score(
        chain(
            map(Asked, (t for s, docs in material.held_out.items() for t in names[s].texts(docs))),
            map(Asked, sentences),
            asked_of(material.cloze, profile=corpus.profile),
        )
    )
    seconds = time.perf_counter() - began
    scores: dict[str, DocumentScores] = {}
    n = 0
    for split, of_split in names.items():
        part = slice(n, n := n + len(of_split.ids))
        scores[split] = of_split.scores(
            protocol_of(None),
            seconds,
            nats=found.nats[part],
            tokens=found.tokens[part],
            unknown=found.unknown[part],
        )
    settings = {
        "order": model.order,
        "validation_bits_per_byte": {str(order): one for order, one in model.figures.items()},
        "parameters": model.parameters[model.order],
    }
    nats_of_sentences = found.nats[n : n + len(sentences)]
    baseline = _baseline(material, name, "kneser_ney", settings, scores, nats_of_sentences, began)
    last_words = None
    if material.cloze:
        last = [found.last[i] for i in sorted(found.last)]
        last_words = cloze_scores(material.cloze, last, material.tokenizer)
    return baseline, last_words


def _tables(material: _Material) -> Iterator[Measured]:
    tokenizer, training = material.tokenizer, material.training
    for name, key, build in (
        ("character bigram", "bigram", lambda: bigram_model(tokenizer, training)),
        ("character unigram", "unigram", lambda: unigram_model(tokenizer, training)),
        ("every character alike", "uniform", lambda: uniform_model(tokenizer)),
    ):
        began = time.perf_counter()
        model = build()
        scores = {
            split: model.score(tokenizer, documents)
            for split, documents in material.held_out.items()
        }
        sentences = [Document("", "", "", text) for text in sentences_of(material.pairs)]
        nats = model.score(tokenizer, sentences).nats
        settings = {"vocab_size": tokenizer.vocab_size}
        yield _baseline(material, name, key, settings, scores, nats, began)


def _baseline(
    material: _Material,
    name: str,
    key: str,
    settings: dict[str, Any],
    scores: dict[str, DocumentScores],
    sentence_nats: Floats,
    began: float,
) -> Measured:
    """A model's row, with the pairs if it is asked them."""
    row = _row(name, key, scores, settings)
    pairs = None
    if key in ASKED_PAIRS and material.pairs:
        pairs = PairScores.of(material.pairs, sentence_nats, protocol_of(None))
        row["minimal_pairs"] = pairs.summary().to_json()
    return Measured(row | {"seconds": time.perf_counter() - began}, scores, pairs)


def _compressors(material: _Material) -> Iterator[Measured]:
    training, test = material.training, material.held_out["test"]
    streams: list[tuple[str, str, Callable[[], Compressed]]] = [
        ("xz after the training text", "xz_train", lambda: xz_after_training(test, training)),
        ("xz", "xz", lambda: xz_stream(test)),
    ]
    for name, key, compress in streams:
        began = time.perf_counter()
        material.say(f"controls: {name}")
        yield _compressed(name, key, compress(), {}, began)
    began = time.perf_counter()
    material.say("controls: zstd")
    if dictionary := zstd_dictionary(training):
        found = {
            split: zstd_with_dictionary(documents, dictionary)
            for split, documents in material.held_out.items()
        }
        scores = {split: one.scores for split, one in found.items() if one.scores is not None}
        yield _compressed("zstd with dictionary", "zstd_dictionary", found["test"], scores, began)


def _compressed(
    name: str, key: str, found: Compressed, scores: dict[str, DocumentScores], began: float
) -> Measured:
    row = _row(name, key, scores, found.settings)
    row |= {"bits_per_byte": found.bits_per_byte, "protocol": found.protocol}
    return Measured(row | {"seconds": time.perf_counter() - began}, scores)


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
