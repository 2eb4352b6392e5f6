"""Train a peer for a budget in FLOP and score documents by the ruler's protocol.

    python train_PEER.py RECIPE --documents DIR --flop 5e12 --out DIR --key KEY [--split test]

`benchmarks/quality.py` starts these; nothing here needs more than NumPy. DIR has train.jsonl,
validation.jsonl and, for the final reading, test.jsonl. OUT gets training.json, weights.npz (the
weights that were best on a sample of the validation documents) and SPLIT.json with the nats of each
document. What is there with the same key is not done again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from texts import TextIds

SCHEMA_VERSION = 1
VALIDATIONS = 8
SAMPLE_BYTES = 40_000
"""Validation text on which the best weights are chosen."""
Settings = dict[str, tuple[Any, str]]
"""Name -> (value, where it comes from); "chosen: …" where the peer's code has no such number."""


class UsageError(Exception):
    """One line for the user: what, and what to do."""


class Peer(ABC):
    """A peer at its first step.

    Attributes:
        text: encodes (see `texts`).
        flop_per_step: by the closed form that `escada.cost.flops` states.
        protocol, context_tokens: how it is scored, in the ruler's words.
        facts: what a reader should know: versions, parameters, precision.
    """

    text: TextIds
    flop_per_step: float
    tokens_per_step: int
    protocol: str
    context_tokens: int | None
    facts: dict[str, Any]

    @abstractmethod
    def train(self, steps: int, after: Callable[[int], None]) -> None:
        """Take all steps of a schedule of that length; call `after(step)` after each, from 1."""

    @abstractmethod
    def nats(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """Nats of each sequence, separators included."""

    @abstractmethod
    def weights(self) -> dict[str, np.ndarray]:
        """A copy."""

    @abstractmethod
    def load(self, weights: Mapping[str, np.ndarray]) -> None: ...

    def score(self, texts: Sequence[str]) -> list[float]:
        """Nats of each text by the ruler's protocol."""
        ends = [self.text.separator]
        sequences = [np.concatenate([ends, self.text.encode(text), ends]) for text in texts]
        unknown = np.array([self.text.unknown_nats(text) for text in texts])
        return (self.nats(sequences) + unknown).tolist()


Build = Callable[[list[str], dict[str, Any], int, Path | None], Peer]
"""(training texts, settings, seed, the peer's checkout) -> a peer."""


def main(recipes: Mapping[str, Settings], build: Build) -> None:
    """The command line of a peer."""
    arguments = _parser(recipes).parse_args()
    os.nice(arguments.nice)
    try:
        _run(arguments, recipes[arguments.recipe], build)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def _parser(recipes: Mapping[str, Settings]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", choices=sorted(recipes))
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--flop", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--key", required=True, help="of all that decides the weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=["validation", "test"], default="validation")
    parser.add_argument("--checkout", type=Path, help="the peer's own code")
    parser.add_argument("--commit", help="of that code, for the record")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--nice", type=int, default=0)
    return parser


def overridden(settings: Settings, changes: Sequence[str]) -> Settings:
    """Settings with NAME=VALUE laid over them; a value has the type of the one it replaces."""
    settings = dict(settings)
    for change in changes:
        name, _, value = change.partition("=")
        if name not in settings:
            raise UsageError(f"no setting {name!r}; there are {', '.join(settings)}")
        kind = type(settings[name][0])
        try:
            read = {"true": True, "false": False}[value] if kind is bool else kind(value)
            settings[name] = (read, "chosen: given by --set")
        except (ValueError, KeyError) as error:
            raise UsageError(f"--set {change}: {error}") from error
    return settings


def _run(arguments: argparse.Namespace, recipe: Settings, build: Build) -> None:
    out, key = arguments.out, arguments.key
    if _known(out / f"{arguments.split}.json", key):
        return
    settings = overridden(recipe, arguments.set)
    texts = [row["text"] for row in read_rows(arguments.documents / "train.jsonl")]
    values = {name: value for name, (value, _) in settings.items()}
    peer = build(texts, values, arguments.seed, arguments.checkout)
    encoding = hashlib.sha256(b"".join(peer.text.encode(text).tobytes() for text in texts[:99]))
    training = _known(out / "training.json", key)
    if training is None:
        if (out / "training.json").exists():
            print(f"{out.name}: recipe, data or code changed: trained again", file=sys.stderr)
        sample = _sample(read_rows(arguments.documents / "validation.jsonl"))
        training = {
            "schema_version": SCHEMA_VERSION,
            "key": key,
            "recipe": arguments.recipe,
            "commit": arguments.commit,
            "seed": arguments.seed,
            "budget_flop": arguments.flop,
            "settings": values,
            "sources": {name: source for name, (_, source) in settings.items()},
            "encoding_sha256": encoding.hexdigest(),
            "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
            "facts": peer.facts,
        } | _train(peer, arguments.flop, sample, out.name)
        out.mkdir(parents=True, exist_ok=True)
        with (out / "weights.tmp").open("wb") as file:
            np.savez(file, **peer.weights())
        (out / "weights.tmp").replace(out / "weights.npz")
        _write(out / "training.json", training)
    else:
        if training["encoding_sha256"] != encoding.hexdigest():
            raise UsageError(f"{out}: the tokenizer came out otherwise now; remove the folder")
        with np.load(out / "weights.npz") as weights:
            peer.load(weights)
    rows = read_rows(arguments.documents / f"{arguments.split}.jsonl")
    begun = time.perf_counter()
    nats = peer.score([row["text"] for row in rows])
    scored = {
        "schema_version": SCHEMA_VERSION,
        "key": key,
        "split": arguments.split,
        "protocol": peer.protocol,
        "context_tokens": peer.context_tokens,
        "seconds": time.perf_counter() - begun,
        "documents": [
            {name: row[name] for name in ("id", "source", "group")}
            | {"nats": one, "bytes": len(row["text"].encode())}
            for row, one in zip(rows, nats, strict=True)
        ],
    }
    _write(out / f"{arguments.split}.json", scored)
    print(f"{out.name}: {arguments.split} {bits_per_byte(rows, nats):.4f}", file=sys.stderr)


class _Watch:
    """Times the steps, validates now and then, keeps the best weights."""

    def __init__(self, peer: Peer, steps: int, sample: list[dict[str, str]], label: str) -> None:
        self._peer, self._steps, self._sample, self._label = peer, steps, sample, label
        self._due = {round(steps * n / VALIDATIONS) for n in range(1, VALIDATIONS + 1)}
        self.points: list[dict[str, float]] = []
        self.best: dict[str, np.ndarray] = {}
        self.seconds, self._mark = 0.0, time.perf_counter()

    def __call__(self, step: int) -> None:
        self.seconds += time.perf_counter() - self._mark
        if step in self._due:
            figure = bits_per_byte(
                self._sample, self._peer.score([r["text"] for r in self._sample])
            )
            if not np.isfinite(figure):
                raise UsageError(f"{self._label}: diverged before step {step}; lower the rate")
            self.points.append({"step": step, "seconds": self.seconds, "bits_per_byte": figure})
            line = f"{self._label}: step {step:,} of {self._steps:,}, {self.seconds:,.0f} s"
            print(f"{line}, {figure:.3f} bits per byte (sample)", file=sys.stderr, flush=True)
            if figure <= min(point["bits_per_byte"] for point in self.points):
                self.best, self.best_step = self._peer.weights(), step
        self._mark = time.perf_counter()


def _train(peer: Peer, flop: float, sample: list[dict[str, str]], label: str) -> dict[str, Any]:
    steps = round(flop / peer.flop_per_step)
    if not steps:
        raise UsageError(
            f"{label}: {flop:.1e} FLOP are less than half of one step ({peer.flop_per_step:.1e}); "
            "give a larger budget or a smaller batch"
        )
    watch = _Watch(peer, steps, sample, label)
    peer.train(steps, watch)
    peer.load(watch.best)
    return {
        "steps": steps,
        "flop": steps * peer.flop_per_step,
        "flop_per_step": peer.flop_per_step,
        "tokens": steps * peer.tokens_per_step,
        "seconds": watch.seconds,
        "best_step": watch.best_step,
        "points": watch.points,
    }


def _sample(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Documents in the order of the hash of their names, until there is text enough."""
    found, size = list[dict[str, str]](), 0
    for row in sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).digest()):
        if size + len(row["text"].encode()) <= SAMPLE_BYTES:
            found.append(row)
            size += len(row["text"].encode())
    return found


def bits_per_byte(rows: Sequence[Mapping[str, str]], nats: Sequence[float]) -> float:
    return sum(nats) / np.log(2) / sum(len(row["text"].encode()) for row in rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Documents, one JSON object a line."""
    with path.open(encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def _known(path: Path, key: str) -> dict[str, Any] | None:
    """What was written with this key, if it was."""
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if found["key"] == key else None


def _write(path: Path, value: object) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False))
    temporary.replace(path)
