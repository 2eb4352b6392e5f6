"""What every finished run gets: the ruler on held-out documents, samples of the default prompts.

A result whose key (see `results`) has not changed is not made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from escada.errors import EscadaError
from escada.evaluation.document_sample import document_sample
from escada.evaluation.results import is_done, result_key, ruler_context, weights_hash
from escada.evaluation.ruler import DocumentScores
from escada.evaluation.statistics import FEW_GROUPS
from escada.evaluation.tasks.documents import measure, read_scores, write_scores
from escada.evaluation.tasks.samples import samples_lexicon_share
from escada.files import read_json, write_json
from escada.generation.decoding import generate
from escada.generation.prompts import load_prompts
from escada.generation.samplers import SamplerSettings
from escada.runs.checkpoint import Which
from escada.runs.device import resolve_device
from escada.runs.run import Run
from escada.text.corpus import Corpus
from escada.text.documents import Document

SCHEMA_VERSION = 1
TRAIN_SAMPLE, TRAIN_SAMPLE_BYTES = "train-sample", 256_000
BESIDE = "validation"
"""The split whose groups a source with few test groups borrows from."""
SAMPLE_TOKENS = 120
SAMPLE_SEED = 42


def measure_run(
    run: Run, corpus: Corpus, split: str, *, which: Which = "best", device: str = "auto"
) -> bool:
    """Measure a run on a split of its corpus, into its folder.

    Returns:
        Whether there was anything to do.

    Raises:
        EscadaError: the corpus is of another profile than the run's, or the run has no checkpoint.
    """
    return _measure(run, corpus, split, split, None, which, device)


def measure_train_sample(
    run: Run, corpus: Corpus, *, which: Which = "best", device: str = "auto"
) -> bool:
    """Measure a run on a fixed sample of its training documents, into `train-sample.json`.

    About as many bytes as the validation split holds, so that the two figures can be set side by
    side: how far they lie apart says how much was learnt by heart.

    Returns:
        Whether there was anything to do.

    Raises:
        EscadaError: see `measure_run`.
    """
    wanted = min(corpus.text_bytes("validation"), TRAIN_SAMPLE_BYTES)
    return _measure(run, corpus, "train", TRAIN_SAMPLE, wanted, which, device)


def _measure(
    run: Run,
    corpus: Corpus,
    split: str,
    name: str,
    sample_bytes: int | None,
    which: Which,
    device: str,
) -> bool:
    """Measure a split, or a sample of it, into the files of that name, unless that was done."""
    if corpus.profile != run.spec.text.profile:
        raise EscadaError(
            f"the run reads profile {run.spec.text.profile!r}, the corpus has {corpus.profile!r}",
            where=corpus.path,
            fix="give the corpus that the run was trained on",
        )
    path = run.layout.evaluation(name)
    of: dict[str, object] = {"corpus": corpus.hash, "split": split}
    key = result_key(
        run, which, __name__, **of | ({"sample_bytes": sample_bytes} if sample_bytes else {})
    )
    if is_done(path, key) and run.layout.document_scores(name).exists():
        return False
    documents = (
        list(corpus.documents(split))
        if sample_bytes is None
        else document_sample(corpus, split, sample_bytes)
    )
    beside = None
    if name == "test" and has_few_groups(documents):
        measure_run(run, corpus, BESIDE, which=which, device=device)
        beside = read_document_scores(run, BESIDE)
    found, scores = measure(
        run.load_model(which, resolve_device(device)),
        run.tokenizer,
        documents,
        context_tokens=ruler_context(run),
        profile=corpus.profile,
        corpus_hash=corpus.hash,
        split=split,
        beside=beside,
    )
    write_scores(run.layout.document_scores(name), scores)
    write_json(path, found.to_json() | {"key": key, **_weights(run, which)})
    return True


def has_few_groups(documents: Sequence[Document]) -> bool:
    """Whether a source has so few groups that its variance is estimated from more than these."""
    groups = Counter(source for source, _ in {(d.source, d.group) for d in documents})
    return any(number < FEW_GROUPS for number in groups.values())


def _weights(run: Run, which: Which) -> dict[str, str]:
    """Which weights a result is of: a card shows no figure of others."""
    return {"weights": which, "weights_sha256": weights_hash(run, which)}


def read_measurement(run: Run, split: str) -> dict[str, Any]:
    """The figures that `measure_run` wrote."""
    return read_json(run.layout.evaluation(split))


def read_document_scores(run: Run, split: str) -> DocumentScores:
    """The sums per document that `measure_run` wrote."""
    return read_scores(run.layout.document_scores(split))


def sample_run(run: Run, *, which: Which = "best", device: str = "auto") -> bool:
    """Continue the default prompts once each, into the run's folder.

    Returns:
        Whether there was anything to do.
    """
    prompts = load_prompts()
    settings = SamplerSettings()
    key = result_key(
        run,
        which,
        __name__,
        prompts=[asdict(prompt) for prompt in prompts],
        settings=asdict(settings),
        max_tokens=SAMPLE_TOKENS,
        seed=SAMPLE_SEED,
    )
    if is_done(run.layout.samples, key):
        return False
    samples = generate(
        run.load_model(which, resolve_device(device)),
        run.tokenizer,
        [prompt.text for prompt in prompts],
        settings,
        max_tokens=SAMPLE_TOKENS,
        seed=SAMPLE_SEED,
        profile=run.spec.text.profile,
    )
    rows = [
        {
            "prompt_id": prompt.id,
            "category": prompt.category,
            "prompt": sample.prompt,
            "text": sample.text,
            "finished": sample.finished,
            "tokens": len(sample.ids),
            "bits_per_token": sample.bits_per_token,
        }
        for prompt, sample in zip(prompts, samples, strict=True)
    ]
    write_json(
        run.layout.samples,
        {
            "schema_version": SCHEMA_VERSION,
            "key": key,
            "settings": asdict(settings),
            "max_tokens": SAMPLE_TOKENS,
            "seed": SAMPLE_SEED,
            **_weights(run, which),
            "lexicon_share": samples_lexicon_share(samples),
            "samples": rows,
        },
    )
    return True
