"""Predicted beside measured: memory and time of every rung, on this device.

    python benchmarks/planner.py [RUNG ...] [--preset laptop full] [--data data/default]
                                 [--out docs/results/planner.json]

For each rung `escada plan --json` predicts and `escada train` measures, in processes of their own:
the peak (resident set, or memory allocated on the GPU) and the median time of a step.
On a CPU the full presets train with fewer sequences a step (`CPU_SEQUENCES`), so that a few steps
take seconds. Plans and trainings take turns, and a row compares their medians, so that a machine
whose pace is not its own is as slow for the one as for the other. Run it where nothing else runs
all the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from escada.runs.environment import environment
from escada.spec import FULL, load_spec, rung_names

SCHEMA_VERSION = 2
CPU_SEQUENCES = {"v1": 256, "v2": 128, "v3": 64, "v4": 64, "v4_gru": 32, "v5": 16, "v_final": 16}
STEPS = {"laptop": 1000, FULL: 6}
"""So many in a laptop preset that logging, 200 times a training, is as rare as usual."""
SKIPPED_STEPS = 2
TURNS = 5


def escada(*arguments: str) -> str:
    command = [sys.executable, "-m", "escada", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def compare(rung: str, preset: str, data: str, overrides: list[str], turns: int) -> dict[str, Any]:
    """One row: so many plans and trainings in turns, the medians of both."""
    common = [rung, "--preset", preset, "--data", data]
    for override in overrides:
        common += ["--set", override]
    plans: list[dict[str, Any]] = []
    trainings: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        # The first training prepares the tokens, which a plan can then count.
        escada("train", *common, "--budget", "1 steps", "--out", f"{folder}/first")
        common += ["--budget", f"{STEPS[preset]} steps", "--set", "train.validations=1"]
        for turn in range(turns):
            plans.append(json.loads(escada("plan", *common, "--json")))
            out = escada("train", *common, "--out", f"{folder}/{turn}")
            trainings.append(measured(Path(out.split()[-1]), plans[-1]["tokens_per_step"]))
    plan = plans[-1]
    predicted = [
        {"memory_bytes": p["memory"]["total"], "seconds_per_step": p["seconds_per_step"]}
        for p in plans
    ]
    middle, real = medians(predicted), medians(trainings)
    return {
        "rung": rung,
        "preset": preset,
        "batch_sequences": plan["batch_sequences"],
        "micro_batch": plan["micro_batch"],
        "precision": plan["machine"]["precision"],
        "memory": plan["memory"],
        "predicted": middle,
        "measured": real,
        "ratio": {name: middle[name] / real[name] for name in real},
        "turns": {
            "predicted_seconds_per_step": [p["seconds_per_step"] for p in predicted],
            "measured_seconds_per_step": [t["seconds_per_step"] for t in trainings],
            "measured_memory_bytes": [t["memory_bytes"] for t in trainings],
        },
    }


def measured(run: Path, tokens_per_step: int) -> dict[str, float]:
    """The peak of a finished training, and the median time of its steps."""
    cost = json.loads((run / "cost.json").read_text(encoding="utf-8"))
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    tokens_per_second = statistics.median(
        row["tokens_per_second"]
        for row in map(json.loads, lines)
        if row["kind"] == "train" and row["step"] > SKIPPED_STEPS
    )
    return {
        "memory_bytes": cost["memory_bytes"],
        "seconds_per_step": tokens_per_step / tokens_per_second,
    }


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """Of each key."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def sequences_of(rung: str, preset: str) -> list[str]:
    """Fewer sequences for the full presets, where there is no GPU."""
    if preset != FULL or torch.cuda.is_available() or rung not in CPU_SEQUENCES:
        return []
    batch = CPU_SEQUENCES[rung]
    micro = load_spec(rung).train.known_micro_batch or batch
    return [f"train.batch_sequences={batch}", f"train.micro_batch_sequences={min(micro, batch)}"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Plans beside trainings.")
    parser.add_argument("rungs", nargs="*", default=rung_names())
    parser.add_argument("--preset", nargs="+", default=["laptop", FULL])
    parser.add_argument("--data", default="data/default")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    print(
        "| rung | preset | batch | MiB planned | measured | ratio | ms a step | measured | ratio "
        "| spread |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    rows: list[dict[str, Any]] = []
    machine = environment().model_dump(mode="json")
    for preset in arguments.preset:
        for rung in arguments.rungs:
            overrides = sequences_of(rung, preset) + arguments.overrides
            row = compare(rung, preset, arguments.data, overrides, arguments.turns)
            rows.append(row)
            found, real, ratio = row["predicted"], row["measured"], row["ratio"]
            turns = row["turns"]["measured_seconds_per_step"]
            print(
                f"| {rung} | {preset} | {row['batch_sequences']} | "
                f"{found['memory_bytes'] / 2**20:,.0f} | {real['memory_bytes'] / 2**20:,.0f} | "
                f"{ratio['memory_bytes']:.2f} | {found['seconds_per_step'] * 1e3:,.1f} | "
                f"{real['seconds_per_step'] * 1e3:,.1f} | {ratio['seconds_per_step']:.2f} | "
                f"{max(turns) / min(turns):.2f} |",
                flush=True,
            )
            if arguments.out:  # after every row: a session that is cut short keeps what it had
                table = {"schema_version": SCHEMA_VERSION, "machine": machine, "rows": rows}
                arguments.out.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
