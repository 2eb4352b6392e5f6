import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from escada.cli.report import report
from escada.errors import EscadaError


@pytest.fixture
def app():
    app = typer.Typer()
    app.command()(report)
    return app


def test_the_verb_says_what_was_found_and_ends_with_the_page(climb, app):
    folder = climb()
    result = CliRunner().invoke(app, [str(folder)])
    lines = result.stdout.strip().splitlines()
    assert result.exit_code == 0
    assert lines[0] == "v5, the small Transformer, is the best rung: 2.254 bits per byte."
    assert "Some rungs do not improve on the one before: v3 is worse than v2." in lines
    assert lines[-1] == str(folder / "report" / "index.html")


def test_the_verb_speaks_the_language_asked_for(climb, app):
    result = CliRunner().invoke(app, [str(climb()), "--lang", "pt"])
    headline = result.stdout.splitlines()[0]
    assert headline.startswith("v5, ")
    assert headline.endswith(": 2,254 bits por byte.")


def test_a_folder_without_a_ladder_is_the_users_error(tmp_path, app):
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(result.exception, EscadaError)
    assert result.exception.exit_code == 2


def test_the_verb_loads_nothing_heavy_before_it_runs():
    # the package of verbs imports its siblings: load this one alone
    code = (
        "import sys, importlib.util as u;"
        "s = u.find_spec('escada');"
        "p = s.submodule_search_locations[0] + '/cli/report.py';"
        "m = u.spec_from_file_location('verb', p); x = u.module_from_spec(m);"
        "m.loader.exec_module(x);"
        "print({'matplotlib', 'torch', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_files_are_written_in_the_place_of_the_page(paid, app, tmp_path):
    arguments = [str(paid), "--lang", "pt", "--latex", str(tmp_path / "tex")]
    arguments += ["--markdown", str(tmp_path / "t.md"), "--csv", str(tmp_path / "csv")]
    arguments += ["--roadmap", str(tmp_path / "roadmap.md")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        str(tmp_path / name) for name in ("tex/thesis.tex", "t.md", "csv", "roadmap.md")
    ]
    assert "2,254" in (tmp_path / "tex" / "tables" / "ladder.tex").read_text(encoding="utf-8")
    assert not (paid / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--watch", "--csv", "x"], "--watch writes the page alone"),
        (["--watch", "--every", "soon"], "is no interval"),
        (["--watch", "--every", "0.1s"], "is no interval"),
    ],
)
def test_what_cannot_be_done_is_the_users_error(paid, app, arguments, said):
    result = CliRunner().invoke(app, [str(paid), *arguments])
    assert isinstance(result.exception, EscadaError)
    assert said in str(result.exception)
