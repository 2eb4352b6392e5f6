"""What the report knows of a run's cost sheet, `cost.json`.

docs/cost.md says what each figure means.
"""

from __future__ import annotations

from pathlib import Path

from escada.files import read_json
from escada.report.strict import Facts, check

COST_SCHEMA_VERSION = 2


class TokenFacts(Facts):
    """Tokens of the stream read at least once, input tokens read, and predictions trained."""

    unique: int
    seen: int
    trained: int


class PredictedFacts(Facts):
    """What the plan had said, as far as it did."""

    hours: float | None = None
    kwh: float | None = None
    usd: float | None = None
    brl: float | None = None
    memory_bytes: float | None = None


class CostFacts(Facts):
    """A cost sheet; what could not be known is None."""

    tokens: TokenFacts
    hours: float
    wall_hours: float
    utilisation: float | None = None
    host_memory_bytes: float | None = None
    device_memory_bytes: float | None = None
    memory_bytes: float | None = None
    kwh: float | None = None
    energy_estimated: bool = False
    usd: float | None = None
    brl: float | None = None
    money_basis: str | None = None
    co2_g: float | None = None
    grid: str | None = None
    grid_g_per_kwh: float | None = None
    predicted: PredictedFacts | None = None


def read_costs(path: Path) -> CostFacts | None:
    """The sheet at `path`; None when there is none yet, or one of an older version.

    Raises:
        EscadaError: it is there and cannot be read.
    """
    if not path.is_file():
        return None
    table = read_json(path)
    if table.get("schema_version") != COST_SCHEMA_VERSION or "hours" not in table:
        return None
    return check(CostFacts, table, path)
