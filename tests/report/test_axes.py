import pytest

from escada.report.figures.palette import THEMES, rung_roles
from escada.report.schema import Ladder


def test_each_rung_has_its_colour_and_families_share_a_hue(table):
    roles = rung_roles(Ladder.model_validate(table).rungs)
    assert len(set(roles.values())) == len(roles) == 7
    hue = {name: role.split("-")[1] for name, role in roles.items()}
    assert hue["v1"] == hue["v2"] == hue["v3"]
    assert hue["v4"] == hue["v4_gru"]
    assert hue["v5"] == hue["v_final"]
    assert len({hue["v1"], hue["v4"], hue["v5"]}) == 3


def relative_luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    """WCAG 2 contrast ratio."""
    bright, dark = sorted((relative_luminance(a), relative_luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("ground", ["paper", "surface"])
def test_text_and_marks_stand_out_from_the_ground(theme, ground):
    colours = {role: pair[theme] for role, pair in THEMES.items()}
    for role in ("ink", "muted", "accent", "better", "worse", "undecided"):
        assert contrast(colours[role], colours[ground]) >= 4.5, role
    for role in (role for role in colours if role.startswith("rung-")):
        assert contrast(colours[role], colours[ground]) >= 3, role


def test_light_colours_are_unique_so_that_figures_can_take_the_theme():
    light = [colours[0] for colours in THEMES.values()]
    assert len(set(light)) == len(light)
