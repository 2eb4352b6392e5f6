# pyright: basic, reportMissingImports=false
"""escada's recurrent language models (rungs v1 to v4) for Hugging Face transformers.

    ids -> embedding · input_scale -> layer 1 -> [norm] -> … -> [projection] -> logits

transformers has no LSTM or GRU language model of its own. `generate()` carries the state from token
to token, so a step costs the same however long the text is. Padding on either side is seen by
nobody: the state of a row starts at its first token and ends at its last.

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

from .configuration_escada import EscadaRecurrentConfig  # noqa: TID252 (it travels in one folder)


@dataclass
class EscadaRecurrentOutput(ModelOutput):
    """What `forward` returns.

    Attributes:
        loss: mean cross-entropy of the next tokens, if labels were given.
        logits: (B, T, V).
        state: h and c of every layer after the last token, (2, L, B, H); c stays zero for a GRU.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    state: Tensor | None = None


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


class EscadaRecurrentForCausalLM(PreTrainedModel, GenerationMixin):
    """A recurrent language model with its output matrix."""

    config_class = EscadaRecurrentConfig
    base_model_prefix = ""
    _is_stateful = True
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

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings."""
        return self.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put others in their place."""
        self.embedding = value

    def get_output_embeddings(self) -> nn.Module:
        """The output matrix and its bias."""
        return self.output

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Put others in their place."""
        self.output = new_embeddings

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        state: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> EscadaRecurrentOutput | tuple[Tensor, ...]:
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
        rows = len(input_ids)
        if state is None:
            shape = (2, self.config.n_layers, rows, self.config.d_hidden)
            state = torch.zeros(shape, dtype=self.dtype, device=input_ids.device)
        lengths, order_BT = None, None
        if attention_mask is not None and not bool(attention_mask.all()):
            # Every row's tokens to its front, and back again afterwards.
            order_BT = attention_mask.argsort(dim=1, descending=True, stable=True)
            lengths = attention_mask.sum(dim=1).clamp(min=1).cpu()
            input_ids = input_ids.gather(1, order_BT)
        read_BTH, state = self._read(input_ids, state, lengths)
        logits_BTV = self.output(self.projection(read_BTH))
        if order_BT is not None:
            back_BT1 = order_BT.argsort(dim=1).unsqueeze(-1)
            logits_BTV = logits_BTV.gather(1, back_BT1.expand_as(logits_BTV))
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(
                logits_BTV[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
            )
        found = EscadaRecurrentOutput(loss, logits_BTV, None if use_cache is False else state)
        return found.to_tuple() if return_dict is False else found

    def _read(self, ids_BT: Tensor, state: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the logits read, (B, T, H), and the state after each row's last token."""
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
        return read_BTD, torch.stack((torch.stack(h), torch.stack(c)))

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """No keys and values here: the state goes round under its own name."""
        return False

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        state: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """The prompt at first; then the newest token and the state."""
        if state is not None:
            return {"input_ids": input_ids[:, -1:], "state": state, "use_cache": use_cache}
        return {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": use_cache}

    def _reorder_cache(self, state: Tensor, beam_idx: Tensor) -> Tensor:
        """For beam search: the state of the rows that go on."""
        return state.index_select(2, beam_idx)
