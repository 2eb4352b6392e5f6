"""Each rung's continuations of the same prompts, and the share of existing words."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from escada.evaluation.tasks.samples import SampleRow
from escada.report.blocks import (
    Block,
    Continuation,
    Figure,
    Heading,
    Prompt,
    Prompts,
    Section,
    Text,
)
from escada.report.contents import Contents
from escada.report.data import RunFiles
from escada.report.figures.curves import draw_lexicon
from escada.report.schema import RungRow
from escada.report.sections.shared import (
    as_typed,
    lexicon_controls,
    rung_cell,
    rung_column,
    values_alt,
)
from escada.report.tables import Cell, Column, Row, control_row, page_table

_OPENING_CHARACTERS = 90


def section(contents: Contents) -> Section:
    """Build the section."""
    say = contents.language.say
    blocks = [
        *_samples(contents),
        Heading(say("samples.lexicon")),
        Text(say("samples.lexicon_intro")),
        _lexicon(contents),
    ]
    return Section("samples", say("samples.title"), say("nav.samples"), blocks)


def _samples(contents: Contents) -> Iterator[Block]:
    t, say, runs = contents.language, contents.language.say, contents.runs
    sampled = [rung for rung in contents.ladder.rungs if runs[rung.name].samples]
    if not sampled:
        yield Text(say("samples.none"))
        return
    intro = say("samples.intro")
    if settings := _settings(runs[sampled[0].name]):
        intro = f"{intro} {say('samples.settings', settings=settings)}"
    yield Text(intro)
    failing = {rung.name: _failing(rung, contents) for rung in sampled}
    warnings = {n: say("samples.fails", names=names) for n, names in failing.items() if names}
    names = [rung.name for rung in sampled]
    yield Prompts(_prompts(contents), names, warnings, say("samples.no_sample"))
    missing = [rung.name for rung in contents.ladder.rungs if rung not in sampled]
    if missing:
        yield Text(say("samples.missing", names=t.names(missing)), "note")


def _prompts(contents: Contents) -> list[Prompt]:
    """Prompts in order of first appearance, with every rung's continuations."""
    messages = contents.language.messages
    found: dict[tuple[str, str], Prompt] = {}
    for rung in contents.ladder.rungs:
        for sample in contents.runs[rung.name].samples:
            key = (sample.prompt_id, sample.prompt)
            if key not in found:
                flat = " ".join(sample.prompt.split())
                short = flat[:_OPENING_CHARACTERS].rsplit(" ", 1)[0]
                long = len(flat) > _OPENING_CHARACTERS
                found[key] = Prompt(
                    text=sample.prompt,
                    opening=f"{short} …" if long else flat or "∅",
                    long=long,
                    category=messages.get(f"category.{sample.category}", sample.category),
                )
            found[key].by_rung.setdefault(rung.name, []).append(_continuation(sample, contents))
    return list(found.values())


def _continuation(sample: SampleRow, contents: Contents) -> Continuation:
    t, say = contents.language, contents.language.say
    cut = say("samples.unfinished") if sample.finished is False else ""
    if sample.bits_per_token is None:
        return Continuation(sample.text, cut, "")
    bits = say("samples.bits_per_token", bits=t.number(sample.bits_per_token, 2))
    return Continuation(sample.text, cut, f"{bits} · {cut}" if cut else bits)


def _settings(run: RunFiles) -> str:
    """The sampler's settings on one line, with the option names of the command line."""
    set_values = {key: value for key, value in run.sampler.items() if value not in (None, False)}
    return ", ".join(f"{key} {as_typed(value)}" for key, value in set_values.items())


def _failing(rung: RungRow, contents: Contents) -> str:
    """Names of the guardrails that a rung's samples fail; empty if none."""
    t = contents.language
    found = rung.guardrails.guardrails if rung.guardrails else {}
    failed = [name for name, guard in found.items() if guard.verdict == "fail"]
    return t.names([t.messages.get(f"guardrail.{name}", name) for name in failed])


def _lexicon(contents: Contents) -> Figure:
    t, say, ladder = contents.language, contents.language.say, contents.ladder
    controls = lexicon_controls(contents)
    columns = [rung_column(t), Column("lexicon_share", say("samples.share"))]
    rows = [
        Row([rung_cell(rung), Cell(t.percent(rung.lexicon_share), rung.lexicon_share)])
        for rung in ladder.rungs
    ]
    rows += [
        control_row(
            columns,
            {"rung": Cell(say(f"samples.{name}")), "lexicon_share": Cell(t.percent(share), share)},
        )
        for name, share in controls.items()
    ]
    shares = [
        f"{rung.name} {t.percent(rung.lexicon_share)}"
        for rung in ladder.rungs
        if rung.lexicon_share is not None
    ]
    shares += [f"{say(f'figures.{name}')} {t.percent(share)}" for name, share in controls.items()]
    return Figure(
        "lexicon",
        say("samples.lexicon_caption"),
        values_alt("samples.lexicon_alt", shares, t),
        partial(draw_lexicon, ladder, t),
        table=page_table("lexicon", say("samples.lexicon"), columns, rows),
    )
