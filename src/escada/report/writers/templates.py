"""The report's jinja templates, and text as any page, card or figure can carry it."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from escada.report.data import showable


def environment(**options: Any) -> Environment:
    """Where the templates are found; a name that has no value is an error.

    Args:
        options: of `jinja2.Environment`, such as `autoescape`.
    """
    return Environment(
        loader=PackageLoader("escada.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )


def visible(value: object) -> object:
    """Text without signs that cannot be shown; markup and anything else unchanged."""
    return showable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
