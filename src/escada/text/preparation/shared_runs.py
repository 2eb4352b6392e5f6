"""An index of held-out texts that counts in how many other texts their long runs occur.

Each run of `RUN_CHARACTERS` contains a run of `SEED_CHARACTERS` that begins at a multiple of
`SEED_STRIDE` of the held-out text. Only where another text contains one of these seeds its long
runs are looked up.

Legend: W runs of the held-out texts, B texts of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from escada.text.preparation.hashes import (
    Hashes,
    Places,
    RunHashes,
    SmallTable,
    batches,
    distinct,
    loaded,
    look_up,
    merged,
    pieces,
)

RUN_CHARACTERS = 100
MOST_COPIES = 20
"""Texts that may contain a run before it is boilerplate."""
SEED_CHARACTERS = 50
SEED_STRIDE = RUN_CHARACTERS - SEED_CHARACTERS + 1


class SharedRuns:
    """Counts in how many other texts the runs of `RUN_CHARACTERS` of held-out texts occur."""

    @staticmethod
    def make(texts: Iterable[str], folder: Path) -> None:
        """Write the index of the held-out texts."""
        runs: list[Hashes] = []
        seeds: list[Hashes] = []
        for part in chain.from_iterable(map(_pieces, batches(texts))):
            hashes = RunHashes.of_texts(part)
            runs.append(distinct(hashes.all(RUN_CHARACTERS)[0]))
            starts, owner = hashes.starts(SEED_CHARACTERS)
            begins = np.cumsum([0, *map(len, part)])[owner]
            seeds.append(hashes.at(starts[(starts - begins) % SEED_STRIDE == 0], SEED_CHARACTERS))
        np.save(folder / "seeds.npy", merged(seeds))
        np.save(folder / "runs.npy", merged(runs))

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seeds = SmallTable(np.load(folder / "seeds.npy"))
        self._runs_W = loaded(folder, "runs")
        self._copies_W = np.zeros(len(self._runs_W), dtype=np.uint8)

    def compare(self, texts: Sequence[str]) -> None:
        """Count the runs of these texts."""
        # A run in a text as one number; a long text may have the same run in several pieces.
        n_runs = max(1, len(self._runs_W))
        found = [owner * n_runs + run for owner, run in map(self._runs_of, _pieces(texts))]
        run, times = np.unique(np.unique(np.concatenate(found)) % n_runs, return_counts=True)
        copies = np.minimum(self._copies_W[run] + times, MOST_COPIES + 1)
        self._copies_W[run] = copies.astype(np.uint8)

    def _runs_of(self, texts: Sequence[str]) -> tuple[Places, Places]:
        """The number of a text, and of a run that it contains, for all of them."""
        hashes = RunHashes.of_texts(texts)
        seeds = hashes.starts(SEED_CHARACTERS)[0]
        seeds = seeds[self._seeds.find(hashes.at(seeds, SEED_CHARACTERS))]
        # A run that contains a seed begins less than a stride before it.
        changes = np.bincount(np.maximum(seeds - SEED_STRIDE + 1, 0), minlength=hashes.n_codes + 1)
        changes -= np.bincount(seeds + 1, minlength=hashes.n_codes + 1)
        starts, owner = hashes.starts(RUN_CHARACTERS)
        has_seed = np.cumsum(changes)[starts] > 0
        is_known, run = look_up(hashes.at(starts[has_seed], RUN_CHARACTERS), self._runs_W)
        return owner[has_seed][is_known], run[is_known]

    def save(self, rank: int) -> None:
        """Write what was counted."""
        run = np.flatnonzero(self._copies_W)
        np.save(self._folder / f"copied-{rank}.npy", run)
        np.save(self._folder / f"copies-{rank}.npy", self._copies_W[run])

    def found(self, texts: Iterable[str]) -> NDArray[np.bool_]:
        """Which of the held-out texts have a run that 1 to `MOST_COPIES` other texts contain, after
        all processes have saved."""
        copies_W = np.zeros(len(self._runs_W), dtype=np.int64)
        for path in self._folder.glob("copied-*.npy"):
            copies_W[np.load(path)] += np.load(path.with_name(f"copies-{path.stem[7:]}.npy"))
        copied = SmallTable(self._runs_W[(copies_W > 0) & (copies_W <= MOST_COPIES)])
        flags = [np.zeros(0, dtype=bool)]
        for batch in batches(texts):
            flags_B = np.zeros(len(batch), dtype=bool)
            for part in _pieces(batch):
                hashes, owner = RunHashes.of_texts(part).all(RUN_CHARACTERS)
                flags_B[owner[copied.find(hashes)]] = True
            flags.append(flags_B)
        return np.concatenate(flags)


def _pieces(batch: Sequence[str]) -> Iterator[Sequence[str]]:
    return pieces(batch, RUN_CHARACTERS)
