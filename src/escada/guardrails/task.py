"""The guardrails of a run: its samples, all controls, limits and verdicts, kept in its folder.

Subject(run, corpus).need(GUARDRAILS).verdict     # "pass", "fail" or "invalid"
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from escada.code_hash import code_hash
from escada.errors import EscadaError
from escada.evaluation.task import MEASURES, Figure, Interval, Result, Subject, Task, complete
from escada.evaluation.tasks.documents import TEST
from escada.evaluation.tasks.samples import SAMPLES
from escada.guardrails import controls
from escada.guardrails.limits import ADDED, Guardrail, guardrails
from escada.guardrails.measures import Measurer, TextMeasures
from escada.guardrails.texts import (
    SampleFile,
    SampleText,
    read_samples,
    stored_bits_per_token,
)
from escada.guardrails.verdicts import judge
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Which
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


class JudgedSamples(BaseModel):
    """Which samples were judged.

    Attributes:
        sha256: of their file.
        there: how many it holds.
        judged: how many of them were read.
        empty: without text.
        settings: of the sampler.
    """

    sha256: str
    there: int
    judged: int
    empty: int
    settings: dict[str, Any] = Field(default_factory=dict)


class GuardrailFound(BaseModel):
    """One guardrail of the samples; see `verdicts` for what the fields say."""

    model_config = ConfigDict(allow_inf_nan=False)

    name: str = ""
    meaning: str = ""
    unit: str = ""
    direction: str
    cause: str | None = None
    must_pass: str | None = None
    must_fail: list[str] = Field(default_factory=list[str])
    also_must_pass: str | None = None
    not_told_apart: list[str] = Field(default_factory=list[str])
    value: float | None
    ci95: Interval | None = None
    limit: float | None
    calibration: dict[str, Any] | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    verdict: str
    reason: str | None = None


class ControlFound(BaseModel):
    """What a control got from a guardrail."""

    value: float | None
    verdict: str | None = None


class CauseFound(BaseModel):
    """What probably happened where guardrails fail (`causes`)."""

    cause: str
    text: str
    shown_by: list[str] = Field(default_factory=list[str])


class GuardrailsResult(Result):
    """All guardrails of a run's samples, and what the controls got from them.

    Attributes:
        run: its name.
        weights: the checkpoint that wrote the samples.
        samples: which they are.
        vocabulary: ids of the tokenizer.
        log2_vocabulary: bits per token of uniform noise.
        held_out_bits_per_token: of the model on the test documents.
        stored_bits_per_token: of the samples, as their file says.
        guardrails: by name.
        origin: whether the sampler could have drawn them.
        controls: by control and guardrail.
        evidence: kinds that speak for another writer.
        verdict: `pass`, `fail` or `invalid`.
        causes: of the failures.
    """

    run: str = ""
    weights: Which = "best"
    samples: JudgedSamples | None = None
    vocabulary: int | None = None
    log2_vocabulary: float | None = None
    held_out_bits_per_token: float | None = None
    stored_bits_per_token: float | None = None
    guardrails: dict[str, GuardrailFound]
    origin: GuardrailFound | None = None
    controls: dict[str, dict[str, ControlFound]] = Field(default_factory=dict)
    evidence: list[str] = Field(default_factory=list[str])
    verdict: str
    causes: list[CauseFound] = Field(default_factory=list[CauseFound])

    def figures(self) -> list[Figure]:
        """The value of each that applies."""
        return [
            Figure(name=one.name, value=one.value, unit=one.unit, ci95=one.ci95)
            for one in self.guardrails.values()
            if one.value is not None
        ]


class Guardrails(Task[GuardrailsResult]):
    """The samples in a run's folder, which are made first if there are none.

    Args:
        also: modules with a guardrail beside those of escada, by their names.

    Raises:
        EscadaError: no such module, or one that offers no guardrail.
    """

    name = NAME
    result = GuardrailsResult

    def __init__(self, also: Sequence[str] = ()) -> None:
        self.also = {name: _guardrail(name) for name in also}

    def _samples(self, subject: Subject) -> SampleFile:
        path = subject.run.layout.samples
        if not path.exists():
            complete(subject, SAMPLES)
        return read_samples(path)

    def is_done(self, subject: Subject) -> bool:
        """Not without samples, which only `evaluate` makes."""
        return subject.run.layout.samples.exists() and super().is_done(subject)

    def which(self, subject: Subject) -> Which:
        """The checkpoint that wrote the samples."""
        return self._samples(subject).weights

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """The samples' file, and packages that decide words and languages."""
        return {
            "corpus": subject.corpus.hash,
            "samples": self._samples(subject).sha256,
            "packages": {name: metadata.version(name) for name in _PARTS_OF_RESULTS},
            **(
                {"also": {name: code_hash(name, within=MEASURES) for name in self.also}}
                if self.also
                else {}
            ),
        }

    def sentence(self, found: GuardrailsResult) -> str:
        """The verdict."""
        return f"guardrails: {found.verdict}"

    def evaluate(self, subject: Subject) -> GuardrailsResult:
        """Judge them."""
        return guard_samples(subject, self._samples(subject), list(self.also.values()))


GUARDRAILS = Guardrails()
TASKS = (GUARDRAILS,)


def _guardrail(name: str) -> Guardrail:
    found: object = ADDED.load(name).GUARDRAIL
    if not isinstance(found, Guardrail) or found.name in (
        *(one.name for one in guardrails()),
        "origin",
    ):
        fix = "docs/extending.md shows one, with a name of its own"
        raise EscadaError("GUARDRAIL is no guardrail, or has another's name", where=name, fix=fix)
    return found


def guard_samples(
    subject: Subject, samples: SampleFile, also: Sequence[Guardrail] = ()
) -> GuardrailsResult:
    """Judge samples, such as those of a file that `escada sample --json` printed.

    Args:
        subject: the run that is said to have written them.
        samples: of a file.
        also: guardrails beside those of escada.

    Raises:
        EscadaError: another corpus than the run's.
    """
    run, corpus = subject.run, subject.corpus
    if corpus.hash != run.corpus_hash:
        raise EscadaError(
            "this is not the corpus that the run was trained on, so its held-out text may be the "
            "run's training text",
            where=corpus.path,
            fix="give the right folder with --data",
        )
    if samples.weights != subject.which:
        subject = replace(subject, which=samples.weights)
    held_out = math.log2(subject.need(TEST).perplexity)
    there = len(samples.continuations)
    samples = replace(samples, continuations=_some(samples.continuations))
    model = subject.model
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
    known = {
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
        "stored_bits_per_token": stored_bits_per_token(samples.continuations),
    }
    found = judge(
        known,
        of_samples,
        dict(zip(calibration, of_controls, strict=False)),
        dict(zip(checked, of_controls[len(calibration) :], strict=True)),
        kind=run.tokenizer.kind,
        set_texts=len(makers.lengths),
        also=also,
    )
    return GuardrailsResult.model_validate(found)


def _some(texts: Sequence[SampleText]) -> list[SampleText]:
    step = max(1, len(texts) / MOST_SAMPLES)
    return [texts[int(number * step)] for number in range(min(len(texts), MOST_SAMPLES))]


def _take(measured: Iterator[TextMeasures], n: int) -> list[TextMeasures]:
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

    def own(self, sets: int) -> list[list[SampleText]]:
        """Sets of fresh samples."""
        return controls.own(
            self.samples,
            self.model,
            self.tokenizer,
            n=sets,
            profile=self.corpus.profile,
        )

    def texts(self, split: str, sets: int, seed: int) -> dict[str, list[SampleText]]:
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
