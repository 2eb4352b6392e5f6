"""Which steps are kept, and what they take."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from escada.runs.kept import MOST_KEPT, kept_steps, weights_bytes


@given(st.integers(1, 10**9))
def test_the_kept_steps_are_few_ascend_and_end_with_the_last(total):
    steps = kept_steps(total)
    assert steps == sorted(set(steps))
    assert len(steps) <= MOST_KEPT
    assert steps[0] == max(1, total // 200)
    assert steps[-1] == total


def test_the_kept_steps_of_a_rung_are_spaced_evenly_in_their_logarithm():
    assert kept_steps(3000) == [15, 24, 39, 64, 103, 167, 270, 437, 707, 1145, 1853, 3000]
    assert kept_steps(5) == [1, 2, 3, 4, 5]


def test_a_buffer_that_is_not_stored_and_a_tied_weight_take_no_room_of_their_own():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    model.register_buffer("counts", torch.zeros(5, dtype=torch.int64))
    model.register_buffer("mask", torch.zeros(7), persistent=False)
    assert weights_bytes(model) == 9 * 4 + 5 * 8
