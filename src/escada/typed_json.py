"""JSON objects as pydantic models, one class for each that escada writes and reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from escada.errors import EscadaError


class JsonObject(BaseModel):
    """A JSON object: finite numbers only.

    Fields added later need a default, so that older files load; unknown keys are ignored.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


def _upright(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError(f"interval upside down: {interval[0]} > {interval[1]}")
    return interval


Interval = Annotated[tuple[float, float], AfterValidator(_upright)]
"""Low and high end of a 95 % interval."""
M = TypeVar("M", bound=BaseModel)


def parse(kind: type[M], table: object, where: object) -> M:
    """Validate JSON as an object of that kind.

    Raises:
        EscadaError: names the file, the key and the first problem.
    """
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        raise EscadaError(f"{key}: {message}", where=where) from error


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values with dotted names, for tables."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(cast(Mapping[str, Any], value), f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
