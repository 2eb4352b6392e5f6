"""The order of the site's pages: zensical.toml's, with folders opened and forgotten pages added."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TRANSLATED = ".pt-BR.md"
REST = "Reference"
"""The section whose end takes the pages that the navigation does not name."""


def pages_below(docs: Path) -> list[str]:
    """Every page that the site shows, by its path below `docs`; translations are not pages."""
    paths = (path.relative_to(docs) for path in sorted(docs.glob("**/*.md")))
    return [
        path.as_posix()
        for path in paths
        if not path.name.endswith(TRANSLATED) and path.name != "0000-template.md"
    ]


def complete_nav(nav: list[Any], pages: list[str]) -> list[Any]:
    """The navigation with folders opened and forgotten pages added.

    Args:
        nav: of zensical.toml; a path that ends in `/` stands for the pages of that folder.
        pages: from `pages_below`.
    """

    def open_folders(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {title: open_folders(below) for title, below in entry.items()}
        if isinstance(entry, list):
            return [open_folders(one) for one in entry]
        return [p for p in pages if p.startswith(entry)] if entry.endswith("/") else entry

    def named(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        return [path for part in parts for path in named(part)]

    opened = [open_folders(entry) for entry in nav]
    known = set(named(opened))
    section = next(entry[REST] for entry in opened if isinstance(entry, dict) and REST in entry)
    section.extend(page for page in pages if page not in known)
    return opened


def translated(nav: Any, titles: dict[str, str]) -> Any:
    """The navigation with the titles that `titles` has; other titles and all paths stay."""
    if isinstance(nav, list):
        return [translated(entry, titles) for entry in nav]
    if isinstance(nav, dict):
        return {titles.get(title, title): translated(below, titles) for title, below in nav.items()}
    return nav
