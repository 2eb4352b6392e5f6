"""A seeded shuffle of 0 .. n - 1 that is computed, never stored.

A Feistel network permutes the pairs (left, right) of a grid with just over n cells: left is shifted
by a hash of right, right by a hash of left, and so on. Each round is invertible, so the whole is a
permutation of the grid. An index that lands outside n is permuted again until it is inside (cycle
walking), which gives a permutation of 0 .. n - 1.

References: Black and Rogaway 2002 (generalised Feistel, cycle walking); Steele et al. 2014
(SplitMix64, the hash of a round).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ROUNDS = 8


class Permutation:
    """A permutation of range(n), a function of its keys (non-negative integers)."""

    def __init__(self, n: int, *keys: int) -> None:
        if n < 1:
            raise ValueError(f"a permutation of {n} indices")
        self.n = n
        self._n_left = math.isqrt(n - 1) + 1  # ceil of the square root
        self._n_right = -(-n // self._n_left)
        self._round_keys = np.random.SeedSequence(keys).generate_state(ROUNDS, np.uint64)

    def __call__(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Permute indices: int64 in, int64 out, any shape."""
        if indices.size and (indices.min() < 0 or indices.max() >= self.n):
            raise IndexError(f"index outside [0, {self.n})")
        found = self._stir(indices.astype(np.uint64))
        while (outside := found >= self.n).any():
            found[outside] = self._stir(found[outside])
        return found.astype(np.int64)

    def _stir(self, indices: NDArray[np.uint64]) -> NDArray[np.uint64]:
        n_left, n_right = np.uint64(self._n_left), np.uint64(self._n_right)
        left, right = np.divmod(indices, n_right)
        for number, key in enumerate(self._round_keys):
            if number % 2:
                right = (right + _splitmix64(left ^ key) % n_right) % n_right
            else:
                left = (left + _splitmix64(right ^ key) % n_left) % n_left
        return left * n_right + right


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: pseudo-random 64 bits (arithmetic wraps at 2**64)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
