"""One entry for every view: `look(model, tokenizer, request, …)`."""

from __future__ import annotations

from escada.errors import EscadaError
from escada.generation.inference import exact_inference
from escada.inside.cells import rank_cells, recurrent_layers, show_cells
from escada.inside.continuations import show_tree
from escada.inside.counts import show_counts
from escada.inside.embeddings import embedding_of, show_map, show_neighbours
from escada.inside.heads import attention_layers, rank_heads, show_attention
from escada.inside.pairs import show_pair
from escada.inside.views import (
    AttentionRequest,
    CellRankingRequest,
    CellsRequest,
    CountsRequest,
    EmbeddingMapRequest,
    HeadRankingRequest,
    NeighboursRequest,
    PairRequest,
    TreeRequest,
    View,
    ViewName,
    ViewRequest,
    Views,
)
from escada.models import modern_counts
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer


def views_of(model: LanguageModel) -> Views:
    """What can be seen of a model."""
    recurrent, attention = recurrent_layers(model), attention_layers(model)
    has_embedding = embedding_of(model) is not None
    can_see: dict[ViewName, bool] = {
        "cells": bool(recurrent),
        "cell_ranking": bool(recurrent),
        "attention": bool(attention),
        "head_ranking": bool(attention),
        "counts": isinstance(model, modern_counts.Model),
        "neighbours": has_embedding,
        "embedding_map": has_embedding,
        "tree": True,
        "pair": True,
    }
    return Views(
        views=[view for view, possible in can_see.items() if possible],
        layers=len(recurrent),
        cells=recurrent[0].cell.hidden_size if recurrent else 0,
        attention_layers=len(attention),
        heads=attention[0].n_heads if attention else 0,
    )


def look(
    model: LanguageModel,
    tokenizer: Tokenizer,
    request: ViewRequest,
    *,
    profile: str,
    context_tokens: int | None = None,
) -> View:
    """Compute a view.

    Args:
        profile: how texts are cleaned.
        context_tokens: W of models without a state, in `pair`; None: the model's own.

    Raises:
        EscadaError: the model has no such view, cell or head, or the text does not fit.
    """
    can_see = views_of(model).views
    if request.view not in can_see:
        raise EscadaError(
            f"this model has no view {request.view!r}", fix="it has " + ", ".join(can_see)
        )
    with exact_inference(model):
        return _look(model, tokenizer, request, profile, context_tokens)


def _look(
    model: LanguageModel,
    tokenizer: Tokenizer,
    request: ViewRequest,
    profile: str,
    context_tokens: int | None,
) -> View:
    match request:
        case CellsRequest():
            return show_cells(model, tokenizer, request, profile)
        case CellRankingRequest():
            return rank_cells(model, tokenizer, request, profile)
        case AttentionRequest():
            return show_attention(model, tokenizer, request, profile)
        case HeadRankingRequest():
            return rank_heads(model, tokenizer, request)
        case CountsRequest():
            return show_counts(model, tokenizer, request, profile)
        case NeighboursRequest():
            return show_neighbours(model, tokenizer, request)
        case EmbeddingMapRequest():
            return show_map(model, tokenizer, request)
        case TreeRequest():
            return show_tree(model, tokenizer, request, profile)
        case PairRequest():
            return show_pair(model, tokenizer, request, profile, context_tokens)
