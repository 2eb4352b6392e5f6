"""Runs and Kneser-Ney on documents of other sources than those that they were trained on.

    python benchmarks/out_of_domain.py RUN… --text FILE [--source NAME…] --out FILE.json

Every rung (its runs are its seeds) and the character Kneser-Ney baseline of its corpus score the
same documents by the ruler, and each rung is compared with Kneser-Ney, paired by document.
Near-duplicates among the documents are left out. Nothing may be chosen by these figures.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from pathlib import Path

from escada.evaluation.baselines.byte_ngrams import character_tokenizer
from escada.evaluation.baselines.kneser_ney import Asked, KneserNeyBaseline
from escada.evaluation.baselines.measurements import (
    MOST_TRAINING_BYTES,
    MOST_VALIDATION_BYTES,
    some_texts,
)
from escada.evaluation.ruler import (
    DocumentNames,
    DocumentScores,
    bits_per_byte,
    protocol_of,
    score_documents,
)
from escada.evaluation.significance import Comparison, Recipe, compare
from escada.evaluation.task import ruler_context
from escada.files import write_json
from escada.runs.corpus import corpus_of
from escada.runs.run import Run, open_run
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.reading import ReferenceCounts, reference_documents
from escada.text.sources import open_source

NGRAMS = "kneser_ney"


def documents_of(text: str, profile: str, sources: list[str], most_bytes: int) -> list[Document]:
    """The first documents of each source, whole, up to about `most_bytes` each."""
    kept: list[Document] = []
    sizes: dict[str, int] = defaultdict(int)
    for document in reference_documents(open_source(text), profile, ReferenceCounts()):
        if sources and document.source not in sources:
            continue
        if sizes[document.source] < most_bytes:
            sizes[document.source] += len(document.text.encode())
            kept.append(document)
    return kept


def ngram_scores(corpus: Corpus, documents: list[Document]) -> DocumentScores:
    training = some_texts(corpus, "train", MOST_TRAINING_BYTES)
    tokenizer = character_tokenizer(training)
    validation = some_texts(corpus, "validation", MOST_VALIDATION_BYTES)
    names = DocumentNames()
    began = time.perf_counter()
    baseline = KneserNeyBaseline(tokenizer, training, validation)
    found = baseline.score(map(Asked, names.texts(documents)))
    sums = {"nats": found.nats, "tokens": found.tokens, "unknown": found.unknown}
    return names.scores(protocol_of(None), time.perf_counter() - began, **sums)


def run_scores(run: Run, documents: list[Document]) -> DocumentScores:
    context = ruler_context(run)
    return score_documents(run.load_model(), run.tokenizer, documents, context_tokens=context)


def row_of(name: str, found: Comparison | None, scores: list[DocumentScores]) -> dict[str, object]:
    figure = sum(bits_per_byte(one) for one in scores) / len(scores)
    row: dict[str, object] = {"rung": name, "seeds": len(scores), "bits_per_byte": figure}
    row["sources"] = {
        source: sum(_of_source(one, source) for one in scores) / len(scores)
        for source in sorted(set(scores[0].sources))
    }
    return row | ({"against_kneser_ney": found.model_dump(mode="json")} if found else {})


def _of_source(scores: DocumentScores, source: str) -> float:
    mine = [i for i, name in enumerate(scores.sources) if name == source]
    return float(scores.nats[mine].sum()) / math.log(2) / int(scores.bytes[mine].sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--text", required=True)
    parser.add_argument("--source", action="append", default=[])
    parser.add_argument("--bytes", type=int, default=400_000, help="per source")
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args()
    runs = [open_run(path) for path in given.runs]
    corpus = corpus_of(runs[0], None)
    documents = documents_of(given.text, corpus.profile, given.source, given.bytes)
    ngrams = ngram_scores(corpus, documents)
    baseline = Recipe(NGRAMS, [ngrams], "", deterministic=True)
    by_rung: dict[str, list[DocumentScores]] = defaultdict(list)
    for run in runs:
        by_rung[run.spec.name].append(run_scores(run, documents))
    rows = [row_of(NGRAMS, None, [ngrams])]
    for name, scores in by_rung.items():
        rows.append(row_of(name, compare(Recipe(name, scores, ""), baseline), scores))
    for row in rows:
        print(row["rung"], f"{row['bits_per_byte']:.4f}", row["sources"])
    write_json(given.out, {"schema_version": 1, "documents": len(documents), "rows": rows})


if __name__ == "__main__":
    main()
