"""In which language a verb speaks: what the user chose, else that of the user's locale."""

from __future__ import annotations

import os
from collections.abc import Mapping

from escada.choices import Code

_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""In the order in which POSIX lets one overrule the other."""


def language(chosen: Code | None, environment: Mapping[str, str] | None = None) -> Code:
    """`en` or `pt`.

    Args:
        chosen: by the user; None: the locale decides, and where it is neither, English.
        environment: of the process, unless given.
    """
    if chosen is not None:
        return chosen
    variables = os.environ if environment is None else environment
    locale = next((variables[name] for name in _VARIABLES if variables.get(name)), "")
    return "pt" if locale.lower().startswith("pt") else "en"
