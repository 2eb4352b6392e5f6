"""What lies beside a ladder.json: curves, samples and machines of runs, the verdict of a judge.

Every class is one JSON object, as far as the report shows it.
"""

from __future__ import annotations

from pydantic import Field, JsonValue

from escada.typed_json import Interval, JsonObject


class WrittenSample(JsonObject):
    """One continuation that a model wrote."""

    prompt_id: str
    prompt: str
    text: str
    category: str = ""
    finished: bool | None = None
    bits_per_token: float | None = None


class Machine(JsonObject):
    """The computer of a run, as its env.json names it."""

    cpu: str | None = None
    cores: int | None = None
    memory_bytes: float | None = None
    gpus: tuple[str, ...] = ()
    packages: dict[str, str | None] = Field(default_factory=dict)
    git: dict[str, JsonValue] | None = None

    @property
    def git_commit(self) -> str | None:
        """Of the source tree that ran, where that was known."""
        commit = (self.git or {}).get("commit")
        return str(commit) if commit else None

    @property
    def processor(self) -> str:
        """The GPUs, or the CPU where there is none; empty if unknown."""
        return ", ".join(self.gpus) or self.cpu or ""


class CurvePoint(JsonObject):
    """A validation during training; seconds, tokens and FLOPs are of training so far."""

    step: int
    seconds: float
    tokens: float
    flops: float
    bits_per_byte: float


class MeanScore(JsonObject):
    """A mean mark."""

    mean: float
    ci95: Interval | None = None


class RubricScores(JsonObject):
    """Mean marks of 0 to 5."""

    overall: MeanScore


class Rated(JsonObject):
    """A rung, or a control, as the judge rated it."""

    name: str
    rating: float | None
    ci95: Interval | None = None
    rubric: RubricScores | None = None


class Reason(JsonObject):
    """Why a judge is not to be relied on."""

    code: str
    text: str


class JudgeVerdict(JsonObject):
    """The verdict of a review, and whether to believe it."""

    kind: str
    model: str | None = None
    complete: bool = True
    reliable: bool
    reasons: list[Reason] = Field(default_factory=list[Reason])
    ratings: list[Rated]
    controls: dict[str, Rated]
