"""The queue of a model's texts to score."""

from __future__ import annotations

import time
from dataclasses import dataclass

from escada.evaluation.scoring import Integers, Reading, TokenScores, check_scores
from escada.generation.batch import Batch
from escada.serve.metrics import Metrics
from escada.serve.queues import PROMPT_TOKENS_AT_ONCE, ModelQueue, Row, Whole

SCORING_STEP_TOKENS = 512
"""Tokens per forward pass of scoring; bounds how long generation waits."""


@dataclass(frozen=True, slots=True)
class TextToScore:
    """A text to score.

    Attributes:
        sequence: its ids from BOS on.
        alternatives: number of most probable tokens reported per position.
    """

    sequence: Integers
    alternatives: int


@dataclass(frozen=True, slots=True)
class Scored(Whole):
    """The scores of a text."""

    scores: TokenScores


class ScoringQueue(ModelQueue[TextToScore]):
    """Texts to score, read together in forward passes of at most `SCORING_STEP_TOKENS`.

    `context_tokens` is the ruler's window for the run; None: the model's own.
    """

    def __init__(self, name: str, batch: Batch, context_tokens: int | None) -> None:
        super().__init__(name)
        self._batch, self._context_tokens = batch, context_tokens
        self._reading: Reading | None = None

    def admit(self) -> None:
        """Once the previous texts are done, start more: about one long prompt in total."""
        if self.rows:
            return
        tokens = 0
        while tokens < PROMPT_TOKENS_AT_ONCE and (found := self.waiting.pop(lambda client: True)):
            _, row = found
            tokens += len(row.work.sequence)
            row.joined = time.perf_counter()
            self.rows[len(self.rows)] = row
        self._reading = Reading(
            self._batch.model,
            self._batch.tokenizer,
            [row.work.sequence for row in self.rows.values()],
            context_tokens=self._context_tokens,
            batch_tokens=SCORING_STEP_TOKENS,
            alternatives=max(row.work.alternatives for row in self.rows.values()),
        )

    def step(self) -> list[Scored]:
        """One forward pass; all scores are returned with the last one."""
        if self._reading is None or self._reading.step():
            return []
        scores = self._reading.scores()
        check_scores(scores, ["a prompt"] * len(scores))
        return [Scored(number, scores[number]) for number in self.rows]

    def record(self, event: Scored, row: Row[TextToScore], now: float, metrics: Metrics) -> None:
        """Count the scored tokens."""
        del row, now
        metrics.scored_tokens.labels(self.name).inc(len(event.scores.ids))

    def release(self) -> None:
        """Drop the texts."""
        self._reading = None
