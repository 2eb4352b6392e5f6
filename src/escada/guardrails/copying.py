"""The longest passage that a text shares with the training text, word for word.

    copies = longest_copies(texts, (document.text for document in corpus.documents("train")))
    copies[0].words, copies[0].passage

Words are lower-case runs of letters and digits; punctuation is ignored. All texts are matched in
one pass over the training text, which is streamed: 3 MB take about a second, whatever the number of
texts. A passage is within one document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from escada.guardrails.automaton import Matches, SuffixAutomaton

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Copy:
    """A passage that is in the training text, as written in the text, and its length in words."""

    words: int
    passage: str

    @property
    def characters(self) -> int:
        """Length of the passage in characters."""
        return len(self.passage)


def longest_copies(texts: Sequence[str], training: Iterable[str]) -> list[Copy]:
    """The longest copy in each text; the first of equally long ones."""
    spans = [[match.span() for match in _WORD.finditer(text)] for text in texts]
    symbols: list[str | int] = []
    for number, (text, found) in enumerate(zip(texts, spans, strict=True)):
        symbols += [text[start:end].lower() for start, end in found]
        symbols.append(number)  # no word is an int, so matches end here
    matches = Matches(SuffixAutomaton(symbols))
    for document in training:
        matches.read(_WORD.findall(document.lower()))
    lengths = iter(matches.longest_ending_at())
    copies: list[Copy] = []
    for text, found in zip(texts, spans, strict=True):
        ends = [next(lengths) for _ in found]
        next(lengths)
        copies.append(_copy(text, found, ends))
    return copies


def _copy(text: str, spans: Sequence[tuple[int, int]], lengths: Sequence[int]) -> Copy:
    words = max(lengths, default=0)
    if not words:
        return Copy(0, "")
    last = lengths.index(words)
    return Copy(words, text[spans[last - words + 1][0] : spans[last][1]])
