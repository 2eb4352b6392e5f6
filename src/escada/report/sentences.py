"""The findings in sentences: the headline, and the verdict of each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from escada.budget import Budget
from escada.evaluation.baselines.corpus_controls import BaselineRow
from escada.evaluation.scale import Crossing, Scale
from escada.report.findings import Findings, Step
from escada.report.i18n import NOTHING, Language
from escada.report.schema import Ladder, RungRow
from escada.runs.time_budget import ALLOWED

_PROPER = "Transformer"
"""A word that keeps its capital inside a sentence."""
ICONS = {"better": "↓", "worse": "↑", "undecided": "≈"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of one step: its kind (a CSS class), a few words for a pill, a sentence."""

    kind: str
    pill: str
    sentence: str


def headline(ladder: Ladder, findings: Findings, language: Language) -> list[tuple[str, str]]:
    """Sentences with their tone (`good`, `bad`, `open`, `plain`), the main one first."""
    say, best = language.say, findings.best
    if best is None:
        return [("open", say("headline.none"))]
    figure = {
        "name": known_as(best, language),
        "bits": language.bits(best.bits_per_byte),
        "interval": language.interval(best.ci95) or NOTHING,
    }
    runner_up = findings.runner_up
    if runner_up is None:
        lines = [("plain", say("headline.only", **figure))]
    else:
        lines = [("plain", say("headline.best" if findings.clear else "headline.lowest", **figure))]
        second = {
            "name": known_as(runner_up, language),
            "bits": language.bits(runner_up.bits_per_byte),
        }
        key = "headline.next" if findings.clear else "headline.not_apart"
        lines.append(("plain", say(key, **second)))
    lines += _of_budget(ladder, findings, language)
    lines += _of_steps(findings, language)
    lines += _against_baselines(ladder, findings, language)
    for key, rungs in (
        ("headline.unfinished", findings.unfinished),
        ("headline.other_text", findings.other_text),
    ):
        if rungs:
            lines.append(("open", say(key, names=language.names([r.name for r in rungs]))))
    return lines


def known_as(rung: RungRow, language: Language) -> str:
    """A rung's name and title: `v4, the subword LSTM,`."""
    if rung.about is None:
        return rung.name
    title = language.pick(rung.about.title)
    if title[1:2].islower() and not title.startswith(_PROPER):  # a word, not an acronym or a name
        title = title[0].lower() + title[1:]
    return language.say("headline.known_as", name=rung.name, title=title)


def measure(ladder: Ladder, findings: Findings, language: Language) -> str:
    """What bits per byte mean, with the strongest baseline for scale."""
    text = language.say("headline.measure")
    if findings.best is None or not ladder.baselines:
        return text
    strongest = ladder.best_baseline
    beside = language.say(
        "headline.against_strongest",
        baseline=language.baseline(strongest.key, strongest.name),
        bits=language.bits(strongest.bits_per_byte),
    )
    return f"{text} {beside}"


def _of_budget(ladder: Ladder, findings: Findings, language: Language) -> Iterator[tuple[str, str]]:
    if not findings.off_plan:
        return
    said = {"percent": round(100 * ALLOWED), "names": off_plan(findings, language)}
    if ladder.budget and Budget.parse(ladder.budget).unit == "seconds":
        budget = language.budget(ladder.budget)
        yield "bad", language.say("headline.off_budget", budget=budget, **said)
    else:
        yield "open", language.say("headline.off_plan", **said)


def off_plan(findings: Findings, language: Language) -> str:
    """The rungs that missed their planned time: `v1 (1 min 48 s, planned 60.0 s)`."""
    return language.names(
        [
            language.say(
                "headline.off_plan_rung",
                name=rung.name,
                time=language.duration(rung.training_seconds),
                planned=language.duration(planned),
            )
            for rung, planned in findings.off_plan
        ]
    )


def _against_baselines(
    ladder: Ladder, findings: Findings, language: Language
) -> Iterator[tuple[str, str]]:
    """Which rungs do not beat which baselines; baselines with the same rungs share a sentence."""
    together: dict[tuple[str, ...], list[BaselineRow]] = {}
    for baseline in sorted(ladder.baselines, key=lambda baseline: baseline.bits_per_byte):
        above = tuple(rung.name for rung, other in findings.not_better if other is baseline)
        if not above and baseline not in findings.beaten:
            continue
        together.setdefault(above, []).append(baseline)
    for above, baselines in together.items():
        if above:
            named = language.names([language.baseline(b.key, b.name) for b in baselines])
            values = {"names": language.names(above), "baseline": named}
            yield "bad", language.say("headline.above_baseline", **values)
        else:
            hardest = baselines[0]
            values = {
                "baseline": language.baseline(hardest.key, hardest.name),
                "bits": language.bits(hardest.bits_per_byte),
            }
            yield "good", language.say("headline.below_baseline", **values)


