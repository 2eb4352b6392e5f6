"""What was learned when: the section of a climb that kept weights, and only of such a one."""

from __future__ import annotations

import csv
import math
import re

import pytest
from tests.report.conftest import write_json

from escada.evaluation.tasks.acquisition import AcquisitionStep
from escada.report.contents import Contents
from escada.report.data import read_climb
from escada.report.figures.acquisition import Curve, CurvePoint, draw_acquisition
from escada.report.i18n import Language
from escada.report.sections.acquisition import above_chance_since, section
from escada.report.writers.html import write_report

PHENOMENA = {"determiner_noun_gender": 0.9, "subject_verb_number": 0.62}
SOURCES = {"petrogold": -0.2, "porttinari": 0.1, "danteshots": 0.3}


def step_table(number: int, best: float, rank: int) -> dict:
    """A step of a rung that learns towards `best` bits per byte, later if its rank is lower."""
    done = 1 / (1 + math.exp(6 - 1.1 * number - 0.3 * rank))

    def share(top: float) -> dict:
        accuracy = 0.5 + (top - 0.5) * done
        ci95 = [accuracy - 0.06, min(1.0, accuracy + 0.06)]
        return {"accuracy": accuracy, "ci95": ci95, "pairs": 300, "groups": 90}

    def source(offset: float) -> dict:
        value = best + offset + 3 * (1 - done)
        return {
            **{"bits_per_byte": value, "ci95": [value - 0.05, value + 0.05]},
            **{"groups": 40, "effective_groups": 30.0, "bytes": 80_000},
        }

    steps = round(5 * 1.6**number)
    return {
        "step": steps,
        "tokens": steps * 1000,
        "flops": steps * 1e9 * (1 + rank / 5),
        "bits_per_byte": source(0)["bits_per_byte"],
        "ci95": source(0)["ci95"],
        "sources": {name: source(offset) for name, offset in SOURCES.items()},
        "agreement": {name: share(top) for name, top in PHENOMENA.items()},
        "lexicon_share": 0.1 + 0.8 * done,
        "lexicon_ci95": [max(0.0, 0.02 + 0.8 * done), min(1.0, 0.18 + 0.8 * done)],
    }


def acquisition_table(best: float, rank: int) -> dict:
    steps = [step_table(number, best, rank) for number in range(12)]
    head = {"schema_version": 1, "key": "x", "documents": 300, "bytes": 256_000}
    return head | {"steps": steps}


@pytest.fixture
def kept(climb, table):
    """The folder of a climb whose measured rungs kept weights."""
    folder = climb()
    for rank, rung in enumerate(table["rungs"]):
        if rung["status"] == "finished":
            path = folder / rung["run"] / "evaluation" / "acquisition.json"
            write_json(path, acquisition_table(rung["bits_per_byte"], rank))
    return folder


def contents_of(folder, code="en") -> Contents:
    return Contents(read_climb(folder), Language.load(code))


def test_without_kept_weights_there_is_no_such_section(climb):
    assert section(contents_of(climb())) is None


def text_of(page: str, code: str) -> str:
    part = page.split(f'<section id="{code}-acquisition"')[1].split("</section>")[0]
    return re.sub(r"<[^>]+>", " ", part)


@pytest.mark.parametrize(
    ("code", "learned", "not_learned"),
    [
        (
            "en",
            r"determiner–noun, gender: v\w+ is above chance from \d+\.\d\u202fk tokens on",
            "subject–verb, number: ",
        ),
        (
            "pt",
            r"determinante–nome, gênero: v\w+ fica acima do acaso a partir de \d+,\d\u202fk tokens",
            "sujeito–verbo, número: ",
        ),
    ],
)
def test_the_page_says_when_agreement_was_learned(kept, undrawn, code, learned, not_learned):
    text = text_of(write_report(kept).read_text(encoding="utf-8"), code)
    assert re.search(learned, text)
    assert not_learned in text


