"""Whether a built page would ask anything of another host: `check_site.py SITE`.

Links that a reader follows may lead anywhere. What a browser fetches by itself may not: scripts,
styles, fonts, pictures, frames, prefetches, in HTML and in CSS.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

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
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
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


def check(site: Path) -> list[str]:
    """A line `file: address` for each thing that would be fetched from elsewhere."""
    look = {".html": external_in_html, ".svg": external_in_html, ".css": external_in_css}
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
    found = check(site)
    print("\n".join(found) or f"{site}: {pages} pages, nothing asked of another host")
    sys.exit(1 if found or not pages else 0)


if __name__ == "__main__":
    main()
