"""A coarse sweep of a rung's preset: which sizes, batch and learning rate learn most in a budget.

    python benchmarks/sweep.py v1 --budget "60 s" --out runs/sweep \
        --grid model.d_hidden=192,256 --grid train.learning_rate=2e-3,4e-3,8e-3

Every trial is a training of its own by `escada train`, so it is calibrated, validated and recorded
as any other. Trials are appended to OUT/trials.jsonl as they end, and printed as a Markdown table,
best first. A trial that is there already is not repeated. Run it on a machine that does nothing
else: a budget in seconds buys what the machine has to give.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path

from escada.files import read_json


def trial(rung: str, preset: str, budget: str, overrides: list[str], out: Path) -> dict:
    command = [sys.executable, "-m", "escada", "train", rung, "--preset", preset]
    command += ["--budget", budget, "--out", str(out / "runs")]
    command += [part for text in overrides for part in ("--set", text)]
    done = subprocess.run(command, capture_output=True, text=True)
    row = {"rung": rung, "preset": preset, "budget": budget, "overrides": overrides}
    if done.returncode:
        return row | {"bits_per_byte": None, "error": done.stderr.strip().splitlines()[-1]}
    record = read_json(Path(done.stdout.strip().splitlines()[-1]) / "record.json")
    return row | {
        "bits_per_byte": record["best_bits_per_byte"],
        "parameters": record["parameters"],
        "steps": record["total_steps"],
        "training_tokens": record["training_tokens"],
        "training_flops": record["training_flops"],
        "training_seconds": record["training_seconds"],
    }


def table(rows: list[dict]) -> str:
    lines = [
        "| rung | overrides | bits per byte (validation sample) | parameters | steps | tokens/s |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda r: (r["rung"], r["bits_per_byte"] or 99)):
        if row["bits_per_byte"] is None:
            lines.append(f"| {row['rung']} | {' '.join(row['overrides'])} | {row['error']} | | | |")
            continue
        lines.append(
            f"| {row['rung']} | {' '.join(row['overrides'])} | {row['bits_per_byte']:.4f} "
            f"| {row['parameters']:,} | {row['steps']:,} "
            f"| {row['training_tokens'] / row['training_seconds']:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rung")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--budget", default="60 s")
    parser.add_argument("--out", type=Path, default=Path("runs/sweep"))
    parser.add_argument("--grid", action="append", default=[], help="KEY=VALUE,VALUE,…")
    parser.add_argument("--set", action="append", default=[], dest="fixed", help="KEY=VALUE")
    arguments = parser.parse_args()
    axes = []
    for text in arguments.grid:
        key, _, values = text.partition("=")
        axes.append([f"{key}={value}" for value in values.split(",")])
    arguments.out.mkdir(parents=True, exist_ok=True)
    log = arguments.out / "trials.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for combination in itertools.product(*axes):
        overrides = [*arguments.fixed, *combination]
        wanted = (arguments.rung, arguments.preset, arguments.budget, overrides)
        if any((r["rung"], r["preset"], r["budget"], r["overrides"]) == wanted for r in known):
            continue
        row = trial(*wanted, arguments.out)
        known.append(row)
        with log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row["bits_per_byte"], *overrides, file=sys.stderr, flush=True)
    print(table([r for r in known if r["rung"] == arguments.rung]))


if __name__ == "__main__":
    main()
