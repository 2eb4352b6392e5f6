"""The documentation site in both languages: `build_site.py SITE`, or `build_site.py --serve PORT`.

The generator (Zensical) builds one language at a time. So each language has a project of its own in
a temporary folder, in which `page.pt-BR.md` stands in the place of `page.md`; a page without a
translation is there in English. English is at the root of the site, Portuguese below pt-BR/.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from pathlib import Path
from typing import Any

from navigation import TRANSLATED, complete_nav, pages_below, translated

ROOT = Path(__file__).parents[2]
ENGLISH, PORTUGUESE = "en", "pt-BR"
BELOW = {ENGLISH: "", PORTUGUESE: "pt-BR/"}
"""Where a language is in the site."""
NAMES = {ENGLISH: "English", PORTUGUESE: "Português"}
ELSEWHERE = "https://{}.invalid/"
"""Stands for a page's twin in another language until the pages are written (`finish`)."""
SIGNATURES = "<!-- signatures -->"
"""Where a page asks for the signatures and docstrings of the Python side."""
HEAD_LINK = re.compile(r'<link rel="alternate"[^>]*hreflang[^>]*>')
NOT_SHOWN = shutil.ignore_patterns("tools", "*.py", "constraints-docs.txt", "0000-template.md")


def config_of(language: str, written: dict[str, Any], pages: list[str]) -> dict[str, Any]:
    """The generator's configuration for a language.

    Args:
        written: zensical.toml; its table `pt-BR` replaces texts.
        pages: from `pages_below`.
    """
    project = json.loads(json.dumps(written["project"]))
    project["nav"] = complete_nav(project["nav"], pages)
    links = [{"name": NAMES[lang], "link": ELSEWHERE.format(lang), "lang": lang} for lang in BELOW]
    project["extra"] = {"alternate": links}
    if language != ENGLISH:
        words = written[language]
        project["site_description"] = words["site_description"]
        project["nav"] = translated(project["nav"], words["nav"])
        project["theme"]["language"] = language
        for palette in project["theme"]["palette"]:
            palette["toggle"]["name"] = words["toggle"][palette["toggle"]["name"]]
    return project


def stage(docs: Path, language: str, into: Path) -> None:
    """Copy the pages as a language shows them; pages that ask for signatures get them."""
    shutil.copytree(docs, into, ignore=NOT_SHOWN)
    for twin in sorted(into.glob(f"**/*{TRANSLATED}")):
        if language == PORTUGUESE:
            twin.replace(twin.with_name(twin.name.replace(TRANSLATED, ".md")))
        else:
            twin.unlink()
    for page in into.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        if SIGNATURES in text:
            from signatures import reference  # needs griffe, which only the site's environment has

            text = text.replace(SIGNATURES, reference(ROOT / "src", language))
            page.write_text(text, encoding="utf-8")


def finish(site: Path, docs: Path) -> None:
    """Let each page's choice of language lead to the same page, and say where English is read.

    Addresses become relative. The theme's links in the head go: with them a browser looks for a
    sitemap below each page.
    """
    for path in site.glob("**/*.html"):
        page = path.relative_to(site).as_posix()
        here = page.removeprefix(BELOW[PORTUGUESE]).removesuffix("index.html")
        text = HEAD_LINK.sub("", path.read_text(encoding="utf-8"))
        for language, below in BELOW.items():
            twin = "../" * page.count("/") + below + here
            text = text.replace(ELSEWHERE.format(language), twin or "./")
        translation = docs / f"{here.strip('/') or 'index'}{TRANSLATED}"
        if page.startswith(BELOW[PORTUGUESE]) and not translation.exists():
            text = text.replace("<article ", '<article lang="en" ')
        path.write_text(text, encoding="utf-8")


def build(site: Path) -> None:
    """Write the site, or leave the one of before as it is.

    Raises:
        subprocess.CalledProcessError: a warning of the generator, such as of a link to nothing.
    """
    written = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    pages = pages_below(ROOT / "docs")
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "site"
        for language in BELOW:
            project = Path(folder) / language
            stage(ROOT / "docs", language, project / "docs")
            config = project / "mkdocs.yml"  # JSON is YAML, and Python writes no TOML
            config.write_text(json.dumps(config_of(language, written, pages)), encoding="utf-8")
            command = [sys.executable, "-m", "zensical", "build", "--strict", "-f", str(config)]
            subprocess.run(command, cwd=project, check=True)
            shutil.move(project / "site", built / BELOW[language])
        finish(built, ROOT / "docs")
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(built, site)


def changes() -> float:
    """When the newest of what the site is made from was written, in seconds."""
    made_from = [
        ROOT / "zensical.toml",
        *(ROOT / "docs").glob("**/*"),
        *(ROOT / "src").glob("**/*.py"),
    ]
    return max(path.stat().st_mtime for path in made_from)


def serve(port: int) -> None:
    """Show the site on this machine, and build it again when something changes."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{port} and http://127.0.0.1:{port}/pt-BR/ (reload after a change)")
        seen = 0.0
        while True:
            if (now := changes()) > seen:
                seen = now
                try:
                    build(site)
                except subprocess.CalledProcessError:
                    print("not built; the pages are those of before", file=sys.stderr)
            time.sleep(1)


def main() -> None:
    """Build, or serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("site", type=Path, nargs="?", default=ROOT / "site")
    parser.add_argument("--serve", type=int, metavar="PORT")
    given = parser.parse_args()
    try:
        build(given.site) if given.serve is None else serve(given.serve)
    except subprocess.CalledProcessError:
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
