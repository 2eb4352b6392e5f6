"""The offline stand-in for a judge: how likely a reference run's model finds each sample.

    charges = panel_charges(model, tokenizer, panel, window)

Bits per byte of a continuation given its opening, by the ruler's arithmetic: fp32 logits, float64
sums, the ruler's windows, unknown characters at the ruler's price. The opening's tokens are context
and charged to nobody; no EOS is charged, since most samples were cut. Of two continuations the one
of fewer bits per byte is preferred.

It is no judge of quality. A model finds its own kind of text likely, and repetition above all: a
rung that says one safe sentence again and again can stand above a human author. The controls say
how far it can be trusted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.evaluation.scoring import check_scores, score_tokens
from escada.judge import reliability
from escada.judge.intervals import ratio_interval
from escada.judge.panel import (
    HUMAN,
    NOISE,
    PROBE_PAIRS,
    Panel,
    ProbeKind,
    ProbeText,
)
from escada.judge.ratings import Game, rate
from escada.judge.reliability import Difference, ProbeShare, ReliabilityLimits
from escada.judge.verdict import (
    direct_share,
    divided,
    mean,
    notes_on,
    rating_difference,
    rows,
    stratum,
)
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Charge:
    """Nats of a continuation and its UTF-8 bytes."""

    nats: float
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        """Of a continuation that is not empty."""
        return self.nats / math.log(2) / self.bytes


TIE = 1e-6
"""Bits per byte of two texts that differ by less than this share are equal but for rounding."""

Charges = dict[str, dict[str, Charge]]
"""By entrant and opening."""


def charges_of(
    model: LanguageModel,
    tokenizer: Tokenizer,
    texts: Sequence[tuple[str, str]],
    context_tokens: int | None,
) -> list[Charge]:
    """What the ruler charges for each text after BOS and its opening.

    Args:
        model: of the reference run.
        tokenizer: its own.
        texts: openings, which are context and not charged, each with the text that is, without EOS.
        context_tokens: the ruler's window, for a model without a state.

    Raises:
        EscadaError: a figure that is not finite.
    """
    openings = tokenizer.encode_batch([opening for opening, _ in texts])
    charged = tokenizer.encode_batch([text for _, text in texts])
    scores = score_tokens(
        model,
        tokenizer,
        [
            np.concatenate([[tokenizer.bos_id], before, ids]).astype(np.int64)
            for before, ids in zip(openings, charged, strict=True)
        ],
        first_targets=[1 + len(before) for before in openings],
        context_tokens=context_tokens,
    )
    check_scores(scores, [f"the reference model on {text[:40]!r}" for _, text in texts])
    return [
        Charge(float(one.nats.sum()), len(text.encode()))
        for one, (_, text) in zip(scores, texts, strict=True)
    ]


def panel_charges(
    model: LanguageModel, tokenizer: Tokenizer, panel: Panel, context_tokens: int | None
) -> Charges:
    """Charge every text of the panel that is not empty."""
    places = [
        (name, opening.id, opening.text, text)
        for opening in panel.openings
        for name, text in panel.texts(opening.id).items()
        if text
    ]
    found = charges_of(
        model, tokenizer, [(opening, text) for *_, opening, text in places], context_tokens
    )
    charges: Charges = {entrant.name: {} for entrant in panel.entrants}
    for (name, opening, *_), charge in zip(places, found, strict=True):
        charges[name][opening] = charge
    return charges


def probe_shares(
    model: LanguageModel, tokenizer: Tokenizer, panel: Panel, context_tokens: int | None
) -> dict[ProbeKind, ProbeShare]:
    """In how many probes of each kind the better text costs fewer bits per byte."""

    def bits(name: ProbeText) -> list[float]:
        texts = [(probe.opening.text, probe.texts[name]) for probe in panel.probes]
        return [one.bits_per_byte for one in charges_of(model, tokenizer, texts, context_tokens)]

    found: dict[ProbeKind, ProbeShare] = {}
    for kind, (better, worse) in PROBE_PAIRS.items():
        both = zip(bits(better), bits(worse), strict=True)
        won = sum(a < b and not math.isclose(a, b, rel_tol=TIE) for a, b in both)
        found[kind] = ProbeShare(len(panel.probes), won)
    return found


def reference_verdict(
    panel: Panel, charges: Charges, probes: Mapping[ProbeKind, ProbeShare], *, seed: int = 0
) -> dict[str, Any]:
    """What the charges decide of a verdict; the keys of an endpoint's, where they apply.

    Of the probes a reference is held to the order of words: that is what likelihood can see. How
    often it knows a text's own continuation is said.
    """
    games = _games(panel, charges)
    ratings = rate(games, len(panel.entrants), seed=seed)
    limits = ReliabilityLimits()
    bits_apart = _bits_difference(charges, seed)
    ratings_apart = rating_difference(panel, ratings)
    direct = direct_share(panel, games)
    reasons = [
        *reliability.bits_control(bits_apart),
        *reliability.direct_control(direct, limits),
        *reliability.rating_control(ratings_apart),
        *reliability.probe_pairs(probes, limits, ["shuffled"]),
    ]
    table = [
        row | {"bits_per_byte": _bits(list(charges[row["name"]].items()), seed)}
        for row in rows(panel, ratings, {}, seed)
    ]
    parts = divided(panel, table)
    texts = sum(len(panel.texts(opening.id)) for opening in panel.openings)
    charged = sum(len(of_opening) for of_opening in charges.values())
    return {
        "complete": True,
        "reliable": not reasons,
        "reasons": reasons,
        "notes": notes_on(parts),
        "limits": {"direct_share": limits.direct_share, "probe_share": limits.probe_share},
        **parts,
        "human_above_noise": {
            "bits_per_byte": bits_apart.to_json(),
            "rating": ratings_apart.to_json(),
            "direct_share": direct,
        },
        "position_bias": None,
        "swap_contradictions": None,
        "probes": {kind: one.to_json() for kind, one in probes.items()} | {"marks": None},
        "questions": {
            "total": texts,
            "answered": charged,
            "unusable": texts - charged,
            "pending": 0,
        },
    }


def _games(panel: Panel, charges: Charges) -> list[Game]:
    place = {entrant.name: i for i, entrant in enumerate(panel.entrants)}
    games: list[Game] = []
    for opening in panel.openings:
        charged = [name for name in panel.texts(opening.id) if opening.id in charges[name]]
        for one, other in itertools.combinations(charged, 2):
            a, b = (charges[name][opening.id].bits_per_byte for name in (one, other))
            score = 0.5 if math.isclose(a, b, rel_tol=TIE) else float(a < b)
            games.append(Game(opening.id, stratum(opening), place[one], place[other], score))
    return games


def _bits(charged: Sequence[tuple[str, Charge]], seed: int) -> dict[str, Any] | None:
    """Bits of all texts over bytes of all texts, with its interval over openings."""
    if not charged:
        return None
    nats = np.array([charge.nats for _, charge in charged])
    n_bytes = np.array([charge.bytes for _, charge in charged])
    bits = nats / math.log(2)
    interval = ratio_interval([opening for opening, _ in charged], bits, n_bytes, seed=seed)
    return {"mean": float(bits.sum() / n_bytes.sum()), "ci95": interval}


def _bits_difference(charges: Mapping[str, Mapping[str, Charge]], seed: int) -> Difference:
    """Noise above human text in bits per byte, mean over the openings that both have."""
    human, noise = charges[HUMAN], charges[NOISE]
    apart = {o: noise[o].bits_per_byte - human[o].bits_per_byte for o in human if o in noise}
    if not apart:
        return Difference(None, None)
    found = mean(apart, seed)
    return Difference(found["mean"], found["ci95"])
