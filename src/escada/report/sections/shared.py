"""Cells and phrases shared by several sections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from escada.evaluation.tasks.cloze import ClozeResult
from escada.evaluation.tasks.minimal_pairs import Share
from escada.report.contents import Contents
from escada.report.i18n import NOTHING, Language
from escada.report.schema import RungRow
from escada.report.tables import Cell, Column, Detail, Filled
from escada.typed_json import Interval


def rung_cell(rung: RungRow) -> Cell:
    """A rung's name, in its colour on the page."""
    return Cell(rung.name, rung.name, style="rung")


def rung_column(language: Language, width: float | None = None) -> Column:
    """The column of rung names; `width` as in `Column`."""
    return Column("rung", language.say("ladder.rung"), numeric=False, width=width)


def rung_names(language: Language) -> Filled[RungRow]:
    """The column of rung names with its cells."""
    return rung_column(language), rung_cell


def share_cell(share: Share | ClozeResult | None, language: Language) -> Cell:
    """An accuracy in percent, with its interval below."""
    if share is None:
        return Cell(NOTHING)
    interval = Detail(language.percents(share.ci95))
    return Cell(language.percent(share.accuracy), share.accuracy, details=[interval])


def share_interval(share: Share | ClozeResult | None, language: Language) -> Cell:
    """The interval of an accuracy, for a column of its own."""
    interval = share.ci95 if share else None
    return Cell(language.percents(interval) or NOTHING, interval)


def difference_cell(difference: float, interval: Interval | None, language: Language) -> Cell:
    """A signed difference in bits per byte, with its interval below."""
    return Cell(
        language.signed(difference), difference, details=[Detail(language.interval(interval))]
    )


def tokenizer(rung: RungRow, language: Language) -> str:
    """`BPE 4,096`: the tokenizer a perplexity refers to."""
    return f"{tokenizer_kind(rung, language)} {language.number(rung.tokenizer.vocab_size)}"


def tokenizer_column(key: str, language: Language) -> Filled[RungRow]:
    """The column of tokenizers; in CSV, of their vocabulary's size."""
    return (
        Column(key, language.say("costs.tokenizer"), numeric=False),
        lambda rung: Cell(tokenizer(rung, language), rung.tokenizer.vocab_size),
    )


def tokenizer_kind(rung: RungRow, language: Language) -> str:
    """`BPE`: the kind of a rung's tokenizer."""
    kind = rung.tokenizer.kind
    return language.messages.get(f"tokenizer.{kind}", kind)


def status(rung: RungRow, language: Language) -> str:
    """A run's status in words."""
    return language.messages.get(f"ladder.status_{rung.status}", rung.status)


def as_typed(value: JsonValue) -> str:
    """A value as one would type it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def values_alt(key: str, values: Sequence[str], language: Language) -> str:
    """The text alternative of a figure, listing its values."""
    return language.say(key, values="; ".join(values) or language.say("figures.nothing"))


def cost_notes(contents: Contents) -> list[str]:
    """Notes below a cost sheet: whether energy is estimated, and which grid CO₂ refers to."""
    t = contents.language
    known = [cost for rung in contents.ladder.rungs if (cost := contents.cost(rung))]
    notes: list[str] = []
    if any(cost.energy_estimated for cost in known):
        notes.append(t.say("tables.energy_estimated"))
    grids = dict.fromkeys((cost.grid, cost.grid_g_per_kwh) for cost in known if cost.grid)
    return notes + [
        t.say(
            "tables.grid",
            grid=t.messages.get(f"grid.{grid}", grid),
            factor=t.significant(factor),
        )
        for grid, factor in grids
    ]


def lexicon_controls(contents: Contents) -> Mapping[str, float]:
    """Lexicon shares of human text and noise, if measured."""
    ladder = contents.ladder
    found = {"human": ladder.human, "noise": ladder.noise}
    return {
        name: one.lexicon_share
        for name, one in found.items()
        if one is not None and one.lexicon_share is not None
    }
