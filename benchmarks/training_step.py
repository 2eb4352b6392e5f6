"""What a training step on a CPU spends its time on, and what was tried to make it less.

    python benchmarks/training_step.py [--threads 2] [--repeats 9] [--clock wall] [--json FILE]

Four tables, each of interleaved repeats and their medians:

1. v5 `full`, one micro-batch, with dropout against without: by escada's masks, by torch's, and with
   and without the memory that a step frees staying with the process.
2. AdamW fused, with foreach, and in a loop, on v5's and v_final's weights.
3. Assembly of a batch, seeding of a step and clipping, as shares of the step of each laptop rung.
4. torch.compile against plain (only with --compile: it takes minutes).

With `--clock cpu` the time of the processor is measured in place of that on the wall: on a machine
that others use, only that says something, and only with one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import torch
from torch.nn import functional

from escada.models import dropout, layers
from escada.models.contract import LanguageModel, build_model
from escada.spec import Spec, load_spec, rung_names
from escada.text.batches import WindowBatches
from escada.training.distributed import seed_step
from escada.training.memory import keep_freed_memory
from escada.training.optimizers.adam import parameter_groups
from escada.training.precision import resolve_precision

CPU = torch.device("cpu")
CHARACTERS = 150
"""Vocabulary assumed for character rungs, whose own depends on the text."""


def medians(clock, repeats: int, **works) -> dict[str, float]:
    """Seconds of each, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 2):
        for name, work in works.items():
            begun = clock()
            work()
            if turn >= 2:
                times[name].append(clock() - begun)
    return {name: sorted(found)[len(found) // 2] for name, found in times.items()}


def fresh(spec: Spec) -> LanguageModel:
    return build_model(spec.model, spec.tokenizer.vocab_size or CHARACTERS, seed=0).train()


def micro_step(spec: Spec, model=None):
    """Forward and backward of one micro-batch."""
    model = fresh(spec) if model is None else model
    precision = resolve_precision(spec.train.precision, CPU)
    rows = spec.train.known_micro_batch or spec.train.batch_sequences
    ids_BT = torch.randint(
        spec.tokenizer.vocab_size or CHARACTERS, (rows, spec.train.window_tokens + 1)
    )

    def step() -> None:
        with precision.autocast(CPU):
            logits_BTV = model(ids_BT[:, :-1])
            loss = functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten())
        loss.backward()
        for parameter in model.parameters():
            parameter.grad = None

    return step


def by_torch(step):
    """The same step with torch's dropout."""

    def thinned(x, p):
        return functional.dropout(x, p), 1.0

    def stepping() -> None:
        with ExitStack() as patches:
            for module in (dropout, layers):
                patches.enter_context(patch.object(module, "thinned", thinned))
            step()

    return stepping


def dropout_table(clock, repeats: int) -> dict[str, float]:
    without = micro_step(
        load_spec("v5", overrides=["model.dropout=0", "model.attention_dropout=0"])
    )
    with_dropout = micro_step(load_spec("v5"))
    works = {
        "without": without,
        "escada": with_dropout,
        "torch": by_torch(with_dropout),
    }
    found: dict[str, float] = {}
    for memory in ("as glibc does", "kept"):  # in this order: what was asked for stays
        if memory == "kept":
            keep_freed_memory(large_too=True)
        for name, seconds in medians(clock, repeats, **works).items():
            found[f"{name}, memory {memory}"] = seconds
    base = found["without, memory kept"]
    print("| v5 full, one micro-batch | ms | ratio |\n|---|---:|---:|")
    for name, seconds in found.items():
        print(f"| {name} | {seconds * 1e3:.0f} | {seconds / base:.3f} |", flush=True)
    return {f"dropout.{name}": seconds for name, seconds in found.items()}


def optimizer_table(clock, repeats: int) -> dict[str, float]:
    results: dict[str, float] = {}
    print("\n| AdamW, ms | fused | foreach | loop |\n|---|---:|---:|---:|")
    for rung, preset in (("v5", "full"), ("v5", "laptop"), ("v_final", "full")):
        works = {}
        for name, how in (("fused", {"fused": True}), ("foreach", {"foreach": True}), ("loop", {})):
            spec = load_spec(rung, preset=preset)
            model = fresh(spec)
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter) * 1e-3
            how = how or {"foreach": False}
            works[name] = torch.optim.AdamW(parameter_groups(model, spec.train), **how).step
        found = medians(clock, repeats, **works)
        print(f"| {rung} {preset} | " + " | ".join(f"{s * 1e3:.2f}" for s in found.values()) + " |")
        results |= {f"adamw.{rung}.{preset}.{name}": seconds for name, seconds in found.items()}
    return results


