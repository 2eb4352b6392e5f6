"""A limit on calls and cost that is never exceeded: cost is reserved before each call.

The maximum cost is one token per byte of the question, and the full output limit. The reply's token
counts then replace it. A call that may have been billed without a reply keeps its reservation.
"""

from __future__ import annotations

from dataclasses import dataclass

from escada.errors import EscadaError
from escada.judge.endpoint import Tokens
from escada.judge.questions import Judge, Question, again_message

OVERHEAD_TOKENS = 200
"""Maximum for the chat template and the schema."""


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """US dollars per million tokens."""

    input: float
    output: float

    def usd(self, tokens: Tokens) -> float:
        """Price of these tokens."""
        return (tokens.input * self.input + tokens.output * self.output) / 1e6


@dataclass
class CallBudget:
    """The limits of one invocation, None for no limit, and the use so far.

    `max_calls` includes failed calls; `usd` is spent or reserved.
    """

    max_calls: int | None = None
    max_usd: float | None = None
    prices: TokenPrices | None = None
    calls: int = 0
    usd: float = 0.0

    def __post_init__(self) -> None:
        if self.max_usd is not None and self.prices is None:
            raise EscadaError(
                "--max-usd needs the prices",
                fix="--usd-per-million-input-tokens and --usd-per-million-output-tokens",
            )

    def reserve(self, question: Question, judge: Judge) -> float | None:
        """Reserve a call and return its maximum cost; None if it would exceed the budget."""
        if self.max_calls is not None and self.calls >= self.max_calls:
            return None
        most = self._most(question, judge)
        if self.max_usd is not None and self.usd + most > self.max_usd:
            return None
        self.calls += 1
        self.usd += most
        return most

    def settle(self, reserved: float, tokens: Tokens | None) -> None:
        """Replace a reservation by the actual cost; None: unknown, the reservation stays."""
        if self.prices is not None and tokens is not None:
            self.usd += self.prices.usd(tokens) - reserved

    def _most(self, question: Question, judge: Judge) -> float:
        if self.prices is None:
            return 0.0
        words = question.words + again_message()
        tokens = Tokens(len(words.encode()) + OVERHEAD_TOKENS, judge.max_output_tokens)
        return self.prices.usd(tokens)
