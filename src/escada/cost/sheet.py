"""The cost sheet of a run, `cost.json`: tokens, operations, memory, hours, energy, money, CO2.

    write_sheet(run, meter, batches, totals, precision="bf16", status="finished")
    sheet = read_sheet(run.layout.cost)       # None: none yet, or of an older version

The figures are at the top of the file under one name each; the tables below them say what they are
made of. docs/cost.md has the formulas. What cannot be known is null, and `notes` says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from escada.cost.devices import Precision, known_devices
from escada.cost.meter import SCHEMA_VERSION, Meter
from escada.cost.money import Bill, Prices
from escada.cost.peak import Peak, cached_peak, measured_peak
from escada.cost.tokens import count_tokens
from escada.files import read_json, write_json
from escada.runs.run import Run
from escada.text.batches import WindowBatches

JOULES_PER_KWH = 3.6e6
COMPARED = ("hours", "kwh", "usd", "brl", "memory_bytes", "tokens_per_second")
"""What a plan may have predicted and a sheet has measured, under the same names in both."""


@dataclass(frozen=True, slots=True)
class TrainingTotals:
    """What a training has come to, for its record and its sheet.

    Attributes:
        step: the last one.
        best_step: with the best validation.
        best_bits_per_byte: of it; None before the first.
        stopped_early: because it got no better any more.
        training_seconds: in steps, validation and saving excluded.
        training_tokens: predictions that were trained.
        training_flops: of all steps.
        tokens_per_second: predictions; None before the first step.
        peak_memory_bytes: of this process's device.
    """

    step: int
    best_step: int
    best_bits_per_byte: float | None
    stopped_early: bool
    training_seconds: float
    training_tokens: int
    training_flops: float
    tokens_per_second: float | None
    peak_memory_bytes: int


def read_sheet(path: Path) -> dict[str, Any] | None:
    """A whole sheet; None when the training goes on, or an older version wrote the file.

    Raises:
        EscadaError: it is no JSON.
    """
    if not path.exists():
        return None
    table = read_json(path)
    whole = table.get("schema_version") == SCHEMA_VERSION and "hours" in table
    return table if whole else None


def in_one_line(sheet: Mapping[str, Any]) -> str:
    """What a training cost, for a terminal, and what of it was not measured."""
    kwh = "energy unknown" if sheet["kwh"] is None else f"{sheet['kwh']:.3g} kWh"
    if sheet["kwh"] is not None and sheet["energy_estimated"]:
        kwh += " (estimated)"
    usd = "price unknown"
    if sheet["usd"] is not None:
        usd = f"USD {sheet['usd']:.2g}, BRL {sheet['brl']:.2g} ({sheet['money_basis']})"
    parts = [f"{sheet['wall_hours']:.3g} h", kwh, usd]
    if sheet["co2_g"] is not None:
        parts.append(f"{sheet['co2_g']:.2g} g of CO2 (grid: {sheet['grid']})")
    if sheet["utilisation"] is not None:
        parts.append(f"{sheet['utilisation']:.0%} of the measured peak")
    return "; ".join(["cost: " + ", ".join(parts), *sheet["notes"]])


def write_sheet(
    run: Run,
    meter: Meter,
    batches: WindowBatches,
    totals: TrainingTotals,
    *,
    precision: Precision,
    status: str,
) -> dict[str, Any]:
    """Write the run's cost.json.

    Args:
        run: that was trained.
        meter: of its present sitting.
        batches: that it read.
        totals: of the training.
        precision: of its matrix products.
        status: `finished` or `interrupted`.

    Returns:
        What was written.

    Raises:
        EscadaError: the disk is full.
    """
    sittings = meter.sittings()  # before the peak is measured, which is no part of the training
    rate = _rate(totals.training_flops, totals.training_seconds)
    peak = cached_peak(meter.hardware, precision)
    if status == "finished":  # who interrupts a training does not want to wait
        reached = (rate or 0.0) / meter.hardware.processes
        peak = measured_peak(meter.device, meter.hardware, precision, at_least=reached)
    sheet = {
        "schema_version": SCHEMA_VERSION,
        "status": status,
        **asdict(totals),
        **_tokens(batches, totals),
        **_memory(sittings),
        **_utilisation(rate, peak, meter.hardware.processes),
        **account(sittings, meter.prices),
        "hours": totals.training_seconds / 3600,
        "prices": meter.prices.to_facts(),
        "predicted": run.record.get("predicted") or meter.predicted,
        "device": meter.hardware.to_facts(),
        "sittings": sittings,
    }
    write_json(run.layout.cost, sheet)
    return sheet


def _rate(amount: float, seconds: float) -> float | None:
    return amount / seconds if seconds else None


def _utilisation(rate: float | None, peak: Peak | None, processes: int) -> dict[str, Any]:
    """How much of what its devices can do the training got out of them."""
    of_all = None if peak is None else peak.flop_per_second * processes
    return {
        "flop_per_second": rate,
        "peak_flop_per_second": of_all,
        "utilisation": None if rate is None or of_all is None else rate / of_all,
        "peak": None if peak is None else peak.to_facts(),
    }


def _tokens(batches: WindowBatches, totals: TrainingTotals) -> dict[str, Any]:
    found = count_tokens(batches, totals.step)
    counts = {"unique": found.unique, "seen": found.seen, "trained": found.trained}
    seconds = totals.training_seconds
    return {
        "tokens": {
            **counts,
            "stream": found.stream,
            **{f"{name}_per_second": _rate(number, seconds) for name, number in counts.items()},
        }
    }


def _memory(sittings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The most that any sitting held; `memory_bytes` is the GPU's, where there is one."""

    def most(key: str) -> int | None:
        return max((s[key] for s in sittings if s[key] is not None), default=None)

    host, device = most("host_memory_bytes"), most("device_memory_bytes")
    return {
        "memory_bytes": host if device is None else device,
        "host_memory_bytes": host,
        "device_memory_bytes": device,
        "device_reserved_bytes": most("device_reserved_bytes"),
    }


