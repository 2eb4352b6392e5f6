"""Every ratio against a peer, measured in one session: `make bench`.

    python benchmarks/bench.py [--only PATTERN] [--quick] [--list] [--out FILE]

Peers run as processes in environments of their own (`make bench-env`) and take turns with us:
ours, peer, peer, ours, ours, … Figures are medians of the turns. What is not installed is marked
`skipped`, what fails `failed`, each with its reason; the file is written after every group, so a
session that is cut short keeps what it had. docs/benchmarks.md says how to read it.
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from peers.groups import KERAS, OURS, TRANSFORMERS, Group, Row, Settings, groups
from peers.process import PROCESSORS, ROOT, Worker, WorkerError

from escada.errors import EscadaError
from escada.files import write_json, write_text
from escada.runs.environment import environment
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.text.token_cache import prepare_tokens

SCHEMA_VERSION = 1
RESULTS = ROOT / "docs" / "results" / "bench.json"
BUSY = 0.5
"""A load average above this before the first row: something else runs, and it is said."""
PARTIAL = ROOT / "runs" / "bench" / "bench.json"
TRAINED = ("v1", "v5")
"""Rungs whose evaluation rows say the difference in loss, so they must have learned something."""
TRAINING_BUDGET = "20 s"
QUICK_REPEATS = 2


class Bench:
    """One session: its workers, and the rows so far."""

    def __init__(self, arguments: argparse.Namespace, log: Path) -> None:
        self.arguments = arguments
        pythons = {
            OURS: Path(sys.executable),
            TRANSFORMERS: arguments.hf_python,
            KERAS: arguments.keras_python,
        }
        self._missing = {name: path for name, path in pythons.items() if not path.exists()}
        self._workers = {
            name: Worker(name, path, arguments.threads, log, arguments.processor)
            for name, path in pythons.items()
        }
        self.rows: list[dict[str, Any]] = []

    def measure(self, group: Group, names: list[str]) -> None:
        """Take turns between the sides that the wanted rows need; add a row for each.

        Every second turn goes the other way round, so that no side always follows the same one.
        """
        wanted = [row for row in group.rows if row.name in names]
        needed = {side for row in wanted for side in (row.ours, row.peer) if isinstance(side, str)}
        failures: dict[str, str] = {}
        turns: dict[str, list[dict[str, Any]]] = {}
        times: dict[str, int] = {}
        for side in (s for s in group.sides if s in needed):
            try:
                times[side] = self._build(group, side)
                turns[side] = []
            except (WorkerError, OSError) as error:
                failures[side] = str(error)
        for turn in range(QUICK_REPEATS if self.arguments.quick else group.repeats):
            for side in list(turns)[:: -1 if turn % 2 else 1]:
                try:
                    turns[side].append(self._run(group, side, times[side]))
                except (WorkerError, OSError) as error:
                    failures[side] = str(error)
                    del turns[side]
        for side in turns:
            self._workers[group.sides[side].worker].drop(f"{group.name}/{side}")
        self.rows += [_row(row, group, turns, failures) for row in wanted]

    def _build(self, group: Group, name: str) -> int:
        """Build a side, time it once; returns how often it runs in a turn."""
        side = group.sides[name]
        if side.worker in self._missing:
            raise WorkerError(f"not installed: {self._missing[side.worker]} (make bench-env)")
        worker = self._workers[side.worker]
        worker.build(f"{group.name}/{name}", side.job, side.options, group.limit_seconds)
        seconds = self._run(group, name, 1)["seconds"]
        turn = group.turn_seconds / (5 if self.arguments.quick else 1)
        return max(1, math.ceil(turn / max(seconds, 1e-6)))

    def _run(self, group: Group, name: str, times: int) -> dict[str, Any]:
        worker = self._workers[group.sides[name].worker]
        return worker.run(f"{group.name}/{name}", times, group.limit_seconds)

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.stop()


def _row(
    row: Row, group: Group, turns: dict[str, list[dict[str, Any]]], failures: dict[str, str]
) -> dict[str, Any]:
    """A row of the file; `status` is ok, skipped (not installed) or failed."""
    found: dict[str, Any] = {"name": row.name, "status": "ok", "reason": None}
    found |= {"ours": None, "peer": None, "unit": row.unit, "ratio": None, "ratio_range": None}
    found |= {"repeats": 0, "peer_name": row.peer_name, "aim": row.aim, "met": None}
    found |= {"notes": group.notes, "facts": {}}
    ours = _values(row, turns.get(row.ours, []))
    peers = ours and [row.peer] * len(ours)
    if isinstance(row.peer, str):
        peers = _values(row, turns.get(row.peer, []))
        found["peer_name"] = row.peer_name or _fact(turns, row.peer, "peer") or row.peer
    found["facts"] = {
        side: turns[side][-1]["facts"]
        for side in (row.ours, row.peer)
        if turns.get(side)  # type: ignore[arg-type]
    }
    losses = [facts.get("nats_per_target") for facts in found["facts"].values()]
    if len(losses) == 2 and None not in losses:
        found["nats_per_target_difference"] = _significant(losses[0] - losses[1])
    found["repeats"] = len(ours)
    if ours:
        found["ours"] = _significant(statistics.median(ours))
    reasons = [failures[side] for side in (row.ours, row.peer) if side in failures]
    if reasons:
        skipped = all(reason.startswith("not installed") for reason in reasons)
        return found | {"status": "skipped" if skipped else "failed", "reason": reasons[0]}
    if peers and peers[0] is not None:
        middle, other = statistics.median(ours), statistics.median(peers)
        ratio = other / middle if row.seconds else middle / other
        pairs = [p / o if row.seconds else o / p for o, p in zip(ours, peers, strict=True)]
        found |= {"peer": _significant(other), "ratio": _significant(ratio)}
        found["ratio_range"] = [_significant(min(pairs)), _significant(max(pairs))]
        found["met"] = None if row.aim is None else ratio >= row.aim
    return found


def _values(row: Row, turns: list[dict[str, Any]]) -> list[float]:
    """The row's figure at each turn: work a second, or seconds for one."""
    rates = [turn["work"][row.quantity] / turn["seconds"] * row.scale for turn in turns]
    return [1 / rate for rate in rates] if row.seconds else rates


