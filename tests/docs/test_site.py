"""The documentation site: its navigation and languages; it asks nothing of other hosts."""

import subprocess
import sys
from pathlib import Path

import pytest
from check_site import check, external_in_css, external_in_html
from navigation import complete_nav, pages_below

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MKDOCS = ROOT / ".venv-docs" / "bin" / "mkdocs"


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://unpkg.com/a.js"></script>',
        '<link rel="stylesheet" href="//cdn.net/a.css">',
        '<link rel="preconnect" href="https://fonts.gstatic.com">',
        '<img src="HTTPS://img.shields.io/x.svg">',
        '<img srcset="a.png 1x, https://b.org/b.png 2x">',
        '<style>@import "https://a.org/b.css";</style>',
        '<p style="background:url(https://a.org/b.png)">',
        '<svg><use href="https://a.org/b.svg#c"/></svg>',
    ],
)
def test_what_a_browser_would_fetch_from_elsewhere_is_found(html):
    assert len(external_in_html(html)) == 1


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.org">a link that a reader may follow</a>',
        '<link rel="canonical" href="https://example.org/">',
        '<script src="../assets/a.js"></script><img src="data:image/png;base64,AA==">',
        "<p>url(https://example.org/) in the text</p>",
    ],
)
def test_what_is_not_fetched_is_no_finding(html):
    assert external_in_html(html) == []


def test_a_style_sheet_that_fetches_is_found_in_a_site(tmp_path):
    (tmp_path / "a.css").write_text("@font-face{src:url('https://f.org/a.woff2')}")
    assert external_in_css("a{b:url(c.png)}") == []
    assert check(tmp_path) == ["a.css: https://f.org/a.woff2"]


def test_folders_are_opened_and_forgotten_pages_come_to_the_end_of_reference():
    nav = [{"Start": "index.md"}, {"Reference": ["a.md"]}, {"Decisions": "decisions/"}]
    pages = ["a.md", "b.md", "decisions/1.md", "decisions/2.md", "index.md"]
    assert complete_nav(nav, pages) == [
        {"Start": "index.md"},
        {"Reference": ["a.md", "b.md"]},
        {"Decisions": ["decisions/1.md", "decisions/2.md"]},
    ]


def test_every_page_of_the_navigation_is_there_and_none_comes_twice():
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    def named(entry):
        if isinstance(entry, str):
            return [entry]
        return [page for part in getattr(entry, "values", lambda: entry)() for page in named(part)]

    pages = pages_below(DOCS)
    shown = named(complete_nav(config["nav"], pages))
    assert sorted(shown) == pages


def test_every_translation_belongs_to_a_page():
    for path in DOCS.glob("**/*.pt-BR.md"):
        assert path.with_name(path.name.replace(".pt-BR.md", ".md")).exists()


@pytest.mark.slow
@pytest.mark.skipif(not MKDOCS.exists(), reason="make docs makes the environment")
def test_the_site_builds_without_a_warning_and_asks_nothing_of_another_host(tmp_path):
    command = [MKDOCS, "build", "--strict", "--site-dir", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    done = subprocess.run([sys.executable, DOCS / "tools" / "check_site.py", tmp_path], check=False)
    assert done.returncode == 0
    assert (tmp_path / "pt-BR" / "tutorial" / "index.html").exists()
