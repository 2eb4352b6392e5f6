"""nanoGPT's README recipe for a CPU beside a rung of ours, on the same held-out documents.

    python benchmarks/nanogpt.py --nanogpt DIR [--rung v4] [--budget "60 s"] [--iterations 2000]

DIR is a copy of nanoGPT (a checkout, or a bare git directory). Its own `train.py` runs in a process
of its own, with the settings that its README gives for a CPU: characters, 4 layers of 128, block
64, batch 12, 2,000 iterations. It trains on the training and validation documents of the corpus,
the test documents (a tenth of the bytes) are held out; ours trains on the training documents only.
Then the rung trains for its budget with `escada train`, on the same cores, alone.

nanoGPT's loss is nats a character; times characters over bytes of the held-out text it is bits per
byte. Two figures: its own estimates as it trains (20 batches), with the time on the wall, and its
best checkpoint over all of the held-out text in blocks of 64. Ours are the ruler's.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.files import write_json
from escada.runs.environment import environment
from escada.runs.run import open_run
from escada.text.corpus import Corpus

ROOT = Path(__file__).parents[1]
FILES = ("train.py", "model.py", "configurator.py", "config/train_shakespeare_char.py")
RECIPE = {
    "device": "cpu", "compile": False, "eval_iters": 20, "log_interval": 1, "block_size": 64,
    "batch_size": 12, "n_layer": 4, "n_head": 4, "n_embd": 128, "dropout": 0.0,
}  # fmt: skip
DATASET = "escada_char"
SPLITS = ("train", "validation", "test")
GOAL = 2.25
"""Bits per byte that nanoGPT was seen at after 311 s, and that a rung should reach in 60."""

SCORE = """
import sys, numpy as np, torch
from model import GPT, GPTConfig
checkpoint = torch.load("out/ckpt.pt", map_location="cpu", weights_only=True)
model = GPT(GPTConfig(**checkpoint["model_args"]))
model.load_state_dict(checkpoint["model"])
model.eval()
ids = torch.from_numpy(np.fromfile(f"data/{sys.argv[1]}/val.bin", dtype=np.uint16).astype(np.int64))
block, nats, count = checkpoint["model_args"]["block_size"], 0.0, 0
with torch.no_grad():
    usable = (len(ids) - 1) // block * block
    x, y = ids[:usable].view(-1, block), ids[1:usable + 1].view(-1, block)
    for a, b in zip(x.split(256), y.split(256)):
        nats += model(a, b)[1].item() * b.numel()
        count += b.numel()
