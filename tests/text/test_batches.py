"""Windows: each target once an epoch, each offset in turn, each batch a function of its number."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.text.batches import WindowBatches
from escada.text.permutation import Permutation
from escada.text.shards import ShardFile, StartsFile, StreamManifest, TokenStream


class Positions(TokenStream):
    """A stream in which every token is its own position."""

    def __init__(self, n_tokens, shard_tokens=10**9):
        manifest = StreamManifest(
            dtype="<u4",
            n_tokens=n_tokens,
            n_documents=1,
            vocab_size=n_tokens,
            tokenizer_hash="",
            corpus_hash="",
            document_starts=StartsFile(bytes=0, sha256=""),
            shards=[ShardFile(file="train-00000.bin", tokens=n_tokens)],
        )
        tokens = np.arange(n_tokens, dtype=np.uint32)
        parts = [tokens[i : i + shard_tokens] for i in range(0, n_tokens, shard_tokens)]
        super().__init__("here", manifest, np.zeros(1, dtype=np.int64), parts)


def batches(n_tokens=1000, window=16, stride=4, size=8, seed=0, **options):
    return WindowBatches(
        Positions(n_tokens, options.pop("shard_tokens", 10**9)),
        window_tokens=window,
        stride_tokens=stride,
        batch_sequences=size,
        seed=seed,
        **options,
    )


def epoch_starts(source, epoch):
    return source.starts(epoch * source.windows_per_epoch, source.windows_per_epoch)


@st.composite
def shapes(draw):
    window = draw(st.integers(2, 40))
    return {
        "window": window,
        "n_tokens": draw(st.integers(window + 1, 600)),
        "stride": draw(st.integers(1, 50)),
        "size": draw(st.integers(1, 12)),
        "seed": draw(st.integers(0, 2**31)),
        "shard_tokens": draw(st.sampled_from([7, 64, 10**9])),
    }


@given(shape=shapes(), epoch=st.integers(0, 5))
def test_an_epoch_has_every_token_as_a_target_once(shape, epoch):
    source = batches(**shape)
    n, window = shape["n_tokens"], shape["window"]
    starts = epoch_starts(source, epoch)
    targets = (starts[:, None] + 1 + np.arange(window)) % n
    seen = np.bincount(targets.ravel(), minlength=n)
    assert seen.min() == 1
    assert seen.max() <= 2
    # The documented exception: the last window reaches past the start of the first one.
    assert (seen == 2).sum() == source.windows_per_epoch * window - n < window


@given(shape=shapes(), steps=st.lists(st.integers(0, 10**6), min_size=1, max_size=3))
def test_a_batch_is_windows_of_consecutive_tokens(shape, steps):
    source = batches(**shape)
    for step in steps:
        batch = source.batch(step)
        assert batch.dtype == np.int64
        assert batch.shape == (shape["size"], shape["window"] + 1)
        assert ((batch[:, 1:] - batch[:, :-1]) % shape["n_tokens"] == 1 % shape["n_tokens"]).all()
        assert batch.min() >= 0
        assert batch.max() < shape["n_tokens"]


@given(shape=shapes())
def test_batches_follow_one_another_through_the_epochs(shape):
    source = batches(**shape)
    size = shape["size"]
    steps = -(-3 * source.windows_per_epoch // size)
    starts = np.concatenate([source.batch(step)[:, 0] for step in range(steps)])
    for epoch in range(3):
        here = starts[epoch * source.windows_per_epoch :][: source.windows_per_epoch]
        assert here.tolist() == epoch_starts(source, epoch).tolist()


def test_steps_are_counted_in_epochs():
    source = batches(n_tokens=100, window=10, size=4)  # ten windows, two and a half steps
    assert source.steps_per_epoch == 2.5
    assert [source.epoch_of(step) for step in range(6)] == [0, 0, 0, 1, 1, 2]


@given(shape=shapes(), order=st.permutations([0, 1, 2, 513, 70_000]))
def test_a_batch_depends_on_its_number_alone(shape, order):
    expected = {step: batches(**shape).batch(step) for step in (0, 1, 2, 513, 70_000)}
    source = batches(**shape)
    for step in order:
        assert (source.batch(step) == expected[step]).all()


@given(window=st.integers(2, 24), stride=st.integers(1, 24), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_every_offset_comes_round_before_any_returns(window, stride, seed):
    source = batches(window=window, stride=stride, seed=seed)
    n_offsets = -(-window // stride)
    possible = list(range(0, window, stride))
    for cycle in range(2):
        offsets = [source.offset_of(cycle * n_offsets + turn) for turn in range(n_offsets)]
        assert sorted(offsets) == possible


def test_an_epoch_begins_its_windows_at_its_offset():
    source = batches(n_tokens=1000, window=16, stride=4)
    for epoch in range(8):
        starts = np.sort((epoch_starts(source, epoch) - source.offset_of(epoch)) % 1000)
        assert starts.tolist() == list(range(0, 1000, 16))


def test_two_seeds_give_two_orders_and_one_seed_one():
    one, same, other = batches(seed=1), batches(seed=1), batches(seed=2)
    assert (one.batch(0) == same.batch(0)).all()
    assert (one.batch(0) != other.batch(0)).any()
    orders = {tuple(epoch_starts(batches(seed=seed), 0)) for seed in range(20)}
    assert len(orders) == 20


def test_epochs_are_shuffled_differently():
    source = batches(n_tokens=16 * 100, window=16, stride=16)
    orders = [tuple(epoch_starts(source, epoch)) for epoch in range(6)]
    assert len(set(orders)) == 6
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_neighbouring_windows_are_scattered():
    starts = epoch_starts(batches(n_tokens=16 * 4000, window=16, stride=16), 0)
    steps = np.diff(starts)
    assert (steps == 16).mean() < 0.01
    assert abs(np.corrcoef(starts[:-1], starts[1:])[0, 1]) < 0.06


@given(shape=shapes(), epoch=st.integers(0, 3))
def test_the_last_objective_has_one_window_a_stride(shape, epoch):
    source = batches(**shape, objective="last")
    n, stride = shape["n_tokens"], shape["stride"]
    starts = epoch_starts(source, epoch)
    assert np.sort(starts).tolist() == list(range(0, n, stride))
    assert source.batch(0).shape == (shape["size"], shape["window"] + 1)
    targets = (starts + shape["window"]) % n
    assert len(set(targets.tolist())) == len(targets)


def test_targets_per_step_count_what_is_trained():
    assert batches().targets_per_step == 8 * 16
    assert batches(objective="last").targets_per_step == 8


def test_a_text_shorter_than_a_window_is_one_clear_error():
    with pytest.raises(EscadaError, match="has 16 tokens, a window needs 17"):
        batches(n_tokens=16, window=16)
    assert batches(n_tokens=17, window=16).batch(3).shape == (8, 17)


@given(n=st.integers(1, 3000), keys=st.lists(st.integers(0, 2**40), min_size=1, max_size=3))
def test_a_permutation_takes_each_index_once(n, keys):
    found = Permutation(n, *keys)(np.arange(n))
    assert np.sort(found).tolist() == list(range(n))


@given(n=st.integers(2**40, 2**62), index=st.integers(0, 2**40 - 1))
def test_a_huge_permutation_needs_no_memory(n, index):
    found = Permutation(n, 1)(np.array([index, n - 1 - index]))
    assert ((found >= 0) & (found < n)).all()
    assert (found[0] == found[1]) == (2 * index == n - 1)


def test_permutations_of_four_are_equally_likely():
    """Chi-square over the 24 orders; 55.8 is the quantile of 0.9998 at 23 degrees of freedom."""
    n_keys = 4800
    counts = Counter(tuple(Permutation(4, key)(np.arange(4))) for key in range(n_keys))
    expected = n_keys / 24
    orders = itertools.permutations(range(4))
    statistic = sum((counts[order] - expected) ** 2 / expected for order in orders)
    assert statistic < 55.8


def test_an_index_outside_a_permutation_is_an_error():
    with pytest.raises(IndexError):
        Permutation(5, 0)(np.array([5]))
