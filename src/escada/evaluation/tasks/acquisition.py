"""What a run could do at each step whose weights it kept (`train.keep = "log"`).

    found = subject.need(ACQUISITION)
    found.steps[3].agreement["determiner_noun_gender"].ci95

At each of these steps the same tasks are evaluated as of a finished run, into a folder of the step
(`runs.kept`): the ruler on a sample of validation documents, the minimal pairs, and the samples.
What is there already is not evaluated again. Intervals are those of the tasks; that of the share of
lexicon words is over the prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from escada.cost.flops import targets_per_step
from escada.evaluation.portuguese.lexicon import lexicon, whole_part, words
from escada.evaluation.sampling import document_sample
from escada.evaluation.statistics import Estimate, Items, estimate
from escada.evaluation.task import Figure, Interval, Result, Subject, Task, evaluate, read
from escada.evaluation.tasks.documents import Documents, SourceFigure
from escada.evaluation.tasks.minimal_pairs import PAIRS, Share
from escada.evaluation.tasks.samples import SAMPLES, SampleRow
from escada.runs.kept import KeptRun, at_step, kept_in
from escada.runs.run import Run
from escada.text.documents import Document
from escada.typed_json import JsonObject

NAME = "acquisition"
SAMPLE_BYTES = 256_000
"""Reference bytes of validation documents that are scored at each step."""


class AcquisitionStep(JsonObject):
    """A kept step.

    Attributes:
        tokens: predictions trained so far.
        flops: of the training so far.
        agreement: accuracy on minimal pairs by phenomenon; empty for a corpus without them.
        lexicon_share: of the words of the samples.
    """

    step: int
    tokens: int
    flops: float | None = None
    bits_per_byte: float
    ci95: Interval | None = None
    sources: dict[str, SourceFigure]
    agreement: dict[str, Share]
    lexicon_share: float
    lexicon_ci95: Interval | None = None


class AcquisitionResult(Result):
    """The kept steps, ascending; `documents` and `bytes` are those of the sample."""

    documents: int
    bytes: int
    steps: list[AcquisitionStep]

    def figures(self) -> list[Figure]:
        """The accuracy on each phenomenon at the last step."""
        return [
            Figure(name=name, value=share.accuracy, unit="share", ci95=share.ci95)
            for name, share in self.steps[-1].agreement.items()
        ]


class ValidationSample(Documents):
    """The ruler on a fixed sample of the validation documents."""

    def __init__(self) -> None:
        super().__init__("validation", "validation-sample")
        self.done = "measured on a sample of the validation documents"

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """Includes the size of the sample."""
        return {**super().depends_on(subject), "sample_bytes": SAMPLE_BYTES}

    def documents(self, subject: Subject) -> list[Document]:
        """The sample."""
        return document_sample(subject.corpus, self.split, SAMPLE_BYTES)


DOCUMENTS = ValidationSample()


class Acquisition(Task[AcquisitionResult]):
    """See the module."""

    name = NAME
    result = AcquisitionResult
    shows_figures = False
    done = "measured at the steps whose weights were kept"

    def applies(self, subject: Subject) -> bool:
        """Whether the training is finished and has kept weights."""
        run = subject.run
        return run.finished and not isinstance(run, KeptRun) and bool(kept_in(run))

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """The kept weights, and what each task depends on."""
        run = subject.run
        steps = {str(step): at_step(run, step).weights_sha256("last") for step in kept_in(run)}
        tasks = {task.name: task.depends_on(subject) for task in _tasks(subject)}
        return {"steps": steps, "tasks": tasks}

    def evaluate(self, subject: Subject) -> AcquisitionResult:
        """Evaluate the tasks at every step where that was not done."""
        run = subject.run
        for at in subjects(subject):
            evaluate(at, _tasks(at))
        steps = [_step(run, at_step(run, step)) for step in kept_in(run)]
        last = read(at_step(run, kept_in(run)[-1]), DOCUMENTS)
        return AcquisitionResult(documents=last.documents, bytes=last.bytes, steps=steps)


def subjects(subject: Subject) -> Iterator[Subject]:
    """The run of a subject at each kept step; one model is loaded at a time."""
    for step in kept_in(subject.run):
        yield Subject(at_step(subject.run, step), subject.corpus, "last", subject.device)


def _tasks(subject: Subject) -> list[Task[Any]]:
    return [task for task in (DOCUMENTS, PAIRS, SAMPLES) if task.applies(subject)]


def _step(run: Run, at: KeptRun) -> AcquisitionStep:
    ruler, samples = read(at, DOCUMENTS), read(at, SAMPLES)
    pairs = read(at, PAIRS).by_phenomenon if PAIRS.path(at).exists() else {}
    known = lexicon_estimate(samples.samples)
    record = run.record
    flops = None
    if record.training_flops is not None and record.step:
        flops = record.training_flops / record.step * at.step
    return AcquisitionStep(
        step=at.step,
        tokens=at.step * targets_per_step(run.spec.train),
        flops=flops,
        bits_per_byte=ruler.bits_per_byte,
        ci95=ruler.ci95,
        sources=ruler.sources,
        agreement=pairs,
        lexicon_share=known.value,
        lexicon_ci95=_within_shares(known.ci95),
    )


def lexicon_estimate(samples: Sequence[SampleRow]) -> Estimate:
    """The share of lexicon words, with its sampling error over the prompts; 0 without any word."""
    known = lexicon()
    found = [words(whole_part(one.prompt, one.text, bool(one.finished))) for one in samples]
    return estimate(
        Items(
            sources=[NAME] * len(found),
            groups=[one.prompt_id for one in samples],
            numerators=np.array([sum(word in known for word in text) for text in found], float),
            denominators=np.array([len(text) for text in found], dtype=np.int64),
        )
    )


def _within_shares(interval: Interval | None) -> Interval | None:
    return None if interval is None else (max(0.0, interval[0]), min(1.0, interval[1]))


Point = Mapping[str, str | float | None]


def curves(found: AcquisitionResult) -> Iterator[Point]:
    """The result as rows: one per step and measure, with the ends of its interval."""

    def row(
        at: AcquisitionStep, measure: str, of: str, value: float, ci95: Interval | None
    ) -> Point:
        low, high = ci95 or (None, None)
        place = {"step": at.step, "tokens": at.tokens, "flops": at.flops}
        return {**place, "measure": measure, "of": of, "value": value, "low": low, "high": high}

    for at in found.steps:
        yield row(at, "bits_per_byte", "all", at.bits_per_byte, at.ci95)
        for name, source in at.sources.items():
            yield row(at, "bits_per_byte", name, source.bits_per_byte, source.ci95)
        for name, share in at.agreement.items():
            yield row(at, "agreement", name, share.accuracy, share.ci95)
        yield row(at, "lexicon_share", "samples", at.lexicon_share, at.lexicon_ci95)


ACQUISITION = Acquisition()
TASKS = (ACQUISITION,)
