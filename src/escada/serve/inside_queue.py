"""The queue of a model's views of what is inside it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from escada.errors import EscadaError
from escada.generation.batch import Batch
from escada.inside.look import look
from escada.inside.views import View, ViewRequest
from escada.serve.metrics import Metrics
from escada.serve.queues import ModelQueue, Row, Whole


@dataclass(frozen=True, slots=True)
class ToShow:
    """A view to compute, and the cleaning profile of its texts."""

    request: ViewRequest
    profile: str


@dataclass(frozen=True, slots=True)
class Shown(Whole):
    """A view, or why there is none: the request does not fit the model."""

    view: View | EscadaError


class InsideQueue(ModelQueue[ToShow]):
    """Views, one a step; `escada.inside.views` bounds the work of each.

    `context_tokens` is the ruler's window for the run; None: the model's own.
    """

    def __init__(self, name: str, batch: Batch, context_tokens: int | None) -> None:
        super().__init__(name)
        self._batch, self._context_tokens = batch, context_tokens

    def admit(self) -> None:
        """Start the next one."""
        if not self.rows and (found := self.waiting.pop(lambda client: True)):
            _, row = found
            row.joined = time.perf_counter()
            self.rows[0] = row

    def step(self) -> list[Shown]:
        """Compute a view."""
        found: list[Shown] = []
        for number, row in self.rows.items():
            try:
                view = look(
                    self._batch.model,
                    self._batch.tokenizer,
                    row.work.request,
                    profile=row.work.profile,
                    context_tokens=self._context_tokens,
                )
            except EscadaError as error:
                view = error
            found.append(Shown(number, view))
        return found

    def record(self, event: Shown, row: Row[ToShow], now: float, metrics: Metrics) -> None:
        """Nothing is counted."""

    def release(self) -> None:
        """Nothing is kept."""
