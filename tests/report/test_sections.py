"""A section from outside the package, in one file, is on the page and in every file of tables."""

import re

import pytest
import typer
from typer.testing import CliRunner

from escada.cli.report import report
from escada.errors import EscadaError
from escada.report.blocks import Section
from escada.report.sections import sections_of
from escada.report.writers.html import write_report

SPEED = """
from escada.report.blocks import Section, Text
from escada.report.tables import Cell, Column, Row, Table

def section(contents):
    columns = [Column("rung", "Rung", numeric=False), Column("bytes", "Bytes read")]
    rows = [Row([Cell(r.name), Cell("4 MB", r.training_bytes)]) for r in contents.ladder.rungs]
    table = Table("speed", "How fast", columns, rows, page=["rung", "bytes"], paper=["bytes"])
    return Section("speed", "How fast they read", "Speed", [Text("Ours <alone>."), table])
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The dotted name of a section that lies beside the climb."""
    (tmp_path / "my_report").mkdir()
    (tmp_path / "my_report" / "speed.py").write_text(SPEED, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "my_report.speed"


def test_a_section_of_ones_own_is_last_on_the_page_and_escaped_as_all_are(climb, mine):
    page = write_report(climb(), more_sections=[mine]).read_text(encoding="utf-8")
    english = page.split('<main id="en-top"')[1].split("</main>")[0]
    keys = re.findall(r'<section id="en-(\w+)"', english)
    assert keys[0] == "ladder"
    assert keys[-1] == "speed"
    assert "<p>Ours &lt;alone&gt;.</p>" in english
    assert '<a href="#en-speed">Speed</a>' in page
    assert '<td class="n">4 MB</td>' in english


def test_its_table_is_in_every_file_of_tables(climb, mine, tmp_path):
    app = typer.Typer()
    app.command()(report)
    arguments = [str(climb()), "--section", mine, "--latex", str(tmp_path / "tex")]
    arguments += ["--markdown", str(tmp_path / "t.md"), "--csv", str(tmp_path / "csv")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "## How fast" in (tmp_path / "t.md").read_text(encoding="utf-8")
    assert (tmp_path / "csv" / "speed.csv").read_text().startswith("rung,bytes\n,4300000")
    snippet = (tmp_path / "tex" / "thesis-snippet.tex").read_text(encoding="utf-8")
    assert "tables/speed.tex" in snippet


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere.at_all", "no section 'nowhere.at_all'"), ("json.decoder", "no function section")],
)
def test_what_is_no_section_is_the_users_error(climb, name, said):
    with pytest.raises(EscadaError, match=said):
        write_report(climb(), more_sections=[name])


def test_figures_of_other_tasks_are_a_table_of_their_own(climb, table):
    for rung in table["rungs"][:2]:
        figure = {"name": "accuracy", "value": 0.731, "ci95": [0.7, 0.76], "unit": "share"}
        rung["tasks"] = {"spelling": [figure]}
    page = write_report(climb(table)).read_text(encoding="utf-8")
    section = page.split('<section id="en-other_tasks"')[1].split("</section>")[0]
    assert "spelling accuracy<small>share</small>" in section
    assert section.count("0.731<small>[0.700, 0.760]</small>") == 2


def test_without_other_tasks_there_is_no_such_section(page):
    assert "en-other_tasks" not in page


def test_every_section_of_the_package_says_its_key(climb):
    from escada.report.contents import Contents
    from escada.report.data import read_climb
    from escada.report.i18n import Language

    sections = sections_of(Contents(read_climb(climb()), Language.load("pt")))
    assert all(isinstance(section, Section) and section.nav for section in sections)
    assert [section.key for section in sections][-2:] == ["method", "environment"]
