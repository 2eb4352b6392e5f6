"""The sections of the report, in the order of the page.

A section is one module with a function `section(contents)` that gives a `Section`, or None where
there is nothing to show. One from outside the package is named by its dotted name and comes after
the others: `escada report DIR --section my_package.my_section`. docs/report.md shows one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

from escada.errors import EscadaError
from escada.report.blocks import Section
from escada.report.contents import Contents

SECTIONS = (
    *("ladder", "steps", "curves", "samples", "tests", "other_tasks", "sources", "costs"),
    *("method", "environment"),
)
"""Modules of this package."""

Build = Callable[[Contents], Section | None]


def sections_of(contents: Contents, more: Sequence[str] = ()) -> list[Section]:
    """Every section that this climb has something for.

    Args:
        contents: what they are made from.
        more: dotted names of modules from outside the package.

    Raises:
        EscadaError: no such module, or one without a function `section`.
    """
    names = [f"{__name__}.{name}" for name in SECTIONS]
    made = (_builder(name)(contents) for name in (*names, *more))
    return [section for section in made if section is not None]


def _builder(name: str) -> Build:
    fix = "name a module on the Python path that has a function section(contents)"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        raise EscadaError(f"no section {name!r}: {error}", fix=fix) from error
    if not callable(build := getattr(module, "section", None)):
        raise EscadaError(f"no function section(contents) in {name}", fix=fix)
    return cast(Build, build)
