"""An offline substitute for a judge: the likelihood of each sample under a reference run.

    charges = panel_charges(model, tokenizer, panel, window)

Bits per byte of a continuation given its opening, computed as by the ruler. The opening is context
and not charged; EOS is not charged, since most samples were cut. The continuation with fewer bits
per byte is preferred.

This is no measure of quality. A model prefers its own kind of text, and repetition above all: a
rung that repeats one safe sentence can rank above a human author. The controls show how far it can
be trusted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from escada.evaluation.scoring import Reading, check_scores
from escada.judge import reliability
from escada.judge.intervals import ratio_interval
from escada.judge.panel import HUMAN, NOISE, PROBE_PAIRS, Panel, ProbeKind
from escada.judge.ratings import Game
from escada.judge.verdict import (
    Counts,
    Findings,
    HumanAboveNoise,
    Margin,
    Mean,
    Probes,
    ProbeShare,
    standings,
    stratum,
)
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Charge:
    """Nats of a continuation and its UTF-8 bytes."""

    nats: float
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        """Undefined for an empty continuation."""
        return self.nats / math.log(2) / self.bytes


TIE = 1e-6
"""Relative difference below which bits per byte are a tie, to allow for rounding."""

Charges = dict[str, dict[str, Charge]]
"""By entrant and opening."""


def charges_of(
    model: LanguageModel,
    tokenizer: Tokenizer,
    texts: Sequence[tuple[str, str]],
    context_tokens: int | None,
) -> list[Charge]:
    """Score pairs of opening and continuation: after BOS and the opening, without EOS.

    Raises:
        EscadaError: a score that is not finite.
    """
    openings = tokenizer.encode_batch([opening for opening, _ in texts])
    charged = tokenizer.encode_batch([text for _, text in texts])
    scores = Reading(
        model,
        tokenizer,
        [
            np.concatenate([[tokenizer.bos_id], before, ids]).astype(np.int64)
            for before, ids in zip(openings, charged, strict=True)
        ],
        first_targets=[1 + len(before) for before in openings],
        context_tokens=context_tokens,
    ).scores()
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
) -> Probes:
    """Share of probes of each kind in which the better text has fewer bits per byte."""

    def bits(name: str) -> list[float]:
        texts = [(probe.opening.text, probe.texts[name]) for probe in panel.probes]
        return [one.bits_per_byte for one in charges_of(model, tokenizer, texts, context_tokens)]

    found: dict[ProbeKind, ProbeShare] = {}
    for kind, (better, worse) in PROBE_PAIRS.items():
        both = zip(bits(better), bits(worse), strict=True)
        won = sum(a < b and not math.isclose(a, b, rel_tol=TIE) for a, b in both)
        found[kind] = ProbeShare.of(len(panel.probes), won)
    return Probes(**found, marks=None)


def reference_findings(
    panel: Panel, charges: Charges, probes: Probes, *, seed: int = 0
) -> Findings:
    """Evaluate the charges; the counterpart of `endpoint_findings`.

    Of the probes only `shuffled` is required, as likelihood can detect it; the others are reported.
    """
    bits = {
        name: {"rubric": None, "bits_per_byte": _bits(of_opening, seed)}
        for name, of_opening in charges.items()
    }
    found = standings(panel, _games(panel, charges), bits, seed)
    human, noise = charges[HUMAN], charges[NOISE]
    apart = {o: noise[o].bits_per_byte - human[o].bits_per_byte for o in human if o in noise}
    bits_margin = Margin.of(apart, seed)
    reasons = [
        *reliability.bits_control(bits_margin),
        *reliability.comparison_controls(found.direct_share, found.margin),
        *reliability.probe_pairs(probes, ["shuffled"]),
    ]
    texts = sum(len(panel.texts(opening.id)) for opening in panel.openings)
    charged = sum(len(of_opening) for of_opening in charges.values())
    return Findings(
        complete=True,
        reliable=not reasons,
        reasons=reasons,
        notes=found.notes,
        limits={name: reliability.LIMITS[name] for name in ("direct_share", "probe_share")},
        ratings=found.ratings,
        controls=found.controls,
        human_above_noise=HumanAboveNoise(
            bits_per_byte=bits_margin, rating=found.margin, direct_share=found.direct_share
        ),
        position_bias=None,
        swap_contradictions=None,
        probes=probes,
        questions=Counts(total=texts, answered=charged, unusable=texts - charged, pending=0),
    )


def _games(panel: Panel, charges: Charges) -> list[Game]:
    places = {entrant.name: place for place, entrant in enumerate(panel.entrants)}
    games: list[Game] = []
    for opening in panel.openings:
        charged = [name for name in panel.texts(opening.id) if opening.id in charges[name]]
        for one, other in itertools.combinations(charged, 2):
            a, b = (charges[name][opening.id].bits_per_byte for name in (one, other))
            score = 0.5 if math.isclose(a, b, rel_tol=TIE) else float(a < b)
            games.append(Game(opening.id, stratum(opening), places[one], places[other], score))
    return games


def _bits(charged: Mapping[str, Charge], seed: int) -> Mean | None:
    """Total bits over total bytes, with an interval over openings."""
    if not charged:
        return None
    bits = np.array([charge.nats for charge in charged.values()]) / math.log(2)
    n_bytes = np.array([charge.bytes for charge in charged.values()])
    interval = ratio_interval(charged, bits, n_bytes, seed=seed)
    return Mean(mean=float(bits.sum() / n_bytes.sum()), ci95=interval)
