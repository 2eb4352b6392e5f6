"""Keras 3 on TensorFlow: the roadmap's rungs as its scripts trained them, and windows by tf.data.

Runs in the environment that `make bench-env` makes for it. v1 to v3 train the last position of
each window, as the roadmap's scripts did; v5 trains every position. Sizes come from our spec.

The step is `train_on_batch`: one compiled graph with forward, backward, clipping and Adam, which is
what `fit` runs too. Numbers are fp32, Keras' own default.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from protocol import Job, serve

THREADS = int(os.environ.get("OMP_NUM_THREADS", "0"))
WARMUP_STEPS = 2
WARMUP_BATCHES = 3
SHUFFLED_WINDOWS = 10_000


def recurrent(model: dict, vocab_size: int, window: int) -> keras.Model:
    """Embedding, LSTM layers, and logits at the last position only."""
    ids = layers.Input((window,), dtype="int32")
    x = layers.Embedding(vocab_size, model["d_embedding"])(ids)
    rate, recurrent_rate = model["dropout"], model["recurrent_dropout"]
    x = layers.Dropout(rate)(x) if rate else x
    read = x
    for index in range(model["n_layers"]):
        last = index == model["n_layers"] - 1
        lstm = layers.LSTM(
            model["d_hidden"], return_sequences=not last, recurrent_dropout=recurrent_rate
        )
        y = lstm(read)
        y = layers.Dropout(rate)(y) if rate else y
        if model["residual"] and index > 0:
            y = y + (x[:, -1] if last else x)
        x = y
        read = layers.LayerNormalization()(x) if model["layer_norm"] else x
    return keras.Model(ids, layers.Dense(vocab_size)(read))


class TokensAndPositions(layers.Layer):
    """Embeddings plus the sinusoidal table, and the tied output matrix."""

    def __init__(self, vocab_size: int, width: int, window: int) -> None:
        super().__init__()
        self.embedding = layers.Embedding(vocab_size, width)
        place = np.arange(window)[:, None] / 10_000 ** (np.arange(0, width, 2) / width)
        self.table = np.concatenate([np.sin(place), np.cos(place)], axis=1).astype("float32")

    def call(self, ids):
        return self.embedding(ids) + keras.ops.cast(self.table, self.compute_dtype)


class TiedLogits(layers.Layer):
    def __init__(self, embedding: layers.Embedding) -> None:
        super().__init__()
        self.tied = embedding

    def call(self, x):
        weight = keras.ops.cast(self.tied.embeddings, x.dtype)
        return keras.ops.matmul(x, keras.ops.transpose(weight))


def transformer(model: dict, vocab_size: int, window: int) -> keras.Model:
    """Decoder-only, Pre-LN, tanh-GELU, logits at every position."""
    width, heads = model["d_model"], model["n_heads"]
    ids = layers.Input((window,), dtype="int32")
    tokens = TokensAndPositions(vocab_size, width, window)
    x = layers.Dropout(model["dropout"])(tokens(ids))
    for _ in range(model["n_layers"]):
        read = layers.LayerNormalization(epsilon=1e-5)(x)
        attention = layers.MultiHeadAttention(
            heads, width // heads, dropout=model["attention_dropout"]
        )
        y = attention(read, read, use_causal_mask=True)
        x = x + layers.Dropout(model["dropout"])(y)
        read = layers.LayerNormalization(epsilon=1e-5)(x)
        y = layers.Dense(model["d_ff"])(read)
        y = layers.Dense(width)(keras.activations.gelu(y, approximate=True))
        x = x + layers.Dropout(model["dropout"])(y)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    return keras.Model(ids, TiedLogits(tokens.embedding)(x))


def train(
    *,
    model: dict,
    optimizer: dict,
    vocab_size: int,
    window_tokens: int,
    batch_sequences: int,
    jit_compile: bool = False,
    precision: str = "float32",
) -> Job:
    keras.utils.set_random_seed(0)
    keras.mixed_precision.set_global_policy(precision)
    build = transformer if model["kind"] == "transformer" else recurrent
    network = build(model, vocab_size, window_tokens)
    kind = keras.optimizers.AdamW if optimizer["kind"] == "adamw" else keras.optimizers.Adam
    network.compile(
        kind(
            optimizer["learning_rate"],
            beta_1=optimizer["betas"][0],
            beta_2=optimizer["betas"][1],
            global_clipnorm=optimizer["clip_norm"],
            **({"weight_decay": optimizer["weight_decay"]} if optimizer["kind"] == "adamw" else {}),
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    every = model["kind"] == "transformer"
    rng = np.random.default_rng(0)
    ids = rng.integers(vocab_size, size=(batch_sequences, window_tokens + 1), dtype=np.int32)
    inputs, targets = ids[:, :-1], ids[:, 1:] if every else ids[:, -1]
    predictions = targets.size
    facts = {
        "peer": f"keras {keras.__version__}, tensorflow {tf.__version__}",
        "precision": precision,
        "parameters": network.count_params(),
        "objective": "every position" if every else "last position",
    }

    def step() -> dict[str, float]:
        # The loss comes back as a number, so the step is over when this returns.
        facts["loss"] = float(network.train_on_batch(inputs, targets))
        return {"steps": 1, "predictions": predictions, "tokens": inputs.size}

    for _ in range(WARMUP_STEPS):
        step()
    return Job(step, facts)


def windows(*, ids_path: str, window_tokens: int, batch_sequences: int, way: str) -> Job:
    """Shuffled batches of windows from a stream of ids, by tf.data.

    `way` is "window", the idiom of TensorFlow's guides (window, flat_map, shuffle, batch), or
    "gather": starts are drawn and whole batches gathered, which is as fast as tf.data gets here.
    """
    ids = np.load(ids_path)
    length = window_tokens + 1
    if way == "window":
        data = tf.data.Dataset.from_tensor_slices(ids).window(length, shift=2, drop_remainder=True)
        data = data.flat_map(lambda one: one.batch(length, drop_remainder=True))
        data = data.repeat().shuffle(SHUFFLED_WINDOWS, seed=0).batch(batch_sequences)
    else:
        stream, columns = tf.constant(ids), tf.range(length)
        starts = tf.data.Dataset.random(seed=0).batch(batch_sequences)
        last = len(ids) - length
        data = starts.map(
            lambda drawn: tf.gather(
                stream, tf.cast(drawn % last, tf.int32)[:, None] + columns[None, :]
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    batches = iter(data.prefetch(tf.data.AUTOTUNE))

    def batch() -> dict[str, float]:
        next(batches).numpy()
        return {"batches": 1}

    for _ in range(WARMUP_BATCHES):
        batch()
    return Job(batch, {"peer": f"tf.data {tf.__version__}, {way}"})


if __name__ == "__main__":
    if THREADS:
        tf.config.threading.set_intra_op_parallelism_threads(THREADS)
        tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    serve({"train": train, "windows": windows})
