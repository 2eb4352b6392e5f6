"""A section from outside the package, in one file, is on the page and in every file of tables."""

import re
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from escada.cli.report import report
from escada.errors import EscadaError
from escada.report.blocks import Section, Terms
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


def selected(table: dict) -> dict:
    """The climb's table with a corpus that was mixed, filtered, masked and decontaminated."""
    example = {"id": "d7", "source": "notas", "reason": "um dois três", "text": "<b>Tabela</b> 1"}
    removed = {"documents": 1200, "bytes": 34567, "examples": [example]}
    table["corpus"] |= {
        "mixture": [
            {"source": "a.jsonl", "share": 0.7, "documents": 5, "bytes": 699},
            {"source": "b.jsonl", "share": 0.3, "documents": 2, "bytes": 301},
        ],
        "filters": {"removed": {"symbols=0.3": removed, "language": {}}, "masked": {"CPF": 2}},
        "masks_personal_data": True,
        "decontamination": {
            **{"run_words": 13, "least_run_words": 8, "most_copies": 20},
            "removed": {"test": removed},
        },
    }
    return table


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "en",
            {
                "Mixture, in bytes read": "a.jsonl: 69.9 % (70.0 % asked for)",
                "Removed by filters": "symbols=0.3: documents 1,200, bytes 34,567; for example "
                "“<b>Tabela</b> 1”\nlanguage: documents 0, bytes 0",
                "Personal data masked": "CPF: 2",
                "Removed from training": "test: documents 1,200, bytes 34,567; for example “<b>",
            },
        ),
        (
            "pt",
            {
                "Mistura, em bytes lidos": "a.jsonl: 69,9 % (pedido: 70,0 %)",
                "Removidos por filtros": "symbols=0.3: documentos 1.200, bytes 34.567; por exemplo",
                "Dados pessoais mascarados": "CPF: 2",
                "Removidos do treino": "test: documentos 1.200, bytes 34.567; por exemplo “<b>",
            },
        ),
    ],
)
def test_the_method_says_what_was_selected_with_examples(climb, table, code, said):
    from escada.report.contents import Contents
    from escada.report.data import read_climb
    from escada.report.i18n import Language
    from escada.report.sections import method

    section = method.section(Contents(read_climb(climb(selected(table))), Language.load(code)))
    (terms,) = (block for block in section.blocks if isinstance(block, Terms))
    found = {
        label: text.replace("\u202f", " ").replace("\xa0", " ") for label, text in terms.entries
    }
    for label, text in said.items():
        shown = next(value for name, value in found.items() if name.startswith(label))
        assert text in shown


def test_a_corpus_of_which_nothing_was_asked_has_no_lines_about_it(climb):
    from escada.report.contents import Contents
    from escada.report.data import read_climb
    from escada.report.i18n import Language
    from escada.report.sections import method

    language = Language.load("en")
    (terms,) = (
        block
        for block in method.section(Contents(read_climb(climb()), language)).blocks
        if isinstance(block, Terms)
    )
    assert not [label for label, _ in terms.entries if "emoved" in label or "asked" in label]


def test_examples_from_a_corpus_are_text_on_the_page(climb, table, undrawn):
    page = write_report(climb(selected(table))).read_text(encoding="utf-8")
    assert page.count("&lt;b&gt;Tabela&lt;/b&gt; 1") == 4
    assert "<b>Tabela</b>" not in page
    assert "um dois três" not in page  # the reason, which may quote what was removed


@pytest.mark.parametrize("code", ["en", "pt"])
def test_licences_that_escada_wrote_are_in_the_readers_language(climb, table, code):
    from escada.report.contents import Contents
    from escada.report.data import read_climb
    from escada.report.i18n import Language, read_catalogue
    from escada.report.sections import method
    from escada.text.sources import dante
    from escada.text.sources.known import KNOWN

    written = dante.LICENCES | {name: known.licence for name, known in KNOWN.items()}
    table["corpus"]["source"] = "a mixture"
    table["corpus"]["licences"] = {
        **{name: {"name": one.name, "note": one.note} for name, one in written.items()},
        "ana/cartas": {"name": "not stated", "note": ""},
        "ana/fotos": {"name": "mit", "note": ""},
    }
    language = Language.load(code)
    section = method.section(Contents(read_climb(climb(table)), language))
    (terms,) = (block for block in section.blocks if isinstance(block, Terms))
    found = dict(terms.entries)[language.say("method.licences")].splitlines()
    for name, one in written.items():
        assert read_catalogue("en")[f"licence.{name}"] == one.note
        assert read_catalogue("en").get(f"licence.{name}_name", one.name) == one.name
        assert any(line.endswith(f"; {language.say(f'licence.{name}')}") for line in found)
    assert f"ana/cartas: {language.say('licence.not_stated')}" in found
    assert "ana/fotos: mit" in found
