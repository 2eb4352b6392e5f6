"""From measured texts to verdicts.

Fixed limits can be applied to a stored result without measuring again (`with_roadmap_limits`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from escada.guardrails.causes import name_causes
from escada.guardrails.evidence import evidence
from escada.guardrails.guardrail import ORIGIN, Guardrail, applies, calibrate, guardrails
from escada.guardrails.measures import TextMeasures
from escada.guardrails.results import ControlFound, GuardrailFound, GuardrailsResult, in_words

Texts = Sequence[TextMeasures]
Controls = Mapping[str, Mapping[str, ControlFound]]

ROADMAP_LIMITS = {"byte_fallback_ratio": 0.03, "short_piece_ratio": 0.12}
"""The roadmap's limits for samples, whatever the tokenizer."""


def apply_guardrails(
    about: Mapping[str, object],
    samples: Texts,
    calibration: Mapping[str, Texts],
    controls: Mapping[str, Texts],
    *,
    kind: str,
    set_texts: int,
    also: Sequence[Guardrail] = (),
) -> GuardrailsResult:
    """Judge samples.

    Args:
        about: identifying fields of the result.
        calibration: texts of each control, by name, to set the limits.
        controls: as many texts of each control as there are samples, for the check.
        also: external guardrails.
    """
    found: dict[str, GuardrailFound] = {}
    values: dict[str, dict[str, ControlFound]] = {name: {} for name in controls}
    for guardrail in (*guardrails(), *also, ORIGIN):
        one = GuardrailFound(
            name=guardrail.name,
            meaning=guardrail.meaning,
            unit=guardrail.unit,
            direction=guardrail.direction,
            cause=guardrail.cause,
            must_pass=guardrail.must_pass,
            must_fail=list(guardrail.must_fail),
            also_must_pass=guardrail.also_must_pass[0] if guardrail.also_must_pass else None,
            value=None,
            limit=None,
            verdict="not applicable",
            reason=f"tokens of kind {kind!r} are no subword pieces",
        )
        found[one.name] = one
        if applies(one.name, kind):
            limit = calibrate(guardrail, calibration, set_texts)
            one.value, one.ci95 = guardrail.value(samples), guardrail.interval(samples)
            one.limit, one.calibration = limit.edge.value, limit.edge
            one.must_fail, one.not_told_apart = limit.must_fail, limit.not_told_apart
            one.details = _details(one.name, samples)
            for name, texts in controls.items():
                values[name][one.name] = ControlFound(value=guardrail.value(texts))
            _settle(one, values)
    origin = found.pop(ORIGIN.name)
    result = GuardrailsResult.model_validate(
        {**about, "guardrails": found, "origin": origin, "controls": values, "verdict": "invalid"}
    )
    kinds = evidence(result, samples, calibration["own"], kind=kind, set_texts=set_texts)
    return _concluded(result.model_copy(update={"evidence": kinds}))


def _concluded(found: GuardrailsResult) -> GuardrailsResult:
    """Add verdict and causes: `fail` if any guardrail fails; else `pass` if any passes."""
    verdicts = {one.verdict for one in found.all_guardrails().values()}
    verdict = next((v for v in ("fail", "pass") if v in verdicts), "invalid")
    return found.model_copy(update={"verdict": verdict, "causes": name_causes(found)})


def with_roadmap_limits(found: GuardrailsResult) -> GuardrailsResult:
    """The same result under the roadmap's fixed limits.

    Human text contradicts them for most tokenizers, which makes them invalid like any other limit.
    """
    found = found.model_copy(deep=True)
    for name, limit in ROADMAP_LIMITS.items():
        one = found.guardrails[name]
        if one.verdict != "not applicable":
            one.limit, one.calibration = limit, None
            _settle(one, found.controls)
    return _concluded(found)


def _settle(one: GuardrailFound, controls: Controls) -> None:
    """Set the verdicts of a guardrail's controls and, unless they contradict it, its own."""
    for values in controls.values():
        values[one.name].verdict = one.judge(values[one.name].value)
    one.reason = _contradiction(one, controls)
    if one.reason is not None:
        one.verdict = "invalid"
    elif one.value is None:
        one.verdict = "not applicable"
        one.reason = "nothing in the samples is long enough to judge"
    else:
        one.verdict = one.judge(one.value) or "not applicable"


def _contradiction(one: GuardrailFound, controls: Controls) -> str | None:
    """Why the guardrail is invalid; None if it is not."""
    edge = one.calibration
    if edge is not None and edge.value is None:
        worst, best = edge.worst_that_must_pass, edge.best_that_must_fail
        if worst is None or best is None:
            return "the controls hold nothing that is long enough to judge"
        return (
            f"sets that must pass ({one.must_pass}) reach {worst:.3g}, sets that must fail "
            f"({edge.nearest}) {best:.3g}: this figure does not tell them apart"
        )
    wanted_of = {one.must_pass or "": "pass"} | dict.fromkeys(one.must_fail, "fail")
    for name, wanted in wanted_of.items():
        control = controls[name][one.name]
        if control.verdict != wanted:
            value = "no value" if control.value is None else in_words(control.value)
            return (
                f"the control {name!r}, which must {wanted}, does not: {value}, against a limit "
                f"of {one.limit_in_words}"
            )
    return None


def _details(name: str, samples: Texts) -> dict[str, object]:
    """Details to report with the value; `sample` counts from 0."""
    if name == "repetition":
        worst = max(range(len(samples)), key=lambda i: samples[i].repetition.repeated_share)
        repetition = samples[worst].repetition
        distinct = zip(*(one.repetition.distinct for one in samples), strict=True)
        means = [sum(shares) / len(samples) for shares in distinct]
        return {
            **{f"distinct_{n}": mean for n, mean in enumerate(means, start=1)},
            "sample": worst,
            "repeated_share": repetition.repeated_share,
            "longest_repeat_words": repetition.longest_repeat_words,
            "longest_repeat_characters": repetition.longest_repeat_characters,
        }
    if name == "copied_training_text":
        longest = max(range(len(samples)), key=lambda i: samples[i].copy.words)
        copy = samples[longest].copy
        return {"sample": longest, "passage": copy.passage, "characters": copy.characters}
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
