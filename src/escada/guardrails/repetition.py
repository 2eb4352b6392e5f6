"""How much of a text is repetition of itself.

    found = repetition("o gato e o gato e o gato e o gato")
    found.repeated_share        # 0.76: the longest part that occurs twice, over the length

`distinct` is distinct-n (Li et al. 2016): different n-grams of words over all of them. Words can be
long strings of one letter in text of characters, so the longest repeat is looked for in characters
too. A loop of a phrase makes both figures extreme; they are joined to one, the share of repeated
4-grams or the share of the longest repeat, whichever is larger.
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
        distinct: distinct-1 to distinct-4; 1 where there is no n-gram, for nothing is repeated.
        longest_repeat_words: longest n-gram of words that occurs twice; it may overlap itself.
        longest_repeat_characters: the same of characters.
        characters: of the text.
    """

    distinct: tuple[float, ...]
    longest_repeat_words: int
    longest_repeat_characters: int
    characters: int

    @property
    def repeated_share(self) -> float:
        """From 0, nothing comes twice, to nearly 1, a short phrase in a loop."""
        return max(1 - self.distinct[-1], self._longest_share)

    @property
    def recurring_share(self) -> float:
        """Words that came before, and the longest repeat: every human text has some of both."""
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
    """Different n-grams over all n-grams; 1 if there is none."""
    grams = [tuple(symbols[start : start + n]) for start in range(len(symbols) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0
