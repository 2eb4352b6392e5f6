"""The origin's v3 and v4: stacked LSTMs in Keras, trained on the last position of each window.

Written from the table of the roadmap's rungs, not from its scripts: Embedding, two LSTM layers of
512 with dropout, Dense; Adam at 1e-3. A window is one prediction: the id that follows it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf
from harness import Peer, Settings, main
from keras import layers
from scoring import carry, slide
from texts import Characters, TextIds

TABLE = "the roadmap's table"
BACKWARD_OVER_FORWARD, GATES = 2, 4
FLOP_RULE = (
    "closed form: 2 per weight of the LSTM layers and token, of the output once a window, "
    "3 times for forward and backward"
)
COMMON: Settings = {
    "layers": (2, TABLE),
    "d_hidden": (512, TABLE),
    "dropout": (0.2, "chosen: the table names none; the rung's `full` preset"),
    "learning_rate": (1e-3, TABLE),
    "clip_norm": (1.0, "chosen: optional in the table"),
    "carry_state": (True, "the ruler; False: half windows from a fresh state"),
}
RECIPES: dict[str, Settings] = {
    "v3": COMMON
    | {
        "vocab_size": (0, "0: characters of the training text, UNK, a separator"),
        "d_embedding": (256, TABLE),
        "window": (160, TABLE),
        "stride": (4, TABLE),
        "batch": (384, "the rung's `full` preset, from the roadmap"),
    },
    "v4": COMMON
    | {
        "vocab_size": (4096, TABLE + ": SentencePiece BPE, byte fallback"),
        "d_embedding": (512, TABLE),
        "window": (192, TABLE),
        "stride": (2, TABLE),
        "batch": (192, TABLE),
    },
}


class SentencePieces(TextIds):
    """SentencePiece BPE that keeps all characters; lines for training, as the library wants."""

    def __init__(self, texts: Sequence[str], vocab_size: int) -> None:
        import sentencepiece

        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line for text in texts for line in text.split("\n") if line),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            max_sentence_length=1 << 20,
            num_threads=1,
            minloglevel=2,
        )
        self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        self.vocab_size, self.separator = vocab_size, self._pieces.eos_id()

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._pieces.encode(text), dtype=np.int64)


class StackedLstm(keras.Model):
    """ids -> hidden states of the last layer, and the state to go on from."""

    def __init__(self, vocab_size: int, settings: dict[str, Any]) -> None:
        super().__init__()
        self.embedding = layers.Embedding(vocab_size, settings["d_embedding"])
        self.dropout = layers.Dropout(settings["dropout"])
        self.lstms = [
            layers.LSTM(settings["d_hidden"], return_sequences=True, return_state=True)
            for _ in range(settings["layers"])
        ]
        self.output_layer = layers.Dense(vocab_size)

    def read(self, ids_BT: tf.Tensor, state: list[tf.Tensor] | None, training: bool) -> Any:
        x, after = self.embedding(ids_BT), []
        for index, lstm in enumerate(self.lstms):
            initial = None if state is None else state[2 * index : 2 * index + 2]
            x, *states = lstm(x, initial_state=initial, training=training)
            x, after = self.dropout(x, training=training), after + states
        return x, after

    def call(self, ids_BT: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits after the last position."""
        return self.output_layer(self.read(ids_BT, None, training)[0][:, -1])


class KerasLstm(Peer):
    def __init__(
        self, texts: list[str], settings: dict[str, Any], seed: int, checkout: Path | None
    ) -> None:
        threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        keras.utils.set_random_seed(seed)
        size = settings["vocab_size"]
        self.text = SentencePieces(texts, size) if size else Characters(texts)
        self._stream = self.text.stream(texts).astype(np.int32)
        self._settings, self._random = settings, np.random.default_rng(seed)
        self.model = StackedLstm(self.text.vocab_size, settings)
        self.model(tf.zeros((1, 2), tf.int32))
        self.model.compile(
            keras.optimizers.Adam(
                settings["learning_rate"], global_clipnorm=settings["clip_norm"] or None
            ),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        window, hidden = settings["window"], settings["d_hidden"]
        widths = [settings["d_embedding"]] + [hidden] * (settings["layers"] - 1)
        lstms = sum(2 * GATES * hidden * (width + hidden) for width in widths)
        of_window = window * lstms + 2 * hidden * self.text.vocab_size
        self.flop_per_step = float((1 + BACKWARD_OVER_FORWARD) * of_window * settings["batch"])
        self.tokens_per_step = settings["batch"] * window
        self.context_tokens = None if settings["carry_state"] else window
        state = "carried-state" if settings["carry_state"] else "half-window"
        self.protocol = f"document/{state}"
        self.facts = {
            "parameters": self.model.count_params(),
            "predictions_per_step": settings["batch"],
            "precision": "fp32",
            "flop_rule": FLOP_RULE,
            "vocab_size": self.text.vocab_size,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        }
        self._read_on = tf.function(self._nats_and_state, reduce_retracing=True)

    def train(self, steps: int, after: Callable[[int], None]) -> None:
        window, stride = self._settings["window"], self._settings["stride"]
        places = np.arange(0, len(self._stream) - window, stride)
        for step in range(steps):
            starts = self._random.choice(places, (self._settings["batch"], 1))
            ids_BT = self._stream[starts + np.arange(window)]
            self.model.train_on_batch(ids_BT, self._stream[starts[:, 0] + window])
            after(step + 1)

    def nats(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        def read_on(ids_BT: np.ndarray, targets_BT: np.ndarray, state: Any) -> Any:
            if state is None:
                zeros = tf.zeros((len(ids_BT), self._settings["d_hidden"]))
                state = [zeros] * (2 * self._settings["layers"])
            nats_BT, state = self._read_on(tf.constant(ids_BT), tf.constant(targets_BT), state)
            return nats_BT.numpy(), state

        if self.context_tokens is None:
            return carry(sequences, read_on)
        return slide(
            sequences, self.context_tokens, lambda ids, targets: read_on(ids, targets, None)[0]
        )

    def _nats_and_state(self, ids_BT: Any, targets_BT: Any, state: list[Any]) -> Any:
        x_BTH, state = self.model.read(ids_BT, state, training=False)
        logits_BTV = tf.cast(self.model.output_layer(x_BTH), tf.float64)
        chosen_BT = tf.gather(logits_BTV, targets_BT, axis=-1, batch_dims=2)
        return tf.reduce_logsumexp(logits_BTV, axis=-1) - chosen_BT, state

    def weights(self) -> dict[str, np.ndarray]:
        return {f"{n:02}": value.copy() for n, value in enumerate(self.model.get_weights())}

    def load(self, weights: Mapping[str, np.ndarray]) -> None:
        self.model.set_weights([weights[name] for name in sorted(weights)])


if __name__ == "__main__":
    main(RECIPES, KerasLstm)