def _fact(turns: dict[str, list[dict[str, Any]]], side: str, key: str) -> str | None:
    of_side = turns.get(side)
    return of_side[-1]["facts"].get(key) if of_side else None


def _significant(value: float) -> float:
    return float(f"{value:.4g}")


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| row | ours | peer | unit | ratio | range | aim | peer is |",
        "|---|---:|---:|---|---:|---|---:|---|",
    ]
    for row in rows:
        if row["status"] != "ok":
            cells = [row["name"], _text(row["ours"]), "", row["unit"], row["status"], "", ""]
            lines.append(f"| {' | '.join(cells)} | {row['reason']} |")
            continue
        low_high = row["ratio_range"]
        spread = f"{_text(low_high[0])}-{_text(low_high[1])}" if low_high else ""
        aim = "" if row["aim"] is None else f"{row['aim']:g} {'✓' if row['met'] else '✗'}"
        lines.append(
            f"| {row['name']} | {_text(row['ours'])} | {_text(row['peer'])} | {row['unit']} "
            f"| {_text(row['ratio'])} | {spread} | {aim} | {row['peer_name'] or ''} |"
        )
    return "\n".join(lines)


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def trained_runs(data: Path, folder: Path | None) -> dict[str, Path]:
    """Runs whose losses are compared: the laptop runs in `folder`, else two trained for 20 s."""
    found: dict[str, Path] = {}
    if folder is not None:
        for path in sorted(folder.glob("*/record.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["preset"] == "laptop" and record["status"] == "finished":
                found[record["name"]] = path.parent
        return found
    out = PARTIAL.parent / "runs"
    for rung in TRAINED:
        known = sorted(out.glob(f"*-{rung}-laptop-*/checkpoints"))
        if not known:
            command = [sys.executable, "-m", "escada", "train", rung, "--preset", "laptop"]
            command += ["--budget", TRAINING_BUDGET, "--data", str(data), "--out", str(out)]
            source = {"PYTHONPATH": str(ROOT / "src")}
            done = subprocess.run(command, env=os.environ | source, capture_output=True, text=True)
            if done.returncode:
                print(f"{rung} could not be trained: {done.stderr[-300:]}", file=sys.stderr)
                continue
            known = sorted(out.glob(f"*-{rung}-laptop-*/checkpoints"))
        found[rung] = known[-1].parent
    return found


def write_inputs(data: Path, folder: Path) -> tuple[Path, Path]:
    """What peers read: the texts of the training split, and its ids at 4,096 pieces."""
    corpus = Corpus.open(data)
    texts = folder / "texts.json"
    texts.write_text(json.dumps([d.text for d in corpus.documents("train")]), encoding="utf-8")
    _, stream = prepare_tokens(corpus, load_spec("v_final", preset="full").tokenizer)
    ids = folder / "ids.npy"
    np.save(ids, stream.read(0, stream.n_tokens).astype(np.int32))
    return texts, ids


def wanted_groups(settings: Settings, patterns: list[str]) -> Iterator[tuple[Group, list[str]]]:
    """A whole name is that row; anything else is a part of a name, with * and ?."""
    found = list(groups(settings))
    whole = {row.name for group in found for row in group.rows}
    parts = [pattern if pattern in whole else f"*{pattern}*" for pattern in patterns] or ["*"]
    for group in found:
        names = [row.name for row in group.rows]
        names = [name for name in names if any(fnmatch.fnmatch(name, part) for part in parts)]
        if names:
            yield group, names


def save(path: Path, bench: Bench, begun: str, load: float, seconds: float) -> None:
    record = {
        "schema_version": SCHEMA_VERSION,
        "date": begun,
        "machine": environment().model_dump(mode="json") | {"load_average_before": load},
        "processor": bench.arguments.processor,
        "threads": bench.arguments.threads,
        "quick": bench.arguments.quick,
        "seconds": round(seconds),
        "rows": bench.rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
    machine = record["machine"]
    processor = bench.arguments.processor
    acted = "" if processor == "native" else f" acting {processor}"
    busy = " **Something else was running: indicative only.**" if load > BUSY else ""
    write_text(
        path.with_suffix(".md"),
        f"# Benchmarks, {begun[:10]}\n\n{machine['cpu']}{acted}, {record['threads']} threads, "
        f"load {load:.2f} before, {seconds:,.0f} s in all.{busy} "
        f"How to read it: docs/benchmarks.md.\n\n"
        f"{table(bench.rows)}\n",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="a row, or rows whose names contain this (* and ? allowed); may be repeated",
    )
    parser.add_argument("--quick", action="store_true", help="two short turns: does it run?")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "default")
    parser.add_argument("--runs", type=Path, help="trained laptop runs, such as runs/demo")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--as",
        dest="processor",
        choices=list(PROCESSORS),
        default="native",
        help="a lesser processor that both sides act",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help=f"default: {RESULTS.relative_to(ROOT)} (with --as: bench-KIND.json beside it), or "
        f"{PARTIAL.relative_to(ROOT)} with --only or --quick",
    )
    parser.add_argument("--hf-python", type=Path, default=ROOT / ".venv-bench-hf/bin/python")
    parser.add_argument("--keras-python", type=Path, default=ROOT / ".venv-bench-keras/bin/python")
    arguments = parser.parse_args()  # fmt: skip
    if arguments.list:
        nowhere = Settings(arguments.data, 1, Path(), Path(), {})
        print("\n".join(n for _, names in wanted_groups(nowhere, arguments.only) for n in names))
        return 0
    acted = "" if arguments.processor == "native" else f"-{arguments.processor}"
    whole = RESULTS.with_stem(RESULTS.stem + acted)
    out = arguments.out or (PARTIAL if arguments.only or arguments.quick else whole)
    begun, clock = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), time.time()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        texts, ids = write_inputs(arguments.data, Path(folder))
        evaluating = any(
            name.startswith("evaluate.")
            for _, names in wanted_groups(
                Settings(arguments.data, 1, texts, ids, {}), arguments.only
            )
            for name in names
        )
        runs = trained_runs(arguments.data, arguments.runs) if evaluating else {}
        settings = Settings(arguments.data, arguments.threads, texts, ids, runs)
        log = out.with_suffix(".log") if out == PARTIAL else Path(folder) / "workers.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        bench = Bench(arguments, log)
        try:
            for group, names in wanted_groups(settings, arguments.only):
                print(f"{time.time() - clock:6.0f} s  {group.name}", file=sys.stderr, flush=True)
                bench.measure(group, names)
                save(out, bench, begun, load, time.time() - clock)
        finally:
            bench.stop()
    print(table(bench.rows))
    print(f"\nwritten to {out}", file=sys.stderr)
    return int(any(row["status"] == "failed" for row in bench.rows))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EscadaError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
