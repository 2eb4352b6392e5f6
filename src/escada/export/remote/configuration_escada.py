# pyright: basic, reportMissingImports=false
"""The configurations of escada's recurrent language models, v1 to v4, and of v_next."""

from __future__ import annotations

from collections.abc import Sequence
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


class EscadaModernConfig(PretrainedConfig):
    """Sizes and parts of v_next.

    Args:
        vocab_size: number of ids.
        d_model: width of the model.
        d_ff: width inside a feed-forward.
        n_layers: blocks.
        convolution_tokens: width of the convolutions.
        table_ngrams: lengths of the n-grams with an embedding table.
        table_rows: rows of each table.
        value_embedding: whether the last block's mixer has an embedding of the tokens.
        document_start_id: BOS; resets the state. None: nothing does.
    """

    model_type = "escada_modern"

    def __init__(
        self,
        vocab_size: int = 256,
        d_model: int = 128,
        d_ff: int = 512,
        n_layers: int = 3,
        convolution_tokens: int = 3,
        table_ngrams: Sequence[int] = (2, 3),
        table_rows: int = 65_536,
        value_embedding: bool = True,
        document_start_id: int | None = None,
        **others: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.d_model = d_model
        self.d_ff = d_ff
        self.n_layers = n_layers
        self.convolution_tokens = convolution_tokens
        self.table_ngrams = list(table_ngrams)
        self.table_rows = table_rows
        self.value_embedding = value_embedding
        self.document_start_id = document_start_id
        # Names that transformers looks for.
        self.hidden_size = d_model
        self.num_hidden_layers = n_layers
        super().__init__(**{"tie_word_embeddings": False, **others})
