import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.report.data import read_ladder, read_run
from escada.report.figures.frontier import Point, draw_frontier, frontier, points, price_text
from escada.report.i18n import Language

prices = st.floats(min_value=1e-6, max_value=1e18)
some_points = st.lists(
    st.builds(Point, st.text(max_size=3), prices, st.floats(0.1, 9.0), st.none()), max_size=12
)


@given(some_points)
def test_the_frontier_is_what_no_other_beats_at_its_price_or_less(found):
    best = frontier(found)
    for point in found:
        beaten = any(other.price <= point.price and other.bits < point.bits for other in found)
        cheaper = any(other.price < point.price and other.bits <= point.bits for other in found)
        same = any((p.price, p.bits) == (point.price, point.bits) for p in best)
        assert same == (not beaten and not cheaper)
    assert [p.price for p in best] == sorted(p.price for p in best)
    assert [p.bits for p in best] == sorted((p.bits for p in best), reverse=True)


def facts(folder):
    ladder = read_ladder(folder)
    return ladder, {rung.name: read_run(folder, rung) for rung in ladder.rungs}


def test_money_is_that_of_the_language_and_flops_are_of_all(paid):
    ladder, runs = facts(paid)
    reais = points(ladder, runs, Language.load("pt"), "money")
    dollars = points(ladder, runs, Language.load("en"), "money")
    assert [p.price for p in reais] == [r.parameters / 1e6 for r in ladder.rungs[:-1]]
    assert {p.price for p in dollars} == {0.2}
    flops = points(ladder, runs, Language.load("pt"), "flops")
    assert [p.price for p in flops] == [r.training_flops for r in ladder.rungs[:-1]]
    assert price_text(0.38, "money", Language.load("pt")) == "R$\u202f0,380"


def test_a_cost_in_ladder_json_goes_before_the_runs_own_file(paid):
    ladder, runs = facts(paid)
    rung = ladder.rungs[0]
    assert runs[rung.name].cost.brl == rung.cost.brl == rung.parameters / 1e6


def test_without_any_cost_there_is_no_money_to_draw(climb):
    ladder, runs = facts(climb())
    assert points(ladder, runs, Language.load("en"), "money") == []
    assert len(points(ladder, runs, Language.load("en"), "flops")) == 6


@pytest.mark.parametrize("over", ["flops", "money"])
def test_every_point_is_named_and_the_frontier_filled(paid, over):
    ladder, runs = facts(paid)
    language = Language.load("pt")
    figure = draw_frontier(ladder, runs, language, over=over)
    axes = figure.axes[0]
    found = points(ladder, runs, language, over)
    assert {text.get_text() for text in axes.texts} == {point.name for point in found}
    marks = [line for line in axes.lines if line.get_linestyle() == "None"]
    best = {(point.price, point.bits) for point in frontier(found)}
    for line in marks:
        place = (line.get_xdata()[0], line.get_ydata()[0])
        filled = line.get_markerfacecolor() == line.get_markeredgecolor()
        assert filled == (place in best)


def test_a_single_point_is_drawn(climb, table):
    table["rungs"] = table["rungs"][:1]
    ladder, runs = facts(climb(table))
    figure = draw_frontier(ladder, runs, Language.load("en"), over="flops")
    assert [text.get_text() for text in figure.axes[0].texts] == ["v1"]
