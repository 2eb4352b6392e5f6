"""Embeddings: the nearest neighbours of a token, and frequent tokens on a plane.

Similarity is the cosine. The plane is that of the first two principal components of the embeddings,
each scaled to length 1. Frequent tokens are those of the text that comes with escada, most frequent
first, then the vocabulary in its order.
"""

from __future__ import annotations

from collections import Counter
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from escada.errors import EscadaError
from escada.generation.pieces import PieceTable, token_name
from escada.inside.cells import own_text
from escada.inside.views import (
    EmbeddingMapRequest,
    EmbeddingMapView,
    MapPoint,
    Neighbour,
    NeighboursRequest,
    NeighboursView,
    ShownToken,
)
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer


def embedding_of(model: LanguageModel) -> nn.Embedding | None:
    """The first table with a row per token; None for a model without."""
    for part in model.modules():
        if isinstance(part, nn.Embedding) and part.num_embeddings == model.vocab_size:
            return part
    return None


def _directions(model: LanguageModel) -> NDArray[np.float64]:
    """Embeddings of length 1: (V, D)."""
    table = embedding_of(model)
    assert table is not None
    rows_VD = table.weight.detach().double()
    return torch.nn.functional.normalize(rows_VD, dim=1).cpu().numpy()


def show_neighbours(
    model: LanguageModel, tokenizer: Tokenizer, request: NeighboursRequest
) -> NeighboursView:
    """The nearest neighbours of the first token of a text, special tokens and bytes left out.

    Raises:
        EscadaError: the text has no token.
    """
    ids = cast("list[int]", tokenizer.encode(request.token).tolist())
    if not ids:
        raise EscadaError("there is no token in the text", fix="give a word or a character")
    rows_VD, table = _directions(model), PieceTable(tokenizer)
    token = ids[0]
    cosine_V = rows_VD @ rows_VD[token]
    left_out = {token, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id}
    order_V = [
        int(other)
        for other in np.argsort(-cosine_V, kind="stable")
        if other not in left_out and isinstance(table[int(other)], str)
    ]
    piece = table[token]
    return NeighboursView(
        token=ShownToken(
            id=token, name=token_name(table, token), text=piece if isinstance(piece, str) else ""
        ),
        rest=[token_name(table, other) for other in ids[1:]],
        neighbours=[
            Neighbour(
                id=other, name=token_name(table, other), cosine=round(float(cosine_V[other]), 4)
            )
            for other in order_V[: request.best]
        ],
    )


def show_map(
    model: LanguageModel, tokenizer: Tokenizer, request: EmbeddingMapRequest
) -> EmbeddingMapView:
    """Frequent tokens at their first two principal components."""
    counted = Counter(cast("list[int]", tokenizer.encode(own_text()).tolist()))
    frequent = [token for token, _ in counted.most_common()]
    chosen = list(dict.fromkeys([*frequent, *range(tokenizer.vocab_size)]))[: request.tokens]
    rows_ND = _directions(model)[chosen]
    rows_ND = rows_ND - rows_ND.mean(axis=0)
    left_NK, size_K, _ = np.linalg.svd(rows_ND, full_matrices=False)
    plane_N2 = left_NK[:, :2] * size_K[:2]
    plane_N2 = plane_N2 / max(float(np.abs(plane_N2).max()), 1e-12)
    if plane_N2.shape[1] < 2:  # an embedding of one number
        plane_N2 = np.concatenate([plane_N2, np.zeros_like(plane_N2)], axis=1)
    table = PieceTable(tokenizer)
    special = {tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id}
    points = [
        MapPoint(
            id=token,
            name=token_name(table, token),
            x=round(float(x), 4),
            y=round(float(y), 4),
            kind="special" if token in special else _kind(table[token]),
        )
        for token, (x, y) in zip(chosen, plane_N2, strict=True)
    ]
    total = float((size_K**2).sum())
    shown = float((size_K[:2] ** 2).sum()) / total if total else 0.0
    return EmbeddingMapView(points=points, explained=round(shown, 4))


def _kind(piece: str | bytes) -> str:
    if isinstance(piece, bytes):
        return "byte"
    word = piece.strip()
    if not word:
        return "space"
    if word[0].isdigit():
        return "digit"
    if not word[0].isalpha():
        return "sign"
    if piece[0].isspace():
        return "space"
    return "capital" if word[0].isupper() else "letter"
