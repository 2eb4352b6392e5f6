"""Text that wants to run, wherever a corpus, a spec or a model can put it, through every writer.

A rung whose titles hold it is trained on documents that hold it, in sources named by it; the
model's samples are replaced by it. Whatever escada then writes is read as its readers do: pages by
an HTML parser and a browser, Markdown by CommonMark with HTML allowed, CSV as a spreadsheet would.
"""

from __future__ import annotations

import csv
import json
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import tomli_w
import uvicorn
from markdown_it import MarkdownIt
from tests.browser import CHROMIUM
from tests.conftest import sentence
from tests.processes import escada
from tests.report.strict_html import Strict

from escada.files import read_json, write_sealed_json
from escada.spec import load_spec, overlay

pytestmark = pytest.mark.slow
SCRIPTS = [
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=2</script>",
    "--></style></title></textarea><svg onload=window.hacked=3>",
    '"><img src=x onerror="window.hacked=4">',
    "' autofocus onfocus='window.hacked=5' x='",
    "[a](javascript:window.hacked=6) ![b](http://127.0.0.1:9/x.png)",
    "<http://127.0.0.1:9/y> <a href='javascript:window.hacked=7'>c</a>",
    "{{ 7*'7' }} {% include '/etc/passwd' %} ${window.hacked=8}",
]
MARKS = [
    "```\n~~~\n# Not a title\n| a | b |\n|---|---|\n---\nlicense: mine",
    "[bold red]x[/] [/no] :smile:",
]
TEX = "\\immediate\\write18{touch hacked} \\input{/etc/passwd} $x_1^2$ % & # ~ ^^M \\end{document}"
CONTROLS = "\x1b[2J\x1b]0;hacked\x07 \x00 \x08 \x7f \x9b31m \u202eabc\u202c \u2066x\u2069 \u2028"
FORMULAS = ["=cmd|'/c calc'!A1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1"]
LONE = "\ud800 meio par \udfff"
HOSTILE = [*SCRIPTS, *MARKS, TEX, CONTROLS, *FORMULAS, LONE]
BAD_IN_A_LINE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
SIZES = (
    *("model.d_hidden=32", "model.d_embedding=16", "train.batch_sequences=4"),
    *("train.window_tokens=32", "train.validations=2"),
)
COMMON = ["--device", "cpu", *(part for size in SIZES for part in ("--set", size))]


def verb(*arguments: object) -> str:
    done = escada(arguments)
    right = (0, 1) if arguments[0] == "guard" else (0,)  # 1: the samples fail
    assert done.returncode in right, done.stderr
    return done.stdout + done.stderr


def write_source(path: Path) -> None:
    """Documents of sources, groups and ids that are hostile, and one that a filter removes."""
    rng = random.Random("hostile")
    rows = []
    for i in range(160):
        words = [sentence(rng), rng.choice(HOSTILE), sentence(rng), rng.choice(HOSTILE)]
        source = (*FORMULAS[:2], SCRIPTS[3], TEX)[i % 4]
        own = {"id": f"{i} {rng.choice(HOSTILE)}", "group": f"{rng.choice(HOSTILE)} {i}"}
        rows.append({**own, "source": source, "text": " ".join(words) + f" fim {i}"})
    rows += [{"source": SCRIPTS[0], "text": f"{text} curto"} for text in HOSTILE]
    # ASCII, so that half a pair can be written
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")


def write_spec(path: Path) -> None:
    """v1 under another name, with titles of others."""
    valid = [text for text in HOSTILE if text != LONE]  # TOML has no half a pair
    texts = {key: {"en": valid[i], "pt": valid[i + 1]} for i, key in enumerate(ABOUT)}
    texts["title"] = {"en": SCRIPTS[0] + TEX, "pt": SCRIPTS[3] + CONTROLS + FORMULAS[0]}
    table = overlay(load_spec("v1", preset="laptop").to_table(), {"about": texts, "name": "mine"})
    del table["preset"]
    path.write_text(tomli_w.dumps(table), encoding="utf-8")


ABOUT = ("objective", "changes", "expected")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> SimpleNamespace:
    """A climb of that rung and of v1, and where its files are."""
    folder = tmp_path_factory.mktemp("hostile")
    source, corpus, out = (folder / name for name in ("source.jsonl", "corpus", "climb"))
    write_source(source)
    write_spec(folder / "mine.toml")
    said = verb("data", "prepare", "--source", source, "--out", corpus, "--filter", "length=60")
    climb = ["climb", folder / "mine.toml", "v1", "--preset", "full", "--budget", "30 steps"]
    said += verb(*climb, "--data", corpus, "--out", out, *COMMON)
    for path in out.glob("*/samples/samples.json"):
        table = read_json(path)
        for number, sample in enumerate(table["samples"]):
            text = HOSTILE[number % len(HOSTILE)]
            sample["text"] = text.encode("utf-8", "replace").decode() + "\n" + SCRIPTS[0]
        write_sealed_json(path, table)
    run = next(out.glob("*-mine-*"))
    said += verb("report", out) + verb("report", run)
    return SimpleNamespace(folder=folder, corpus=corpus, climb=out, run=run, said=said)


