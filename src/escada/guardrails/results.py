"""What the guardrails found of a run's samples: the one description of guardrails.json."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from escada.evaluation.task import Figure, Interval, Result
from escada.guardrails.limits import Direction, Edge
from escada.runs.checkpoint import Which

SCHEMA_VERSION = 1
Verdict = Literal["pass", "fail", "invalid", "not applicable"]
Evidence = Literal["origin", "self_likelihood", "unlike_own", "stored", "sampler"]


def in_words(value: float | None) -> str:
    """A figure of a guardrail; a dash where there is none."""
    return "–" if value is None else f"{value:.3g}"


class JudgedSamples(BaseModel):
    """Which samples were judged.

    Attributes:
        sha256: of their file.
        there: how many it holds.
        judged: how many of them were read.
        empty: without text.
    """

    sha256: str
    there: int
    judged: int
    empty: int
    settings: dict[str, object] = Field(default_factory=dict)


class GuardrailFound(BaseModel):
    """One guardrail of the samples; for the first fields see `limits.Guardrail`.

    Attributes:
        not_told_apart: controls that the limit was wanted to hold off, and cannot.
        value: of the samples; None if nothing in them can be judged.
        limit: None if the controls leave no room for one.
        calibration: where the limit comes from; None for a fixed one.
        details: what a reader wants to see beside the value; `sample` counts from 0.
        reason: of a verdict that says nothing.
    """

    model_config = ConfigDict(allow_inf_nan=False, validate_assignment=True)

    name: str = ""
    meaning: str = ""
    unit: str = ""
    direction: Direction
    cause: str | None = None
    must_pass: str | None = None
    must_fail: list[str] = Field(default_factory=list[str])
    also_must_pass: str | None = None
    not_told_apart: list[str] = Field(default_factory=list[str])
    value: float | None
    ci95: Interval | None = None
    limit: float | None
    calibration: Edge | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    verdict: Verdict
    reason: str | None = None

    def judge(self, value: float | None) -> Literal["pass", "fail"] | None:
        """The verdict on a figure by the limit; None if one of them is missing."""
        if value is None or self.limit is None:
            return None
        beyond = value > self.limit if self.direction == "at most" else value < self.limit
        return "fail" if beyond else "pass"

    @property
    def limit_in_words(self) -> str:
        """What passes: "at most 0.31"."""
        return f"{self.direction} {in_words(self.limit)}"


class ControlFound(BaseModel):
    """What a control got from a guardrail."""

    value: float | None
    verdict: Verdict | None = None


class CauseFound(BaseModel):
    """What probably happened where guardrails fail.

    Attributes:
        cause: `uniform`, `another_writer`, `one_sign`, `loop`, `copy`, `language`, `mojibake`,
            `undertrained`, `too_little` or the name of a guardrail that fails alone.
        text: a sentence with the figures that show it.
        shown_by: the guardrails that fail by it.
    """

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
    evidence: list[Evidence] = Field(default_factory=list[Evidence])
    verdict: Verdict
    causes: list[CauseFound] = Field(default_factory=list[CauseFound])

    def figures(self) -> list[Figure]:
        """The value of each that applies."""
        return [
            Figure(name=one.name, value=one.value, unit=one.unit, ci95=one.ci95)
            for one in self.guardrails.values()
            if one.value is not None
        ]

    def all_guardrails(self) -> dict[str, GuardrailFound]:
        """Those of the texts, and the origin."""
        return (
            self.guardrails if self.origin is None else {**self.guardrails, "origin": self.origin}
        )
