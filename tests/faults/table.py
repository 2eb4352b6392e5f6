"""The table of `make test-faults`: what was injected, and what came of it.

    outcomes("SIGKILL while training, then `resume`").update(survived=1)

Every test of this folder that injects faults counts them here; `conftest.py` prints the table.
"""

from __future__ import annotations

import os
from collections import Counter

FULL = os.environ.get("ESCADA_FAULTS") == "full"
"""Whether as many faults as the table promises are injected, or a few, as in the suite."""
OUTCOMES = ("survived", "refused", "skipped", "wrong")
"""As if nothing had happened; one clear line and exit code 2; not possible here; a failure."""
_TABLE: dict[str, Counter[str]] = {}


def outcomes(fault: str) -> Counter[str]:
    """The counts of a fault, by outcome."""
    return _TABLE.setdefault(fault, Counter())


def lines() -> list[str]:
    """The table in Markdown; empty when nothing was injected."""
    if not _TABLE:
        return []
    rows = [("fault", "injected", *OUTCOMES)]
    for fault, found in _TABLE.items():
        injected = found.total() - found["skipped"]
        rows.append((fault, f"{injected:,}", *(f"{found[name]:,}" for name in OUTCOMES)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    shown = [[rows[0][i].ljust(widths[i]) for i in range(len(widths))]]
    shown.append(["-" * width for width in widths])
    shown += [
        [cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        for row in rows[1:]
    ]
    return ["| " + " | ".join(row) + " |" for row in shown]
