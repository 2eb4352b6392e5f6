"""The guardrails of a run: its samples, all controls, limits and verdicts, kept in its folder.

guard_run(run, corpus)              # evaluation/guardrails.json, unless it is there
read_guardrails(run)["verdict"]     # "pass", "fail" or "invalid"
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from escada.errors import EscadaError
from escada.evaluation.results import is_done, result_key
from escada.evaluation.task import measure_run, read_measurement, sample_run
from escada.files import read_json, write_json
from escada.guardrails import controls
from escada.guardrails.measures import Measurer, TextFacts
from escada.guardrails.texts import (
    Continuation,
    SampleFile,
    read_samples,
    stored_bits_per_token,
)
from escada.guardrails.verdicts import judge
from escada.models.contract import LanguageModel
from escada.runs.device import resolve_device
from escada.runs.run import Run
from escada.text.corpus import Corpus
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 1
NAME = "guardrails"
MOST_SAMPLES = 100
"""Of a longer file, as many, evenly spread, are judged."""
CALIBRATION_SETS = 3
"""Texts for the limits, in sets of as many as there are samples; more if the samples are few."""
LEAST_CALIBRATION_TEXTS = 40
CALIBRATION_SEED, CONTROL_SEED = 1, 2
_PARTS_OF_RESULTS = ("ftfy", "py3langid", "wordfreq")


def guard_run(run: Run, corpus: Corpus, *, device: str = "auto") -> bool:
    """Judge the samples in a run's folder, which are made first if there are none.

    Returns:
        Whether there was anything to do.

    Raises:
        EscadaError: another corpus than the run's, or no file of samples.
    """
    _check_corpus(run, corpus)
    if not run.layout.samples.exists():
        sample_run(run, device=device)
    samples = read_samples(run.layout.samples)
    path = run.layout.evaluation(NAME)
    key = result_key(
        run,
        samples.weights,
        __name__,
        corpus=corpus.hash,
        samples=samples.sha256,
        packages={name: metadata.version(name) for name in _PARTS_OF_RESULTS},
    )
    if is_done(path, key):
        return False
    write_json(path, _guard(run, corpus, samples, device) | {"key": key})
    return True


def read_guardrails(run: Run) -> dict[str, Any]:
    """What `guard_run` found."""
    return read_json(run.layout.evaluation(NAME))


def guard_samples(run: Run, corpus: Corpus, path: Path, *, device: str = "auto") -> dict[str, Any]:
    """Judge samples in a file, as `escada sample --json` prints them; nothing is stored of them.

    Raises:
        EscadaError: another corpus than the run's, or no file of samples.
    """
    _check_corpus(run, corpus)
    return _guard(run, corpus, read_samples(path), device)


def _check_corpus(run: Run, corpus: Corpus) -> None:
    if corpus.hash != run.corpus_hash:
        raise EscadaError(
            "this is not the corpus that the run was trained on, so its held-out text may be the "
            "run's training text",
            where=corpus.path,
            fix="give the right folder with --data",
        )


def _guard(run: Run, corpus: Corpus, samples: SampleFile, device: str) -> dict[str, Any]:
    measure_run(run, corpus, "test", which=samples.weights, device=device)
    held_out = math.log2(read_measurement(run, "test")["perplexity"])
    there = len(samples.continuations)
    samples = replace(samples, continuations=_some(samples.continuations))
    model = run.load_model(samples.weights, resolve_device(device))
    measurer = Measurer(
        model,
        run.tokenizer,
        samples.settings,
        lambda: (document.text for document in corpus.documents("train")),
    )
    makers = _Makers(run, corpus, samples, model, run.tokenizer)
    sets = max(CALIBRATION_SETS, math.ceil(LEAST_CALIBRATION_TEXTS / len(makers.lengths)))
    own, *own_for_limits = makers.own(1 + sets)
    calibration = makers.texts("validation", sets, CALIBRATION_SEED)
    calibration["own"] = [one for texts in own_for_limits for one in texts]
    checked = makers.texts("test", 1, CONTROL_SEED) | {"own": own}
    # All texts together, so that the training text is read once.
    groups = [samples.continuations, *calibration.values(), *checked.values()]
    measured = iter(measurer([one for texts in groups for one in texts]))
    of_samples, *of_controls = [_take(measured, len(texts)) for texts in groups]
    stored = stored_bits_per_token(samples.continuations)
    found = {
        "schema_version": SCHEMA_VERSION,
        "run": run.name,
        "weights": samples.weights,
        "samples": {
            "sha256": samples.sha256,
            "there": there,
            "judged": len(of_samples),
            "empty": sum(not one.text for one in samples.continuations),
            "settings": asdict(samples.settings),
        },
        "vocabulary": run.tokenizer.vocab_size,
        "log2_vocabulary": math.log2(run.tokenizer.vocab_size),
        "held_out_bits_per_token": held_out,
        "stored_bits_per_token": stored,
    }
    return judge(
        found,
        of_samples,
        dict(zip(calibration, of_controls, strict=False)),
        dict(zip(checked, of_controls[len(calibration) :], strict=True)),
        kind=run.tokenizer.kind,
        set_texts=len(makers.lengths),
    )


def _some(texts: Sequence[Continuation]) -> list[Continuation]:
    step = max(1, len(texts) / MOST_SAMPLES)
    return [texts[int(number * step)] for number in range(min(len(texts), MOST_SAMPLES))]


def _take(measured: Iterator[TextFacts], n: int) -> list[TextFacts]:
    return [next(measured) for _ in range(n)]


@dataclass(frozen=True)
class _Makers:
    """The controls of some samples of a run."""

    run: Run
    corpus: Corpus
    samples: SampleFile
    model: LanguageModel
    tokenizer: Tokenizer

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sample that holds text."""
        texts = [one.text for one in self.samples.continuations if one.text]
        return [len(ids) for ids in self.tokenizer.encode_batch(texts)]

    def own(self, sets: int) -> list[list[Continuation]]:
        """Sets of fresh samples."""
        return controls.own(
            self.samples,
            self.model,
            self.tokenizer,
            n=sets,
            profile=self.corpus.profile,
        )

    def texts(self, split: str, sets: int, seed: int) -> dict[str, list[Continuation]]:
        """All other controls, `sets` times as many texts as there are samples."""
        tokenizer, lengths = self.tokenizer, self.lengths * sets
        human = controls.human(self.corpus.documents(split), tokenizer, lengths, seed=seed)
        return {
            "human": human,
            "noise": controls.noise(human, tokenizer, lengths, seed=seed),
            "shuffled_words": controls.shuffled_words(human, seed=seed),
            "shuffled_characters": controls.shuffled_characters(human, seed=seed),
            "looped": controls.looped(human),
            "copied": controls.copied(self.corpus.documents("train"), len(lengths), seed=seed),
            "verbatim": controls.human(
                self.corpus.documents("train"), tokenizer, lengths, seed=seed
            ),
            **{language: controls.foreign(human, language) for language in controls.LANGUAGES},
        }