print("SCORE", nats / count, checkpoint["iter_num"])
"""


def copy_nanogpt(source: Path, folder: Path) -> str | None:
    """Its files into a folder of their own; returns the commit, if git knows it."""
    checkout = (source / "train.py").exists()
    git = ["git", "-C" if checkout else "--git-dir", str(source)]
    for name in FILES:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if checkout:
            target.write_bytes((source / name).read_bytes())
        else:
            shown = subprocess.run([*git, "show", f"HEAD:{name}"], check=True, capture_output=True)
            target.write_bytes(shown.stdout)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    return head.stdout.strip() or None


def write_dataset(corpus: Corpus, folder: Path) -> dict[str, int]:
    """train.bin, val.bin and meta.pkl, in the form that its own prepare scripts write."""
    texts = {split: [d.text for d in corpus.documents(split)] for split in SPLITS}
    parts = {
        "train": "\n".join(texts["train"] + texts["validation"]),
        "val": "\n".join(texts["test"]),
    }
    letters = sorted(set(parts["train"]) | set(parts["val"]))
    number = {letter: n for n, letter in enumerate(letters)}
    folder.mkdir(parents=True)
    for name, text in parts.items():
        np.array([number[letter] for letter in text], dtype=np.uint16).tofile(
            folder / f"{name}.bin"
        )
    meta = {"vocab_size": len(letters), "stoi": number, "itos": dict(enumerate(letters))}
    (folder / "meta.pkl").write_bytes(pickle.dumps(meta))
    return {
        "vocabulary": len(letters),
        "training_bytes": len(parts["train"].encode()),
        "held_out_characters": len(parts["val"]),
        "held_out_bytes": len(parts["val"].encode()),
    }


def run_nanogpt(folder: Path, threads: int, iterations: int, bits_per_nat: float) -> dict:
    """Train by its own script; a point for each of its own estimates."""
    options = RECIPE | {"max_iters": iterations, "lr_decay_iters": iterations, "out_dir": "out"}
    command = [sys.executable, "-u", "train.py", "config/train_shakespeare_char.py"]
    command += [f"--{key}={value}" for key, value in (options | {"dataset": DATASET}).items()]
    quiet = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    points, begun, last = [], time.perf_counter(), ""
    with (
        (folder / "errors.log").open("wb") as errors,
        subprocess.Popen(
            command, cwd=folder, env=quiet, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            last = line
            found = re.match(r"step (\d+): train loss ([\d.]+), val loss ([\d.]+)", line)
            if found:
                points.append(
                    {
                        "iteration": int(found[1]),
                        "seconds": time.perf_counter() - begun,
                        "bits_per_byte": float(found[3]) * bits_per_nat,
                    }
                )
                print(f"  nanoGPT {points[-1]}", file=sys.stderr, flush=True)
    if process.returncode:
        raise SystemExit(f"nanoGPT failed: {(folder / 'errors.log').read_text()[-500:]} {last}")
    seconds = time.perf_counter() - begun
    scored = subprocess.run(
        [sys.executable, "-c", SCORE, DATASET], cwd=folder, env=quiet, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    _, nats, iteration = scored.stdout.strip().splitlines()[-1].split()
    return {
        "settings": options,
        "seconds": seconds,
        "points": points,
        "held_out_bits_per_byte": float(nats) * bits_per_nat,
        "best_iteration": int(iteration),
    }


def run_ours(arguments: argparse.Namespace, corpus: Corpus, out: Path) -> dict:
    command = [sys.executable, "-m", "escada", "train", arguments.rung, "--preset", "laptop"]
    command += ["--budget", arguments.budget, "--data", str(arguments.data), "--out", str(out)]
    command += ["--set", "train.validations=20"]
    source = {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": str(arguments.threads)}
    begun = time.perf_counter()
    done = subprocess.run(command, env=os.environ | source, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("our training failed")
    wall = time.perf_counter() - begun
    run = open_run(Path(done.stdout.strip().splitlines()[-1]))
    rows = [json.loads(line) for line in run.layout.metrics.read_text().splitlines()]
    points = [
        {"step": row["step"], "seconds": row["seconds"], "bits_per_byte": row["bits_per_byte"]}
        for row in rows
        if "bits_per_byte" in row
    ]
    scores = score_documents(run.load_model("best"), run.tokenizer, list(corpus.documents("test")))
    return {
        "rung": arguments.rung,
        "budget": arguments.budget,
        "training_seconds": run.record["training_seconds"],
        "wall_seconds": wall,
        "points": points,
        "held_out_bits_per_byte": bits_per_byte(scores),
    }


def seconds_to(points: list[dict], goal: float) -> float | None:
    """When the figure was first at the goal or below."""
    return next((p["seconds"] for p in points if p["bits_per_byte"] <= goal), None)


def seconds_text(seconds: float | None) -> str:
    return "not reached" if seconds is None else f"{seconds:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nanogpt", type=Path, required=True, help="a copy of nanoGPT")
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "default")
    parser.add_argument("--rung", default="v4", help="the best one of the demo")
    parser.add_argument("--budget", default="60 s")
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "nanogpt.json")
    arguments = parser.parse_args()
    corpus = Corpus.open(arguments.data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "nanogpt"
        folder.mkdir()
        commit = copy_nanogpt(arguments.nanogpt, folder)
        facts = write_dataset(corpus, folder / "data" / DATASET)
        per_nat = facts["held_out_characters"] / facts["held_out_bytes"] / math.log(2)
        ours = run_ours(arguments, corpus, Path(name) / "runs")
        theirs = run_nanogpt(folder, arguments.threads, arguments.iterations, per_nat)
    record = {
        "schema_version": 1,
        "date": time.strftime("%Y-%m-%d"),
        "machine": environment().model_dump(mode="json"),
        "threads": arguments.threads,
        "goal_bits_per_byte": GOAL,
        "corpus": facts,
        "nanogpt": {"commit": commit, "seconds_to_goal": seconds_to(theirs["points"], GOAL)}
        | theirs,
        "ours": {"seconds_to_goal": seconds_to(ours["points"], GOAL)} | ours,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out, record)
    print(f"| | trained for | bits/byte, all held-out text | first at {GOAL} or below |")
    print("|---|---:|---:|---:|")
    for label, side, seconds in (
        (f"{ours['rung']} laptop", record["ours"], ours["training_seconds"]),
        ("nanoGPT, README's recipe for a CPU", record["nanogpt"], theirs["seconds"]),
    ):
        reached = seconds_text(side["seconds_to_goal"])
        print(f"| {label} | {seconds:.0f} s | {side['held_out_bits_per_byte']:.3f} | {reached} |")
    print(f"\nwritten to {arguments.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
