"""`escada plan`: what a training will need, before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
        _show(found)


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
    from escada.training.memory import shape_of
    from escada.training.plan import plan_training

    prices = load_prices(cost)
    memory_bytes = None if memory is None else parse_memory(memory)
    watts = prices.settings.device_watts
    if gpu is not None:
        machine = known_gpu(gpu, spec, watts=watts)
    elif memory_bytes is not None and device is None:
        machine = unknown_gpu(memory_bytes, spec, watts=watts)
    else:
        where = resolve_device(device or "auto")
        return plan_training(
            spec, corpus, where, memory_bytes=memory_bytes, calibrate=calibrate, prices=prices
        )
    text = training_text(spec, corpus)
    return make_plan(spec, shape_of(spec, text.vocab_size), text, machine, prices)


def _show(plan: TrainingPlan) -> None:
    from escada.cost.warnings import warnings_of

    spec, steps = plan.spec, plan.total_steps
    operations = f"{plan.flops_per_token:.3g} FLOP per token, {plan.flops_per_step:.3g} per step"
    tokens = "not known"
    if plan.training_tokens is not None:
        operations += f", {plan.training_flops:.3g} in all"
        tokens = (
            f"{plan.training_tokens:,} trained, {plan.training_tokens / plan.parameters:.2g} per "
            f"parameter (compute-optimal: about 20); {plan.passes:.3g} epochs"
        )
    have = plan.machine.memory_bytes
    of_available = "" if have is None else f" of {_mib(have)}"
    rows = {
        "rung": f"{spec.name} ({spec.preset}), {spec.train.budget.shown}",
        "machine": f"{plan.machine.title}, {plan.machine.setting.precision}",
        "parameters": f"{plan.parameters:,}, vocabulary {plan.text.vocab_size:,}",
        "operations": operations,
        "steps": f"{steps:,} of {plan.targets_per_step:,} tokens" if steps else "not known",
        "tokens": tokens,
        "memory": f"{_mib(plan.memory.total_bytes)} MiB at the peak{of_available}",
    }
    for name, value in rows.items():
        echo(f"{name:12} {value}")
    for part, size in plan.memory.to_json().items():
        echo(f"  {part:12} {_mib(size):>9} MiB")
    micro, largest = plan.micro_batch, plan.largest_micro_batch
    fits = "" if largest is None else f"; the largest that fits: {largest}"
    echo(f"micro-batch  {micro} of {spec.train.batch_sequences} sequences{fits}")
    if plan.kept:
        echo(f"disk         {plan.kept} kept checkpoints, {_mib(plan.kept_bytes)} MiB at most")
    echo(f"time         {_time(plan)}")
    echo(f"cost         {_cost(plan)}")
    for warning in warnings_of(plan):
        echo(f"warning      {warning}")


def _mib(size: float) -> str:
    return f"{size / 2**20:,.1f}"


def _time(plan: TrainingPlan) -> str:
    if plan.hours is None:
        return "not known"
    pace = plan.machine.pace
    if pace is None:
        return f"{plan.hours:.3g} h, the budget"
    how = pace.note if pace.basis == "assumed" else pace.basis
    return f"{plan.hours:.3g} h, {plan.seconds_per_step:.3g} s per step ({how})"


def _cost(plan: TrainingPlan) -> str:
    if plan.bill is None:
        return "not known"
    kwh = "energy unknown" if plan.kwh is None else f"{plan.kwh:.3g} kWh"
    if plan.bill.usd is None:
        return f"{kwh}, price unknown"
    co2_g = 0 if plan.kwh is None else plan.prices.co2_g(plan.kwh)
    return (
        f"{kwh}, USD {plan.bill.usd:.3g}, BRL {plan.bill.brl:.3g} ({plan.bill.basis}), "
        f"{co2_g:.2g} g of CO2 (grid: {plan.prices.grid})"
    )
