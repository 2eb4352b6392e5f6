"""The measurement method and the corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from escada.report.blocks import Block, Heading, Section, Terms, Text
from escada.report.contents import Contents
from escada.report.i18n import NOTHING, Language, read_catalogue
from escada.report.schema import CorpusSummary
from escada.report.sections.shared import rung_cell, rung_column
from escada.report.tables import Cell, Column, Row, Table, page_table
from escada.text.filters import Removed

_EXAMPLE_CHARACTERS = 80


def section(contents: Contents) -> Section:
    """Build the section."""
    say = contents.language.say
    return Section("method", say("method.title"), say("nav.method"), list(_blocks(contents)))


def _blocks(contents: Contents) -> Iterator[Block]:
    say, profile = contents.language.say, contents.ladder.corpus.profile
    yield Text(say("method.ruler"))
    yield Text(say("method.held_out"))
    if profile and profile != "reference":
        yield Text(say("method.profile_note", profile=profile), "warning")
    yield Terms(list(_corpus(contents)))
    yield Heading(say("method.protocols"))
    yield _protocols(contents)


def _corpus(contents: Contents) -> Iterator[tuple[str, str]]:
    t, say, corpus = contents.language, contents.language.say, contents.ladder.corpus

    def by_split(values: Mapping[str, int]) -> str:
        names = {split: say(f"method.split_{split}") for split in ("train", "validation", "test")}
        lines = [f"{names.get(s, s)}: {t.number(n)}" for s, n in values.items()]
        return "\n".join(lines) or NOTHING

    documents, licences = corpus.documents, corpus.licences
    if isinstance(licences, dict):
        licences = [
            f"{source}: {_licence(source, licence, t)}" for source, licence in licences.items()
        ]
    yield say("method.source"), corpus.source or NOTHING
    yield say("method.profile"), corpus.profile or NOTHING
    shown = by_split(documents) if isinstance(documents, dict) else t.number(documents)
    yield say("method.documents"), shown
    yield say("method.bytes"), by_split(corpus.bytes)
    yield from _selection(corpus, t)
    lines = "\n".join(licences) if isinstance(licences, list) else licences
    yield say("method.licences"), lines or NOTHING
    yield say("method.hash"), corpus.hash or NOTHING


def _selection(corpus: CorpusSummary, t: Language) -> Iterator[tuple[str, str]]:
    """What mixtures, filters, masking and decontamination did, as far as they were asked for."""
    say = t.say
    total = sum(part.bytes for part in corpus.mixture)
    shares = [
        f"{part.source}: {t.percent(part.bytes / max(1, total))}"
        + ("" if part.share is None else say("method.asked", share=t.percent(part.share)))
        for part in corpus.mixture
    ]
    if shares:
        yield say("method.mixture"), "\n".join(shares)
    if corpus.filters.removed:
        yield say("method.filtered"), _removed(corpus.filters.removed, t)
    if corpus.masks_personal_data:
        masked = [f"{kind}: {t.number(n)}" for kind, n in corpus.filters.masked.items()]
        yield say("method.masked"), "\n".join(masked) or t.number(0)
    if corpus.decontamination is not None:
        yield say("method.decontaminated"), _removed(corpus.decontamination.removed, t)


def _removed(removed: Mapping[str, Removed], t: Language) -> str:
    """A line for each name: what it removed, and the start of its first example."""
    lines: list[str] = []
    for name, part in removed.items():
        sizes = {"documents": t.number(part.documents), "bytes": t.number(part.bytes)}
        line = t.say("method.removed", name=name, **sizes)
        for example in part.examples[:1]:
            text = " ".join(example.text.split())
            text = text if len(text) <= _EXAMPLE_CHARACTERS else f"{text[:_EXAMPLE_CHARACTERS]}…"
            line += t.say("method.example", text=text)
        lines.append(line)
    return "\n".join(lines)


def _licence(source: str, licence: str | Mapping[str, str], t: Language) -> str:
    """A licence and its note; those that escada itself wrote in the reader's language."""
    if isinstance(licence, str):
        return licence
    name, note = licence.get("name", NOTHING), licence.get("note", "")
    if note and note == read_catalogue("en").get(f"licence.{source}"):
        name = t.messages.get(f"licence.{source}_name", name)
        note = t.say(f"licence.{source}")
    elif name == read_catalogue("en")["licence.not_stated"]:
        name = t.say("licence.not_stated")
    return "; ".join(filter(None, (name, note)))


def _protocols(contents: Contents) -> Table:
    t, say, ladder = contents.language, contents.language.say, contents.ladder

    def cells(protocol: str | None, profile: str | None, corpus_hash: str | None) -> list[Cell]:
        meaning = t.messages.get(f"protocol.{protocol}")
        shown = (f"{protocol}: {meaning}" if meaning else protocol) or NOTHING
        return [
            Cell(shown, protocol),
            Cell(profile or NOTHING, profile),
            Cell((corpus_hash or NOTHING)[:12], corpus_hash, "code"),
        ]

    rows = [
        Row([rung_cell(rung), *cells(rung.protocol, rung.profile, rung.corpus_hash)])
        for rung in ladder.rungs
    ]
    rows += [
        Row(
            [
                Cell(t.baseline(baseline.key, baseline.name), baseline.key),
                *cells(baseline.protocol, ladder.corpus.profile, ladder.corpus.hash),
            ],
            control=True,
        )
        for baseline in ladder.baselines
    ]
    columns = [
        rung_column(t),
        Column("protocol", say("method.protocol"), numeric=False),
        Column("profile", say("method.profile"), numeric=False),
        Column("corpus_hash", say("method.hash"), numeric=False),
    ]
    return page_table("protocols", say("method.protocols"), columns, rows)
