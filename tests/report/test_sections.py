"""A section from outside the package, in one file, is on the page and in every file of tables."""

import re
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from escada.cli.report import report
from escada.errors import EscadaError
from escada.report.blocks import Section
from escada.report.sections import sections_of
from escada.report.writers.html import write_report

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The section of docs/extending.md as it stands there, in a folder on the path."""
    text = PAGE.read_text(encoding="utf-8")
    source = re.search(r"`my_section\.py`.*?```python\n(.*?)```", text, re.DOTALL)[1]
    source = source.replace("In training.", "In <training>.")
    (tmp_path / "my_section.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_section"
    sys.modules.pop("my_section", None)


def test_a_section_of_ones_own_is_last_on_the_page_and_escaped_as_all_are(climb, mine):
    page = write_report(climb(), more_sections=[mine]).read_text(encoding="utf-8")
    english = page.split('<main id="en-top"')[1].split("</main>")[0]
    keys = re.findall(r'<section id="en-(\w+)"', english)
    assert keys[0] == "ladder"
    assert keys[-1] == "reading"
    assert "<p>In &lt;training&gt;.</p>" in english
    assert '<a href="#en-reading">Reading</a>' in page
    assert '<td class="n">4,300,000</td>' in english


def test_its_table_is_in_every_file_of_tables(climb, mine, tmp_path):
    app = typer.Typer()
    app.command()(report)
    arguments = [str(climb()), "--section", mine, "--latex", str(tmp_path / "tex")]
    arguments += ["--markdown", str(tmp_path / "t.md"), "--csv", str(tmp_path / "csv")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "## How much they read" in (tmp_path / "t.md").read_text(encoding="utf-8")
    assert (
        (tmp_path / "csv" / "reading.csv").read_text().startswith("rung,training_bytes\nv1,4300000")
    )
    snippet = (tmp_path / "tex" / "thesis-snippet.tex").read_text(encoding="utf-8")
    assert "tables/reading.tex" in snippet


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere.at_all", "no module 'nowhere.at_all'"), ("json.decoder", "offers no section")],
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
