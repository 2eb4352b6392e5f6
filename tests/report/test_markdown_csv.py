import csv
import io
import re

import pytest

from escada.errors import EscadaError
from escada.files import read_json
from escada.report.changes import settings_of
from escada.report.tables import Cell, Column, Row, Table
from escada.report.writers.bundle import write_csv, write_markdown
from escada.report.writers.html import write_report
from escada.report.writers.latex import write_latex
from escada.report.writers.markdown_csv import csv_text, markdown_table
from escada.spec import load_spec


def test_markdown_shows_what_special_characters_are():
    columns = [Column("a", "Name", numeric=False), Column("b", "Para-\nmeters")]
    rows = [Row([Cell("v4_gru|<b>*x*"), Cell("[2, 3]", (2.0, 3.0), "strong")])]
    assert markdown_table(Table("t", "", columns, rows, paper=("a", "b"))) == (
        "| Name | Parameters |\n| --- | ---: |\n| v4\\_gru\\|\\<b\\>\\*x\\* | **\\[2, 3\\]** |\n"
    )


def test_csv_has_the_values_whole_and_an_interval_in_two_columns():
    columns = [Column("name", ""), Column("bits", ""), Column("ci95", "")]
    rows = [
        Row([Cell("x", 'a,"b"'), Cell("2.1", 2.1072033978225013), Cell("", (2.0, 2.5))]),
        Row([Cell("y", "c"), Cell("", None), Cell("–", None)]),
    ]
    text = csv_text(Table("t", "", columns, rows))
    assert list(csv.reader(io.StringIO(text))) == [
        ["name", "bits", "ci95_low", "ci95_high"],
        ['a,"b"', "2.1072033978225013", "2.0", "2.5"],
        ["c", "", "", ""],
    ]


def test_the_csv_of_a_climb_is_its_ladder_json(paid, tmp_path):
    ladder = read_json(paid / "ladder.json")
    write_csv(paid, tmp_path)
    with (tmp_path / "ladder.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, rung in zip(rows, ladder["rungs"], strict=True):
        assert row["rung"] == rung["name"]
        assert row["key"] == rung["key"]
        if rung["bits_per_byte"] is not None:
            assert float(row["bits_per_byte"]) == rung["bits_per_byte"]
            assert [float(row["ci95_low"]), float(row["ci95_high"])] == rung["ci95"]
            assert float(row["brl"]) == rung["cost"]["brl"]
    names = sorted(path.name for path in tmp_path.glob("*.csv"))
    assert names == sorted(
        f"{name}.csv"
        for name in (
            *("objectives", "ladder", "controls", "comparisons", "sources", "tests"),
            *("costs", "runs"),
        )
    )


def test_markdown_writes_the_language_and_its_numbers(paid, tmp_path):
    text = write_markdown(paid, tmp_path / "t.md", "pt").read_text(encoding="utf-8")
    assert "| v5 | BPE | 2,2\u202fM | **2,254** | \\[2,223; 2,288\\] |" in text
    assert "não alcançado" in text
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert len(headings) == len(set(headings)) == 8


def test_a_markdown_file_of_the_users_is_left_alone(paid, tmp_path):
    mine = tmp_path / "notes.md"
    mine.write_text("# Mine\n", encoding="utf-8")
    with pytest.raises(EscadaError, match=r"did not write"):
        write_markdown(paid, mine, "en")
    assert mine.read_text(encoding="utf-8") == "# Mine\n"
    ours = write_markdown(paid, tmp_path / "t.md", "en")
    assert write_markdown(paid, ours, "pt") == ours  # its own it writes again


def test_a_csv_of_the_users_is_left_alone_and_ours_is_written_again(paid, climb, tmp_path):
    mine = tmp_path / "costs.csv"
    mine.write_text("rung,wall_hours\n", encoding="utf-8")
    with pytest.raises(EscadaError, match=r"did not write.*costs\.csv"):
        write_csv(paid, tmp_path)
    assert mine.read_text(encoding="utf-8") == "rung,wall_hours\n"
    mine.unlink()
    write_csv(paid, tmp_path)
    before = (tmp_path / "ladder.csv").read_text(encoding="utf-8")
    write_csv(climb(), tmp_path)
    assert (tmp_path / "ladder.csv").read_text(encoding="utf-8") != before


def test_a_time_off_its_plan_is_marked_in_the_table_of_every_writer(wide, undrawn, tmp_path):
    report = write_report(wide).read_text(encoding="utf-8")
    assert "1\u202fmin 48\u202fs †<small>planned: 1\u202fmin 00" in report
    assert "† More than 15 % off the planned time: v1 (" in report
    assert "† Mais de 15 % fora do tempo previsto: v1 (" in report
    text = write_markdown(wide, tmp_path / "ladder.md", "en").read_text(encoding="utf-8")
    assert "| 1\u202fmin 48\u202fs † |" in text
    assert "† More than 15 % off the planned time: v1 (" in text
    write_latex(wide, tmp_path / "latex", "en")
    table = (tmp_path / "latex" / "tables" / "ladder.tex").read_text(encoding="utf-8")
    assert table.count(r"\ensuremath{\dagger}") == 2
    write_csv(wide, tmp_path / "csv")
    with (tmp_path / "csv" / "ladder.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["training_seconds"] == "108.0"


def test_what_changed_is_a_table_of_its_own(climb, table, tmp_path):
    for rung in table["rungs"][:2]:
        spec = load_spec(rung["name"], preset="laptop")
        rung["settings"] = settings_of(spec).model_dump()
    folder = climb(table)
    text = write_markdown(folder, tmp_path / "x.md", "pt").read_text(encoding="utf-8")
    assert "| v2 | v1 | Modelo: embedding 32 → 48; estado oculto 128 → 192. Treino:" in text
