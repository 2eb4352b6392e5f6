"""The README's pictures: the report's ladder in both themes, with no colour of the other left."""

import re
import sys
from pathlib import Path

from escada.report.figures.palette import THEMES

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "tools"))
from pictures import adaptive
from readme_pictures import write_pictures


def test_an_adaptive_svg_names_roles_and_defines_both_themes():
    light, dark = THEMES["ink"]
    svg = adaptive(f'<svg viewBox="0 0 1 1"><text fill="{light}">a</text></svg>')
    assert 'fill="var(--ink)"' in svg
    assert f"--ink:{light}" in svg
    assert f"--ink:{dark}" in svg


def test_each_theme_of_the_ladder_has_its_own_colours_only(climb, tmp_path):
    files = {path.name: path for path in write_pictures(climb(), tmp_path)}
    themes = ("light", "dark")
    assert set(files) == {
        f"ladder-{code}.{theme}.{kind}"
        for code in ("en", "pt")
        for theme in themes
        for kind in ("svg", "png")
    }
    for theme in (0, 1):
        svg = files[f"ladder-en.{themes[theme]}.svg"].read_text(encoding="utf-8")
        used = set(re.findall(r"#[0-9a-f]{6}", svg))
        assert used & {colours[theme] for colours in THEMES.values()}
        assert used & {colours[1 - theme] for colours in THEMES.values()} == set()
        assert "2.487" in svg
    assert "2,487" in files["ladder-pt.dark.svg"].read_text(encoding="utf-8")
