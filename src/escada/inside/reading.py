"""A text as the model reads it: cleaned by the run's profile, after BOS, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from escada.errors import EscadaError
from escada.evaluation.text_score import byte_ends, completed_texts
from escada.generation.pieces import PieceTable, token_name
from escada.inside.views import Guess, ShownToken
from escada.models.contract import LanguageModel
from escada.text.cleaning import clean_prompt
from escada.text.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class ReadText:
    """A cleaned text and its tokens, BOS first; no EOS follows.

    Attributes:
        starts, ends: the characters of the text that each token completes, (T,) each.
    """

    text: str
    ids: list[int]
    tokens: list[ShownToken]
    starts: list[int]
    ends: list[int]

    def input(self, model: LanguageModel) -> Tensor:
        """Ids (1, T) on the model's device.

        Raises:
            EscadaError: more tokens than the model's context.
        """
        longest = model.context_tokens
        if longest is not None and len(self.ids) > longest:
            raise EscadaError(
                f"the text has {len(self.ids)} tokens with its beginning",
                fix=f"this model reads {longest} at once: shorten the text",
            )
        return torch.tensor([self.ids], dtype=torch.int64, device=model.device)


def read_text(text: str, tokenizer: Tokenizer, profile: str) -> ReadText:
    """Clean and encode a text, which may be empty."""
    cleaned = clean_prompt(text, profile)
    ids = [tokenizer.bos_id, *tokenizer.encode(cleaned).tolist()]
    table = PieceTable(tokenizer)
    pieces = completed_texts(cleaned, byte_ends(ids, cleaned, table))
    tokens = [
        ShownToken(id=token, name=token_name(table, token), text=piece)
        for token, piece in zip(ids, pieces, strict=True)
    ]
    ends: list[int] = []
    for piece in pieces:
        ends.append(len(piece) + (ends[-1] if ends else 0))
    return ReadText(cleaned, ids, tokens, [0, *ends[:-1]], ends)


def guesses(probability_V: Tensor, best: int, table: PieceTable) -> list[Guess]:
    """The most probable tokens, best first."""
    return [
        Guess(id=token, name=token_name(table, token), probability=probability)
        for token, probability in most_probable(probability_V, best)
    ]


def most_probable(probability_V: Tensor, best: int) -> list[tuple[int, float]]:
    """Ids and probabilities of the most probable tokens, best first."""
    top = probability_V.topk(min(best, len(probability_V)))
    ids = cast("list[int]", top.indices.tolist())
    return list(zip(ids, cast("list[float]", top.values.tolist()), strict=True))
