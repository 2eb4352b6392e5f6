"""escada: a ladder of Portuguese language models, measured by one ruler.

For notebooks and scripts, see `escada.api`: its names are here too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from escada.moved import install

if TYPE_CHECKING:
    from escada.api import climb, load, prepare, train
    from escada.api.ladder import Ladder
    from escada.api.run import Run

__version__ = "0.1.0"
__all__ = ["Ladder", "Run", "climb", "load", "prepare", "train"]
_HOMES = {
    "climb": "api",
    "load": "api",
    "prepare": "api",
    "train": "api",
    "Ladder": "api.ladder",
    "Run": "api.run",
}

install()


def __getattr__(name: str) -> object:
    """The API's names, imported when they are used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'escada' has no attribute {name!r}")
    return getattr(importlib.import_module(f"escada.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
