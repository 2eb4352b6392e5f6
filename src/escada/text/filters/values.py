"""Reads the values of filters, as users write them after `=`."""

from __future__ import annotations

import math

from escada.errors import EscadaError, decimal_comma


def number(value: str, name: str, example: str) -> float:
    """A number that is not negative.

    Raises:
        EscadaError: it is none.
    """
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not found >= 0 or math.isinf(found):
        fix = decimal_comma(value) or f"for example {example}"
        raise EscadaError(f"not a number: {value!r}", where=f"--filter {name}", fix=fix)
    return found


def share(value: str | None, default: float, name: str) -> float:
    """A share between 0 and 1; the default if no value is given.

    Raises:
        EscadaError: it is none.
    """
    if value is None:
        return default
    found = number(value, name, f"{name}={default}")
    if found > 1:
        fix = f"give a share, for example {name}={default}"
        raise EscadaError(f"{value} is more than 1", where=f"--filter {name}", fix=fix)
    return found


def percent(part: float) -> str:
    """`27 %`, for reasons."""
    return f"{100 * part:.0f} %"
