"""Learning curves: validation bits per byte over training time, tokens and FLOPs."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import Literal, get_args

from escada.report.blocks import Block, Explorer, ExplorerLine, Figure, Group, Section, Text
from escada.report.contents import Contents
from escada.report.data import CurvePoint
from escada.report.figures.curves import draw_curves
from escada.report.sections.shared import rung_cell, rung_column, values_alt
from escada.report.tables import Cell, Column, Detail, Provenance, Row, Table, page_table

Over = Literal["seconds", "tokens", "flops"]


def section(contents: Contents) -> Section:
    """Build the section."""
    t, say = contents.language, contents.language.say
    blocks: list[Block] = [
        Text(say("curves.intro")),
        *_explorer(contents),
        Group([_figure(contents, over) for over in get_args(Over)], "pair three"),
    ]
    without = [rung.name for rung in contents.ladder.rungs if not contents.runs[rung.name].curve]
    if without:
        blocks.append(Text(say("curves.missing", names=t.names(without)), "note"))
    return Section("curves", say("curves.title"), say("nav.curves"), blocks)


def _explorer(contents: Contents) -> list[Block]:
    say = contents.language.say
    lines = [
        ExplorerLine(rung.name, contents.roles[rung.name], curve)
        for rung in contents.ladder.rungs
        if (curve := contents.runs[rung.name].curve)
    ]
    words = {over: say(f"figures.over_{over}") for over in get_args(Over)}
    words |= {
        word: say(f"explorer.{word}") for word in ("label", "hint", "reset", "axis", "rungs", "at")
    }
    return [Explorer("explorer", lines, words)] if lines else []


def _figure(contents: Contents, over: Over) -> Figure:
    t, say = contents.language, contents.language.say
    curves = {name: run.curve for name, run in contents.runs.items()}
    told = [
        say(
            "curves.curve",
            name=name,
            first=t.bits(curve[0].bits_per_byte),
            last=t.bits(curve[-1].bits_per_byte),
        )
        for name, curve in curves.items()
        if curve
    ]
    return Figure(
        f"curves-{over}",
        say(f"curves.caption_{over}"),
        values_alt(f"curves.alt_{over}", told, t),
        partial(draw_curves, contents.ladder, curves, t, over=over),
        table=_table(contents, over),
        paper=say(f"thesis.curves_{over}") if any(curves.values()) else "",
        data=_data(contents),
    )


def _table(contents: Contents, over: Over) -> Table:
    """Three points of each curve: first, middle, last."""
    t, say = contents.language, contents.language.say

    def reached(point: CurvePoint) -> Cell:
        at = {
            "seconds": t.duration(point.seconds),
            "tokens": t.compact(point.tokens),
            "flops": t.power(point.flops),
        }
        detail = Detail(f"{say('curves.at')} {at[over]}")
        return Cell(t.bits(point.bits_per_byte), point.bits_per_byte, details=[detail])

    rows = [
        Row([rung_cell(rung), *map(reached, (curve[0], curve[len(curve) // 2], curve[-1]))])
        for rung in contents.ladder.rungs
        if (curve := contents.runs[rung.name].curve)
    ]
    columns = [
        rung_column(t),
        *(Column(name, say(f"curves.{name}")) for name in ("first", "half", "last")),
    ]
    return page_table(f"curves-{over}", say(f"curves.over_{over}"), columns, rows)


def _data(contents: Contents) -> Table:
    keys = ("name", "key", "step", "tokens", "seconds", "flops", "bits_per_byte")
    rows = [
        Row(
            [Cell("", value) for value in (rung.name, rung.key, *attrgetter(*keys[2:])(point))],
            (Provenance.of(rung),),
        )
        for rung in contents.ladder.rungs
        for point in contents.runs[rung.name].curve
    ]
    return Table("curves", "", [Column(key) for key in keys], rows)
