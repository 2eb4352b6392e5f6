"""Ids of text for peers whose own code has no tokenizer for our corpus."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

import numpy as np

LEAST_COUNT = 3
"""Characters seen less often in training are UNK, as for escada's own character models."""
UNICODE_SCALARS = 1_112_064
END_OF_TEXT = "<|endoftext|>"


class TextIds(ABC):
    """Encodes text.

    Attributes:
        separator: the id before and after every document.
    """

    vocab_size: int
    separator: int

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """Ids of a text, int64, without separators."""

    def unknown_nats(self, text: str) -> float:
        """What the ruler adds for characters that the ids do not name."""
        return 0.0

    def stream(self, texts: Sequence[str]) -> np.ndarray:
        """Documents in a row, a separator before each and at the end, int64."""
        ends = np.array([self.separator])
        return np.concatenate([*(p for text in texts for p in (ends, self.encode(text))), ends])


class Characters(TextIds):
    """One id per character of the training text, one for UNK, one for the separator."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = Counter[str]()
        for text in texts:
            counts.update(text)
        known = sorted(letter for letter, count in counts.items() if count >= LEAST_COUNT)
        self._id_of = {letter: number for number, letter in enumerate(known)}
        self.unknown, self.separator = len(known), len(known) + 1
        self.vocab_size = len(known) + 2

    def encode(self, text: str) -> np.ndarray:
        ids = [self._id_of.get(letter, self.unknown) for letter in text]
        return np.array(ids, dtype=np.int64)

    def unknown_nats(self, text: str) -> float:
        """log of the number of characters that UNK stands for, per unknown character."""
        unknown = sum(letter not in self._id_of for letter in text)
        return unknown * math.log(UNICODE_SCALARS - len(self._id_of))


class ByteLevelBpe(TextIds):
    """GPT-2's form of BPE, with merges learned from the training text (its own are of English)."""

    def __init__(self, texts: Sequence[str], vocab_size: int) -> None:
        import tokenizers

        self._bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
        self._bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        self._bpe.train_from_iterator(texts, trainer)
        self.vocab_size = self._bpe.get_vocab_size()
        self.separator = self._bpe.token_to_id(END_OF_TEXT)

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._bpe.encode(text).ids, dtype=np.int64)
