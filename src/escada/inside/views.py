"""The views of what is inside a model: requests and results.

A request names its `view`; the result has the same name. The models below are the only description
of the JSON of `POST /escada/inside`, of `escada.Run.inside` and of what the playground draws.

| view | for | shows |
|---|---|---|
| `cells` | LSTM, GRU | the state of chosen cells after each token |
| `cell_ranking` | LSTM, GRU | the cells that follow a property of the text best |
| `attention` | Transformers | the weights of one head |
| `head_ranking` | Transformers | previous-token, same-token and induction scores of every head |
| `counts` | models with counts | what the counts said, and what the network changed |
| `neighbours` | all with an embedding | tokens with the most similar embeddings |
| `embedding_map` | all with an embedding | frequent tokens on a plane |
| `tree` | all | the most probable continuations |
| `pair` | all | two sentences, and where their difference arises |
"""

from __future__ import annotations

from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from escada.evaluation.text_score import ScoredToken

SCHEMA_VERSION = 1
TEXT_CHARACTERS = 2000
ATTENTION_TOKENS = 256
CELLS_AT_ONCE = 8
TREE_NODES = 200

Property = Literal[
    "quotation", "line_position", "after_space", "in_name", "word_position", "parenthesis"
]
HeadScore = Literal["previous_token", "same_token", "induction"]
ViewName = Literal[
    "cells",
    "cell_ranking",
    "attention",
    "head_ranking",
    "counts",
    "neighbours",
    "embedding_map",
    "tree",
    "pair",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _View(_Strict):
    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from escada.inside.html import html_of

        return html_of(cast("View", self))


Text = Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS)]
Index = Annotated[int, Field(ge=0)]


class ShownToken(_Strict):
    """A token of the text: its id, its name, and the characters that it completes."""

    id: int
    name: str
    text: str


# Cells


class CellId(_Strict):
    """One cell of a recurrent layer, both counted from 0."""

    layer: Index
    cell: Index


class CellsRequest(_Strict):
    """The state of some cells over a text."""

    view: Literal["cells"] = "cells"
    text: Text
    cells: Annotated[list[CellId], Field(min_length=1, max_length=CELLS_AT_ONCE)]


class CellTrace(_Strict):
    """What one cell holds after each token: tanh(c) of an LSTM, h of a GRU, from -1 to 1."""

    cell: CellId
    values: list[float]


class CellsView(_View):
    """One trace per cell asked for; values are as many as tokens."""

    view: Literal["cells"] = "cells"
    tokens: list[ShownToken]
    traces: list[CellTrace]


class CellRankingRequest(_Strict):
    """The cells that follow a property of the text best.

    Attributes:
        text: empty: held-out text in the package, long enough for every property.
    """

    view: Literal["cell_ranking"] = "cell_ranking"
    property: Property
    text: Annotated[str, Field(max_length=TEXT_CHARACTERS)] = ""
    best: Annotated[int, Field(ge=1, le=50)] = 10


class RankedCell(_Strict):
    """A cell and how well it follows the property.

    Attributes:
        score: from 0 (not at all) to 1; `measure` of the view says of what.
        falls: whether the cell's value falls where the property holds or grows.
    """

    cell: CellId
    score: float
    falls: bool


class CellRankingView(_View):
    """The best cells, best first.

    Attributes:
        measure: `auc_distance` (2 |AUC - 1/2|, yes-or-no properties) or `correlation` (|Spearman|).
        tokens_with, tokens: how many tokens have the property (or differ in it), of how many.
    """

    view: Literal["cell_ranking"] = "cell_ranking"
    property: Property
    measure: Literal["auc_distance", "correlation"]
    tokens_with: int
    tokens: int
    cells: list[RankedCell]


# Heads


class HeadId(_Strict):
    """One attention head, layer and head counted from 0."""

    layer: Index
    head: Index


class AttentionRequest(_Strict):
    """The weights of one head over a text of at most `ATTENTION_TOKENS` tokens."""

    view: Literal["attention"] = "attention"
    text: Text
    head: HeadId


class AttentionView(_View):
    """Row i has i + 1 weights, of token i on tokens 0 to i; they sum to 1. Token 0 is BOS."""

    view: Literal["attention"] = "attention"
    tokens: list[ShownToken]
    head: HeadId
    weights: list[list[float]]


class HeadRankingRequest(_Strict):
    """Scores of every head; needs no text, for it is measured on repeated random tokens.

    Attributes:
        score: by which score the heads are ordered.
    """

    view: Literal["head_ranking"] = "head_ranking"
    score: HeadScore = "induction"
    seed: Index = 0


class RankedHead(_Strict):
    """Mean attention weight, from 0 to 1, of a token on what each score names.

    Attributes:
        previous_token: the token before it.
        same_token: earlier occurrences of itself.
        induction: the token after its earlier occurrence (Olsson et al. 2022).
    """

    head: HeadId
    previous_token: float
    same_token: float
    induction: float


