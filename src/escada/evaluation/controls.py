"""What the figures of a climb stand beside: models that only count, compressors, text and noise.

    controls = corpus_controls(corpus, out / "controls.json")
    scores = control_scores(out / "controls.json")     # of the n-gram model, to pair with a rung's

Measured once for a corpus, on the same documents and, where it is a model, by the same ruler; kept
in one file, with the sums per document of the strongest model beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from importlib import metadata, resources
from itertools import islice
from pathlib import Path
from typing import Any

from escada.evaluation.baselines import (
    bigram_model,
    character_tokenizer,
    uniform_model,
    unigram_model,
)
from escada.evaluation.compressors import xz_after_training, xz_stream, zstd_with_dictionary
from escada.evaluation.kneser_ney import fit_kneser_ney
from escada.evaluation.lexicon import lexicon_share, samples_lexicon_share
from escada.evaluation.measurement import read_scores, summarise, write_scores
from escada.evaluation.portuguese.agreement import has_pairs
from escada.evaluation.portuguese.pairs import pairs_of_baseline
from escada.evaluation.ruler import DocumentScores, score_documents
from escada.evaluation.statistics import Items, estimate
from escada.files import content_hash, hash_sources, read_json, write_json
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.models.contract import LanguageModel
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 1
NOISE_SAMPLES, NOISE_TOKENS = 20, 400
LEARN_NOTHING = ("uniform", "xz")
"""Baselines without a word from the training text."""
ASKED_PAIRS = ("kneser_ney", "bigram")
"""Baselines that are asked the minimal pairs too, where the corpus has them."""
MOST_TRAINING_BYTES = 2**25
"""Training text that controls learn from: of a larger corpus, every second, third, … document."""
MOST_VALIDATION_BYTES = 2**22
"""The same for the choice of the order."""


def corpus_controls(corpus: Corpus, path: Path) -> dict[str, Any]:
    """Baselines on the test split, and the lexicon's share of human text and of noise.

    Args:
        corpus: of the climb.
        path: where the answer is kept; it is read back while corpus and code are the same.

    Returns:
        `baselines`, a list of name, key, bits_per_byte, ci95, protocol, settings, seconds (what it
        took, learning included) and, of some, minimal_pairs; `human` and `noise`, each with a
        lexicon_share.
    """
    key = _key(corpus)
    scores_path = document_scores_path(path)
    if scores_path.exists() and path.exists() and (kept := read_json(path)).get("key") == key:
        return kept["controls"]
    controls, scores = _measure(corpus)
    write_scores(scores_path, scores)
    write_json(path, {"schema_version": SCHEMA_VERSION, "key": key, "controls": controls})
    return controls


def control_scores(path: Path) -> DocumentScores:
    """The n-gram model's sums per test document, to compare with a rung's, paired.

    Args:
        path: the file that `corpus_controls` keeps.

    Raises:
        EscadaError: it was not written yet.
    """
    return read_scores(document_scores_path(path))


def document_scores_path(path: Path) -> Path:
    """Where the sums per document lie: `controls-documents.jsonl` beside `controls.json`."""
    return path.with_name(f"{path.stem}-documents.jsonl")


def _key(corpus: Corpus) -> str:
    package = Path(str(resources.files("escada")))
    folders = (package / part for part in ("text", "models", "evaluation", "generation"))
    return content_hash(
        {
            "corpus": corpus.hash,
            "code": hash_sources(*folders),
            "versions": {name: metadata.version(name) for name in ("zstandard", "wordfreq")},
        }
    )


def _measure(corpus: Corpus) -> tuple[dict[str, Any], DocumentScores]:
    training = some_texts(corpus, "train", MOST_TRAINING_BYTES)
    test = list(corpus.documents("test"))
    tokenizer = character_tokenizer(training)
    read = {"training_documents": len(training), "training_bytes": _bytes_of(training)}
    ngram, scores = _kneser_ney(corpus, tokenizer, training, test)
    baselines = [ngram, *_tables(corpus, tokenizer, training, test), *_compressors(training, test)]
    for baseline in baselines:
        if baseline["key"] not in LEARN_NOTHING:
            baseline["settings"] |= read
    noise = generate(
        uniform_model(tokenizer),
        tokenizer,
        [""] * NOISE_SAMPLES,
        SamplerSettings(temperature=1.0, top_p=None),
        max_tokens=NOISE_TOKENS,
        profile=corpus.profile,
    )
    controls = {
        "baselines": baselines,
        "human": {"lexicon_share": lexicon_share(document.text for document in test)},
        "noise": {"lexicon_share": samples_lexicon_share(noise)},
    }
    return controls, scores


def some_texts(corpus: Corpus, split: str, most_bytes: int) -> list[str]:
    """The texts of a split, or so many, evenly chosen, that they hold about `most_bytes` at most.

    Without a limit the tables of n-grams would not fit into memory for a corpus of gigabytes.
    """
    every = max(1, -(-corpus.text_bytes(split) // most_bytes))
    return [document.text for document in islice(corpus.documents(split), 0, None, every)]


def _kneser_ney(
    corpus: Corpus, tokenizer: Tokenizer, training: Sequence[str], test: Sequence[Document]
) -> tuple[dict[str, Any], DocumentScores]:
    """The n-gram model of the order that suits the validation documents best."""
    began = time.perf_counter()
    validation = some_texts(corpus, "validation", MOST_VALIDATION_BYTES)
    model, figures = fit_kneser_ney(tokenizer, training, validation)
    settings = {
        "order": model.order,
        "validation_bits_per_byte": {str(order): figure for order, figure in figures.items()},
        "parameters": model.parameter_count(),
    }
    row, scores = _row(
        corpus, tokenizer, test, model, "character Kneser-Ney n-grams", "kneser_ney", settings
    )
    return row | {"seconds": time.perf_counter() - began}, scores


def _tables(
    corpus: Corpus, tokenizer: Tokenizer, training: Sequence[str], test: Sequence[Document]
) -> Iterator[dict[str, Any]]:
    for name, key, build in (
        ("character bigram", "bigram", lambda: bigram_model(tokenizer, training)),
        ("character unigram", "unigram", lambda: unigram_model(tokenizer, training)),
        ("every character alike", "uniform", lambda: uniform_model(tokenizer)),
    ):
        began = time.perf_counter()
        settings = {"vocab_size": tokenizer.vocab_size}
        row, _ = _row(corpus, tokenizer, test, build(), name, key, settings)
        yield row | {"seconds": time.perf_counter() - began}


def _row(
    corpus: Corpus,
    tokenizer: Tokenizer,
    test: Sequence[Document],
    model: LanguageModel,
    name: str,
    key: str,
    settings: dict[str, Any],
) -> tuple[dict[str, Any], DocumentScores]:
    """A model by the ruler."""
    scores = score_documents(model, tokenizer, test)
    found = summarise(
        scores, tokenizer, profile=corpus.profile, corpus_hash=corpus.hash, split="test"
    )
    row = {
        "name": name,
        "key": key,
        "bits_per_byte": found.bits_per_byte,
        "ci95": found.ci95,
        "protocol": found.protocol,
        "settings": settings,
    }
    if key in ASKED_PAIRS and has_pairs(corpus):
        row["minimal_pairs"] = pairs_of_baseline(model, tokenizer, corpus)
    return row, scores


def _compressors(training: Sequence[str], test: Sequence[Document]) -> Iterator[dict[str, Any]]:
    for name, key, compress in (
        ("xz after the training text", "xz_train", lambda: xz_after_training(test, training)),
        ("xz", "xz", lambda: xz_stream(test)),
        ("zstd with dictionary", "zstd_dictionary", lambda: zstd_with_dictionary(test, training)),
    ):
        began = time.perf_counter()
        if (found := compress()) is not None:
            yield {
                "name": name,
                "key": key,
                "bits_per_byte": found.bits_per_byte,
                "ci95": None if found.scores is None else estimate(Items.of(found.scores)).ci95,
                "protocol": found.protocol,
                "settings": found.settings,
                "seconds": time.perf_counter() - began,
            }


def _bytes_of(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)
