"""From measured texts to verdicts: what passes, what fails, and what cannot be said.

The result is plain JSON, because it is stored, and because limits can be laid over it later
(`with_roadmap_limits`) without measuring anything anew.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from escada.guardrails.causes import name_causes
from escada.guardrails.evidence import evidence
from escada.guardrails.limits import (
    ORIGIN,
    Guardrail,
    applies,
    calibrate,
    guardrails,
)
from escada.guardrails.measures import TextMeasures
from escada.guardrails.repetition import LONGEST_N

Texts = Sequence[TextMeasures]
Record = dict[str, Any]

ROADMAP_LIMITS = {"byte_fallback_ratio": 0.03, "short_piece_ratio": 0.12}
"""What the roadmap asks of samples, whatever the tokenizer."""


def judge(
    facts: Record,
    samples: Texts,
    calibration: Mapping[str, Texts],
    controls: Mapping[str, Texts],
    *,
    kind: str,
    set_texts: int,
    also: Sequence[Guardrail] = (),
) -> Record:
    """Judge samples.

    Args:
        facts: of the run and its samples; they stand at the head of the result.
        samples: of the model.
        calibration: texts of each control, by name, for the limits.
        controls: as many texts of each as there are samples, for the check.
        kind: of the tokenizer.
        set_texts: texts of a set.
        also: guardrails beside those of escada.

    Returns:
        The facts with `guardrails`, `origin`, `controls`, `evidence`, `verdict` and `causes`.
    """
    records: dict[str, Record] = {}
    values: dict[str, Record] = {name: {} for name in controls}
    for guardrail in (*guardrails(), *also, ORIGIN):
        record = _described(guardrail)
        records[guardrail.name] = record
        if not applies(guardrail.name, kind):
            reason = f"tokens of kind {kind!r} are no subword pieces"
            record |= {
                "value": None,
                "ci95": None,
                "limit": None,
                "verdict": "not applicable",
                "reason": reason,
            }
            continue
        found = calibrate(guardrail, calibration, set_texts)
        record |= {
            "value": guardrail.value(samples),
            "ci95": guardrail.interval(samples),
            "limit": found.limit.value,
            "must_fail": list(found.must_fail),
            "not_told_apart": list(found.not_told_apart),
            "calibration": asdict(found.limit),
            "details": _details(guardrail.name, samples),
        }
        for name, texts in controls.items():
            values[name][guardrail.name] = {"value": guardrail.value(texts)}
        _settle(record, values)
    origin = records.pop(ORIGIN.name)
    found = facts | {"guardrails": records, "origin": origin, "controls": values}
    kinds = evidence(found, samples, calibration["own"], kind=kind, set_texts=set_texts)
    return conclude(found | {"evidence": kinds})


def conclude(found: Record) -> Record:
    """The same with its verdict and causes, from what the guardrails say.

    Verdicts: `fail` if any guardrail fails; else `pass` if any passes; else `invalid`.
    """
    verdicts = {record["verdict"] for record in (*found["guardrails"].values(), found["origin"])}
    verdict = next((v for v in ("fail", "pass") if v in verdicts), "invalid")
    return found | {"verdict": verdict, "causes": name_causes(found)}


def with_roadmap_limits(found: Record) -> Record:
    """The same result under the roadmap's fixed limits.

    Human text contradicts them for most tokenizers; then they are invalid, as any other limit would
    be.
    """
    found = copy.deepcopy(found)
    for name, limit in ROADMAP_LIMITS.items():
        record = found["guardrails"][name]
        if record["verdict"] != "not applicable":
            record |= {"limit": limit, "calibration": None}
            _settle(record, found["controls"])
    return conclude(found)


def _described(guardrail: Guardrail) -> Record:
    return {
        "name": guardrail.name,
        "meaning": guardrail.meaning,
        "unit": guardrail.unit,
        "direction": guardrail.direction,
        "cause": guardrail.cause,
        "must_pass": guardrail.must_pass,
        "must_fail": list(guardrail.must_fail),
        "also_must_pass": guardrail.also_must_pass[0] if guardrail.also_must_pass else None,
    }


def _settle(record: Record, controls: Mapping[str, Record]) -> None:
    """Write the verdicts of a guardrail's controls and, if they do not contradict, its own."""
    unlimited = record["limit"] is None
    for values in controls.values():
        one = values[record["name"]]
        one["verdict"] = None if unlimited else _verdict(record, one)
    record |= {"verdict": "invalid", "reason": _contradiction(record, controls)}
    if record["reason"] is None:
        record["verdict"] = _verdict(record, record) or "not applicable"
        if record["value"] is None:
            record["reason"] = "nothing in the samples is long enough to judge"


