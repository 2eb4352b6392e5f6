"""The documentation site: its navigation and languages; what a built page asks and leads to."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from build_site import ELSEWHERE, config_of, finish, stage
from check_site import check, dead_links, external_in_css, external_in_html
from navigation import complete_nav, pages_below

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PYTHON = ROOT / ".venv-docs" / "bin" / "python"
WRITTEN = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


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


def named(entry):
    if isinstance(entry, str):
        return [entry]
    return [page for part in getattr(entry, "values", lambda: entry)() for page in named(part)]


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_every_page_is_in_the_navigation_of_each_language_once(language):
    pages = pages_below(DOCS)
    assert sorted(named(config_of(language, WRITTEN, pages)["nav"])) == pages


def test_titles_that_are_translated_are_titles_of_the_navigation():
    pages = pages_below(DOCS)
    english = config_of("en", WRITTEN, pages)
    portuguese = config_of("pt-BR", WRITTEN, pages)
    titles = {title for entry in english["nav"] for title in entry} | {"Shell completion"}
    assert set(WRITTEN["pt-BR"]["nav"]) <= titles
    assert "Comece aqui" in portuguese["nav"][0]
    assert portuguese["theme"]["language"] == "pt-BR"
    assert english["theme"]["language"] == "en"
    assert [palette["toggle"]["name"] for palette in portuguese["theme"]["palette"]] == [
        "Escuro",
        "Claro",
    ]


def test_every_translation_belongs_to_a_page():
    for path in DOCS.glob("**/*.pt-BR.md"):
        assert path.with_name(path.name.replace(".pt-BR.md", ".md")).exists()


def test_a_translation_stands_in_the_place_of_its_page(tmp_path):
    docs = tmp_path / "docs"
    write(docs, {"a.md": "one", "a.pt-BR.md": "um", "b.md": "two", "c.png": "", "tools/t.md": ""})
    stage(docs, "en", tmp_path / "en")
    stage(docs, "pt-BR", tmp_path / "pt")
    assert sorted(path.name for path in (tmp_path / "en").iterdir()) == ["a.md", "b.md", "c.png"]
    assert (tmp_path / "en/a.md").read_text() == "one"
    assert (tmp_path / "pt/a.md").read_text() == "um"
    assert (tmp_path / "pt/b.md").read_text() == "two"


def test_the_choice_of_language_leads_to_the_same_page(tmp_path):
    site, docs = tmp_path / "site", tmp_path / "docs"
    links = "".join(f'<a href="{ELSEWHERE.format(language)}">' for language in ("en", "pt-BR"))
    pages = ("index.html", "a/index.html", "pt-BR/index.html", "pt-BR/a/index.html")
    write(site, dict.fromkeys(pages, f"<article >{links}"))
    write(docs, {"index.pt-BR.md": ""})
    finish(site, docs)
    read = {page: (site / page).read_text() for page in pages}
    assert read["index.html"] == '<article ><a href="./"><a href="pt-BR/">'
    assert read["a/index.html"] == '<article ><a href="../a/"><a href="../pt-BR/a/">'
    assert read["pt-BR/index.html"] == '<article ><a href="../"><a href="../pt-BR/">'
    english = '<article lang="en" ><a href="../../a/"><a href="../../pt-BR/a/">'
    assert read["pt-BR/a/index.html"] == english
    assert dead_links(site) == []


def test_links_to_files_and_places_that_are_not_there_are_found(tmp_path):
    links = ["b/", "b/#here", "/b/", "https://a.org/x", "mailto:a@b", "#top", ""]
    dead = ["c/", "b/#gone", "b", "#no"]
    page = "".join(f'<a href="{link}">' for link in [*links, *dead])
    picture = '<img src="gone.png"><p id="top">'
    write(tmp_path, {"index.html": page + picture, "b/index.html": '<h2 id="here">'})
    assert dead_links(tmp_path) == [f"index.html: {link}" for link in [*dead, "gone.png"]]


def test_signatures_are_those_of_the_source():
    pytest.importorskip("griffe", reason="make docs makes its environment")
    from signatures import reference

    text = reference(ROOT / "src", "pt-BR")
    assert '    path: str | Path,\n    *,\n    device: str = "auto",' in text
    assert "### `Run` {#Run}" in text
    assert "**Argumentos**" in text


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="make docs makes the environment")
def test_the_site_builds_without_a_warning_and_asks_nothing_of_another_host(tmp_path):
    site = tmp_path / "site"
    subprocess.run([PYTHON, DOCS / "tools" / "build_site.py", site], check=True)
    done = subprocess.run([sys.executable, DOCS / "tools" / "check_site.py", site], check=False)
    assert done.returncode == 0
    assert (site / "pt-BR" / "tutorial" / "index.html").exists()
    for page in ("python", "pt-BR/python"):
        assert 'id="Run.sample"' in (site / page / "index.html").read_text(encoding="utf-8")
