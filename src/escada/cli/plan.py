"""`escada plan`: what a training will need, before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from escada.choices import Device
from escada.cli.shared import completion, options
from escada.errors import EscadaError
from escada.terminal import echo, echo_json

if TYPE_CHECKING:
    from escada.cost.planner import TrainingPlan
    from escada.spec import Spec
    from escada.text.corpus import Corpus


def plan(
    rung: options.Rung,
    preset: options.Preset = "full",
    budget: options.BudgetOption = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="Plan for this GPU, such as rtx3060-12gb, not for here.",
            autocompletion=completion.gpus,
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Plan for a GPU with that much memory, such as 12GB; with --device, here."
        ),
    ] = None,
    data: options.Data = None,
    overrides: options.Overrides = None,
    device: Annotated[
        Device | None,
        typer.Option(help="Plan for this machine, which is the default."),
    ] = None,
    no_calibration: Annotated[
        bool, typer.Option("--no-calibration", help="Run nothing; hours stay unknown here.")
    ] = False,
    cost: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE over your prices, such as electricity_brl_per_kwh=0.95."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Say what a training will need: operations, memory by part, hours, energy and money."""
    from escada.budget import Budget
    from escada.spec import load_spec

    if gpu is not None and (memory is not None or device is not None):
        raise EscadaError(
            "--gpu names the memory and the machine already", fix="leave --memory and --device out"
        )
    spec = load_spec(rung, preset=preset, overrides=overrides or [])
    if budget is not None:
        spec = spec.with_budget(Budget.parse(budget))
    found = _plan(spec, _corpus(data, spec), gpu, memory, device, not no_calibration, cost or [])
    if json:
        echo_json(found.to_json())
    else:
        _show(found.to_json())


def _corpus(data: Path | None, spec: Spec) -> Corpus | None:
    """The corpus that was named, else the default one if it lies prepared."""
    from escada.text.corpus import MANIFEST, Corpus, default_corpus_path

    if data is not None:
        return Corpus.open(data)
    path = default_corpus_path(spec.text.profile)
    return Corpus.open(path) if (path / MANIFEST).exists() else None


def _plan(
    spec: Spec,
    corpus: Corpus | None,
    gpu: str | None,
    memory: str | None,
    device: str | None,
    calibrate: bool,
    cost: list[str],
) -> TrainingPlan:
    from escada.cost.machine import known_gpu, parse_memory, unknown_gpu
    from escada.cost.money import load_prices
    from escada.cost.planner import make_plan
    from escada.cost.tokens import training_text
    from escada.runs.device import resolve_device
    from escada.training.plan import plan_training, shape_of

    prices = load_prices(cost)
    memory_bytes = None if memory is None else parse_memory(memory)
    if gpu is None and (memory_bytes is None or device is not None):
        where = resolve_device(device or "auto")
        return plan_training(
            spec, corpus, where, memory_bytes=memory_bytes, calibrate=calibrate, prices=prices
        )
    watts = prices.settings.device_watts
    if gpu is not None:
        machine = known_gpu(gpu, spec, watts=watts)
    else:
        assert memory_bytes is not None
        machine = unknown_gpu(memory_bytes, spec, watts=watts)
    text = training_text(spec, corpus)
    return make_plan(spec, shape_of(spec, text.vocab_size), text, machine, prices)


def _show(found: dict[str, Any]) -> None:
    machine, memory = found["machine"], dict(found["memory"])
    total = memory.pop("total")
    steps = found["total_steps"]
    known = steps is not None
    rows = {
        "rung": f"{found['rung']} ({found['preset']}), {found['budget']}",
        "machine": f"{machine['title']}, {machine['precision']}",
        "parameters": f"{found['parameters']:,}, vocabulary {found['vocab_size']:,}",
        "operations": f"{found['flops_per_token']:.3g} FLOP per token, "
        f"{found['flops_per_step']:.3g} per step"
        + (f", {found['training_flops']:.3g} in all" if known else ""),
        "steps": f"{steps:,} of {found['tokens_per_step']:,} tokens" if known else "not known",
        "tokens": (
            f"{found['training_tokens']:,} trained, "
            f"{found['tokens_per_parameter']:.2g} per parameter (compute-optimal: about 20); "
            f"{found['passes']:.3g} epochs"
            if known
            else "not known"
        ),
        "memory": f"{_mib(total)} MiB at the peak{_of_available(found)}",
    }
    for name, value in rows.items():
        echo(f"{name:12} {value}")
    for part, size in memory.items():
        echo(f"  {part:12} {_mib(size):>9} MiB")
    echo(f"micro-batch  {_micro_batch(found)}")
    echo(f"time         {_time(found)}")
    echo(f"cost         {_cost(found)}")
    for warning in found["warnings"]:
        echo(f"warning      {warning}")


def _mib(size: float) -> str:
    return f"{size / 2**20:,.1f}"


def _of_available(found: dict[str, Any]) -> str:
    have = found["memory_available_bytes"]
    return "" if have is None else f" of {_mib(have)}"


def _micro_batch(found: dict[str, Any]) -> str:
    here = f"{found['micro_batch']} of {found['batch_sequences']} sequences"
    largest = found["largest_micro_batch"]
    return here if largest is None else f"{here}; the largest that fits: {largest}"


def _time(found: dict[str, Any]) -> str:
    if found["hours"] is None:
        return "not known"
    pace = found["machine"]["pace"]
    if pace is None:
        return f"{found['hours']:.3g} h, the budget"
    how = pace["note"] if pace["basis"] == "assumed" else pace["basis"]
    return f"{found['hours']:.3g} h, {found['seconds_per_step']:.3g} s per step ({how})"


def _cost(found: dict[str, Any]) -> str:
    if found["hours"] is None:
        return "not known"
    kwh = "energy unknown" if found["kwh"] is None else f"{found['kwh']:.3g} kWh"
    if found["usd"] is None:
        return f"{kwh}, price unknown"
    return (
        f"{kwh}, USD {found['usd']:.3g}, BRL {found['brl']:.3g} ({found['money_basis']}), "
        f"{found['co2_g'] or 0:.2g} g of CO2 (grid: {found['grid']})"
    )
