"""Whether a built page asks anything of another host, or leads to nothing: `check_site.py SITE`.

Links that a reader follows may lead anywhere. What a browser fetches by itself may not: scripts,
styles, fonts, pictures, frames, prefetches, in HTML and in CSS. What is on the site must be there:
files, and places in them (the generator looks at links between Markdown pages only).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

FETCHED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""The attributes of each element that a browser fetches."""
NOT_FETCHED = {"alternate", "author", "canonical", "help", "license", "next", "prev"}
"""What a <link> may be without being fetched."""
_EXTERNAL = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_CSS = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""", re.IGNORECASE)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.places: set[str] = set()
        self.leads_to: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.places.add(values.get("id", ""))
        attributes = ("href",) if tag == "a" else FETCHED.get(tag, ())
        self.leads_to += [values[n] for n in attributes if n in values and n != "srcset"]
        self.found += external_in_css(values.get("style", ""))
        kinds = set(values.get("rel", "").lower().split())
        if tag == "link" and kinds and kinds <= NOT_FETCHED:
            return
        for name in FETCHED.get(tag, ()):
            parts = values.get(name, "").split(",") if name == "srcset" else [values.get(name, "")]
            self.found += [part.strip() for part in parts if _EXTERNAL.match(part.strip())]

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += external_in_css(data)


def external_in_css(text: str) -> list[str]:
    """The addresses on other hosts that a style sheet would fetch."""
    return [address for address in _CSS.findall(text) if _EXTERNAL.match(address)]


def external_in_html(text: str) -> list[str]:
    """The addresses on other hosts that a page would fetch."""
    page = _Page()
    page.feed(text)
    return page.found


def dead_links(site: Path) -> list[str]:
    """A line `file: address` for each link to a file or a place that the site does not have."""

    @cache
    def read(path: Path) -> _Page:
        page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
        return page

    def leads_to_nothing(page: Path, address: str) -> bool:
        parts = urlsplit(urljoin(f"/{page.relative_to(site).as_posix()}", address))
        if parts.scheme or parts.netloc:
            return False
        target = site / unquote(parts.path).lstrip("/")
        if parts.path.endswith("/"):
            target /= "index.html"
        if not target.is_file():
            return True
        place = unquote(parts.fragment)
        return bool(place) and target.suffix == ".html" and place not in read(target).places

    return [
        f"{page.relative_to(site)}: {address}"
        for page in sorted(site.glob("**/*.html"))
        for address in read(page).leads_to
        if leads_to_nothing(page, address)
    ]


def check(site: Path) -> list[str]:
    """A line `file: address` for each thing that would be fetched from elsewhere."""
    look: dict[str, Callable[[str], list[str]]] = {
        ".html": external_in_html,
        ".svg": external_in_html,
        ".css": external_in_css,
    }
    return [
        f"{path.relative_to(site)}: {address}"
        for path in sorted(site.glob("**/*"))
        if path.suffix in look
        for address in look[path.suffix](path.read_text(encoding="utf-8"))
    ]


def main() -> None:
    """Check the site named on the command line; exit code 1 if anything is found."""
    site = Path(sys.argv[1])
    pages = len(list(site.glob("**/*.html")))
    found = [f"{line} (fetched from another host)" for line in check(site)]
    found += [f"{line} (leads to nothing)" for line in dead_links(site)]
    told = f"{site}: {pages} pages, nothing asked of another host, every link leads to something"
    print("\n".join(found) or told)
    sys.exit(1 if found or not pages else 0)


if __name__ == "__main__":
    main()
