"""The cost sheet of a run, `cost.json`: tokens, FLOPs, memory, hours, energy, money, CO2.

    write_sheet(run, meter, batches, totals, precision="bf16", status="finished")
    sheet = read_sheet(run.layout.cost)       # None: none yet, or of an older version

Totals are at the top of the file; the tables below break them down. Unknown values are null, and
`notes` says why. Formulas: docs/cost.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import BaseModel, ValidationError

from escada.cost.energy import Part
from escada.cost.gpus import Precision, known_devices
from escada.cost.hardware import RecordedHardware
from escada.cost.meter import SCHEMA_VERSION, Meter, Session, with_present_names
from escada.cost.money import Bill, Prices
from escada.cost.peak_flops import Peak, cached_peak, measured_peak
from escada.cost.tokens import count_tokens
from escada.errors import EscadaError
from escada.files import read_json, write_sealed_json
from escada.runs.layout import RESTORE
from escada.runs.record import PredictedCost
from escada.runs.run import Run
from escada.text.batches import WindowBatches

JOULES_PER_KWH = 3.6e6
COMPARED = ("hours", "kwh", "usd", "brl", "memory_bytes", "tokens_per_second")
"""Keys that a plan predicts and a sheet measures."""


class TrainingTotals(BaseModel):
    """Totals of a training, for its record and its sheet."""

    step: int
    best_step: int
    best_bits_per_byte: float | None
    stopped_early: bool
    training_seconds: float
    """In steps; excludes validation and saving."""
    training_tokens: int
    """Predictions trained."""
    training_flops: float
    tokens_per_second: float | None
    """Predictions per second; None before the first step."""
    peak_memory_bytes: int


class EnergyPart(BaseModel):
    """Energy by part and method, summed over sessions."""

    part: str
    method: str
    joules: float
    estimated: bool
    basis: str
    kwh: float


class Account(BaseModel):
    """Hours, energy, money and CO2; a sum with an unknown part is None."""

    wall_hours: float
    validation_hours: float
    kwh: float | None
    energy_estimated: bool
    energy: list[EnergyPart]
    metered_from_step: int
    usd: float | None
    brl: float | None
    money_basis: str
    money_prices: list[dict[str, object]]
    """Distinct prices paid, and for what."""
    co2_g: float | None
    grid: str
    grid_g_per_kwh: float
    notes: list[str]


class TokenRates(BaseModel):
    """Tokens (see `escada.cost.tokens`), in total and per second of training."""

    unique: int
    seen: int
    trained: int
    stream: int
    unique_per_second: float | None
    seen_per_second: float | None
    trained_per_second: float | None


class CostSheet(TrainingTotals, Account):
    """The content of cost.json."""

    schema_version: int = SCHEMA_VERSION
    status: str
    hours: float
    tokens: TokenRates
    memory_bytes: int | None
    """Peak over all sessions: GPU memory if there is a GPU, else resident set."""
    host_memory_bytes: int | None
    device_memory_bytes: int | None
    device_reserved_bytes: int | None
    flop_per_second: float | None
    peak_flop_per_second: float | None
    """Measured, summed over all devices."""
    utilisation: float | None
    """Share of `peak_flop_per_second` reached in training."""
    peak: Peak | None
    prices: dict[str, object]
    predicted: PredictedCost | None
    device: RecordedHardware
    sessions: list[Session]


def read_sheet(path: Path) -> CostSheet | None:
    """Read a complete sheet; None while the run is training, or for an older version.

    Raises:
        EscadaError: not JSON, or damaged.
    """
    table = with_present_names(read_json(path)) if path.exists() else {}
    if table.get("schema_version") != SCHEMA_VERSION or "hours" not in table:
        return None
    try:
        return CostSheet.model_validate(table)
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise EscadaError(f"damaged: {key}", where=path, fix=RESTORE) from error


def in_one_line(sheet: CostSheet) -> str:
    """The cost for a terminal, and what of it was estimated or is unknown."""
    kwh = "energy unknown" if sheet.kwh is None else f"{sheet.kwh:.3g} kWh"
    if sheet.kwh is not None and sheet.energy_estimated:
        kwh += " (estimated)"
    usd = "price unknown"
    if sheet.usd is not None:
        usd = f"USD {sheet.usd:.2g}, BRL {sheet.brl:.2g} ({sheet.money_basis})"
    parts = [f"{sheet.wall_hours:.3g} h", kwh, usd]
    if sheet.co2_g is not None:
        parts.append(f"{sheet.co2_g:.2g} g of CO2 (grid: {sheet.grid})")
    if sheet.utilisation is not None:
        parts.append(f"{sheet.utilisation:.0%} of the measured peak")
    return "; ".join(["cost: " + ", ".join(parts), *sheet.notes])


def write_sheet(
    run: Run,
    meter: Meter,
    batches: WindowBatches,
    totals: TrainingTotals,
    *,
    precision: Precision,
    status: str,
) -> CostSheet:
    """Write the run's cost.json and return its content.

    Args:
        meter: of the current session.
        status: `finished` or `interrupted`.

    Raises:
        EscadaError: the disk is full.
    """
    sessions = meter.sessions()  # before the peak is measured, which must not count
    hardware, seconds = meter.hardware, totals.training_seconds
    rate = _rate(totals.training_flops, seconds)
    peak = cached_peak(hardware, precision)
    if status == "finished":  # do not delay an interruption
        reached = (rate or 0.0) / hardware.processes
        peak = measured_peak(meter.device, hardware, precision, at_least=reached)
    peak_rate = None if peak is None else peak.flop_per_second * hardware.processes
    tokens = count_tokens(batches, totals.step)
    host_memory = _most(session.host_memory_bytes for session in sessions)
    device_memory = _most(session.device_memory_bytes for session in sessions)
    sheet = CostSheet(
        status=status,
        **dict(totals),
        **dict(account(sessions, meter.prices)),
        hours=seconds / 3600,
        tokens=TokenRates(
            **asdict(tokens),
            unique_per_second=_rate(tokens.unique, seconds),
            seen_per_second=_rate(tokens.seen, seconds),
            trained_per_second=_rate(tokens.trained, seconds),
        ),
        memory_bytes=host_memory if device_memory is None else device_memory,
        host_memory_bytes=host_memory,
        device_memory_bytes=device_memory,
        device_reserved_bytes=_most(session.device_reserved_bytes for session in sessions),
        flop_per_second=rate,
        peak_flop_per_second=peak_rate,
        utilisation=None if rate is None or peak_rate is None else rate / peak_rate,
        peak=peak,
        prices=meter.prices.to_json(),
        predicted=run.record.predicted or meter.predicted,
        device=hardware.recorded(),
        sessions=sessions,
    )
    write_sealed_json(run.layout.cost, sheet.model_dump(mode="json"))
    return sheet


def _rate(amount: float, seconds: float) -> float | None:
    return amount / seconds if seconds else None


def _most(sizes: Iterable[int | None]) -> int | None:
    return max((size for size in sizes if size is not None), default=None)


def account(sessions: Sequence[Session], prices: Prices) -> Account:
    """Sum hours, energy, money and CO2 over sessions; a sum with an unknown part is None."""
    energies = [_kwh(session) for session in sessions]
    kwh = _sum(energies)
    bills = [_bill(s, energy, prices) for s, energy in zip(sessions, energies, strict=True)]
    bases = {bill.basis for bill in bills}
    parts = [part for session in sessions for part in session.energy]
    paid = {(bill.basis, bill.price.value): bill for bill in bills if bill.price is not None}
    return Account(
        wall_hours=sum(s.wall_seconds for s in sessions) / 3600,
        validation_hours=sum(s.validation_seconds for s in sessions) / 3600,
        kwh=kwh,
        energy_estimated=any(part.estimated for part in parts),
        energy=_by_part(parts),
        metered_from_step=sessions[0].from_step,
        usd=_sum([bill.usd for bill in bills]),
        brl=_sum([bill.brl for bill in bills]),
        money_basis=bases.pop() if len(bases) == 1 else "rent and electricity",
        money_prices=[
            {"basis": bill.basis, **asdict(bill.price)} for bill in paid.values() if bill.price
        ],
        co2_g=None if kwh is None else prices.co2_g(kwh),
        grid=prices.grid,
        grid_g_per_kwh=prices.grid_g_per_kwh.value,
        notes=list(dict.fromkeys(note for s in sessions for note in s.notes)),
    )


def _kwh(session: Session) -> float | None:
    """Energy of a session; None if that of its main device is neither measured nor estimated."""
    needed = "cpu" if session.device.kind == "cpu" else "gpu"
    if all(part.part != needed for part in session.energy):
        return None
    return sum(part.joules for part in session.energy) / JOULES_PER_KWH


def _bill(session: Session, kwh: float | None, prices: Prices) -> Bill:
    name = session.device.name
    return prices.bill(
        hours=session.wall_seconds / 3600,
        kwh=kwh,
        device=known_devices().get(name) if name else None,
        devices=session.device.count,
    )


def _by_part(parts: Sequence[Part]) -> list[EnergyPart]:
    joules: dict[Part, float] = defaultdict(float)
    for part in parts:
        joules[replace(part, joules=0.0)] += part.joules
    return [
        EnergyPart(**asdict(replace(part, joules=amount)), kwh=amount / JOULES_PER_KWH)
        for part, amount in joules.items()
    ]


def _sum(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None
