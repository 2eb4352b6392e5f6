"""Pairs, guardrails, seeds and judge arranged for the page."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from escada.report.data import LadderFacts, RungFacts
from escada.report.i18n import Language
from escada.report.tested import JudgeFacts, PairsFacts, RatedFacts, SeedFacts, ShareFacts

TestRow = tuple[str, PairsFacts | None, ShareFacts | None, str]
"""A label, its pairs, its last words, and `baseline` or nothing."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """All runs of a rung, and what the seed moves; None while a run is not measured."""

    each: list[SeedFacts]
    mean: float | None
    deviation: float | None


def context(ladder: LadderFacts, judge: JudgeFacts | None, language: Language) -> dict[str, object]:
    """What the template of these sections may name."""
    first = next((rung.minimal_pairs for rung in ladder.rungs if rung.minimal_pairs), None)
    phenomena = first.by_phenomenon if first else {}
    guarded = [rung.guardrails for rung in ladder.rungs if rung.guardrails]
    return {
        "seeded": [(rung, seeds_of(rung)) for rung in ladder.rungs if rung.other_seeds],
        "phenomena": [(name, share.pairs) for name, share in phenomena.items()],
        "test_rows": list(_test_rows(ladder, language)),
        "pairs_findings": list(_pairs_findings(ladder, language)),
        "guard_names": list(dict.fromkeys(n for found in guarded for n in found.guardrails)),
        "guard_controls": [
            (
                language.say(f"guard.{name}"),
                {guard: found.value for guard, found in guarded[0].controls[name].items()},
            )
            for name in ("human", "noise")
            if guarded and name in guarded[0].controls
        ],
        "judge": judge,
        "judged": _judged(judge),
    }


def seeds_of(rung: RungFacts) -> Seeds:
    """All runs of a rung; mean and deviation once each of them is measured."""
    own = SeedFacts(seed=rung.seed, run=rung.run, bits_per_byte=rung.bits_per_byte)
    each = [own, *rung.other_seeds]
    figures = [one.bits_per_byte for one in each if one.bits_per_byte is not None]
    if len(figures) < len(each):
        return Seeds(each, None, None)
    return Seeds(each, statistics.mean(figures), statistics.stdev(figures))


def _test_rows(ladder: LadderFacts, language: Language) -> Iterator[TestRow]:
    for rung in ladder.rungs:
        if rung.minimal_pairs or rung.cloze:
            yield rung.name, rung.minimal_pairs, rung.cloze, ""
    for row in ladder.tested_baselines:
        yield language.tested_baseline(row), row.minimal_pairs, row.cloze, "baseline"


def _pairs_findings(ladder: LadderFacts, language: Language) -> Iterator[tuple[str, str]]:
    """The last rung against the strongest n-gram model: what the ladder was climbed for."""
    tested = [rung for rung in ladder.rungs if rung.minimal_pairs]
    controls = {b.key: b.minimal_pairs for b in ladder.baselines if b.minimal_pairs}
    if not tested or not controls:
        return
    rung, key = tested[-1], max(controls, key=lambda key: controls[key].accuracy)
    strongest = controls[key]
    found = next(
        (
            row.minimal_pairs
            for row in ladder.baseline_comparisons
            if (row.a, row.b) == (rung.name, key)
        ),
        None,
    )
    if found is None:
        return
    own = rung.minimal_pairs
    assert own is not None
    values = {
        "name": rung.name,
        "a": f"{language.percent(own.accuracy)} {language.percents(own.ci95)}".strip(),
        "b": f"{language.percent(strongest.accuracy)} {language.percents(strongest.ci95)}".strip(),
    }
    if found.verdict == "worse":
        yield "bad", language.say("tests.below", **values)
    elif found.verdict == "better":
        yield "good", language.say("tests.above", **values)
    else:
        yield "open", language.say("tests.not_above", **values)


def _judged(judge: JudgeFacts | None) -> list[tuple[RatedFacts, str]]:
    if judge is None:
        return []
    return [(row, "") for row in judge.ratings] + [
        (row, "baseline") for row in judge.controls.values()
    ]
