"""Repetition within a text.

    found = repetition("o gato e o gato e o gato e o gato")
    found.repeated_share        # 0.76: the longest part that occurs twice, over the length

`distinct` is distinct-n (Li et al. 2016): distinct word n-grams over all of them. Words can be long
strings of one letter in character-level text, so the longest repeat is also measured in characters.
`repeated_share` is the larger of the shares of repeated 4-grams and of the longest repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from escada.evaluation.portuguese.lexicon import words
from escada.guardrails.automaton import SuffixAutomaton

LONGEST_N = 4


@dataclass(frozen=True, slots=True)
class Repetition:
    """Figures of one text.

    Attributes:
        distinct: distinct-1 to distinct-4; 1 where there is no n-gram.
        longest_repeat_words: longest word n-gram that occurs twice, possibly overlapping.
        longest_repeat_characters: the same in characters.
    """

    distinct: tuple[float, ...]
    longest_repeat_words: int
    longest_repeat_characters: int
    characters: int

    @property
    def repeated_share(self) -> float:
        """From 0 (no repetition) to nearly 1 (a short phrase in a loop)."""
        return max(1 - self.distinct[-1], self._longest_share)

    @property
    def recurring_share(self) -> float:
        """Share of words seen before, plus the longest repeat; human text has some of both."""
        return 1 - self.distinct[0] + self._longest_share

    @property
    def _longest_share(self) -> float:
        return self.longest_repeat_characters / self.characters if self.characters else 0.0


def repetition(text: str) -> Repetition:
    """Measure one text."""
    found = words(text)
    return Repetition(
        distinct=tuple(distinct(found, n) for n in range(1, LONGEST_N + 1)),
        longest_repeat_words=SuffixAutomaton(found).longest_repeat,
        longest_repeat_characters=SuffixAutomaton(text).longest_repeat,
        characters=len(text),
    )


def distinct(symbols: Sequence[str], n: int) -> float:
    """Distinct n-grams over all n-grams; 1 if there are none."""
    grams = [tuple(symbols[start : start + n]) for start in range(len(symbols) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0
