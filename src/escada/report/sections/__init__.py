"""The sections of the report, in the order of the page.

A section is one module with a function `section(contents)` that gives a `Section`, or None where
there is nothing to show. One from outside the package is named by its module's name and comes after
the others: `escada report DIR --section my_section`. docs/extending.md shows one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from escada.extensions import Place
from escada.report.blocks import Section
from escada.report.contents import Contents

SECTIONS = (
    *("ladder", "steps", "curves", "samples", "tests", "other_tasks", "sources", "costs"),
    *("method", "environment"),
)
"""Modules of this package."""
PLACE = Place("escada.report.sections", "section", offers=("section",), where="--section")

Build = Callable[[Contents], Section | None]


def sections_of(contents: Contents, more: Sequence[str] = ()) -> list[Section]:
    """Every section that this climb has something for.

    Args:
        contents: what they are made from.
        more: names of modules from outside the package.

    Raises:
        EscadaError: no such module, or one without a function `section`.
    """
    made = (cast(Build, PLACE.load(name).section)(contents) for name in (*SECTIONS, *more))
    return [section for section in made if section is not None]
