"""The cells of LSTM and GRU layers over a text, and which of them follow a property of it.

An LSTM cell's value is tanh(c_t), which its output gate lets through; a GRU's is h_t. Cells are
ranked by how well their value tells the property of each token, as Karpathy, Johnson and Li 2015
("Visualizing and Understanding Recurrent Networks") looked for by eye:

- yes or no: 2 |AUC - 1/2|, AUC the probability that a token with the property has a higher value
  than one without (Mann-Whitney U / n₁ n₀);
- a number: |Spearman's rank correlation|.

1 is a perfect follower; the best of a few hundred cells that follow nothing reaches 0.1 to 0.3 on a
short text, so look at the trace.

    L  layers     T  tokens     H  cells of a layer
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from escada.errors import EscadaError
from escada.inside.properties import YES_OR_NO, property_of
from escada.inside.reading import read_text
from escada.inside.views import (
    CellId,
    CellRankingRequest,
    CellRankingView,
    CellsRequest,
    CellsView,
    CellTrace,
    RankedCell,
)
from escada.models.contract import LanguageModel
from escada.models.layers import RecurrentLayer
from escada.text.tokenizers import Tokenizer

TEXT = Path(__file__).with_name("text.txt")


def recurrent_layers(model: LanguageModel) -> list[RecurrentLayer]:
    """The recurrent layers, in order; empty for other models."""
    return [part for part in model.modules() if isinstance(part, RecurrentLayer)]


def cell_values(model: LanguageModel, ids_1T: Tensor) -> Tensor:
    """Value of each cell after each token, in fp32: (L, T, H).

    The layers' kernels return only the last c, so it is computed again from their inputs and
    outputs.
    """
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
        seen.append((inputs[0][0].float(), outputs[0][0].float()))

    layers = recurrent_layers(model)
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        model(ids_1T)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([_values(layer, *one) for layer, one in zip(layers, seen, strict=True)])


def _values(layer: RecurrentLayer, x_TD: Tensor, h_TH: Tensor) -> Tensor:
    """tanh(c_t) of an LSTM layer from its inputs and outputs, or h_t: (T, H)."""
    if layer.kind == "gru":
        return h_TH
    w_ih, w_hh, b_ih, b_hh = (weight.float() for weight in layer.cell.parameters())
    before_TH = torch.cat([torch.zeros_like(h_TH[:1]), h_TH[:-1]])
    gates_TG = x_TD @ w_ih.T + before_TH @ w_hh.T + (b_ih + b_hh)
    i_TH, f_TH, g_TH, _ = gates_TG.chunk(4, dim=1)
    new_TH, kept_TH = i_TH.sigmoid() * g_TH.tanh(), f_TH.sigmoid()
    c_H, cells = torch.zeros_like(h_TH[0]), list[Tensor]()
    for new_H, kept_H in zip(new_TH, kept_TH, strict=True):
        c_H = torch.addcmul(new_H, kept_H, c_H)
        cells.append(c_H)
    return torch.stack(cells).tanh()


def show_cells(
    model: LanguageModel, tokenizer: Tokenizer, request: CellsRequest, profile: str
) -> CellsView:
    """The traces of the cells asked for.

    Raises:
        EscadaError: no such cell.
    """
    read = read_text(request.text, tokenizer, profile)
    values_LTH = cell_values(model, read.input(model))
    layers, _, cells = values_LTH.shape
    for wanted in request.cells:
        if wanted.layer >= layers or wanted.cell >= cells:
            raise EscadaError(
                f"there is no cell {wanted.cell} in layer {wanted.layer}",
                fix=f"layers are 0 to {layers - 1}, cells 0 to {cells - 1}",
            )
    traces = [
        CellTrace(cell=one, values=_rounded(values_LTH[one.layer, :, one.cell]))
        for one in request.cells
    ]
    return CellsView(tokens=read.tokens, traces=traces)


def _rounded(values: Tensor) -> list[float]:
    return [round(float(value), 4) for value in values]


def rank_cells(
    model: LanguageModel, tokenizer: Tokenizer, request: CellRankingRequest, profile: str
) -> CellRankingView:
    """The cells that follow a property best.

    Raises:
        EscadaError: no token of the text has the property, or all have it alike.
    """
    read = read_text(request.text or own_text(), tokenizer, profile)
    property_T = property_of(request.property, read)
    values_LTH = cell_values(model, read.input(model))[:, 1:]  # BOS has no property
    layers, T, H = values_LTH.shape
    if property_T.min() == property_T.max():
        raise EscadaError(
            f"the text has no tokens that differ in {request.property!r}",
            fix="give a longer one, or none for the text that comes with escada",
        )
    values_NT = values_LTH.permute(0, 2, 1).reshape(layers * H, T).cpu().numpy()
    signed_N = _followed(values_NT, property_T, request.property in YES_OR_NO)
    order_N = np.argsort(-np.abs(signed_N), kind="stable")[: request.best]
    return CellRankingView(
        property=request.property,
        measure="auc_distance" if request.property in YES_OR_NO else "correlation",
        tokens_with=int((property_T > 0).sum()),
        tokens=T,
        cells=[
            RankedCell(
                cell=CellId(layer=int(n) // H, cell=int(n) % H),
                score=round(abs(float(signed_N[n])), 4),
                falls=bool(signed_N[n] < 0),
            )
            for n in order_N
        ],
    )


def _followed(
    values_NT: NDArray[np.float32], property_T: NDArray[np.float64], yes_or_no: bool
) -> NDArray[np.float64]:
    """2 AUC - 1, or Spearman's correlation, of each row with the property: (N,), from -1 to 1."""
    ranks_NT = _ranks(values_NT)
    T = ranks_NT.shape[1]
    if yes_or_no:
        has_T = property_T > 0
        n_with = int(has_T.sum())
        u_N = ranks_NT[:, has_T].sum(axis=1) - n_with * (n_with + 1) / 2
        return 2 * u_N / (n_with * (T - n_with)) - 1
    rank_T = _ranks(property_T) - (T + 1) / 2
    centred_NT = ranks_NT - (T + 1) / 2
    size_N: Any = np.sqrt((centred_NT**2).sum(axis=1) * (rank_T**2).sum())
    return np.divide(centred_NT @ rank_T, size_N, out=np.zeros_like(size_N), where=size_N > 0)


def _ranks(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Ranks along the last axis from 1 on, ties at their mean."""
    return cast("NDArray[np.float64]", cast(Any, stats).rankdata(values, axis=-1))


@cache
def own_text() -> str:
    """A text written for the rankings: quotations, parentheses, names and lines."""
    return TEXT.read_text(encoding="utf-8")
