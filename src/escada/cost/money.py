"""What a training costs: electricity or rent, in dollars and reais, and CO2.

    prices = load_prices(["rent_usd_per_hour=0.30"])
    bill = prices.bill(hours=2.5, kwh=0.7, device=device("rtx4090-24gb"))
    bill.usd, bill.brl, bill.basis

A device is *rented* (hours × price) or *owned* (kWh × price of electricity, without the purchase).
Defaults are in `prices.toml`, with source and date. They are overridden by the user's `cost.toml`
in the configuration folder (or the file named by `ESCADA_COST`), and that by the command line.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_config_path
from pydantic import Field

from escada.cost.gpus import Gpu, Ownership
from escada.errors import EscadaError, nearest
from escada.files import disk_errors, read_toml
from escada.toml_tables import StrictTable, Table, field_keys, parse_assignment, validated

DEFAULT_GRID = "brazil"


class CostSettings(StrictTable):
    """User settings, the keys of `cost.toml`. Absent ones have a default."""

    ownership: Ownership | None = None
    """Rented or owned; absent: what is usual for the device."""
    rent_usd_per_hour: float | None = Field(default=None, ge=0)
    """For one device; implies `rented` unless `ownership` is set."""
    electricity_usd_per_kwh: float | None = Field(default=None, ge=0)
    electricity_brl_per_kwh: float | None = Field(default=None, ge=0)
    brl_per_usd: float | None = Field(default=None, gt=0)
    grid: str | None = None
    """One of `known_grids()`."""
    grid_g_per_kwh: float | None = Field(default=None, ge=0)
    """Grams of CO2 per kWh, for a grid that is not in the table."""
    device_watts: float | None = Field(default=None, gt=0)
    """Power of the GPU in training, for estimates where it cannot be measured."""
    cpu_watts: float | None = Field(default=None, gt=0)
    """Power of the processor in training, for estimates where it cannot be measured."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A published or user-supplied value, with its source."""

    value: float
    source: str
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """The cost of hours and kilowatt-hours.

    Attributes:
        basis: `rent` or `electricity`.
        usd: None if the device is rented and no price is known.
        price: USD per device hour or per kWh; None if unknown.
    """

    basis: Literal["rent", "electricity"]
    usd: float | None
    brl: float | None
    price: Figure | None


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices and emission factors in effect."""

    electricity_usd_per_kwh: Figure
    brl_per_usd: Figure
    grid: str
    grid_g_per_kwh: Figure
    settings: CostSettings

    def ownership_of(self, device: Gpu | None) -> Ownership:
        """Whether a device is rented: as set by the user, else as is usual (a CPU is owned)."""
        if self.settings.ownership is not None:
            return self.settings.ownership
        if self.settings.rent_usd_per_hour is not None:
            return "rented"
        return device.usual if device else "owned"

    def rent_usd_per_hour(self, device: Gpu | None) -> Figure | None:
        """Price per hour of one device; None if neither the user nor the table gives one."""
        if self.settings.rent_usd_per_hour is not None:
            return Figure(self.settings.rent_usd_per_hour, "the user")
        if device is None or device.rent is None:
            return None
        return Figure(device.rent.usd_per_hour, device.rent.source, device.rent.date)

    def bill(
        self, *, hours: float, kwh: float | None, device: Gpu | None, devices: int = 1
    ) -> Bill:
        """Compute the cost of a training.

        Args:
            kwh: of all devices together; None: unknown.
            device: None for a CPU or a GPU that is not in the table.
        """
        if self.ownership_of(device) == "rented":
            price = self.rent_usd_per_hour(device)
            amount = None if price is None else hours * devices * price.value
            return Bill("rent", amount, self._brl(amount), price)
        price = self.electricity_usd_per_kwh
        amount = None if kwh is None else kwh * price.value
        return Bill("electricity", amount, self._brl(amount), price)

    def co2_g(self, kwh: float) -> float:
        """Grams of CO2, by the grid's factor."""
        return kwh * self.grid_g_per_kwh.value

    def _brl(self, usd: float | None) -> float | None:
        return None if usd is None else usd * self.brl_per_usd.value

    def to_json(self) -> dict[str, object]:
        """Prices with their sources."""
        return {**asdict(self), "settings": self.settings.model_dump(exclude_none=True)}


