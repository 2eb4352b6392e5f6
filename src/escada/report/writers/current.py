"""Write a climb's page unless the one on disk shows the same: a second climb draws nothing.

refresh_report(folder)
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from escada.code_hash import ROOT, code_hash
from escada.files import content_hash, read_json, sha256_file, write_sealed_json
from escada.report.data import Climb, read_climb
from escada.report.sections import PLACE, SECTIONS

WRITTEN = "written.json"
"""The key of the page and the SHA-256 of its files."""
TEXTS = (".toml", ".j2", ".css", ".js")


def refresh_report(folder: Path, scale: Path | None = None) -> Path:
    """`write_report` of the package's own sections, if anything would be another.

    Raises:
        EscadaError: see `write_report`.
    """
    out = folder / "report"
    key = page_key(read_climb(folder, scale=scale))
    before = read_json(out / WRITTEN) if (out / WRITTEN).is_file() else {}
    if before != {"key": key, "files": _files(out)}:
        from escada.report.writers.html import write_report  # draws, and so takes a second to load

        write_report(folder, scale=scale)
        write_sealed_json(out / WRITTEN, {"key": key, "files": _files(out)})
    return out / "index.html"


def page_key(climb: Climb) -> str:
    """A hash of all that a page of escada's own sections shows, and of the code that shows it."""
    modules = [PLACE.module_name(name) for name in SECTIONS]
    texts = (file for file in sorted(ROOT.rglob("*")) if file.suffix in TEXTS)
    return content_hash(
        {
            "climb": repr(climb),
            "code": code_hash("escada.report.writers.html", *modules, within=("escada",)),
            "texts": {str(file.relative_to(ROOT)): sha256_file(file) for file in texts},
            "libraries": {name: metadata.version(name) for name in ("escada", "matplotlib")},
        }
    )


def _files(out: Path) -> dict[str, str]:
    files = [out / "index.html", *sorted((out / "figures").glob("*"))]
    return {str(file.relative_to(out)): sha256_file(file) for file in files if file.is_file()}
