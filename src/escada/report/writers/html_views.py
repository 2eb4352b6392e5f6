"""Facts arranged for the page: prompts with continuations, corpus, environment, alt texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from markupsafe import Markup

from escada.report.data import CorpusFacts, LadderFacts, RunFacts, RungFacts, SampleFacts
from escada.report.figures.frontier import PRICES, points, price_text
from escada.report.i18n import NOTHING, Language

COSTS = (
    "training_seconds",
    "training_flops",
    "peak_memory_bytes",
    "training_tokens",
    "training_bytes",
    "evaluation_tokens_per_second",
)
_OPENING_CHARACTERS = 90

_CONTROLS = dict.fromkeys({*range(32), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")}, "\ufffd")


def visible(value: object) -> object:
    """Text with its control characters shown as U+FFFD; anything else unchanged."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return value.translate(_CONTROLS)
    return value


@dataclass(frozen=True, slots=True)
class ShownSample:
    """A continuation as it is printed."""

    text: str
    cut: bool
    bits: str


@dataclass(slots=True)
class Prompt:
    """A prompt and what each rung made of it; `opening` is its beginning, whole unless `long`."""

    text: str
    opening: str
    long: bool
    category: str
    by_rung: dict[str, list[ShownSample]] = field(default_factory=dict[str, list[ShownSample]])


def settings(ladder: LadderFacts, language: Language) -> str:
    """The line above the headline."""
    created = (ladder.created or NOTHING).replace("T", " ")[:16]
    return language.say(
        "page.settings",
        preset=ladder.preset or NOTHING,
        seed=NOTHING if ladder.seed is None else ladder.seed,
        created=created,
    )


def tokenizer(rung: RungFacts, language: Language) -> str:
    """`BPE 4,096`: the tokenizer that a perplexity belongs to."""
    return f"{tokenizer_kind(rung, language)} {language.number(rung.tokenizer.vocab_size)}"


def tokenizer_kind(rung: RungFacts, language: Language) -> str:
    """`BPE`: how a rung cuts text."""
    kind = rung.tokenizer.kind
    return language.messages.get(f"tokenizer.{kind}", kind)


def protocol(name: str | None, language: Language) -> str:
    """A protocol by its name, and what it means where the catalogue knows it."""
    meaning = language.messages.get(f"protocol.{name}")
    return (f"{name}: {meaning}" if meaning else name) or NOTHING


def status(rung: RungFacts, language: Language) -> str:
    """A run's status in words."""
    key = f"ladder.status_{rung.status}"
    return language.say(key) if key in language.messages else rung.status


def failing(rung: RungFacts, language: Language) -> str:
    """The guardrails that a rung's samples fail, by name; empty when there are none."""
    found = rung.guardrails.guardrails if rung.guardrails else {}
    return language.names(
        [
            language.messages.get(f"guardrail.{name}", name)
            for name, guard in found.items()
            if guard.verdict == "fail"
        ]
    )


def gap(rung: RungFacts) -> float | None:
    """Validation less training bits per byte."""
    if rung.validation_bits_per_byte is None or rung.train_bits_per_byte is None:
        return None
    return rung.validation_bits_per_byte - rung.train_bits_per_byte


def largest_costs(ladder: LadderFacts) -> dict[str, float]:
    """The largest value of each cost, for the bars of the table."""
    return {cost: max(getattr(rung, cost) or 0.0 for rung in ladder.rungs) for cost in COSTS}


def cost_notes(ladder: LadderFacts, runs: Mapping[str, RunFacts], language: Language) -> list[str]:
    """What holds for a whole cost sheet: that energy is estimated, and of which grid CO₂ is."""
    known = [cost for rung in ladder.rungs if (cost := runs[rung.name].cost)]
    notes: list[str] = []
    if any(cost.energy_estimated for cost in known):
        notes.append(language.say("tables.energy_estimated"))
    grids = dict.fromkeys((c.grid, c.grid_g_per_kwh) for c in known if c.grid)
    return notes + [
        language.say(
            "tables.grid",
            grid=language.messages.get(f"grid.{grid}", grid),
            factor=language.significant(factor),
        )
        for grid, factor in grids
    ]