def _contradiction(record: Record, controls: Mapping[str, Record]) -> str | None:
    """Why the guardrail is ignored; None if it is not."""
    edge = record["calibration"]
    if edge is not None and edge["value"] is None:
        worst, best = edge["worst_that_must_pass"], edge["best_that_must_fail"]
        if worst is None or best is None:
            return "the controls hold nothing that is long enough to judge"
        return (
            f"sets that must pass ({record['must_pass']}) reach {worst:.3g}, sets that must fail "
            f"({edge['nearest']}) {best:.3g}: this figure does not tell them apart"
        )
    wanted = {record["must_pass"]: "pass"} | dict.fromkeys(record["must_fail"], "fail")
    for name, verdict in wanted.items():
        one = controls[name][record["name"]]
        if one["verdict"] != verdict:
            value = in_words(one["value"]) if one["value"] is not None else "no value"
            return (
                f"the control {name!r}, which must {verdict}, does not: {value}, against a limit "
                f"of {limit_in_words(record)}"
            )
    return None


def _verdict(record: Record, values: Record) -> str | None:
    limit, value = record["limit"], values["value"]
    if value is None:
        return None
    return (
        "fail" if (value > limit if record["direction"] == "at most" else value < limit) else "pass"
    )


def limit_in_words(record: Record) -> str:
    """What passes: "at most 0.31"."""
    return f"{record['direction']} {in_words(record['limit'])}"


def in_words(value: float | None) -> str:
    """A figure of a guardrail; a dash where there is none."""
    return "–" if value is None else f"{value:.3g}"


def _details(name: str, samples: Texts) -> Record:
    """What a reader wants to see beside the value; `sample` counts from 0."""
    if name == "repetition":
        worst = max(range(len(samples)), key=lambda i: samples[i].repetition.repeated_share)
        of_worst = asdict(samples[worst].repetition)
        distinct = zip(*(one.repetition.distinct for one in samples), strict=True)
        return {
            **{
                f"distinct_{n}": sum(shares) / len(samples)
                for n, shares in zip(range(1, LONGEST_N + 1), distinct, strict=True)
            },
            "sample": worst,
            "repeated_share": samples[worst].repetition.repeated_share,
            "longest_repeat_words": of_worst["longest_repeat_words"],
            "longest_repeat_characters": of_worst["longest_repeat_characters"],
        }
    if name == "copied_training_text":
        longest = max(range(len(samples)), key=lambda i: samples[i].copy.words)
        passage = samples[longest].copy
        return {
            "sample": longest,
            "passage": passage.passage,
            "characters": passage.characters,
        }
    if name == "portuguese_words":
        return {
            "portuguese": sum(one.portuguese_words for one in samples),
            "other": sum(one.other_words for one in samples),
        }
    if name == "language":
        found = sum((one.languages for one in samples), Counter[str]())
        too_short = sum(not one.languages for one in samples)
        return {"too_short": too_short, "languages": dict(found.most_common())}
    if name == "self_likelihood":
        return {"mojibake_share": sum(one.mojibake for one in samples) / len(samples)}
    return {}
