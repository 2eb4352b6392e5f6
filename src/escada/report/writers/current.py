"""Whether a page on disk is what would be written now, so that a second climb draws nothing.

page = Page(out, page_key(climb))
if not page.is_current():
    ...                     # write index.html and figures/*
    page.remember()
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from escada.code_hash import ROOT, code_hash
from escada.files import content_hash, read_json, sha256_file, write_json
from escada.report.data import Climb
from escada.report.sections import PLACE, SECTIONS

WRITTEN = "written.json"
"""The key of the page and the SHA-256 of its files."""


def page_key(climb: Climb) -> str:
    """A hash of all that a page of escada's own sections shows, and of the code that shows it."""
    modules = [PLACE.module_name(name) for name in SECTIONS]
    texts = (file for file in sorted(ROOT.rglob("*")) if file.suffix in _TEXTS)
    return content_hash(
        {
            "climb": repr(climb),
            "code": code_hash("escada.report.writers.html", *modules, within=("escada",)),
            "texts": {str(file.relative_to(ROOT)): sha256_file(file) for file in texts},
            "libraries": {name: metadata.version(name) for name in ("escada", "matplotlib")},
        }
    )


_TEXTS = (".toml", ".j2", ".css", ".js")


@dataclass(frozen=True, slots=True)
class Page:
    """A page's folder, and the key of what it should show."""

    folder: Path
    key: str

    def is_current(self) -> bool:
        """Whether all its files are there, as they were written under this key."""
        path = self.folder / WRITTEN
        before = read_json(path) if path.is_file() else {}
        return before == {"key": self.key, "files": self._files()}

    def remember(self) -> None:
        """Note that its files are now as they should be."""
        write_json(self.folder / WRITTEN, {"key": self.key, "files": self._files()})

    def _files(self) -> dict[str, str]:
        files = [self.folder / "index.html", *sorted((self.folder / "figures").glob("*"))]
        return {
            str(file.relative_to(self.folder)): sha256_file(file)
            for file in files
            if file.is_file()
        }