def test_a_rung_alone_is_not_compared_with_others(kept, undrawn):
    first, *others = sorted(kept.rglob("acquisition.json"))
    for other in others:
        other.unlink()
    text = text_of(write_report(kept).read_text(encoding="utf-8"), "en")
    assert re.search(
        r"gender: v\w+ is above chance from .{1,12} tokens on \(.{1,20} FLOP\)\.", text
    )
    assert "of all rungs" not in text
    assert "every rung is" not in text
    assert first.exists()


def test_every_figure_has_its_text_its_table_and_all_its_numbers(kept):
    built = section(contents_of(kept))
    figures = list(built.figures())
    names = [figure.name for figure in figures]
    assert names == [
        *(f"acquisition-{name}" for name in sorted(PHENOMENA)),
        *("acquisition-bits", *(f"acquisition-source-{i}" for i in (1, 2, 3))),
        "acquisition-words",
    ]
    for figure in figures:
        assert "v5" in figure.alt
        assert figure.table is not None
        assert len(figure.table.rows) == 6
        rungs, steps, points = 6, 12, 1 + len(SOURCES) + len(PHENOMENA) + 1
        assert len(figure.data.rows) == rungs * steps * points


def shares(*lows: float | None) -> list[AcquisitionStep]:
    made = []
    for number, low in enumerate(lows, start=1):
        table = step_table(number, 2.0, 0) | {"step": number}
        table["agreement"]["x"] = {
            "accuracy": 0.7,
            "ci95": None if low is None else [low, 0.9],
        }
        made.append(AcquisitionStep.model_validate(table))
    return made


@pytest.mark.parametrize(
    ("lows", "since"),
    [
        ((0.4, 0.45, 0.51, 0.6), 3),
        ((0.6, 0.49, 0.51), 3),
        ((0.6, 0.6, 0.5), None),
        ((0.51, 0.52), 1),
        ((0.4, 0.6, None), None),
        ((), None),
    ],
)
def test_above_chance_is_from_where_no_later_interval_reaches_it(lows, since):
    found = above_chance_since(shares(*lows), "x")
    assert (found and found.step) == since


def test_another_phenomenon_than_was_measured_is_not_above_chance():
    assert above_chance_since(shares(0.6, 0.6), "y") is None


def test_a_curve_is_drawn_with_its_band_and_a_missing_interval_without():
    points = [CurvePoint(10.0**i, 0.5 + i / 20, (0.4, 0.9)) for i in range(9, 13)]
    bare = [point._replace(ci95=None) for point in points]
    drawn = [Curve("v1", "rung-0-0", 0, points), Curve("v2", "rung-0-1", 1, bare)]
    axes = draw_acquisition(drawn, Language.load("pt"), shares=True, marks=[("acaso", 0.5)]).axes[0]
    assert len(axes.collections) == 1
    assert {text.get_text() for text in axes.texts} == {"v1", "v2", "acaso"}
    low, high = axes.get_ylim()
    assert low < 0.4
    assert 0.9 < high <= 1.0


def test_nothing_is_drawn_of_nothing():
    axes = draw_acquisition([], Language.load("en"), shares=False).axes[0]
    assert axes.texts[0].get_text() == "nothing was recorded"


def test_the_files_of_tables_have_it_too(kept, tmp_path):
    import typer
    from typer.testing import CliRunner

    from escada.cli.report import report

    app = typer.Typer()
    app.command()(report)
    asked = [str(kept), "--csv", str(tmp_path / "csv"), "--latex", str(tmp_path / "tex")]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    with (tmp_path / "csv" / "learned.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["rung"] for row in rows] == ["v1", "v2", "v3", "v4", "v4_gru", "v5"]
    assert all(float(row["determiner_noun_gender"]) > 0 for row in rows)
    assert (tmp_path / "tex" / "figures" / "acquisition-bits.pdf").exists()
    with (tmp_path / "tex" / "data" / "acquisition-bits.csv").open(encoding="utf-8") as file:
        points = list(csv.DictReader(file))
    assert {point["measure"] for point in points} == {"agreement", "bits_per_byte", "lexicon_share"}
    assert all(float(point["low"]) < float(point["value"]) for point in points)