@cache
def _table() -> Table:
    text = resources.files("escada.cost").joinpath("prices.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def known_grids() -> list[str]:
    """Names of the grids in the table."""
    return sorted(_table()["grids"])


def _settings_path() -> Path | None:
    """The user's `cost.toml`: `ESCADA_COST`, else in the configuration folder.

    None for a user without a home directory, such as a container's.
    """
    if chosen := os.environ.get("ESCADA_COST"):
        return Path(chosen)
    try:
        path = user_config_path("escada", appauthor=False) / "cost.toml"
    except RuntimeError:  # platformdirs: "could not determine the home directory"
        return None
    return path if os.access(path, os.F_OK) else None


def load_prices(overrides: Sequence[str] = ()) -> Prices:
    """Load the defaults, overridden by the user's file, overridden by `KEY=VALUE` strings.

    Raises:
        EscadaError: the file is not TOML, or a key or value is invalid.
    """
    settings = CostSettings()
    if (path := _settings_path()) is not None:
        if not path.exists():
            raise EscadaError("file not found", where=path, fix="check ESCADA_COST")
        with disk_errors(path):
            settings = _settings(read_toml(path, "fix it"), path)
    given = dict(parse_assignment(text, "cost setting", "brl_per_usd=5.5") for text in overrides)
    over = _settings(given, "command line")
    kept = settings.model_dump(exclude_none=True)
    for one, other in _ALTERNATIVES:
        if one in given or other in given:
            kept.pop(one, None)
            kept.pop(other, None)
    return _prices(CostSettings(**kept | over.model_dump(exclude_none=True)))


_ALTERNATIVES = (
    ("electricity_usd_per_kwh", "electricity_brl_per_kwh"),
    ("grid", "grid_g_per_kwh"),
)
"""Pairs of settings with the same meaning, which must not be set together in one place."""


def _settings(table: Table, where: object) -> CostSettings:
    for one, other in _ALTERNATIVES:
        if one in table and other in table:
            fix = "keep one of them"
            raise EscadaError(f"{one} and {other} are both set", where=where, fix=fix)
    settings = validated(CostSettings, table, where, field_keys(CostSettings), fix="change it")
    if settings.grid is not None and settings.grid not in known_grids():
        raise EscadaError(
            f"unknown grid {settings.grid!r}",
            where=where,
            fix=nearest(settings.grid, known_grids()) + ", or set grid_g_per_kwh",
        )
    return settings


def _prices(settings: CostSettings) -> Prices:
    table = _table()
    exchange = _or_default(settings.brl_per_usd, table["exchange"], "brl_per_usd")
    grid = settings.grid or DEFAULT_GRID
    return Prices(
        electricity_usd_per_kwh=_electricity(settings, exchange.value),
        brl_per_usd=exchange,
        grid="as the user says" if settings.grid_g_per_kwh is not None else grid,
        grid_g_per_kwh=_or_default(settings.grid_g_per_kwh, table["grids"][grid], "g_per_kwh"),
        settings=settings,
    )


def _electricity(settings: CostSettings, brl_per_usd: float) -> Figure:
    if settings.electricity_usd_per_kwh is not None:
        return Figure(settings.electricity_usd_per_kwh, "the user")
    row = _table()["electricity"]
    brl = _or_default(settings.electricity_brl_per_kwh, row, "brl_per_kwh")
    source = f"{brl.source}: {brl.value:g} BRL"
    return Figure(brl.value / brl_per_usd, source, brl.date)


def _or_default(value: float | None, row: Mapping[str, Any], key: str) -> Figure:
    if value is not None:
        return Figure(value, "the user")
    return Figure(row[key], row["source"], row["date"])
