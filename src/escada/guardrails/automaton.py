"""Repeats within a sequence and its matches with other sequences, exactly and in linear time.

    automaton = SuffixAutomaton("abcabx")
    automaton.longest_repeat                      # 2: "ab" occurs twice
    matches = Matches(automaton)
    matches.read("zcabz")                         # any number of texts
    matches.longest_ending_at()                   # [1, 2, 1, 2, 3, 0]: a, ab, c, ca, cab, nothing

The suffix automaton is the smallest automaton that accepts all substrings of a sequence (Blumer et
al. 1985). A state represents the substrings with the same end positions. Other texts are streamed
through it, so memory does not depend on the training text.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable


class SuffixAutomaton:
    """All substrings of a sequence.

    Attributes:
        length: of the longest substring of each state; state 0 is the empty one.
        link: state of the longest suffix with more end positions; -1 for state 0.
        following: transitions of each state.
        prefix_state: state of the sequence up to and including each symbol.
    """

    def __init__(self, symbols: Iterable[Hashable]) -> None:
        self.length = [0]
        self.link = [-1]
        self.following: list[dict[Hashable, int]] = [{}]
        self.prefix_state: list[int] = []
        for symbol in symbols:
            self._append(symbol)

    @property
    def longest_repeat(self) -> int:
        """Length of the longest substring that occurs at least twice, with overlaps; 0 if none."""
        return max((self.length[link] for link in self.link[1:]), default=0)

    def _append(self, symbol: Hashable) -> None:
        last = self.prefix_state[-1] if self.prefix_state else 0
        state = self._new(self.length[last] + 1, {})
        self.prefix_state.append(state)
        while last != -1 and symbol not in self.following[last]:
            self.following[last][symbol] = state
            last = self.link[last]
        if last == -1:
            self.link[state] = 0
            return
        found = self.following[last][symbol]
        if self.length[found] != self.length[last] + 1:
            found = self._split(found, self.length[last] + 1, last, symbol)
        self.link[state] = found

    def _split(self, state: int, length: int, last: int, symbol: Hashable) -> int:
        """Clone `state` for its substrings of at most `length`."""
        shorter = self._new(length, dict(self.following[state]))
        self.link[shorter], self.link[state] = self.link[state], shorter
        while last != -1 and self.following[last].get(symbol) == state:
            self.following[last][symbol] = shorter
            last = self.link[last]
        return shorter

    def _new(self, length: int, following: dict[Hashable, int]) -> int:
        self.length.append(length)
        self.link.append(0)
        self.following.append(following)
        return len(self.length) - 1


class Matches:
    """The longest matches of texts with an automaton's sequence."""

    def __init__(self, automaton: SuffixAutomaton) -> None:
        self._automaton = automaton
        self._longest = [0] * len(automaton.length)

    def read(self, symbols: Iterable[Hashable]) -> None:
        """Read one more text; matches do not continue from the previous one."""
        link, length, following = (
            self._automaton.link,
            self._automaton.length,
            self._automaton.following,
        )
        longest = self._longest
        state = matched = 0
        for symbol in symbols:
            while state and symbol not in following[state]:
                state = link[state]
                matched = length[state]
            state = following[state].get(symbol, 0)
            matched = matched + 1 if state else 0
            if matched > longest[state]:
                longest[state] = matched

    def longest_ending_at(self) -> list[int]:
        """Length of the longest match ending at each symbol of the automaton's sequence."""
        automaton = self._automaton
        order = sorted(range(1, len(self._longest)), key=automaton.length.__getitem__)
        found = list(self._longest)
        for state in reversed(order):  # suffixes of a match match too
            link = automaton.link[state]
            if found[state] and link > 0:
                found[link] = automaton.length[link]
        for state in order:  # where a state has no match, a suffix of it may have one
            if not found[state]:
                found[state] = found[automaton.link[state]]
        return [found[state] for state in automaton.prefix_state]
