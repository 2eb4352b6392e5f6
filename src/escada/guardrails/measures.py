"""Everything that is measured per text; the guardrails combine it.

measured = measure(model, tokenizer, settings, training, continuations)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import ftfy
import numpy as np
from numpy.typing import NDArray

from escada.evaluation.portuguese.lexicon import (
    lexicon,
    whole_part,
    word_language,
    words,
)
from escada.generation.samplers import SamplerSettings
from escada.guardrails.copying import Copy, longest_copies
from escada.guardrails.likelihood import Likelihood, replay
from escada.guardrails.repetition import Repetition, repetition
from escada.guardrails.texts import SampleText
from escada.models.contract import LanguageModel
from escada.text.filters.language import languages
from escada.text.tokenizers import Tokenizer
from escada.text.tokenizers.statistics import SHORT_CHARACTERS

Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TextMeasures:
    """Figures of one text.

    Attributes:
        source: of a control's document; empty for a model's text.
        fallback_tokens: tokens that are a byte of a character without a piece.
        short_tokens: tokens of at most `SHORT_CHARACTERS` characters, bytes included.
        words: complete words.
        known_words: those in the lexicon.
        portuguese_words, other_words: those clearly more frequent in that language.
        copy: the longest passage that is in the training text.
        languages: number of its pieces by language code; empty if the text is too short.
        mojibake: whether it looks like text decoded with the wrong encoding.
        stored_bits: the cost stated in the file of samples; None if absent.
        text: for external guardrails.
    """

    source: str
    characters: int
    tokens: int
    fallback_tokens: int
    short_tokens: int
    words: int
    known_words: int
    portuguese_words: int
    other_words: int
    repetition: Repetition
    copy: Copy
    languages: Counter[str]
    mojibake: bool
    likelihood: Likelihood
    stored_bits: float | None = None
    text: str = ""


def measure(
    model: LanguageModel,
    tokenizer: Tokenizer,
    settings: SamplerSettings,
    training: Iterable[str],
    continuations: Sequence[SampleText],
) -> list[TextMeasures]:
    """Measure samples and controls, with one pass over the training text for all of them.

    `model` is the alleged writer of the samples.

    Raises:
        EscadaError: a logit or a score is not finite.
    """
    texts = [one.text for one in continuations]
    is_byte_V, is_short_V = kinds_of_pieces(tokenizer)
    encoded = tokenizer.encode_batch(texts)
    copies = longest_copies(texts, training)
    likelihoods = replay(model, tokenizer, continuations, settings)
    known = lexicon()
    return [
        TextMeasures(
            source=one.source,
            characters=len(one.text),
            tokens=len(ids),
            fallback_tokens=int(is_byte_V[ids].sum()),
            short_tokens=int(is_short_V[ids].sum()),
            words=len(whole := words(whole_part(one.prompt, one.text, one.finished))),
            known_words=sum(word in known for word in whole),
            portuguese_words=sum(word_language(word) == "pt" for word in whole),
            other_words=sum(word_language(word) == "other" for word in whole),
            repetition=repetition(one.text),
            copy=copy,
            languages=languages(one.text),
            mojibake=ftfy.fix_encoding(one.text) != one.text,
            likelihood=likelihood,
            stored_bits=one.stored_bits,
            text=one.text,
        )
        for one, ids, copy, likelihood in zip(
            continuations, encoded, copies, likelihoods, strict=True
        )
    ]


def kinds_of_pieces(tokenizer: Tokenizer) -> tuple[Mask, Mask]:
    """Which ids of a subword tokenizer are fallback bytes, and which are short; (V,) each."""
    pieces = [tokenizer.token_text(token) for token in range(tokenizer.vocab_size)]
    special = {tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id}
    is_byte = [isinstance(piece, bytes) for piece in pieces]
    is_short = [
        token not in special
        and (isinstance(piece, bytes) or len(piece.removeprefix(" ")) <= SHORT_CHARACTERS)
        for token, piece in enumerate(pieces)
    ]
    return np.array(is_byte, dtype=np.bool_), np.array(is_short, dtype=np.bool_)
