"""In which language a verb speaks: what was asked for, else that of the user's locale."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

Code = Literal["en", "pt"]
CODES: tuple[Code, ...] = ("en", "pt")
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""In the order in which POSIX lets one overrule the other."""


def language(asked: str | None, environment: Mapping[str, str] | None = None) -> Code:
    """`en` or `pt`.

    Args:
        asked: by the user; None: the locale decides, and where it is neither, English.
        environment: of the process, unless given.

    Raises:
        EscadaError: another language was asked for.
    """
    if asked is not None:
        if asked not in CODES:
            from escada.errors import EscadaError, nearest

            raise EscadaError(f"unknown language {asked!r}", fix=nearest(asked, CODES))
        return asked
    variables = os.environ if environment is None else environment
    locale = next((variables[name] for name in _VARIABLES if variables.get(name)), "")
    return "pt" if locale.lower().startswith("pt") else "en"
