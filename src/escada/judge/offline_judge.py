"""The offline stand-in for a judge: how likely a reference run's model finds each sample.

    bits = reference_bits(model, tokenizer, panel, window)

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
import torch
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.evaluation.bootstrap import ratio_interval
from escada.evaluation.scoring import windows_of
from escada.generation.inference import exact_inference, tokens_at_once
from escada.judge import reliability
from escada.judge.panel import (
    HUMAN,
    NOISE,
    PROBE_PAIRS,
    Panel,
    Probe,
    ProbeKind,
    ProbeText,
)
from escada.judge.ratings import Game, rate
from escada.judge.reliability import Difference, Limits, ProbeShare
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


def continuation_charge(
    model: LanguageModel,
    tokenizer: Tokenizer,
    opening: str,
    text: str,
    *,
    context_tokens: int | None,
) -> Charge:
    """What the ruler charges for `text` after BOS and `opening`.

    Args:
        model: of the reference run.
        tokenizer: its own.
        opening: context, not charged.
        text: charged, without EOS.
        context_tokens: the ruler's window, for a model without a state.

    Raises:
        EscadaError: the figure is not finite.
    """
    before = np.concatenate([[tokenizer.bos_id], tokenizer.encode(opening)]).astype(np.int64)
    ids = tokenizer.encode(text).astype(np.int64)
    nats = nats_of_targets(
        model, np.concatenate([before, ids]), first_target=len(before), window=context_tokens
    )
    unknown = 0 if tokenizer.unk_id is None else int(np.count_nonzero(ids == tokenizer.unk_id))
    nats += unknown * tokenizer.unknown_bits * math.log(2)
    if not math.isfinite(nats):
        raise EscadaError(
            "the reference model's score is not a finite number",
            fix="its training diverged or its weights are damaged: use another run",
        )
    return Charge(nats, len(text.encode()))


def nats_of_targets(
    model: LanguageModel, ids: Integers, *, first_target: int, window: int | None
) -> float:
    """-log p of the tokens from `first_target` on, each in the ruler's context.

    Args:
        model: left in the mode that it came in.
        ids: a text's tokens from BOS on.
        first_target: place in `ids`, at least 1.
        window: of a model without a state; the model's own if None.
    """
    if first_target >= len(ids):
        return 0.0
    with exact_inference(model):
        if model.context_tokens is None:
            return _carried(model, ids, first_target)
        return _windowed(model, ids, first_target, window or model.context_tokens)


def _carried(model: LanguageModel, ids: Integers, first_target: int) -> float:
    device = model.device
    state = model.fresh_state(1)
    nats, chunk = 0.0, tokens_at_once(model.vocab_size)
    for start in range(0, len(ids) - 1, chunk):
        stop = min(start + chunk, len(ids) - 1)
        inputs_1T = torch.as_tensor(ids[None, start:stop], device=device)
        logits_TV = model.advance(inputs_1T, state)[0]
        nats += _charged(logits_TV, ids, start, stop, first_target)
    return nats


def _windowed(model: LanguageModel, ids: Integers, first_target: int, window: int) -> float:
    device = model.device
    nats = 0.0
    for part in windows_of(len(ids), window):
        if part.stop < first_target:
            continue
        inputs_1T = torch.as_tensor(ids[None, part.start : part.stop], device=device)
        first = max(first_target, part.first_target)
        nats += _charged(model(inputs_1T)[0], ids, part.start, part.stop, first)
    return nats


def _charged(
    logits_TV: torch.Tensor, ids: Integers, start: int, stop: int, first_target: int
) -> float:
    """Nats of the targets up to `stop`, from the logits of the inputs `start:stop`."""
    first = max(first_target, start + 1)
    if first > stop:
        return 0.0
    targets_T = torch.as_tensor(ids[first : stop + 1], device=logits_TV.device)
    logs_TV = logits_TV[first - 1 - start :].float().double().log_softmax(dim=-1)
    return float(-logs_TV.gather(1, targets_T[:, None]).sum())


Charges = dict[str, dict[str, Charge]]
"""By entrant and opening."""


def panel_charges(
    model: LanguageModel, tokenizer: Tokenizer, panel: Panel, context_tokens: int | None
) -> Charges:
    """Charge every text of the panel that is not empty."""
    charges: Charges = {entrant.name: {} for entrant in panel.entrants}
    for opening in panel.openings:
        for name, text in panel.texts(opening.id).items():
            if text:
                charges[name][opening.id] = continuation_charge(
                    model, tokenizer, opening.text, text, context_tokens=context_tokens
                )
    return charges


def probe_shares(
    model: LanguageModel, tokenizer: Tokenizer, panel: Panel, context_tokens: int | None
) -> dict[ProbeKind, ProbeShare]:
    """In how many probes of each kind the better text costs fewer bits per byte."""

    def bits(probe: Probe, name: ProbeText) -> float:
        return continuation_charge(
            model,
            tokenizer,
            probe.opening.text,
            probe.texts[name],
            context_tokens=context_tokens,
        ).bits_per_byte

    found: dict[ProbeKind, ProbeShare] = {}
    for kind, (better, worse) in PROBE_PAIRS.items():
        won = sum(bits(probe, better) < bits(probe, worse) for probe in panel.probes)
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
    limits = Limits()
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
            apart = (
                charges[other][opening.id].bits_per_byte - charges[one][opening.id].bits_per_byte
            )
            score = 0.5 + 0.5 * float(np.sign(apart))
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
