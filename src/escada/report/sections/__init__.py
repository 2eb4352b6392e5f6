"""The sections of the report, in the order of the page.

A section is a module with a function `section(contents)` that returns a `Section`, or None if it
has nothing to show. Sections from outside the package are given by module name and come last:
`escada report DIR --section my_section`. See docs/extending.md for an example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from escada.extensions import ExtensionPoint

if TYPE_CHECKING:  # what draws takes a second to load
    from escada.report.blocks import Section
    from escada.report.contents import Contents

SECTIONS = (
    *(
        "ladder",
        "steps",
        "curves",
        "acquisition",
        "scaling",
        "samples",
        "tests",
        "windows",
        "other_tasks",
    ),
    *("sources", "costs", "method", "environment"),
)
"""Modules of this package."""
PLACE = ExtensionPoint("escada.report.sections", "section", offers=("section",), where="--section")

Build = Callable[["Contents"], "Section | None"]


def sections_of(contents: Contents, more: Sequence[str] = ()) -> list[Section]:
    """Build every section that has content; `more` names modules from outside the package.

    Raises:
        EscadaError: no such module, or one without a function `section`.
    """
    made = (cast(Build, PLACE.load(name).section)(contents) for name in (*SECTIONS, *more))
    return [section for section in made if section is not None]
