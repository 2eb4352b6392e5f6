"""The report's colours by role, for light and dark themes.

Figures are drawn in the light colours; on the page each becomes a CSS variable, so one SVG serves
both themes. Hues distinguish families of rungs (blue, amber, rose, teal), shades the rungs within a
family; labels and order carry the same information without colour.
"""

from __future__ import annotations

from collections.abc import Sequence

from escada.evaluation.scale import ScaledRung
from escada.report.schema import RungRow

THEMES: dict[str, tuple[str, str]] = {
    # role: (light, dark)
    "paper": ("#fbfaf7", "#14171c"),
    "surface": ("#fffffe", "#1b1f26"),
    "ink": ("#1c2127", "#e8e6e1"),
    "muted": ("#59616c", "#a3aab5"),
    "line": ("#dcd8cf", "#353b45"),
    "grid": ("#e9e6de", "#2a2f38"),
    "shade": ("#c9c5bc", "#0b0d10"),
    "accent": ("#1f5c99", "#86b8ee"),
    "better": ("#15644d", "#6fcfa9"),
    "worse": ("#a8341f", "#f2957f"),
    "undecided": ("#715710", "#dfc06a"),
    "rung-0-0": ("#4c86c3", "#5f9be0"),
    "rung-0-1": ("#22609e", "#93c0f2"),
    "rung-0-2": ("#123e6b", "#c9e0fa"),
    "rung-1-0": ("#b8770f", "#e09f39"),
    "rung-1-1": ("#875203", "#f3c97b"),
    "rung-1-2": ("#5c3701", "#fbe4b9"),
    "rung-2-0": ("#c1467b", "#e87aaa"),
    "rung-2-1": ("#8b1e55", "#f6b1ce"),
    "rung-2-2": ("#5b1037", "#fbd8e7"),
    "rung-3-0": ("#17857a", "#43bcad"),
    "rung-3-1": ("#0b5f57", "#86dad0"),
    "rung-3-2": ("#053f39", "#c3f0ea"),
}
"""Light values are unique: `svg.inline` finds a figure's colours by them."""

_FAMILIES, _SHADES = 4, 3


def light(role: str) -> str:
    """The colour used for drawing."""
    return THEMES[role][0]


def variables(theme: int) -> str:
    """CSS custom properties of the light (0) or dark (1) theme."""
    return "".join(f"--{role}:{colours[theme]};" for role, colours in THEMES.items())


def rung_roles(rungs: Sequence[RungRow | ScaledRung]) -> dict[str, str]:
    """A colour role per rung: hue by family (tokenizer and protocol), shade by member."""
    families: dict[tuple[str, str | None], int] = {}
    roles: dict[str, str] = {}
    for rung in rungs:
        family = (rung.tokenizer.kind, rung.protocol)
        families.setdefault(family, len(families))
        hue = families[family] % _FAMILIES
        shade = sum(role.startswith(f"rung-{hue}-") for role in roles.values()) % _SHADES
        roles[rung.name] = f"rung-{hue}-{shade}"
    return roles
