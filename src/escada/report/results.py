"""Files next to a ladder.json: learning curves, samples, machines, the judge's verdict.

Each class is one JSON object, with the keys that the report uses.
"""

from __future__ import annotations

from pydantic import Field, JsonValue

from escada.typed_json import Interval, JsonObject


class WrittenSample(JsonObject):
    """One continuation of a prompt."""

    prompt_id: str
    prompt: str
    text: str
    category: str = ""
    finished: bool | None = None
    bits_per_token: float | None = None


class Machine(JsonObject):
    """The computer of a run, from its env.json."""

    cpu: str | None = None
    cores: int | None = None
    memory_bytes: float | None = None
    gpus: tuple[str, ...] = ()
    packages: dict[str, str | None] = Field(default_factory=dict)
    git: dict[str, JsonValue] | None = None

    @property
    def git_commit(self) -> str | None:
        """Of the source tree, if recorded."""
        commit = (self.git or {}).get("commit")
        return str(commit) if commit else None

    @property
    def processor(self) -> str:
        """The GPUs, or the CPU if there is none; empty if unknown."""
        return ", ".join(self.gpus) or self.cpu or ""


class CurvePoint(JsonObject):
    """A validation during training; seconds, tokens and FLOPs are cumulative."""

    step: int
    seconds: float
    tokens: float
    flops: float
    bits_per_byte: float


class MeanScore(JsonObject):
    """A mean score."""

    mean: float
    ci95: Interval | None = None


class RubricScores(JsonObject):
    """Mean rubric scores, 0 to 5."""

    overall: MeanScore


class Rated(JsonObject):
    """The judge's rating of a rung or a control."""

    name: str
    rating: float | None
    ci95: Interval | None = None
    rubric: RubricScores | None = None


class Reason(JsonObject):
    """Why a judge is unreliable."""

    code: str
    text: str


class JudgeVerdict(JsonObject):
    """The judge's ratings, and whether they are reliable."""

    kind: str
    model: str | None = None
    complete: bool = True
    reliable: bool
    reasons: list[Reason] = Field(default_factory=list[Reason])
    ratings: list[Rated]
    controls: dict[str, Rated]
