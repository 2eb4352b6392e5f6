"""Samples and surprisals, and how a notebook shows them."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from escada.api.rows import Rows
from escada.errors import counted

if TYPE_CHECKING:
    from escada.evaluation.text_score import ScoredToken, TextScore
    from escada.generation.decoding import Sample

SURPRISE_BITS = (1.0, 2.0, 4.0, 8.0)
"""From so many bits on a token is in the next stronger colour."""
_COLOURS = ("transparent", "#d9f0f3", "#fdf1b8", "#f7cfe3", "#f6b0a2")


class Samples(list["Sample"]):
    """Continuations of prompts."""

    def __repr__(self) -> str:
        return "\n\n".join(
            f"{one.prompt}{one.text}{'' if one.finished else '…'}\n{_figures(one)}" for one in self
        )

    def _repr_html_(self) -> str:
        return "".join(
            f"<p style='white-space:pre-wrap'>{html.escape(one.prompt)}"
            f"<b>{html.escape(one.text)}</b>{'' if one.finished else '…'}<br>"
            f"<small>{_figures(one)}</small></p>"
            for one in self
        )


def _figures(one: Sample) -> str:
    return f"[{counted(len(one.ids), 'token')}, {one.bits_per_token:.2f} bits per token]"


@dataclass(frozen=True, repr=False)
class Surprisal:
    """What each token of a text costs a model.

    Attributes:
        score: the typed result, as `escada score --json` prints it.
    """

    score: TextScore

    @property
    def tokens(self) -> list[ScoredToken]:
        """Each token with its text, bits and alternatives; the last one is the end of the text."""
        return self.score.tokens

    @property
    def nats(self) -> list[float]:
        """-ln p of each token."""
        return [token.bits * math.log(2) for token in self.tokens]

    @property
    def bits_per_byte(self) -> float:
        """Bits of all tokens over the bytes of the text."""
        return self.score.bits_per_byte

    def rows(self) -> Rows:
        """One row per token."""
        return Rows(
            {"token": one.name, "text": one.text, "bits": one.bits, "first_choice": one.greedy}
            for one in self.tokens
        )

    def __repr__(self) -> str:
        cost = f"{self.score.bits:.2f} bits, {self.bits_per_byte:.4f} bits per byte"
        return f"{self.rows()!r}\n{cost}"

    def _repr_html_(self) -> str:
        spans = "".join(
            f"<span title='{_told(token)}' style='background:{_colour(token.bits)};color:#111'>"
            f"{html.escape(token.text) or '·'}</span>"
            for token in self.tokens
        )
        return (
            f"<p style='white-space:pre-wrap;line-height:1.9'>{spans}</p>"
            f"<small>{self.bits_per_byte:.4f} bits per byte</small>"
        )


def _told(token: ScoredToken) -> str:
    others = "".join(f"\n{other.name!r} {other.bits:.2f}" for other in token.alternatives)
    return html.escape(f"{token.name!r} {token.bits:.2f} bits{others}", quote=True)


def _colour(bits: float) -> str:
    return _COLOURS[sum(bits >= least for least in SURPRISE_BITS)]
