"""The training windows as a `tf.data.Dataset`, for Keras users: the same batches in the same order.

    dataset = window_dataset(batches, steps=1000)
    keras_model.fit(dataset, epochs=1)

    dataset = window_dataset(batches, first_step=1000)      # continues after those steps

Batch number s depends on s alone (see `escada.text.batches`), so the dataset is the step numbers,
each mapped to its batch. TensorFlow does not shuffle, cache or repeat, which would change the
order. To resume, pass `first_step`; `Dataset.skip` would read what it skips.

Needs the extra `tf`. Shapes: B sequences in a batch, T tokens in a window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.extensions import needed
from escada.text.batches import WindowBatches

_NO_END = 2**62
"""Steps of an endless dataset: TensorFlow counts in int64."""


def window_dataset(batches: WindowBatches, *, first_step: int = 0, steps: int | None = None) -> Any:
    """A dataset of (inputs, targets), one batch a training step, as Keras' `fit` takes them.

    Args:
        first_step: number of the first batch, from 0.
        steps: number of batches; None: endless, and `fit` needs `steps_per_epoch`.

    Returns:
        A `tf.data.Dataset`. Inputs are int64, (B, T); targets int64, (B, T), or (B,) when the
        objective is "last".

    Raises:
        EscadaError: TensorFlow is not installed.
        ValueError: a negative step.
    """
    if first_step < 0 or (steps is not None and steps < 0):
        raise ValueError(f"steps are counted from 0: first_step {first_step}, steps {steps}")
    tf = needed("tensorflow", "tf")
    sequences, tokens = batches.batch_sequences, batches.window_tokens

    def ids_of(step: NDArray[np.int64]) -> NDArray[np.int64]:
        return batches.batch(int(step))

    def pair(step: Any) -> tuple[Any, Any]:
        ids = tf.numpy_function(ids_of, [step], tf.int64, stateful=False)
        # TensorFlow cannot infer the function's shape, and Keras needs it.
        ids = tf.ensure_shape(ids, (sequences, tokens + 1))
        return ids[:, :-1], ids[:, -1] if batches.objective == "last" else ids[:, 1:]

    end = first_step + (_NO_END if steps is None else steps)
    numbers = tf.data.Dataset.range(first_step, end)
    if steps is None:
        numbers = numbers.apply(
            tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        )
    # One call at a time, in order; the next batch is made while the model trains on this one.
    return numbers.map(pair).prefetch(tf.data.AUTOTUNE)
