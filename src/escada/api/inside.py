"""What is inside a run's model, over one text."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from pydantic import BaseModel

    from escada.api.run import Run
    from escada.inside.views import (
        AttentionView,
        CellRankingView,
        CellsView,
        CountsView,
        HeadRankingView,
        HeadScore,
        PairView,
        Property,
        TreeView,
        View,
        ViewRequest,
        Views,
    )

V = TypeVar("V", bound="View")


class Inside:
    """A text in a model: `run.inside("O vento").attention(0, 1)`.

    Results are the typed views of `escada.inside.views`; a notebook draws them. Views that the
    model does not have raise an `EscadaError` that names those it has.
    """

    def __init__(self, run: Run, text: str) -> None:
        self.text = text
        self._run = run

    @cached_property
    def views(self) -> Views:
        """What can be seen of this model, and how many layers, cells and heads it has."""
        from escada.inside.look import views_of

        return views_of(self._run.model)

    def cells(self, *cells: tuple[int, int]) -> CellsView:
        """The values of cells, each a layer and a cell, after every token (LSTM, GRU)."""
        from escada.inside.views import CellsRequest, CellsView

        chosen = [{"layer": layer, "cell": cell} for layer, cell in cells]
        return self._look(CellsView, CellsRequest, text=self.text, cells=chosen)

    def rank_cells(self, following: Property = "quotation", *, best: int = 10) -> CellRankingView:
        """The cells that follow a property of the text best (LSTM, GRU)."""
        from escada.inside.views import CellRankingRequest, CellRankingView

        asked = {"property": following, "text": self.text, "best": best}
        return self._look(CellRankingView, CellRankingRequest, **asked)

    def attention(self, layer: int, head: int) -> AttentionView:
        """The weights of a head: row i is of token i on tokens 0 to i (Transformers)."""
        from escada.inside.views import AttentionRequest, AttentionView

        chosen = {"layer": layer, "head": head}
        return self._look(AttentionView, AttentionRequest, text=self.text, head=chosen)

    def rank_heads(self, score: HeadScore = "induction") -> HeadRankingView:
        """All heads by a score, measured on repeated random tokens (Transformers)."""
        from escada.inside.views import HeadRankingRequest, HeadRankingView

        return self._look(HeadRankingView, HeadRankingRequest, score=score)

    def counts(self, *, best: int = 5) -> CountsView:
        """What counts and network said of every token (v_next_counts)."""
        from escada.inside.views import CountsRequest, CountsView

        return self._look(CountsView, CountsRequest, text=self.text, best=best)

    def tree(self, *, depth: int = 3, width: int = 3) -> TreeView:
        """The most probable continuations."""
        from escada.inside.views import TreeRequest, TreeView

        return self._look(TreeView, TreeRequest, text=self.text, depth=depth, width=width)

    def pair(self, other: str) -> PairView:
        """This text and another, token by token: where the difference arises."""
        from escada.inside.views import PairRequest, PairView

        return self._look(PairView, PairRequest, text=self.text, other=other)

    def _look(self, kind: type[V], request: type[BaseModel], **values: object) -> V:
        from escada.typed_json import parse

        asked = cast("ViewRequest", parse(request, values, "inside"))
        return cast("V", self._run.look(asked))

    def __repr__(self) -> str:
        return f"Inside({self._run.name}, {self.text[:40]!r}: {', '.join(self.views.views)})"