def test_what_a_terminal_is_told_moves_no_cursor(work):
    said = work.said
    for command in (
        ("data", "stats", work.corpus),
        ("runs", work.climb),
        ("compare", work.climb),
        ("evaluate", work.run, "--device", "cpu"),
        ("guard", work.run, "--device", "cpu"),
        ("tokenizer", "encode", "--tokenizer", work.run, CONTROLS.replace("\x00", "")),
    ):
        said += verb(*command)
    assert "window.hacked" in said
    assert not BAD_IN_A_LINE.findall(said)


@pytest.mark.parametrize("name", ["climb", "run"])
def test_the_page_is_one_page(work, name):
    folder = getattr(work, name)
    html = (folder / "report" / "index.html").read_bytes().decode("utf-8")
    assert "window.hacked" in html
    page = Strict()
    page.feed(html)
    page.close()
    assert page.open == []
    assert page.scripts == 1
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)


class Rendered(Strict):
    """What Markdown became: no element but those of plain text, tables and code."""

    ALLOWED = frozenset(
        "h1 h2 h3 p table thead tbody tr th td code pre em strong ul li blockquote a hr".split()
    )

    def handle_starttag(self, tag, attrs):
        assert tag in self.ALLOWED, tag
        if tag == "a":
            assert not re.match(r"(javascript|https?)\s*:", dict(attrs)["href"])
        super().handle_starttag(tag, attrs)

    def handle_comment(self, data):
        assert "Written by escada" in data


def check_markdown(path: Path) -> str:
    text = path.read_bytes().decode("utf-8")
    assert "window.hacked" in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    body = text.split("---\n", 2)[2] if text.startswith("---\n") else text
    page = Rendered()
    page.feed(markdown.render(body))
    page.close()
    assert page.open == []
    return text


def test_markdown_is_rendered_without_anything_of_it(work):
    files = {"tables": work.folder / "tables.md", "roadmap": work.folder / "roadmap.md"}
    verb("report", work.climb, "--markdown", files["tables"], "--roadmap", files["roadmap"])
    for path in files.values():
        check_markdown(path)
    text = check_markdown(work.run / "README.md")
    assert text.count("\nlicense: ") == 1
    verb("export", work.run, work.folder / "exported", "--to", "transformers")
    text = check_markdown(work.folder / "exported" / "README.md")
    assert text.split("---\n", 2)[1].count("license: ") == 1


def test_csv_has_no_cell_that_a_spreadsheet_would_compute(work):
    verb("report", work.climb, "--csv", work.folder / "csv")
    cells: list[str] = []
    for path in [*(work.folder / "csv").glob("*.csv"), *work.run.glob("*.csv")]:
        with path.open(encoding="utf-8", newline="") as file:
            cells += [cell for row in csv.reader(file) for cell in row]
    assert any("cmd|" in cell for cell in cells)
    for cell in cells:
        assert not cell.startswith(tuple("=+@\t\r")), cell
        assert not cell.startswith("-") or is_number(cell), cell


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_tex_shows_what_would_be_commands(work):
    verb("report", work.climb, "--latex", work.folder / "thesis")
    files = [p for p in (work.folder / "thesis").rglob("*") if p.suffix in (".tex", ".pgf")]
    text = "\n".join(re.sub(r"(?m)(?<!\\)%.*", "", p.read_text(encoding="utf-8")) for p in files)
    assert r"\textbackslash{}immediate" in text
    for command in ("immediate", "write18", "input{/etc"):
        assert f"\\{command}" not in text
    assert text.count(r"\end{document}") == 1


@pytest.fixture
def pages(work) -> Iterator[SimpleNamespace]:
    """Opens pages in a browser; what they said and asked for is kept."""
    if CHROMIUM is None:
        pytest.skip("no browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        found = SimpleNamespace(context=browser.new_context(locale="pt-BR"), said=[], asked=[])
        found.page = found.context.new_page()
        found.page.on("console", lambda m: found.said.append(m.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.on("dialog", lambda dialog: found.said.append(dialog.message))
        found.page.on("request", lambda request: found.asked.append(request.url))
        yield found
        browser.close()


def unhurt(pages: SimpleNamespace, home: str) -> None:
    assert pages.page.evaluate("() => window.hacked === undefined")
    assert pages.page.locator("[onerror], [onload], [onfocus], a[href^='javascript:']").count() == 0
    assert [url for url in pages.asked if not url.startswith((home, "data:"))] == []
    assert pages.said == []


@pytest.mark.parametrize("name", ["climb", "run"])
def test_nothing_runs_when_the_report_is_opened(work, pages, name):
    home = (getattr(work, name) / "report" / "index.html").as_uri()
    pages.page.goto(home)
    assert "window.hacked" in pages.page.locator("body").inner_text()
    unhurt(pages, home)


def test_nothing_runs_in_the_playground(work, pages):
    from escada.serve.app import create_app
    from escada.serve.limits import Limits
    from escada.serve.models import open_models
    from escada.serve.service import Service

    service = Service(open_models([work.run]), Limits())
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(service), log_level="warning"))
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
            page = pages.page
            page.goto(url)
            for text in (*SCRIPTS, TEX, CONTROLS, *FORMULAS):
                page.locator("#prompt").fill(text)
                page.locator("#generate").click()
                finished = page.locator('.card[data-status="finished"]')
                finished.wait_for(timeout=60_000)
                unhurt(pages, url)
            assert "window.hacked" in page.locator("body").inner_text()
        finally:
            server.should_exit = True
            thread.join(timeout=30)
