"""`escada doctor`: what this machine has, what fits on it, and what is missing."""

from __future__ import annotations

from escada.cli.shared import options
from escada.terminal import echo, echo_json


def doctor(json: options.Json = False) -> None:
    """Show the device, free memory, which rungs fit, and what is missing."""
    import importlib.util
    import shutil

    import torch

    from escada.cost.footprint import footprint, largest_micro_batch
    from escada.cost.planner import micro_batch_of
    from escada.cost.tokens import training_text
    from escada.files import cache_directory
    from escada.models.saved import setting_of
    from escada.runs.device import resolve_device
    from escada.runs.environment import environment
    from escada.spec import FULL, load_spec, read_spec_table, rung_names
    from escada.text.corpus import default_corpus_path
    from escada.training.memory import free_memory_bytes, shape_of
    from escada.training.precision import resolve_precision

    device = resolve_device("auto")
    free = free_memory_bytes(device)
    precision = resolve_precision("auto", device)
    setting = setting_of(precision.name, device)
    rungs: list[dict[str, object]] = []
    for name in rung_names():
        for preset in (FULL, *read_spec_table(name)[0].get("presets", {})):
            spec = load_spec(name, preset=preset)
            model = shape_of(spec, training_text(spec, None).vocab_size)
            micro = micro_batch_of(spec, None)
            needed = footprint(model, spec.train, sequences=micro, setting=setting).total_bytes
            rungs.append(
                {
                    "name": name,
                    "preset": preset,
                    "parameters": model.parameter_count(),
                    "memory_bytes": needed,
                    "fits": needed < free,
                    "largest_micro_batch": largest_micro_batch(model, spec.train, free, setting),
                }
            )
    extras = {"datasets": "brwac", "tensorboard": "tensorboard"}
    missing = [extra for module, extra in extras.items() if not importlib.util.find_spec(module)]
    found = {
        "device": device.type,
        "memory_free_bytes": free,
        "disk_free_bytes": shutil.disk_usage(".").free,
        "precision": {"name": precision.name, "reason": precision.reason},
        "default_corpus_prepared": (default_corpus_path("reference") / "manifest.json").exists(),
        "cache": str(cache_directory()),
        "missing_extras": missing,
        "rungs": rungs,
        "environment": environment(),
    }
    if json:
        echo_json(found)
        return
    machine = environment()
    echo(f"device     {device.type}: {', '.join(machine['gpus']) or machine['cpu']}")
    echo(f"threads    {machine['threads']} of {machine['cores']} cores")
    echo(f"memory     {free / 2**30:.1f} GiB free")
    echo(f"disk       {shutil.disk_usage('.').free / 2**30:.1f} GiB free here")
    echo(f"precision  {precision.name} ({precision.reason})")
    echo(f"torch      {torch.__version__}, Python {machine['python']}")
    prepared = "prepared" if found["default_corpus_prepared"] else "not prepared yet"
    echo(f"corpus     the default corpus is {prepared} (cache: {cache_directory()})")
    for extra in missing:
        echo(f"missing    extra {extra!r}: pip install 'escada[{extra}]'")
    echo()
    echo("rung      preset    parameters   memory (escada plan RUNG says more)")
    for row in rungs:
        needed = row["memory_bytes"]
        assert isinstance(needed, int)
        fits = "fits" if row["fits"] else f"micro-batches of {row['largest_micro_batch']} fit"
        echo(
            f"{row['name']:9} {row['preset']:9} {row['parameters']:>10,}   "
            f"{needed / 2**20:>6,.0f} MiB, {fits}"
        )
