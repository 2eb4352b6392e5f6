"""`escada doctor`: what this machine has, what fits on it, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from escada.cli.shared import options
from escada.files import cache_directory
from escada.terminal import echo, echo_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from escada.models.activation_memory import Setting


def doctor(
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Time this processor's products anew, on a machine that is idle."
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Show the device and its speed, free memory, which rungs fit, and what is missing."""
    import importlib.util
    import shutil

    import torch

    from escada.cost import processor
    from escada.models.activation_memory import setting_of
    from escada.runs.device import resolve_device
    from escada.runs.environment import environment
    from escada.text.corpus import default_corpus_path
    from escada.training.memory import free_memory_bytes
    from escada.training.precision import resolve_precision

    device = resolve_device("auto")
    if measure:
        processor.measure_again()
    products, layers = processor.product_flops(), processor.layer_seconds()
    free = free_memory_bytes(device)
    precision = resolve_precision("auto", device)
    machine, disk = environment(), shutil.disk_usage(".").free
    prepared = (default_corpus_path("reference") / "manifest.json").exists()
    extras = {"datasets": "brwac", "datatrove": "scale", "tensorboard": "tensorboard"}
    missing = [extra for module, extra in extras.items() if not importlib.util.find_spec(module)]
    rungs = list(_rungs(free, setting_of(precision.name, device)))
    if json:
        echo_json(
            {
                "device": device.type,
                "memory_free_bytes": free,
                "disk_free_bytes": disk,
                "precision": {"name": precision.name, "reason": precision.reason},
                "processor": {
                    "product_flop_per_second": {name: found[0] for name, found in products.items()},
                    "decoding_layers": [
                        {"rows": rows, "inputs": width}
                        | {f"{name}_seconds": found[i] for name, found in layers.items()}
                        for i, (rows, width) in enumerate(processor.LAYERS)
                    ],
                },
                "default_corpus_prepared": prepared,
                "cache": str(cache_directory()),
                "missing_extras": missing,
                "rungs": rungs,
                "environment": machine.model_dump(mode="json"),
            }
        )
        return
    echo(f"device     {device.type}: {', '.join(machine.gpus) or machine.cpu}")
    echo(f"threads    {machine.threads} of {machine.cores} cores")
    echo(f"memory     {free / 2**30:.1f} GiB free")
    echo(f"disk       {disk / 2**30:.1f} GiB free here")
    echo(f"precision  {precision.name} ({precision.reason})")
    rates = ", ".join(f"{name} {found[0] / 1e9:,.0f}" for name, found in products.items())
    echo(f"products   on the CPU, GFLOP/s: {rates}")
    for column, (rows, width) in enumerate(processor.LAYERS):
        times = ", ".join(f"{name} {found[column] * 1e6:,.0f}" for name, found in layers.items())
        echo(f"decoding   on the CPU, layers of {width} inputs, {rows} at a time, µs: {times}")
    echo(f"torch      {torch.__version__}, Python {machine.python}")
    state = "prepared" if prepared else "not prepared yet"
    echo(f"corpus     the default corpus is {state} (cache: {cache_directory()})")
    for extra in missing:
        echo(f"missing    extra {extra!r}: pip install 'escada[{extra}]'")
    echo()
    echo("rung      preset    parameters   memory (escada plan RUNG says more)")
    for row in rungs:
        fits = "fits" if row["fits"] else f"micro-batches of {row['largest_micro_batch']} fit"
        echo(
            f"{row['name']:9} {row['preset']:9} {row['parameters']:>10,}   "
            f"{row['memory_bytes'] / 2**20:>6,.0f} MiB, {fits}"
        )


class RungFit(TypedDict):
    """A preset of a rung, and whether this machine can train it."""

    name: str
    preset: str
    parameters: int
    memory_bytes: int
    fits: bool
    largest_micro_batch: int | None


def _rungs(free_bytes: int, setting: Setting) -> Iterator[RungFit]:
    from escada.cost.footprint import footprint, largest_micro_batch
    from escada.cost.planner import micro_batch_of
    from escada.cost.tokens import training_text
    from escada.spec import FULL, load_spec, read_spec_table, rung_names
    from escada.training.memory import shape_of

    for name in rung_names():
        for preset in (FULL, *read_spec_table(name)[0].get("presets", {})):
            spec = load_spec(name, preset=preset)
            model = shape_of(spec, training_text(spec, None).vocab_size)
            micro = micro_batch_of(spec, None)
            needed = footprint(model, spec.train, sequences=micro, setting=setting).total_bytes
            yield {
                "name": name,
                "preset": preset,
                "parameters": model.parameter_count(),
                "memory_bytes": needed,
                "fits": needed < free_bytes,
                "largest_micro_batch": largest_micro_batch(model, spec.train, free_bytes, setting),
            }