def account(sittings: Sequence[Mapping[str, Any]], prices: Prices) -> dict[str, Any]:
    """Hours, energy, money and CO2 of some sittings.

    A sum with an unknown part is unknown: an energy that leaves out the GPU is no energy.
    """
    energies = [_kwh(sitting) for sitting in sittings]
    kwh = None if None in energies else sum(cast(list[float], energies))
    bills = [_bill(s, energy, prices) for s, energy in zip(sittings, energies, strict=True)]
    bases = {bill.basis for bill in bills}
    parts = [part for sitting in sittings for part in sitting["energy"]]
    return {
        "wall_hours": sum(s["wall_seconds"] for s in sittings) / 3600,
        "validation_hours": sum(s["validation_seconds"] for s in sittings) / 3600,
        "kwh": kwh,
        "energy_estimated": any(part["estimated"] for part in parts),
        "energy": _by_part(parts),
        "metered_from_step": sittings[0]["from_step"],
        "usd": _sum([bill.usd for bill in bills]),
        "brl": _sum([bill.brl for bill in bills]),
        "money_basis": bases.pop() if len(bases) == 1 else "rent and electricity",
        "money_prices": _prices_of(bills),
        "co2_g": None if kwh is None else prices.co2_g(kwh),
        "grid": prices.grid,
        "grid_g_per_kwh": prices.grid_g_per_kwh.value,
        "notes": list(dict.fromkeys(note for s in sittings for note in s["notes"])),
    }


def _kwh(sitting: Mapping[str, Any]) -> float | None:
    """Energy of a sitting; None when what computes in it was neither measured nor estimated."""
    needed = "gpu" if sitting["device"]["kind"] == "cuda" else "cpu"
    parts = sitting["energy"]
    if all(part["part"] != needed for part in parts):
        return None
    return sum(part["joules"] for part in parts) / JOULES_PER_KWH


def _bill(sitting: Mapping[str, Any], kwh: float | None, prices: Prices) -> Bill:
    device = sitting["device"]
    return prices.bill(
        hours=sitting["wall_seconds"] / 3600,
        kwh=kwh,
        device=known_devices().get(device["name"]),
        devices=device["count"],
    )


def _prices_of(bills: Sequence[Bill]) -> list[dict[str, Any]]:
    """What was paid for and at which price, each once."""
    kinds = {
        (bill.basis, bill.price.value): {"basis": bill.basis, **bill.price.to_facts()}
        for bill in bills
        if bill.price is not None
    }
    return list(kinds.values())


def _by_part(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Energy by part and method, over the sittings."""
    added: dict[tuple[str, str, str], dict[str, Any]] = {}
    for part in parts:
        key = (part["part"], part["method"], part["basis"])
        row = added.setdefault(key, {**part, "joules": 0.0})
        row["joules"] += part["joules"]
    return [{**row, "kwh": row["joules"] / JOULES_PER_KWH} for row in added.values()]


def _sum(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None