class RandomStream:
    """As many tokens as the default corpus has of subwords, as the shards hand them out."""

    path = Path("random")
    n_tokens = 1_000_000

    def __init__(self, vocab_size: int) -> None:
        self._ids = torch.randint(vocab_size, (2 * self.n_tokens,)).numpy()

    def windows(self, starts, length: int):
        import numpy as np

        return self._ids[starts[:, None] + np.arange(length)]


def share_table(clock, repeats: int) -> dict[str, float]:
    results: dict[str, float] = {}
    print("\n| laptop | step, ms | batch | seed | clip |\n|---|---:|---:|---:|---:|")
    for rung in rung_names():
        spec = load_spec(rung, preset="laptop")
        model = fresh(spec)
        step = micro_step(spec, model)
        train = spec.train
        batches = WindowBatches(
            RandomStream(spec.tokenizer.vocab_size or CHARACTERS),
            window_tokens=train.window_tokens,
            stride_tokens=train.stride_tokens,
            batch_sequences=train.batch_sequences,
            seed=0,
        )
        other = fresh(spec)
        for parameter in other.parameters():
            parameter.grad = torch.randn_like(parameter)
        number = iter(range(10**9))
        micros = train.batch_sequences // (train.known_micro_batch or train.batch_sequences)
        found = medians(
            clock,
            max(25, repeats),
            step=lambda step=step, micros=micros: [step() for _ in range(micros)],
            batch=lambda batches=batches, number=number: batches.batch(next(number)),
            seed=lambda: seed_step(1, 2, 0, CPU),
            clip=lambda other=other: torch.nn.utils.clip_grad_norm_(other.parameters(), 1.0),
        )
        shares = [
            f"{100 * found[name] / found['step']:.2f} %" for name in ("batch", "seed", "clip")
        ]
        print(f"| {rung} | {found['step'] * 1e3:.1f} | " + " | ".join(shares) + " |", flush=True)
        results |= {f"share.{rung}.{name}": seconds for name, seconds in found.items()}
    return results


def compile_table(clock, repeats: int) -> dict[str, float]:
    results: dict[str, float] = {}
    keep_freed_memory(large_too=True)
    print("\n| laptop | plain, ms | compiled, ms | first call, s |\n|---|---:|---:|---:|")
    for rung in ("v1", "v5", "v_final"):
        spec = load_spec(rung, preset="laptop")
        model = fresh(spec)
        plain, compiled = micro_step(spec, model), micro_step(spec, torch.compile(model))
        begun = time.perf_counter()
        compiled()
        warm_up = time.perf_counter() - begun
        found = medians(clock, repeats, plain=plain, compiled=compiled)
        print(
            f"| {rung} | {found['plain'] * 1e3:.1f} | {found['compiled'] * 1e3:.1f} "
            f"| {warm_up:.0f} |",
            flush=True,
        )
        results |= {f"compile.{rung}.{name}": seconds for name, seconds in found.items()}
        results[f"compile.{rung}.first_call"] = warm_up
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--only", choices=["dropout", "optimizer", "shares", "compile"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    print(f"torch {torch.__version__}, {arguments.threads} threads, clock: {arguments.clock}\n")
    results: dict[str, float] = {}
    tables = {"dropout": dropout_table, "optimizer": optimizer_table, "shares": share_table}
    if arguments.compile or arguments.only == "compile":
        tables["compile"] = compile_table
    for name, table in tables.items():
        if arguments.only in (None, name):
            results |= table(clock, arguments.repeats)
    if arguments.json:
        facts = {"schema_version": 1, "threads": arguments.threads, "clock": arguments.clock}
        arguments.json.write_text(json.dumps(facts | {"seconds": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
