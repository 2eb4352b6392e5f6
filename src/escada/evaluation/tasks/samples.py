"""Samples: one continuation of each default prompt, from a fixed seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from escada.evaluation.portuguese.lexicon import samples_lexicon_share
from escada.evaluation.task import Figure, Result, Subject, Task
from escada.generation.decoding import generate
from escada.generation.prompts import load_prompts
from escada.generation.samplers import SamplerSettings
from escada.runs.run import Run

SAMPLE_TOKENS = 120
SAMPLE_SEED = 42


class SampleRow(BaseModel):
    """One continuation."""

    model_config = ConfigDict(frozen=True)

    prompt_id: str
    category: str = ""
    prompt: str
    text: str
    finished: bool | None = None
    tokens: int | None = None
    bits_per_token: float | None = None


class SamplesResult(Result):
    """The continuations, one per prompt, and the share of lexicon words (`portuguese.lexicon`)."""

    settings: dict[str, object]
    max_tokens: int
    seed: int
    lexicon_share: float
    samples: list[SampleRow]

    def figures(self) -> list[Figure]:
        """The share of words in the lexicon."""
        return [Figure(name="lexicon_share", value=self.lexicon_share, unit="share")]


class Samples(Task[SamplesResult]):
    """See the module."""

    name = "samples"
    result = SamplesResult
    shows_figures = False
    done = "samples written"

    def path(self, run: Run) -> Path:
        """At the top of the run's folder, where people look for samples."""
        return run.layout.samples

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """The prompts and sampling settings; no document."""
        return {
            "prompts": [asdict(prompt) for prompt in load_prompts()],
            "settings": asdict(SamplerSettings()),
            "max_tokens": SAMPLE_TOKENS,
            "seed": SAMPLE_SEED,
        }

    def evaluate(self, subject: Subject) -> SamplesResult:
        """Continue each prompt."""
        run, prompts, settings = subject.run, load_prompts(), SamplerSettings()
        samples = generate(
            subject.model,
            run.tokenizer,
            [prompt.text for prompt in prompts],
            settings,
            max_tokens=SAMPLE_TOKENS,
            seed=SAMPLE_SEED,
            profile=run.spec.text.profile,
        )
        return SamplesResult(
            settings=asdict(settings),
            max_tokens=SAMPLE_TOKENS,
            seed=SAMPLE_SEED,
            lexicon_share=samples_lexicon_share(samples),
            samples=[
                SampleRow(
                    prompt_id=prompt.id,
                    category=prompt.category,
                    prompt=sample.prompt,
                    text=sample.text,
                    finished=sample.finished,
                    tokens=len(sample.ids),
                    bits_per_token=sample.bits_per_token,
                )
                for prompt, sample in zip(prompts, samples, strict=True)
            ],
        )


SAMPLES = Samples()
TASKS = (SAMPLES,)