def _shown(sample: SampleFacts, language: Language) -> ShownSample:
    bits = sample.bits_per_token
    return ShownSample(
        text=sample.text,
        cut=sample.finished is False,
        bits=""
        if bits is None
        else language.say("samples.bits_per_token", bits=language.number(bits, 2)),
    )


def prompts(ladder: LadderFacts, runs: Mapping[str, RunFacts], language: Language) -> list[Prompt]:
    """Prompts in the order in which they first appear, with every rung's continuations."""
    found: dict[tuple[str, str], Prompt] = {}
    for rung in ladder.rungs:
        for sample in runs[rung.name].samples:
            key = (sample.prompt_id, sample.prompt)
            if key not in found:
                flat = " ".join(sample.prompt.split())
                short = flat[:_OPENING_CHARACTERS].rsplit(" ", 1)[0]
                long = len(flat) > _OPENING_CHARACTERS
                found[key] = Prompt(
                    text=sample.prompt,
                    opening=f"{short} …" if long else flat or "∅",
                    long=long,
                    category=language.messages.get(f"category.{sample.category}", sample.category),
                )
            found[key].by_rung.setdefault(rung.name, []).append(_shown(sample, language))
    return list(found.values())


def sampler(run: RunFacts) -> str:
    """The sampler's settings as one line, in the words of the command line."""
    set_values = {key: value for key, value in run.sampler.items() if value not in (None, False)}
    return ", ".join(f"{key} {_plain(value)}" for key, value in set_values.items())


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def corpus(ladder: LadderFacts, language: Language) -> list[tuple[str, str]]:
    """What was read, as labels and values."""
    facts = ladder.corpus
    say = language.say

    def by_split(values: Mapping[str, int]) -> str:
        names = {split: say(f"method.split_{split}") for split in ("train", "validation", "test")}
        lines = [f"{names.get(s, s)}: {language.number(n)}" for s, n in values.items()]
        return "\n".join(lines) or NOTHING

    documents = facts.documents
    licences = facts.licences
    if isinstance(licences, dict):
        licences = [
            f"{source}: {_licence(source, licence, facts, language)}"
            for source, licence in licences.items()
        ]
    return [
        (say("method.source"), facts.source or NOTHING),
        (say("method.profile"), facts.profile or NOTHING),
        (
            say("method.documents"),
            by_split(documents) if isinstance(documents, dict) else language.number(documents),
        ),
        (say("method.bytes"), by_split(facts.bytes)),
        (
            say("method.licences"),
            ("\n".join(licences) if isinstance(licences, list) else licences) or NOTHING,
        ),
        (say("method.hash"), facts.hash or NOTHING),
    ]


def _licence(
    source: str, licence: str | Mapping[str, str], facts: CorpusFacts, language: Language
) -> str:
    """A licence and its note; the notes of the default corpus in the reader's language."""
    if isinstance(licence, str):
        return licence
    if facts.source == "default" and f"licence.{source}" in language.messages:
        name = language.messages.get(f"licence.{source}_name", licence.get("name", NOTHING))
        licence = {"name": name, "note": language.say(f"licence.{source}")}
    return "; ".join(licence.values())


def _flat(value: object, prefix: str = "") -> dict[str, str]:
    """Nested JSON as dotted names and plain values."""
    if isinstance(value, dict):
        flat: dict[str, str] = {}
        for key, below in cast(dict[str, Any], value).items():
            flat |= _flat(below, f"{prefix}.{key}" if prefix else key)
        return flat
    return {prefix: _plain(value)}


