"""The result of the guardrails: the only description of guardrails.json."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from escada.evaluation.task import Figure, Interval, Result
from escada.guardrails.guardrail import Direction, Edge
from escada.runs.checkpoint import Which

SCHEMA_VERSION = 1
Verdict = Literal["pass", "fail", "invalid", "not applicable"]
Evidence = Literal["origin", "self_likelihood", "unlike_own", "stored", "sampler"]


def in_words(value: float | None) -> str:
    """Format a guardrail's figure; a dash for None."""
    return "–" if value is None else f"{value:.3g}"


class JudgedSamples(BaseModel):
    """How many samples the file holds, were judged, and are empty; `sha256` is the file's."""

    sha256: str
    there: int
    judged: int
    empty: int
    settings: dict[str, object] = Field(default_factory=dict)


class GuardrailFound(BaseModel):
    """The result of one guardrail; see `guardrail.Guardrail` for the first fields.

    Attributes:
        not_told_apart: wanted controls that the figure cannot tell apart.
        value: of the samples; None if nothing in them can be judged.
        limit: None if the controls leave no room for one.
        calibration: None for a fixed limit.
        details: to report with the value; `sample` counts from 0.
        reason: why the verdict is `invalid` or `not applicable`.
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
        """The verdict on a value; None if value or limit is missing."""
        if value is None or self.limit is None:
            return None
        beyond = value > self.limit if self.direction == "at most" else value < self.limit
        return "fail" if beyond else "pass"

    @property
    def limit_in_words(self) -> str:
        """Such as "at most 0.31"."""
        return f"{self.direction} {in_words(self.limit)}"


class ControlFound(BaseModel):
    """The value and verdict of a control."""

    value: float | None
    verdict: Verdict | None = None


class CauseFound(BaseModel):
    """A likely cause of failures.

    Attributes:
        cause: `uniform`, `another_writer`, `one_sign`, `loop`, `copy`, `language`, `mojibake`,
            `undertrained`, `too_little` or the name of a guardrail that fails alone.
        shown_by: the failing guardrails that it explains.
    """

    cause: str
    text: str
    shown_by: list[str] = Field(default_factory=list[str])


class GuardrailsResult(Result):
    """All guardrails of a run's samples, and of the controls.

    Attributes:
        weights: the checkpoint that wrote the samples.
        log2_vocabulary: bits per token of uniform noise.
        held_out_bits_per_token: of the model on the test documents.
        stored_bits_per_token: of the samples, as stated in their file.
        origin: whether the sampler could have drawn them.
        controls: by control and guardrail.
        evidence: that the model did not write them.
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
        """The values of the guardrails that apply."""
        return [
            Figure(name=one.name, value=one.value, unit=one.unit, ci95=one.ci95)
            for one in self.guardrails.values()
            if one.value is not None
        ]

    def all_guardrails(self) -> dict[str, GuardrailFound]:
        """The guardrails of texts, and the origin."""
        return (
            self.guardrails if self.origin is None else {**self.guardrails, "origin": self.origin}
        )
