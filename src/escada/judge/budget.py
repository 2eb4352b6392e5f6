"""A limit in calls and in money, never passed: each call is paid for before it is made.

What a call will cost is not known before its reply, so the most that it can cost is reserved: a
token for every byte of the question, and all the output that is allowed. The reply's own count then
takes the reservation's place. A call that may have been billed without a reply keeps its
reservation.
"""

from __future__ import annotations

from dataclasses import dataclass

from escada.errors import EscadaError
from escada.judge.endpoint import Tokens
from escada.judge.questions import Judge, Question, again_message

OVERHEAD_TOKENS = 200
"""Of the chat template and the schema, at most."""


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """US dollars for a million tokens."""

    input: float
    output: float

    def usd(self, tokens: Tokens) -> float:
        """Price of so many tokens."""
        return (tokens.input * self.input + tokens.output * self.output) / 1e6


@dataclass
class CallBudget:
    """The limits of one invocation, and what is left of them.

    Attributes:
        max_calls: of the endpoint, failed ones included; None: no limit.
        max_usd: needs prices; None: no limit.
        calls: made so far.
        usd: spent or reserved so far.
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
        """Take a call out of the budget: what it may cost, or None when that is too much."""
        if self.max_calls is not None and self.calls >= self.max_calls:
            return None
        most = self._most(question, judge)
        if self.max_usd is not None and self.usd + most > self.max_usd:
            return None
        self.calls += 1
        self.usd += most
        return most

    def settle(self, reserved: float, tokens: Tokens | None) -> None:
        """Put what a call cost in the place of what was reserved for it; None: it is not known."""
        if self.prices is not None and tokens is not None:
            self.usd += self.prices.usd(tokens) - reserved

    def _most(self, question: Question, judge: Judge) -> float:
        if self.prices is None:
            return 0.0
        words = question.words + again_message()
        tokens = Tokens(len(words.encode()) + OVERHEAD_TOKENS, judge.max_output_tokens)
        return self.prices.usd(tokens)
