"""The guardrails of a run's samples, stored in its folder.

Subject(run, corpus).need(GUARDRAILS).verdict     # "pass", "fail" or "invalid"
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from itertools import islice

from escada.code_hash import code_hash
from escada.errors import EscadaError
from escada.evaluation.task import MEASURES, Subject, Task, complete
from escada.evaluation.tasks.documents import TEST
from escada.evaluation.tasks.samples import SAMPLES
from escada.guardrails import controls
from escada.guardrails.guardrail import ADDED, Guardrail, guardrails
from escada.guardrails.measures import measure
from escada.guardrails.results import SCHEMA_VERSION, GuardrailsResult, JudgedSamples
from escada.guardrails.texts import (
    SampleFile,
    SampleText,
    read_samples,
    stored_bits_per_token,
)
from escada.guardrails.verdicts import apply_guardrails
from escada.runs.checkpoint import Which

NAME = "guardrails"
MOST_SAMPLES = 100
"""Of a longer file, this many samples, evenly spaced, are judged."""
CALIBRATION_SETS = 3
"""Sets of texts for the limits, each as large as the samples; more if the samples are few."""
LEAST_CALIBRATION_TEXTS = 40
CALIBRATION_SEED, CONTROL_SEED = 1, 2
_PACKAGES = ("ftfy", "py3langid", "wordfreq")


class Guardrails(Task[GuardrailsResult]):
    """The samples in a run's folder, generated first if there are none.

    `also` are module names of external guardrails.

    Raises:
        EscadaError: no such module, or one that offers no guardrail.
    """

    name = NAME
    result = GuardrailsResult
    shows_figures = False

    def __init__(self, also: Sequence[str] = ()) -> None:
        self.also = {name: _guardrail(name) for name in also}

    def _samples(self, subject: Subject) -> SampleFile:
        path = subject.run.layout.samples
        if not path.exists():
            complete(subject, SAMPLES)
        return read_samples(path)

    def is_done(self, subject: Subject) -> bool:
        """False without samples, which only `evaluate` generates."""
        return subject.run.layout.samples.exists() and super().is_done(subject)

    def which(self, subject: Subject) -> Which:
        """The checkpoint that wrote the samples."""
        return self._samples(subject).weights

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """The samples' file, and packages that decide words and languages."""
        also = {name: code_hash(ADDED.module_name(name), within=MEASURES) for name in self.also}
        return {
            "corpus": subject.corpus.hash,
            "samples": self._samples(subject).sha256,
            "packages": {name: metadata.version(name) for name in _PACKAGES},
            **({"also": also} if also else {}),
        }

    def sentence(self, found: GuardrailsResult) -> str:
        """States the verdict."""
        return f"guardrails: {found.verdict}"

    def evaluate(self, subject: Subject) -> GuardrailsResult:
        """Judge the samples."""
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
    """Judge samples, such as those that `escada sample --json` printed.

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
    model, tokenizer = subject.model, run.tokenizer
    written = [one.text for one in samples.continuations if one.text]
    lengths = [len(ids) for ids in tokenizer.encode_batch(written)]
    sets = max(CALIBRATION_SETS, math.ceil(LEAST_CALIBRATION_TEXTS / len(lengths)))
    own, *own_for_limits = controls.own(
        samples, model, tokenizer, n=1 + sets, profile=corpus.profile
    )
    calibration = controls.others(corpus, "validation", tokenizer, lengths * sets, CALIBRATION_SEED)
    calibration["own"] = [one for texts in own_for_limits for one in texts]
    checked = controls.others(corpus, "test", tokenizer, lengths, CONTROL_SEED) | {"own": own}
    # All texts at once, so that the training text is read once.
    groups = [samples.continuations, *calibration.values(), *checked.values()]
    training = (document.text for document in corpus.documents("train"))
    texts = [one for group in groups for one in group]
    measured = iter(measure(model, tokenizer, samples.settings, training, texts))
    of_samples, *of_controls = [list(islice(measured, len(group))) for group in groups]
    about = {
        "schema_version": SCHEMA_VERSION,
        "run": run.name,
        "weights": samples.weights,
        "samples": JudgedSamples(
            sha256=samples.sha256,
            there=there,
            judged=len(of_samples),
            empty=sum(not one.text for one in samples.continuations),
            settings=asdict(samples.settings),
        ),
        "vocabulary": tokenizer.vocab_size,
        "log2_vocabulary": math.log2(tokenizer.vocab_size),
        "held_out_bits_per_token": held_out,
        "stored_bits_per_token": stored_bits_per_token(samples.continuations),
    }
    return apply_guardrails(
        about,
        of_samples,
        dict(zip(calibration, of_controls, strict=False)),
        dict(zip(checked, of_controls[len(calibration) :], strict=True)),
        kind=tokenizer.kind,
        set_texts=len(lengths),
        also=also,
    )


def _some(texts: Sequence[SampleText]) -> list[SampleText]:
    step = max(1, len(texts) / MOST_SAMPLES)
    return [texts[int(number * step)] for number in range(min(len(texts), MOST_SAMPLES))]
