# pyright: basic, reportMissingImports=false
"""The configuration of escada's recurrent language models (rungs v1 to v4)."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig


class EscadaRecurrentConfig(PretrainedConfig):
    """Sizes and parts of a recurrent language model.

    Args:
        vocab_size: number of ids.
        cell: "lstm" or "gru".
        n_layers: recurrent layers.
        d_embedding: width of the embeddings.
        d_hidden: width of the state.
        layer_norm: a norm after every layer.
        residual: a path around every layer but the first.
        tie_word_embeddings: the output matrix is the embeddings'; with a projection in front where
            d_embedding and d_hidden differ.
        input_scale: the embeddings are multiplied by it.
        dropout: on embeddings and outputs, while training only.
    """

    model_type = "escada_recurrent"

    def __init__(
        self,
        vocab_size: int = 256,
        cell: str = "lstm",
        n_layers: int = 1,
        d_embedding: int = 64,
        d_hidden: int = 256,
        layer_norm: bool = False,
        residual: bool = False,
        tie_word_embeddings: bool = False,
        input_scale: float = 1.0,
        dropout: float = 0.0,
        **others: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.cell = cell
        self.n_layers = n_layers
        self.d_embedding = d_embedding
        self.d_hidden = d_hidden
        self.layer_norm = layer_norm
        self.residual = residual
        self.input_scale = input_scale
        self.dropout = dropout
        # Names that transformers looks for.
        self.hidden_size = d_hidden
        self.num_hidden_layers = n_layers
        super().__init__(tie_word_embeddings=tie_word_embeddings, **others)
