"""What a served run wrote at each step whose weights it kept, for the playground's slider.

    read_kept(run).steps[3].texts[0]

The continuations are those that `evaluation.tasks.acquisition` made: the default prompts, always
with the same seed. No model of a step is loaded, so the service needs the memory of the texts only
(some 100 kB per run).
"""

from __future__ import annotations

from pydantic import BaseModel

from escada.evaluation.task import read, read_if_there
from escada.evaluation.tasks.acquisition import ACQUISITION
from escada.evaluation.tasks.samples import SAMPLES
from escada.runs.kept import at_step
from escada.runs.run import Run


class KeptText(BaseModel):
    """A continuation; `finished` tells whether the model ended the text."""

    text: str
    finished: bool


class KeptStep(BaseModel):
    """A kept step: its figures, and a continuation of each prompt."""

    step: int
    tokens: int
    bits_per_byte: float
    lexicon_share: float
    texts: list[KeptText]


class KeptSteps(BaseModel):
    """The prompts, and the steps, ascending."""

    prompts: list[str]
    steps: list[KeptStep]


def read_kept(run: Run) -> KeptSteps | None:
    """The continuations of a run at its kept steps; None where none were measured.

    Raises:
        EscadaError: a result is damaged or missing.
    """
    found = read_if_there(run, ACQUISITION)
    if found is None:
        return None
    prompts: list[str] = []
    steps: list[KeptStep] = []
    for one in found.steps:
        samples = read(at_step(run, one.step), SAMPLES).samples
        prompts = [sample.prompt for sample in samples]
        steps.append(
            KeptStep(
                step=one.step,
                tokens=one.tokens,
                bits_per_byte=one.bits_per_byte,
                lexicon_share=one.lexicon_share,
                texts=[KeptText(text=s.text, finished=bool(s.finished)) for s in samples],
            )
        )
    return KeptSteps(prompts=prompts, steps=steps)