def _of_steps(findings: Findings, language: Language) -> list[tuple[str, str]]:
    def pairs(outcome: str, key: str) -> str:
        return language.names(
            [
                language.say(key, name=step.rung.name, against=step.against)
                for step in findings.steps
                if step.outcome == outcome and not (outcome == "worse" and step.crossing)
            ]
        )

    lines: list[tuple[str, str]] = []
    if findings.monotone:
        lines.append(("good", language.say("headline.monotone")))
    elif worse := pairs("worse", "headline.broken_pair"):
        lines.append(("bad", language.say("headline.broken", pairs=worse)))
    elif findings.monotone is None and any(step.comparison for step in findings.steps):
        lines.append(("open", language.say("headline.open")))
    crossings = (_of_crossing(step, findings, language) for step in findings.steps)
    lines += [("plain", sentence) for sentence in crossings if sentence]
    disagreeing = language.names(
        [
            language.say("headline.undecided_pair", name=step.rung.name, against=step.against)
            for step in findings.steps
            if step.comparison is not None and step.comparison.sources_disagree
        ]
    )
    if disagreeing:
        lines.append(("open", language.say("headline.sources_disagree", pairs=disagreeing)))
    if undecided := pairs("undecided", "headline.undecided_pair"):
        lines.append(("open", language.say("headline.undecided", pairs=undecided)))
    return lines


def _of_crossing(step: Step, findings: Findings, language: Language) -> str:
    if step.crossing is None or findings.scale is None:
        return ""
    return crossing_sentence(step.crossing, findings.scale, language)


def crossing_sentence(one: Crossing, scale: Scale, language: Language) -> str:
    """Where one rung passes another: `v_final passes v4 at 8.0 × 10¹³ FLOP (95 % interval …)`."""

    def say(key: str, **values: float | None) -> str:
        shown = {name: language.power(value) for name, value in values.items()}
        return language.say(f"scaling.{key}", passes=one.passes, passed=one.passed, **shown)

    low, high = one.ci95 or (None, None)
    limit, start = scale.limit_flops, min(scale.budgets)
    if one.flops is None:
        sentence = say("no_crossing", start=start, limit=limit)
        return sentence if low is None else f"{sentence} {say('not_excluded', low=low)}"
    if one.ci95 is None:
        interval = say("interval_unknown")
    elif low is not None and high is not None:
        interval = say("interval", low=low, high=high)
    elif low is not None:
        interval = say("interval_from", low=low, limit=limit)
    elif high is not None:
        interval = say("interval_to", start=start, high=high)
    else:
        interval = say("interval_open", start=start, limit=limit)
    key = "crossing" if one.flops <= scale.trained_flops else "crossing_beyond"
    return f"{say(key, flops=one.flops, largest=scale.trained_flops)} {interval}"


def verdict(rung: RungRow, findings: Findings, language: Language) -> Verdict:
    """The verdict of the step up to `rung`."""
    step = next((step for step in findings.steps if step.rung.name == rung.name), None)
    if step is None:
        return Verdict("none", "", language.say("steps.first"))
    names = {"name": rung.name, "against": step.against}
    if step.comparison is None:
        sentence = language.say(f"steps.{step.outcome}", **names)
        return Verdict("none", language.say("steps.none_pill"), sentence)
    pill = language.say(f"steps.{step.outcome}_pill", against=step.against)
    sentences = _compared(step, language, names), _of_crossing(step, findings, language)
    return Verdict(step.outcome, f"{ICONS[step.outcome]} {pill}", " ".join(filter(None, sentences)))


def _compared(step: Step, language: Language, names: dict[str, str]) -> str:
    assert step.comparison is not None
    difference, interval = step.comparison.difference, step.comparison.ci95
    key = f"steps.{step.outcome}"
    if step.outcome == "undecided":
        key += "_fewer" if difference < 0 else "_more"
    if interval is not None and step.outcome == "better":  # reported as a gain: flip both signs
        interval = (-interval[1], -interval[0])
    return language.say(
        key,
        difference=language.bits(abs(difference)),
        interval=language.interval(interval),
        **names,
    )
