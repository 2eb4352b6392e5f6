"""The ruler's protocol for peers: NumPy alone, since each lives in an environment of its own.

A document is a sequence: separator, ids of its text, separator. Every id after the first is a
target and charged once. A peer with a state carries it through the document; the others slide a
window by half its length. `tests/benchmarks/test_quality.py` holds both beside escada's ruler.

    B  rows     T  tokens
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

NatsOf = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(ids_BT, targets_BT) -> nats_BT, float64."""
ReadOn = Callable[[np.ndarray, np.ndarray, Any], tuple[np.ndarray, list[Any]]]
"""(ids_BT, targets_BT, state) -> nats_BT and the state after them; state None: a fresh one.

A state is a list of arrays whose first dimension is B."""
BATCH_TOKENS = 4096
CARRIED_ROWS = 64
CARRIED_TOKENS = 64


def context_windows(length: int, window: int) -> Iterator[tuple[int, int, int]]:
    """(start, stop, first): `start:stop` is read, targets from position `first` on are charged.

    When the window is full its older half is dropped.
    """
    dropped = window - window // 2
    first = 1
    while first < length:
        start = 0 if first <= window else -(-(first - window) // dropped) * dropped
        stop = min(start + window, length - 1)
        yield start, stop, first
        first = stop + 1


def slide(sequences: Sequence[np.ndarray], window: int, nats_of: NatsOf) -> np.ndarray:
    """Nats of each sequence, float64, for a peer without a state."""
    rows = [
        (number, *one)
        for number, ids in enumerate(sequences)
        for one in context_windows(len(ids), window)
    ]
    rows.sort(key=lambda row: row[1] - row[2])
    nats = np.zeros(len(sequences))
    while rows:
        count = max(1, BATCH_TOKENS // (rows[0][2] - rows[0][1]))
        batch, rows = rows[:count], rows[count:]
        pieces = [sequences[number][start : stop + 1] for number, start, stop, _ in batch]
        ids_BT, targets_BT, real_BT = _padded(pieces)
        contexts_B1 = np.array([first - 1 - start for _, start, _, first in batch])[:, None]
        charged_BT = real_BT & (np.arange(ids_BT.shape[1]) >= contexts_B1)
        charges_B = np.where(charged_BT, nats_of(ids_BT, targets_BT), 0.0).sum(axis=1)
        np.add.at(nats, [row[0] for row in batch], charges_B)
    return nats


def carry(sequences: Sequence[np.ndarray], read_on: ReadOn) -> np.ndarray:
    """Nats of each sequence, float64, for a peer that carries its state."""
    order = sorted(range(len(sequences)), key=lambda number: -len(sequences[number]))
    nats = np.zeros(len(sequences))
    for begin in range(0, len(order), CARRIED_ROWS):
        rows, state, start = order[begin : begin + CARRIED_ROWS], None, 0
        while rows:
            pieces = [sequences[number][start : start + CARRIED_TOKENS + 1] for number in rows]
            ids_BT, targets_BT, real_BT = _padded(pieces)
            charges_BT, state = read_on(ids_BT, targets_BT, state)
            nats[rows] += np.where(real_BT, charges_BT, 0.0).sum(axis=1)
            start += CARRIED_TOKENS
            rows = [number for number in rows if len(sequences[number]) - 1 > start]
            state = [part[: len(rows)] for part in state]  # longest first: the ended are the last
    return nats


def _padded(pieces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, targets and which targets are real, (B, T) each."""
    longest = max(map(len, pieces)) - 1
    ids_BT = np.zeros((len(pieces), longest), dtype=np.int64)
    targets_BT = np.zeros_like(ids_BT)
    for row, piece in enumerate(pieces):
        ids_BT[row, : len(piece) - 1] = piece[:-1]
        targets_BT[row, : len(piece) - 1] = piece[1:]
    real_BT = np.arange(longest) < np.array([len(piece) - 1 for piece in pieces])[:, None]
    return ids_BT, targets_BT, real_BT
