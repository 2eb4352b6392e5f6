"""Bits per byte against compute: fitted curves, the best size of each budget, crossings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from escada.evaluation.scale import BestSize, Fit, Prediction, Scale
from escada.report.blocks import Block, Figure, Section, Text
from escada.report.contents import Contents
from escada.report.figures.scaling import draw_scaling
from escada.report.i18n import NOTHING, Language
from escada.report.sections.shared import values_alt
from escada.report.sentences import crossing_sentence
from escada.report.tables import (
    Cell,
    Column,
    Detail,
    Filled,
    Provenance,
    Row,
    Table,
    cells_of,
    columns_of,
    csv_attributes,
    figure,
    text,
)


def section(contents: Contents) -> Section | None:
    """The section of a climb that has a scale of its own corpus and preset."""
    scale = contents.climb.scale
    if scale is None:
        return None
    return scaling_section(scale, contents.roles, contents.language)


def scaling_section(scale: Scale, roles: Mapping[str, str], language: Language) -> Section:
    """The section of any scale; `roles` are the rungs' colours."""
    say = language.say
    blocks: list[Block] = [
        Text(say("scaling.intro")),
        _figure(scale, roles, language),
        *(Text(sentence, f"finding {tone}") for tone, sentence in scale_findings(scale, language)),
        *scaling_tables(scale, language),
    ]
    return Section("scaling", say("scaling.title"), say("nav.scaling"), blocks)


def scale_findings(scale: Scale, language: Language) -> list[tuple[str, str]]:
    """Sentences on the predictions of this grid and on the crossings, with their tone."""
    found = [
        ("plain", _prediction_sentence(one, language))
        for one in scale.predictions
        if one.flops in scale.budgets
    ]
    return found + [
        ("plain", crossing_sentence(crossing, scale, language)) for crossing in scale.crossings
    ]


def _prediction_sentence(one: Prediction, t: Language) -> str:
    key = "unmeasured" if one.error is None else "measured" if one.before else "afterwards"
    return t.say(
        f"scaling.prediction_{key}",
        name=one.rung,
        flops=t.power(one.flops),
        bits=t.bits(one.bits_per_byte),
        interval=t.interval(one.ci95) or NOTHING,
        measured=t.bits(one.measured),
        error=_signed_percent(one.error, t),
    )


def _signed_percent(share: float | None, t: Language) -> str:
    return ("+" if share is not None and share > 0 else "") + t.percent(share)


def scaling_tables(scale: Scale, language: Language) -> list[Table]:
    """The best sizes of every budget, and the fits with their predictions."""
    return [_best_table(scale, language), _fits_table(scale, language)]


def _best_table(scale: Scale, t: Language) -> Table:
    say = t.say

    def size(best: BestSize) -> Cell:
        tried = [Detail(say("scaling.of_sizes", number=best.sizes))] if best.sizes > 1 else []
        return Cell(best.size or say("scaling.own_size"), best.size, details=tried)

    filled: list[Filled[BestSize]] = [
        text("rung", say("ladder.rung"), "rung"),
        figure("budget_flops", say("scaling.budget"), t.power),
        *csv_attributes("training_flops"),
        (Column("size", say("scaling.size"), numeric=False), size),
        figure("parameters", say("ladder.parameters"), t.compact),
        figure("bits_per_byte", say("ladder.bits"), t.bits),
        figure("spread", say("compare.spread"), t.bits),
        figure("seeds", say("scaling.seeds"), t.number),
    ]
    rows = [Row(cells_of(filled, best), _sources(scale, best)) for best in scale.best]
    shown = [column.key for column in columns_of(filled) if column.heading]
    note = say("scaling.best_note")
    caption = say("scaling.best")
    return Table("scaling", caption, columns_of(filled), rows, [note], page=shown, paper=shown)


def _sources(scale: Scale, best: BestSize) -> tuple[Provenance, ...]:
    return tuple(
        Provenance.of(run)
        for run in scale.runs
        if (run.rung, run.budget_flops, run.size) == (best.rung, best.budget_flops, best.size)
    )


def _fits_table(scale: Scale, t: Language) -> Table:
    say = t.say
    predicted = {one.rung: one for one in scale.predictions if one.flops == scale.budgets[-1]}

    def foretold(
        key: str, heading: str, write: Callable[[float | None], str], of: str
    ) -> Filled[Fit]:
        def fill(fit: Fit) -> Cell:
            value: float | None = getattr(predicted.get(fit.rung), of, None)
            return Cell(write(value), value)

        return Column(key, heading), fill

    def floor(fit: Fit) -> Cell:
        if not fit.has_floor:
            return Cell(say("scaling.no_floor", floor=t.number(fit.floor, 1)), fit.floor)
        return Cell(t.bits(fit.floor), fit.floor, details=[Detail(t.interval(fit.floor_ci95))])

    filled: list[Filled[Fit]] = [
        text("rung", say("ladder.rung"), "rung"),
        figure("budgets", say("scaling.budgets"), t.number),
        (Column("floor", "E"), floor),
        *csv_attributes("floor_ci95"),
        figure("coefficient", "A", t.significant),
        (
            Column("exponent", "α"),
            lambda f: Cell(
                t.number(f.exponent, 3), f.exponent, details=[Detail(t.interval(f.exponent_ci95))]
            ),
        ),
        *csv_attributes("exponent_ci95"),
        foretold("predicted", say("scaling.predicted"), t.bits, "bits_per_byte"),
        foretold("measured", say("scaling.measured"), t.bits, "measured"),
        foretold("error", say("scaling.error"), partial(_signed_percent, t=t), "error"),
    ]
    rows = [Row(cells_of(filled, fit)) for fit in scale.fits]
    shown = [column.key for column in columns_of(filled) if column.heading]
    notes = [say("scaling.fits_note")]
    caption = say("scaling.fits")
    return Table("scaling_fits", caption, columns_of(filled), rows, notes, page=shown, paper=shown)


def _figure(scale: Scale, roles: Mapping[str, str], t: Language) -> Figure:
    say = t.say
    told = [
        say(
            "scaling.point",
            name=b.rung,
            bits=t.bits(b.bits_per_byte),
            flops=t.power(b.budget_flops),
        )
        for b in scale.best
    ]
    filled = csv_attributes(
        "rung", "size", "seed", "budget_flops", "training_flops", "bits_per_byte"
    )
    rows = [Row(cells_of(filled, run), (Provenance.of(run),)) for run in scale.runs]
    return Figure(
        "scaling",
        say("scaling.caption"),
        values_alt("scaling.alt", told, t),
        partial(draw_scaling, scale, roles, t),
        paper=say("scaling.paper"),
        data=Table("scaling-runs", "", columns_of(filled), rows),
        flatness=0.6,
    )
