# pyright: basic, reportMissingImports=false
"""escada's language models with a state for Hugging Face transformers.

    EscadaRecurrentForCausalLM    v1 to v4: LSTM or GRU
    EscadaModernForCausalLM       v_next: its network is in network_escada.py

transformers has no such models of its own. `generate()` carries the state from token to token, so a
step costs the same however long the text is. Padding on either side is seen by nobody: the state of
a row starts at its first token and ends at its last.

Weight-drop, which the training may have used, is not here.

    B  sequences     T  tokens     V  vocabulary     L  layers     H  width of a state
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import GenerationMixin, PreTrainedModel
from transformers.utils import ModelOutput

# They travel in one folder.
from .configuration_escada import EscadaModernConfig, EscadaRecurrentConfig  # noqa: TID252
from .network_escada import ModernNetwork  # noqa: TID252


@dataclass
class EscadaOutput(ModelOutput):
    """What `forward` returns.

    Attributes:
        loss: mean cross-entropy of the next tokens, if labels were given.
        logits: (B, T, V).
        state: what the model remembers after the last token; see its class.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    state: Any = None


class EscadaForCausalLM(PreTrainedModel, GenerationMixin):
    """What the models have in common: reading with a state, padding, loss, generation."""

    base_model_prefix = ""
    _is_stateful = True

    def parts(self) -> Any:
        """The module that has the `embedding` and the `output`."""
        return self

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings of single tokens."""
        return self.parts().embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put others in their place."""
        self.parts().embedding = value

    def get_output_embeddings(self) -> nn.Module:
        """The output matrix, with its bias if it has one."""
        return self.parts().output

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Put others in their place."""
        self.parts().output = new_embeddings

    def fresh_state(self, rows: int) -> Any:
        """The state of so many rows before their first token."""
        raise NotImplementedError

    def read(self, ids_BT: Tensor, state: Any, lengths_B: Tensor | None) -> tuple[Tensor, Any]:
        """Logits (B, T, V) and the next state; only `lengths_B` tokens of each row are read."""
        raise NotImplementedError

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        state: Any = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> EscadaOutput | tuple[Tensor, ...]:
        """Logits after each token.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 at padding, which stands at one side of a row; its logits are
                meaningless.
            state: of the tokens before these; a row without any starts from zeros.
            labels: (B, T), the same ids; -100 is left out of the loss.
            use_cache: whether to return the state; it costs nothing.
            return_dict: False for a tuple.
        """
        if state is None:
            state = self.fresh_state(len(input_ids))
        lengths_B, order_BT = None, None
        if attention_mask is not None and not bool(attention_mask.all()):
            # Every row's tokens to its front, and back again afterwards.
            order_BT = attention_mask.argsort(dim=1, descending=True, stable=True)
            lengths_B = attention_mask.sum(dim=1).clamp(min=1)
            input_ids = input_ids.gather(1, order_BT)
        logits_BTV, state = self.read(input_ids, state, lengths_B)
        if order_BT is not None:
            back_BT1 = order_BT.argsort(dim=1).unsqueeze(-1)
            logits_BTV = logits_BTV.gather(1, back_BT1.expand_as(logits_BTV))
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(
                logits_BTV[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
            )
        found = EscadaOutput(loss, logits_BTV, None if use_cache is False else state)
        return found.to_tuple() if return_dict is False else found

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """No keys and values here: the state goes round under its own name."""
        return False

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        state: Any = None,
        attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """The prompt at first; then the newest token and the state."""
        if state is not None:
            return {"input_ids": input_ids[:, -1:], "state": state, "use_cache": use_cache}
        return {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": use_cache}


class _Layer(nn.Module):
    """One recurrent layer, under the name that its weights have in the checkpoint."""

    def __init__(self, cell: str, d_in: int, d_hidden: int) -> None:
        super().__init__()
        self.cell = (nn.LSTM if cell == "lstm" else nn.GRU)(d_in, d_hidden, batch_first=True)

    def forward(self, x: Any, h_BH: Tensor, c_BH: Tensor) -> tuple[Any, Tensor, Tensor]:
        """Outputs, then h and c after the last token; `x` is padded or packed."""
        if isinstance(self.cell, nn.LSTM):
            y, (h_1BH, c_1BH) = self.cell(x, (h_BH.unsqueeze(0), c_BH.unsqueeze(0)))
            return y, h_1BH[0], c_1BH[0]
        y, h_1BH = self.cell(x, h_BH.unsqueeze(0))
        return y, h_1BH[0], c_BH


class EscadaRecurrentForCausalLM(EscadaForCausalLM):
    """A recurrent language model with its output matrix.

    ids -> embedding · input_scale -> layer 1 -> [norm] -> … -> [projection] -> logits

    Its state is h and c of every layer, (2, L, B, H); c stays zero for a GRU.
    """

    config_class = EscadaRecurrentConfig
    _tied_weights_keys = {"output.weight": "embedding.weight"}  # noqa: RUF012

    def __init__(self, config: EscadaRecurrentConfig) -> None:
        super().__init__(config)
        d_in, d_hidden = config.d_embedding, config.d_hidden
        tied = config.tie_word_embeddings
        self.embedding = nn.Embedding(config.vocab_size, d_in)
        widths = [d_in] + [d_hidden] * (config.n_layers - 1)
        self.layers = nn.ModuleList(_Layer(config.cell, width, d_hidden) for width in widths)
        self.norms = nn.ModuleList(
            nn.LayerNorm(d_hidden) if config.layer_norm else nn.Identity() for _ in widths
        )
        self.dropout = nn.Dropout(config.dropout)
        self.projection = (
            nn.Linear(d_hidden, d_in, bias=False) if tied and d_in != d_hidden else nn.Identity()
        )
        self.output = nn.Linear(d_in if tied else d_hidden, config.vocab_size)
        self.post_init()

    def fresh_state(self, rows: int) -> Tensor:
        """See `EscadaForCausalLM.fresh_state`."""
        shape = (2, self.config.n_layers, rows, self.config.d_hidden)
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def read(
        self, ids_BT: Tensor, state: Tensor, lengths_B: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """See `EscadaForCausalLM.read`."""
        lengths = None if lengths_B is None else lengths_B.cpu()
        x_BTD = self.dropout(self.embedding(ids_BT) * self.config.input_scale)
        read_BTD, h, c = x_BTD, list(state[0]), list(state[1])
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = read_BTD
            if lengths is not None:
                x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, h[index], c[index] = layer(x, h[index], c[index])
            if lengths is not None:
                y, _ = pad_packed_sequence(y, batch_first=True, total_length=ids_BT.shape[1])
            y = self.dropout(y)
            x_BTD = x_BTD + y if self.config.residual and index > 0 else y
            read_BTD = norm(x_BTD)
        logits_BTV = self.output(self.projection(read_BTD))
        return logits_BTV, torch.stack((torch.stack(h), torch.stack(c)))

    def _reorder_cache(self, state: Tensor, beam_idx: Tensor) -> Tensor:
        """For beam search: the state of the rows that go on."""
        return state.index_select(2, beam_idx)


class EscadaModernForCausalLM(EscadaForCausalLM):
    """v_next: gated linear recurrences, short convolutions and hashed n-gram embeddings.

    Its state is a tuple of three tensors, `ModernNetwork.fresh_state`.
    """

    config_class = EscadaModernConfig

    def __init__(self, config: EscadaModernConfig) -> None:
        super().__init__(config)
        self.network = ModernNetwork(
            vocab_size=config.vocab_size,
            d_model=config.d_model,
            d_ff=config.d_ff,
            n_layers=config.n_layers,
            convolution_tokens=config.convolution_tokens,
            table_ngrams=config.table_ngrams,
            table_rows=config.table_rows,
            value_embedding=config.value_embedding,
            document_start_id=config.document_start_id,
        )
        self.post_init()

    def parts(self) -> Any:
        """See `EscadaForCausalLM.parts`."""
        return self.network

    def fresh_state(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """See `EscadaForCausalLM.fresh_state`."""
        return self.network.fresh_state(rows)

    def read(
        self, ids_BT: Tensor, state: tuple[Tensor, Tensor, Tensor], lengths_B: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """See `EscadaForCausalLM.read`."""
        logits_BTV, *after = self.network(ids_BT, *state, lengths_B)
        return logits_BTV, tuple(after)

    def _reorder_cache(
        self, state: tuple[Tensor, Tensor, Tensor], beam_idx: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """For beam search: the state of the rows that go on."""
        ids_BN, taps_MBKD, h_LBD = state
        rows = beam_idx.to(ids_BN.device)
        return ids_BN[rows], taps_MBKD[:, rows], h_LBD[:, rows]
