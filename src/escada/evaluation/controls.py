"""What the figures of a climb stand beside: models that know almost nothing, human text and noise.

Measured once for a corpus by the same ruler, on the same documents, and kept in one file.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from escada.evaluation.baselines import (
    bigram_model,
    character_tokenizer,
    uniform_model,
    unigram_model,
)
from escada.evaluation.lexicon import lexicon_share, samples_lexicon_share
from escada.evaluation.measurement import summarise
from escada.evaluation.ruler import score_documents
from escada.files import content_hash, hash_sources, read_json, write_json
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.text.corpus import Corpus

SCHEMA_VERSION = 1
NOISE_SAMPLES, NOISE_TOKENS = 20, 400


def corpus_controls(corpus: Corpus, path: Path) -> dict[str, Any]:
    """Baselines on the test split, and the lexicon's share of human text and of noise.

    Args:
        corpus: of the climb.
        path: where the answer is kept; it is read back while corpus and code are the same.

    Returns:
        `baselines`, a list of name, key, bits_per_byte, ci95 and protocol; `human` and `noise`,
        each with a lexicon_share.
    """
    package = Path(str(resources.files("escada")))
    code = hash_sources(*(package / part for part in ("text", "evaluation", "generation")))
    key = content_hash({"corpus": corpus.hash, "code": code})
    if path.exists() and (kept := read_json(path)).get("key") == key:
        return kept["controls"]
    controls = _measure(corpus)
    write_json(path, {"schema_version": SCHEMA_VERSION, "key": key, "controls": controls})
    return controls


def _measure(corpus: Corpus) -> dict[str, Any]:
    training = [document.text for document in corpus.documents("train")]
    test = list(corpus.documents("test"))
    tokenizer = character_tokenizer(training)
    baselines: list[dict[str, Any]] = []
    for name, key, model in (
        ("character bigram", "bigram", bigram_model(tokenizer, training)),
        ("character unigram", "unigram", unigram_model(tokenizer, training)),
    ):
        found = summarise(
            score_documents(model, tokenizer, test),
            tokenizer,
            profile=corpus.profile,
            corpus_hash=corpus.hash,
            split="test",
        )
        baselines.append(
            {
                "name": name,
                "key": key,
                "bits_per_byte": found.bits_per_byte,
                "ci95": found.ci95,
                "protocol": found.protocol,
            }
        )
    noise = generate(
        uniform_model(tokenizer),
        tokenizer,
        [""] * NOISE_SAMPLES,
        SamplerSettings(temperature=1.0, top_p=None),
        max_tokens=NOISE_TOKENS,
        profile=corpus.profile,
    )
    return {
        "baselines": baselines,
        "human": {"lexicon_share": lexicon_share(document.text for document in test)},
        "noise": {"lexicon_share": samples_lexicon_share(noise)},
    }
