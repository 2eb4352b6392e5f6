"""Odd text in every title, source, baseline and sample of a climb: the page stays one page."""

import csv
import io
import json
import os
import random
import re
from xml.etree import ElementTree

import pytest
from tests.report.strict_html import Strict

from escada.files import read_json
from escada.report.writers.bundle import write_csv, write_markdown
from escada.report.writers.html import conclusions, write_report

PAGES = int(os.environ.get("ESCADA_FUZZ_PAGES", "3"))
ODD = [
    "<script>alert(7)</script>",
    "</script><img src=x onerror=alert(7)>",
    "]]></svg></style></title></main><b>",
    "<!--",
    '" onmouseover="alert(7)',
    "' onclick='alert(7)",
    "&lt;b&gt; &amp; &#60;",
    "[bold]x[/bold] [/] :smile: {{ 7*7 }} {% raw %}",
    "**x** `y` ~~z~~ [a](javascript:alert(7)) | # _w_ $x$ \\textbf{x} %",
    "\x1b[2J\x00\x07\x7f\x85\u2028\u2029\ufeff",
    "\u202eabc\u202c \u2066x\u2069 \u200f\u061c",
    "\ud800 x \udfff",
    "x" * 300,
    "palavra " * 60,
    "  \n\t ",
    "שלום مرحبا",
    "e\u0301" * 40,
]


def odd(rng):
    return "".join(rng.choice(ODD) for _ in range(rng.choice([1, 1, 2])))


def odd_climb(table, rng):
    """The climb with about half of its names and texts replaced."""

    def maybe(text):
        return odd(rng) if rng.random() < 0.5 else text

    names = {rung["name"]: f"v{i}{maybe('')}" for i, rung in enumerate(table["rungs"])}
    sources = {name: f"{i}{maybe(name)}" for i, name in enumerate(table["rungs"][0]["by_source"])}
    for rung in table["rungs"]:
        rung["name"] = names[rung["name"]]
        rung["follows"] = names.get(rung["follows"])
        if rung["beats_previous"]:
            rung["beats_previous"]["against"] = names[rung["beats_previous"]["against"]]
        rung["by_source"] = {sources[key]: value for key, value in rung["by_source"].items()}
        rung["ci95_leaves_out"] = [sources["petrogold"]]
        rung["about"] = {
            key: {code: maybe(text) for code, text in texts.items()}
            for key, texts in rung["about"].items()
        }
        for key in ("preset", "protocol", "profile", "precision", "device"):
            rung[key] = maybe(rung[key])
        rung["tokenizer"]["kind"] = maybe(rung["tokenizer"]["kind"])
    for row in table["baselines"]:
        row["name"] = maybe(row["name"])
    for row in table["comparisons"]:
        row["a"], row["b"] = names[row["a"]], names[row["b"]]
    for row in table["baseline_comparisons"]:
        row["a"] = names[row["a"]]
    corpus = table["corpus"]
    corpus["source"] = maybe("default")
    corpus["licences"] = {sources[key]: maybe(text) for key, text in corpus["licences"].items()}
    table["preset"] = maybe("laptop")
    table["machine"]["cpu"] = maybe("2 cores")
    return table


@pytest.mark.filterwarnings("ignore:Glyph")  # a rung's real name has ASCII letters only
@pytest.mark.parametrize("seed", range(PAGES))
def test_a_climb_of_odd_names_and_texts_has_a_valid_page_and_tables(climb, table, tmp_path, seed):
    rng = random.Random(f"pages/{seed}")
    folder = climb(table)
    odd_table = json.dumps(odd_climb(table, rng))  # in ASCII: a half of a pair can be written
    (folder / "ladder.json").write_text(odd_table)
    for path in folder.glob("runs/*/samples/samples.json"):
        odd_samples(path, rng)
    html = write_report(folder).read_bytes().decode("utf-8")
    page = Strict()
    page.feed(html)
    page.close()
    assert page.open == []
    assert page.scripts == 1
    assert len(set(page.ids)) == len(page.ids)
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", html)
    assert "\u202e" not in html
    for figure in (folder / "report" / "figures").glob("*.svg"):
        ElementTree.parse(figure)
    for code in ("en", "pt"):
        assert all(conclusions(folder, code))
        write_markdown(folder, tmp_path / "tables.md", code).read_bytes().decode("utf-8")
    for path in write_csv(folder, tmp_path / "csv").glob("*.csv"):
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))
        assert {len(row) for row in rows} == {len(rows[0])}


def odd_samples(path, rng):
    table = read_json(path)
    for sample in table["samples"]:
        sample["text"], sample["prompt"] = odd(rng), odd(rng)
        if rng.random() < 0.3:
            sample["category"] = odd(rng)
    path.write_text(json.dumps(table), encoding="utf-8")
