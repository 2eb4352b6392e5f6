"""Strict tables of TOML files, with one-line errors that say how to fix them.

class CostSettings(StrictTable): ...
settings = validated(CostSettings, table, path, field_keys(CostSettings))
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from escada.errors import EscadaError, decimal_comma

Table = dict[str, Any]
"""An unvalidated TOML table."""


class StrictTable(BaseModel):
    """A validated table: strict, frozen, no unknown keys, finite numbers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, field: ValidationInfo) -> object:
        """Refuse `true` for a number, since Python's bool is an int."""
        annotation = cls.model_fields[str(field.field_name)].annotation
        if isinstance(value, bool) and bool not in (annotation, *get_args(annotation)):
            raise ValueError("true and false are no values of this key")
        return value


S = TypeVar("S", bound=BaseModel)


def validated(
    section: type[S],
    table: object,
    where: object,
    known_keys: Sequence[str],
    *,
    key: str = "",
    fix: str = "change it there or with --set",
) -> S:
    """Validate a table.

    Args:
        known_keys: from `field_keys`, to suggest a correction of unknown keys.
        key: of the table in its file; empty for the whole file.
        fix: the suggested fix for a wrong value.

    Raises:
        EscadaError: the first problem, with its key.
    """
    try:
        return section.model_validate(table)
    except ValidationError as error:
        problem = error.errors()[0]
        path = ".".join(str(part) for part in (key, *problem["loc"]) if part != "")
        if problem["type"] == "extra_forbidden":
            message = f"unknown key {path!r}"
            raise EscadaError(message, where=where, fix=_nearest_key(path, known_keys)) from error
        shown = problem["msg"].removeprefix("Value error, ")
        got = "" if problem["type"] == "missing" else f", got {problem['input']!r}"
        if problem["type"] == "missing":
            fix = "add it"
        if isinstance(problem["input"], str) and (point := decimal_comma(problem["input"])):
            fix = point
        raise EscadaError(f"{path}: {shown}{got}", where=where, fix=fix) from error


def field_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """The full keys of a section's fields, including nested sections."""
    keys: list[str] = []
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += field_keys(inner, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


def _nearest_key(path: str, known: Sequence[str]) -> str:
    """Suggestions for an unknown key: the same name elsewhere, a similar one, or siblings."""
    table, _, name = path.rpartition(".")
    tables = sorted({key.partition(".")[0] for key in known if "." in key})
    beside = [key for key in known if key.rpartition(".")[0] == table] + ([] if table else tables)
    for keys, cutoff in ((known, 1.0), (beside, 0.5), (known, 0.7)):
        names = [key.rpartition(".")[2] for key in keys]
        for close in difflib.get_close_matches(name, names, n=1, cutoff=cutoff):
            meant = [key for key in keys if key.rpartition(".")[2] == close]
            return "did you mean " + " or ".join(map(repr, meant)) + "?"
    return "known: " + ", ".join(sorted(beside))


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """Merge `over` into `base`, recursively."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            value = overlay(cast(Table, below), cast(Table, value))
        merged[key] = value
    return merged


def parse_assignment(text: str, what: str, example: str) -> tuple[str, Any]:
    """Split `KEY=VALUE`; the value is parsed as TOML, else taken as a string.

    Raises:
        EscadaError: not of this form; names `what` and shows the example.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", key):
        raise EscadaError(f"{what} {text!r} is not KEY=VALUE", fix=f"write for example {example}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value
