"""How fast a training step of each rung is here, and how much of the machine it uses.

    python benchmarks/model_speed.py [RUNG ...] [--preset laptop] [--threads 2] [--steps 5]

Times forward, loss, backward, clipping and AdamW on random ids, and prints the fastest step:
run it on a machine that does nothing else. The peak beside it is that of one large fp32 product.
`--set` changes the spec, for example `--set train.batch_sequences=64`.
"""

from __future__ import annotations

import argparse
import time

import torch

from escada.models.contract import build_model
from escada.spec import load_spec, rung_names

CHARACTERS = 150
"""Vocabulary assumed for character rungs, whose own depends on the text."""


def fastest(work, repetitions: int) -> float:
    work()
    work()
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_flops() -> float:
    size = 2048
    a, b = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / fastest(lambda: a @ b, 10)


def measure(name: str, preset: str, overrides: list[str], steps: int) -> tuple[float, float]:
    """Seconds of a step and FLOP/s."""
    spec = load_spec(name, preset=preset, overrides=overrides)
    vocab_size = spec.tokenizer.vocab_size or CHARACTERS
    rows = spec.train.known_micro_batch or spec.train.batch_sequences
    tokens = spec.train.window_tokens
    model = build_model(spec.model, vocab_size, seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    ids_BT = torch.randint(vocab_size, (rows, tokens + 1))

    def step() -> None:
        logits_BTV = model(ids_BT[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    seconds = fastest(step, steps)
    flops_per_second = 3 * model.forward_flops_per_token(tokens) * rows * tokens / seconds
    print(
        f"| {name} | {model.parameter_count() / 1e6:.2f} M | {rows} × {tokens} | {vocab_size} "
        f"| {seconds * 1e3:.0f} | {rows * tokens / seconds:,.0f} | {flops_per_second / 1e9:.0f} |",
        flush=True,
    )
    return seconds, flops_per_second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rungs", nargs="*", default=rung_names())
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, peak {peak_flops() / 1e9:.0f}")
    print("| rung | parameters | batch | V | ms a step | tokens/s | GFLOP/s |")
    print("|---|---|---|---|---|---|---|")
    for name in arguments.rungs:
        measure(name, arguments.preset, arguments.overrides, arguments.steps)


if __name__ == "__main__":
    main()
