"""Unique, seen and trained tokens against a count by hand, window by window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escada.cost.tokens import count_tokens
from escada.text.batches import WindowBatches


class Stream:
    """Tokens that are their own places."""

    path = "a stream"

    def __init__(self, n_tokens):
        self.n_tokens = n_tokens

    def windows(self, starts_B, length):
        return (starts_B[:, None] + np.arange(length)) % self.n_tokens


def batches(n_tokens, window, stride, batch, objective, seed=0):
    return WindowBatches(
        Stream(n_tokens),  # type: ignore[arg-type]
        window_tokens=window,
        stride_tokens=stride,
        batch_sequences=batch,
        seed=seed,
        objective=objective,
    )


def by_hand(made, steps):
    """The same counts by reading every batch."""
    read: set[int] = set()
    seen = trained = 0
    for step in range(steps):
        for window in made.batch(step).tolist():
            inputs = window[:-1]
            read.update(inputs)
            seen += len(inputs)
            trained += len(inputs) if made.objective == "all" else 1
    return len(read), seen, trained


@settings(max_examples=150, deadline=None)
@given(
    n_tokens=st.integers(5, 120),
    window=st.integers(2, 20),
    stride=st.integers(1, 25),
    batch=st.integers(1, 6),
    steps=st.integers(0, 60),
    objective=st.sampled_from(["all", "last"]),
    seed=st.integers(0, 3),
)
def test_counts_are_those_of_reading_every_batch(
    n_tokens, window, stride, batch, steps, objective, seed
):
    made = batches(max(n_tokens, window + 1), window, stride, batch, objective, seed)
    found = count_tokens(made, steps)
    assert (found.unique, found.seen, found.trained) == by_hand(made, steps)


def test_an_epoch_of_whole_windows_reads_and_trains_every_token_once():
    found = count_tokens(batches(120, 10, 5, 4, "all"), 3)
    assert (found.unique, found.seen, found.trained, found.stream) == (120, 120, 120, 120)


def test_overlapping_windows_that_train_the_last_position_see_much_and_train_little():
    # 100 windows of 10 that move on by one: each token is read ten times, each trained once.
    found = count_tokens(batches(100, 10, 1, 20, "last"), 5)
    assert (found.unique, found.seen, found.trained) == (100, 1000, 100)


def test_windows_farther_apart_than_they_are_long_leave_tokens_unread():
    # Starts 0, 25, 50, 75 with windows of 10: 40 of 100 tokens, however many epochs.
    found = count_tokens(batches(100, 10, 25, 4, "last"), 50)
    assert (found.unique, found.trained) == (40, 200)


def test_a_few_steps_are_counted_without_reading_the_corpus():
    found = count_tokens(batches(10**9, 256, 2, 64, "all"), 10)
    assert found.unique == found.seen == 10 * 64 * 256


def test_before_the_first_step_nothing_was_read():
    assert count_tokens(batches(100, 10, 1, 4, "all"), 0).unique == pytest.approx(0)
