"""How the report reads JSON: strict where a mistake would show as a wrong figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from escada.errors import EscadaError

SCHEMA_VERSION = 1

Verdict = Literal["better", "worse", "undecided"]
"""Of a rung set beside another."""


def _upright(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError(f"interval upside down: {interval[0]} > {interval[1]}")
    return interval


Interval = Annotated[tuple[float, float], AfterValidator(_upright)]
"""Low and high end of a 95 % interval."""


class Facts(BaseModel):
    """A JSON object of the ladder: finite numbers only; keys that are not shown are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


_F = TypeVar("_F", bound=Facts)


def check(kind: type[_F], value: object, where: object) -> _F:
    """One JSON value as facts.

    Raises:
        EscadaError: names the file, the key and the first problem.
    """
    try:
        return kind.model_validate(_showable(value))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        raise EscadaError(f"{key}: {message}", where=where) from error


_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")}
_SURROGATES = range(0xD800, 0xE000)
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_NOT_SHOWABLE = dict.fromkeys((*_CONTROLS, *_SURROGATES, *_DIRECTIONS), "\ufffd")
"""What no UTF-8 carries, no SVG may hold, or turns the rest of a line around."""


def _showable(value: object) -> object:
    """A JSON value whose texts any page, figure or table can carry."""
    if isinstance(value, str):
        return value.translate(_NOT_SHOWABLE)
    if isinstance(value, dict):
        table = cast(dict[str, object], value)
        return {key.translate(_NOT_SHOWABLE): _showable(inner) for key, inner in table.items()}
    if isinstance(value, list):
        return [_showable(inner) for inner in cast(list[object], value)]
    return value


def check_version(table: Mapping[str, Any], where: Path) -> None:
    """Refuse a file that another version of escada wrote.

    Raises:
        EscadaError: `schema_version` is absent or another one.
    """
    found = table.get("schema_version")
    if found != SCHEMA_VERSION:
        raise EscadaError(
            f"schema_version {found!r} is not {SCHEMA_VERSION}",
            where=where,
            fix="write it again with this version of escada",
        )
