"""Peak memory is that of the program, not of the one that started it."""

import subprocess
import sys

import numpy as np
import pytest

from escada.cost.peak_memory import peak_resident_bytes

PRINT_PEAK = "from escada.cost.peak_memory import peak_resident_bytes; print(peak_resident_bytes())"


def test_memory_that_was_touched_counts_and_goes_on_counting():
    before = peak_resident_bytes()
    block = np.ones(before + 100_000_000, dtype=np.uint8)
    assert peak_resident_bytes() > len(block)
    del block
    assert peak_resident_bytes() > before + 100_000_000


@pytest.mark.slow
def test_a_small_program_started_by_a_large_one_has_a_small_peak():
    block = np.ones(2_000_000_000, dtype=np.uint8)
    done = subprocess.run([sys.executable, "-c", PRINT_PEAK], capture_output=True, text=True)
    assert 10_000_000 < int(done.stdout) < len(block) / 2
