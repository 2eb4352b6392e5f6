"""A page that shows the same already is kept, and only such a page."""

import pytest

from escada.files import read_json, write_json
from escada.report.writers.current import refresh_report

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def written(climb, table):
    """The folder of a climb with its page."""
    folder = climb(table)
    refresh_report(folder)
    return folder


def made_again(folder):
    page = folder / "report" / "index.html"
    before = page.stat().st_mtime_ns
    refresh_report(folder)
    return page.stat().st_mtime_ns != before


def test_a_page_of_the_same_ladder_is_kept(written):
    assert not made_again(written)


def test_another_figure_in_the_ladder_makes_it_again(written):
    ladder = written / "ladder.json"
    text = ladder.read_text()
    ladder.write_text(text.replace('"created": "2', '"created": "3', 1))
    assert made_again(written)
    assert not made_again(written)


def test_a_sample_that_a_run_wrote_since_makes_it_again(written):
    path = next(written.rglob("samples/samples.json"))
    table = read_json(path)
    table["samples"][0]["text"] += " E mais."
    write_json(path, table)
    assert made_again(written)


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_text("")])
def test_a_damaged_page_is_made_again(written, damage):
    damage(written / "report" / "index.html")
    refresh_report(written)
    assert "</html>" in (written / "report" / "index.html").read_text()


def test_a_damaged_figure_is_made_again(written):
    figure = written / "report" / "figures" / "ladder.en.svg"
    figure.parent.mkdir(exist_ok=True)
    for content in ("whole", "half"):
        figure.write_text(content)
        assert made_again(written)
        assert not made_again(written)


def test_other_words_for_the_page_make_it_again(written, monkeypatch, tmp_path):
    monkeypatch.setattr("escada.report.writers.current.ROOT", tmp_path)
    (tmp_path / "pt.toml").write_text('better = "melhor"')
    assert made_again(written)
    assert not made_again(written)
    (tmp_path / "pt.toml").write_text('better = "superior"')
    assert made_again(written)
