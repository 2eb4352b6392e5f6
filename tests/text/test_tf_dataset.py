"""The tf.data view: equal to our batches, one by one, and good enough for Keras to learn from.

Runs where TensorFlow is (`make test-export`), in seconds; elsewhere only what needs none.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from escada.errors import EscadaError
from escada.text.batches import WindowBatches
from escada.text.shards import TokenStream, write_stream
from escada.text.tf_dataset import window_dataset
from escada.text.tokenizers.bytes import ByteTokenizer

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None,
    reason="needs TensorFlow: run `make test-export`",
)
slow = pytest.mark.slow  # loading TensorFlow alone takes seconds


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> TokenStream:
    texts = [f"Era uma vez {number} gatos que liam jornal.\n\nFim." for number in range(60)]
    folder: Path = tmp_path_factory.mktemp("stream") / "train"
    return write_stream(folder, texts, ByteTokenizer(), corpus_hash="", shard_tokens=700)


def batches(stream, seed=3, **options):
    return WindowBatches(
        stream,
        **{"window_tokens": 24, "stride_tokens": 5, "batch_sequences": 7} | options,
        seed=seed,
    )


def test_without_tensorflow_one_line_names_the_extra(stream, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(EscadaError, match=r"tensorflow is not installed; .*escada\[tf\]"):
        window_dataset(batches(stream))


def test_a_negative_step_is_refused(stream):
    with pytest.raises(ValueError, match="first_step -1"):
        window_dataset(batches(stream), first_step=-1)


@slow
@needs_tensorflow
@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("objective", ["all", "last"])
def test_every_batch_of_three_epochs_is_ours(stream, seed, objective):
    ours = batches(stream, seed, objective=objective)
    steps = int(3 * ours.steps_per_epoch) + 1
    found = list(window_dataset(ours, steps=steps).as_numpy_iterator())
    assert len(found) == steps
    for step, (inputs, targets) in enumerate(found):
        # Another object, so that nothing is remembered from the dataset's own.
        expected = batches(stream, seed, objective=objective).batch(step)
        assert inputs.dtype == targets.dtype == np.int64
        assert np.array_equal(inputs, expected[:, :-1])
        wanted = expected[:, 1:] if objective == "all" else expected[:, -1]
        assert np.array_equal(targets, wanted)


@slow
@needs_tensorflow
def test_another_seed_gives_another_order(stream):
    first = [next(window_dataset(batches(stream, s), steps=1).as_numpy_iterator()) for s in (0, 3)]
    assert not np.array_equal(first[0][0], first[1][0])


@slow
@needs_tensorflow
def test_it_goes_on_from_any_step(stream):
    whole = list(window_dataset(batches(stream), steps=90).as_numpy_iterator())
    rest = list(window_dataset(batches(stream), first_step=61, steps=29).as_numpy_iterator())
    for (ids, targets), (expected_ids, expected_targets) in zip(rest, whole[61:], strict=True):
        assert np.array_equal(ids, expected_ids)
        assert np.array_equal(targets, expected_targets)


@slow
@needs_tensorflow
def test_shapes_and_length_are_known_without_reading(stream):
    import tensorflow as tf

    endless = window_dataset(batches(stream))
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    assert [spec.shape.as_list() for spec in endless.element_spec] == [[7, 24], [7, 24]]
    assert window_dataset(batches(stream), first_step=5, steps=11).cardinality() == 11


@slow
@needs_tensorflow
def test_a_small_keras_model_learns_from_it(stream):
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Embedding(stream.vocab_size, 16),
            keras.layers.GRU(32, return_sequences=True),
            keras.layers.Dense(stream.vocab_size),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    ours = batches(stream)
    history = model.fit(window_dataset(ours, steps=40), verbose=0, epochs=3)
    losses = history.history["loss"]
    assert losses[0] < np.log(stream.vocab_size)
    assert losses[-1] < 0.8 * losses[0]