def environment(
    ladder: LadderFacts, runs: Mapping[str, RunFacts], language: Language
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Titled tables: the machine, what all runs share, and what differs, by run."""
    tables = [(language.say("environment.machine"), list(_flat(ladder.machine).items()))]
    flats = {name: _flat(run.environment) for name, run in runs.items() if run.environment}
    if flats:
        first = next(iter(flats.values()))
        shared = {k for k, v in first.items() if all(f.get(k) == v for f in flats.values())}
        common = [(key, value) for key, value in first.items() if key in shared]
        differing = [
            (f"{name} · {key}", value)
            for name, flat in flats.items()
            for key, value in flat.items()
            if key not in shared
        ]
        tables += [
            (language.say("environment.shared"), common),
            (language.say("environment.differing"), differing),
        ]
    return [(title, rows) for title, rows in tables if rows]


def _at_price(
    ladder: LadderFacts, runs: Mapping[str, RunFacts], language: Language, over: str
) -> list[str]:
    return [
        language.say(
            "frontier.point",
            name=point.name,
            bits=language.bits(point.bits),
            price=price_text(point.price, over, language),
        )
        for point in points(ladder, runs, language, over)
    ]


def figure_alts(
    ladder: LadderFacts, runs: Mapping[str, RunFacts], language: Language
) -> dict[str, str]:
    """For each figure, what a reader who cannot see it is told."""
    say, bits = language.say, language.bits

    def told(key: str, values: Sequence[str]) -> str:
        return str(visible(say(key, values="; ".join(values) or say("figures.nothing"))))

    measured = [
        f"{rung.name} "
        + (
            say("ladder.unmeasured")
            if rung.bits_per_byte is None
            else f"{bits(rung.bits_per_byte)} {language.interval(rung.ci95)}".strip()
        )
        for rung in ladder.rungs
    ]
    measured += [
        f"{language.baseline(b.key, b.name)} {bits(b.bits_per_byte)}" for b in ladder.baselines
    ]
    curves = [
        say(
            "curves.curve",
            name=rung.name,
            first=bits(curve[0].bits_per_byte),
            last=bits(curve[-1].bits_per_byte),
        )
        for rung in ladder.rungs
        if (curve := runs[rung.name].curve)
    ]
    shares = [
        f"{rung.name} {language.percent(rung.lexicon_share)}"
        for rung in ladder.rungs
        if rung.lexicon_share is not None
    ]
    for key, facts in (("human", ladder.human), ("noise", ladder.noise)):
        if facts is not None and facts.lexicon_share is not None:
            shares.append(f"{say(f'figures.{key}')} {language.percent(facts.lexicon_share)}")
    by_source: list[str] = []
    for source in sorted({source for rung in ladder.rungs for source in rung.by_source}):
        there = [rung for rung in ladder.rungs if source in rung.by_source]
        by_source.append(
            say(
                "sources.value",
                source=source,
                first=bits(there[0].by_source[source]),
                first_name=there[0].name,
                last=bits(there[-1].by_source[source]),
                last_name=there[-1].name,
            )
        )
    return {
        "ladder": told("ladder.alt", measured),
        "curves-tokens": told("curves.alt_tokens", curves),
        **{
            f"frontier-{over}": told(
                f"frontier.alt_{over}", _at_price(ladder, runs, language, over)
            )
            for over in PRICES
        },
        "curves-seconds": told("curves.alt_seconds", curves),
        "curves-flops": told("curves.alt_flops", curves),
        "lexicon": told("samples.lexicon_alt", shares),
        "sources": told("sources.alt", by_source),
    }


def sources_notes(ladder: LadderFacts, language: Language) -> list[str]:
    """What the intervals over all sources rest on: the same documents for every rung."""
    rung = next((r for r in ladder.rungs if r.effective_groups is not None), None)
    if rung is None:
        return []
    notes: list[str] = []
    if rung.groups is None or rung.groups > 1:
        effective = language.number(rung.effective_groups, 1)
        groups = language.number(rung.groups)
        notes.append(language.say("sources.groups", groups=groups, effective=effective))
    if rung.ci95_leaves_out:
        notes.append(language.say("sources.alone", sources=", ".join(rung.ci95_leaves_out)))
    return notes
