"""The report's Jinja environment, and making text printable."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from escada.report.data import showable


def environment(**options: Any) -> Environment:
    """A Jinja environment with the report's templates; undefined variables are errors.

    `options` are those of `jinja2.Environment`, such as `autoescape`.
    """
    return Environment(
        loader=PackageLoader("escada.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )


def visible(value: object) -> object:
    """Replace unprintable characters in text; markup and other values are unchanged."""
    return showable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
