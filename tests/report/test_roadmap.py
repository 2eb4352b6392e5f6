from pathlib import Path

from escada.report.data import read_ladder
from escada.report.writers.roadmap import roadmap
from escada.spec import rung_names

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_what_the_generator_makes_of_the_committed_ladder():
    ladder = read_ladder(ROOT / "docs" / "results" / "laptop-climb")
    committed = (ROOT / "docs" / "roadmap.md").read_text(encoding="utf-8")
    assert committed == roadmap(ladder), "escada report docs/results/laptop-climb --roadmap …"


def rows_of(text):
    """Each version's rows, its two tables' in their order."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("| **"):
            name = line.split("**")[1].replace("\\_", "_")
            rows.setdefault(name, []).append(line)
    return rows


def test_every_version_is_there_measured_or_not(climb):
    rows = rows_of(roadmap(read_ladder(climb())))
    assert list(rows) == rung_names()
    assert "| reached |" in rows["v2"][1]
    assert "| not reached |" in rows["v3"][1]
    assert "| open |" in rows["v4_gru"][1]
    assert "| not measured |" in rows["v_final"][1]
    assert "| not in this climb |" in rows["v_next"][1]


def test_figures_are_those_of_the_ladder_and_prose_that_of_the_rungs(climb):
    rows = rows_of(roadmap(read_ladder(climb())))
    assert "| 2.254 \\[2.223, 2.288\\] | −0.077 bits per byte against v4" in rows["v5"][1]
    assert "Replace recurrence by attention" in rows["v5"][0]
    assert "Fewer bits per byte than v4." in rows["v5"][1]


def test_a_rung_that_the_climb_had_not_has_no_figure(climb, table):
    table["rungs"] = [rung for rung in table["rungs"] if rung["name"] == "v1"]
    rows = rows_of(roadmap(read_ladder(climb(table))))
    assert rows["v5"][1].endswith("| – | – | – | – | – | not in this climb |")
    assert "| reached |" in rows["v1"][1]
