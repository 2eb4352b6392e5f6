"""`escada --help`: every verb in its panel, one line each, within 80 columns."""

from typer.main import get_command
from typer.testing import CliRunner

from escada.cli import app
from escada.cli.shared.panels import PANELS, SUMMARIES


def shown():
    return CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).stdout.splitlines()


def test_every_verb_stands_in_one_panel():
    assert set(get_command(app).commands) == set(SUMMARIES)
    assert sum(map(len, PANELS.values())) == len(SUMMARIES)


def test_a_summary_is_one_whole_line_of_80_columns():
    lines = shown()
    assert max(map(len, lines)) <= 80
    for verb, summary in SUMMARIES.items():
        assert any(line.split() == [verb, *summary.split()] for line in lines), verb


def test_the_panels_come_in_the_order_of_a_newcomer():
    heads = [line.removesuffix(":") for line in shown() if line.endswith(":")]
    panels = [head for head in heads if head in PANELS]
    assert panels == ["Start", "Train", "Measure", "Share", "Expert"]