class HeadRankingView(_View):
    """All heads, best first."""

    view: Literal["head_ranking"] = "head_ranking"
    score: HeadScore
    heads: list[RankedHead]


# Counts


class CountsRequest(_Strict):
    """What the counts and the network of a mixture say at each token."""

    view: Literal["counts"] = "counts"
    text: Text
    best: Annotated[int, Field(ge=1, le=20)] = 5


class Guess(_Strict):
    """A token that is thought to come next."""

    id: int
    name: str
    probability: float


class CountedToken(_Strict):
    """One token of the text: its probability by the counts, by the network and by the mixture.

    Attributes:
        network_share: the gate: weight of the network in the mixture, from 0 to 1.
        match_tokens: longest context of the token that was counted in the training text.
    """

    token: ShownToken
    counts: float
    network: float
    mixture: float
    network_share: float
    match_tokens: int
    best_by_counts: list[Guess]
    best_by_network: list[Guess]
    best_by_mixture: list[Guess]


class CountsView(_View):
    """One entry per token, EOS last."""

    view: Literal["counts"] = "counts"
    tokens: list[CountedToken]


# Embeddings


class NeighboursRequest(_Strict):
    """The tokens whose embeddings are most similar to that of the first token of a text."""

    view: Literal["neighbours"] = "neighbours"
    token: Annotated[str, Field(min_length=1, max_length=64)]
    best: Annotated[int, Field(ge=1, le=50)] = 12


class Neighbour(_Strict):
    """A token and the cosine of its embedding with the one asked for."""

    id: int
    name: str
    cosine: float


class NeighboursView(_View):
    """The neighbours, nearest first.

    Attributes:
        token: whose neighbours they are; `rest` is what the tokenizer made of the text after it.
    """

    view: Literal["neighbours"] = "neighbours"
    token: ShownToken
    rest: list[str]
    neighbours: list[Neighbour]


class EmbeddingMapRequest(_Strict):
    """Tokens on a plane."""

    view: Literal["embedding_map"] = "embedding_map"
    tokens: Annotated[int, Field(ge=2, le=500)] = 200


class MapPoint(_Strict):
    """A token at its first two principal components, scaled to -1 to 1.

    Attributes:
        kind: `letter`, `capital`, `digit`, `sign`, `space` (begins with one), `byte` or `special`.
    """

    id: int
    name: str
    x: float
    y: float
    kind: str


class EmbeddingMapView(_View):
    """The points, and the share of the variance that the plane shows, from 0 to 1."""

    view: Literal["embedding_map"] = "embedding_map"
    points: list[MapPoint]
    explained: float


# Continuations and pairs


class TreeRequest(_Strict):
    """The most probable continuations of a text."""

    view: Literal["tree"] = "tree"
    text: Annotated[str, Field(max_length=TEXT_CHARACTERS)]
    depth: Annotated[int, Field(ge=1, le=6)] = 3
    width: Annotated[int, Field(ge=1, le=6)] = 3


class TreeNode(_Strict):
    """A token after those on the way to it.

    Attributes:
        parent: index of its parent in the list; -1: the text itself.
        probability: after its parent; `path_probability`: of the whole way.
    """

    token: ShownToken
    parent: int
    probability: float
    path_probability: float


class TreeView(_View):
    """The nodes, parents before children, at most `TREE_NODES`."""

    view: Literal["tree"] = "tree"
    text: str
    nodes: list[TreeNode]


class PairRequest(_Strict):
    """Two sentences that should differ in one thing."""

    view: Literal["pair"] = "pair"
    text: Text
    other: Text


class PairView(_View):
    """Both sentences, token by token.

    Attributes:
        first_difference: index of the first token that differs, in both.
        difference_bits: bits of `other` minus bits of `text`: above 0, the model prefers `text`.
        before_bits, at_bits, after_bits: that difference before, at and after the tokens that
            differ (before is 0: what was read is the same). They sum to `difference_bits`.
    """

    view: Literal["pair"] = "pair"
    text: list[ScoredToken]
    other: list[ScoredToken]
    first_difference: int
    difference_bits: float
    before_bits: float
    at_bits: float
    after_bits: float


ViewRequest = Annotated[
    CellsRequest
    | CellRankingRequest
    | AttentionRequest
    | HeadRankingRequest
    | CountsRequest
    | NeighboursRequest
    | EmbeddingMapRequest
    | TreeRequest
    | PairRequest,
    Field(discriminator="view"),
]
View = Annotated[
    CellsView
    | CellRankingView
    | AttentionView
    | HeadRankingView
    | CountsView
    | NeighboursView
    | EmbeddingMapView
    | TreeView
    | PairView,
    Field(discriminator="view"),
]


class Views(_Strict):
    """What can be seen of one model.

    Attributes:
        layers, cells: of a recurrent model (its layers and the cells of each), else 0.
        attention_layers, heads: of a Transformer (its layers and the heads of each), else 0.
    """

    views: list[ViewName]
    layers: int = 0
    cells: int = 0
    attention_layers: int = 0
    heads: int = 0
