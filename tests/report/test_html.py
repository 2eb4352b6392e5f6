import json
import re
from html.parser import HTMLParser

import pytest

from escada.report.writers.html import conclusions, write_report

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Outline(HTMLParser):
    """Open tags, ids, and what could load something; fails on a tag closed out of order."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.scripts, self.svgs = [], [], [], 0, []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href")]
        self.scripts += tag == "script"
        if tag == "svg" and "aria-hidden" not in attributes:
            self.svgs.append(attributes)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="session")
def outline(page):
    found = Outline()
    found.feed(page)
    assert found.open == []
    return found


def body(page, code):
    return page.split(f'<main id="{code}-top"')[1].split("</main>")[0]


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\u202f", " ")


def test_what_a_model_wrote_stays_text(page, outline):
    assert outline.scripts == 1
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp; &lt;img src=x" in page
    assert "\x07" not in page
    assert "\ufffd fim" in page


def test_names_in_the_ladder_stay_text_in_figures_and_prose_alike(climb, table):
    hostile = 'x"><script>alert(3)</script>'
    table["rungs"][0]["name"] = hostile
    table["rungs"][1]["beats_previous"]["against"] = hostile
    table["baselines"][0] |= {"name": hostile, "key": "mine"}
    folder = climb(table)
    html = write_report(folder).read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert '"><script' not in html
    found = Outline()
    found.feed(html)
    assert found.open == []


def test_nothing_is_asked_of_any_host(page, outline):
    assert "://" not in page
    allowed = ("#", "data:,", "figures/")  # files beside the page, for whoever clicks
    assert all(link.startswith(allowed) for link in outline.links)
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_the_script_is_the_one_that_the_policy_allows(page):
    import base64
    import hashlib

    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_ids_are_unique_and_every_link_leads_somewhere(outline):
    assert len(outline.ids) == len(set(outline.ids))
    inside = {link[1:] for link in outline.links if link.startswith("#")}
    assert inside <= set(outline.ids)


def test_every_figure_says_what_it_shows(outline):
    assert len(outline.svgs) == 16  # seven figures and a narrow ladder, in two languages
    for svg in outline.svgs:
        assert svg["role"] == "img"
        assert len(svg["aria-label"]) > 30
    labels = " ".join(svg["aria-label"] for svg in outline.svgs)
    assert "v5 2.254 [2.223, 2.288]" in labels
    assert "v5 2,254 [2,223; 2,288]" in labels


def test_both_languages_are_there_with_their_own_numbers(page):
    english, portuguese = text_of(body(page, "en")), text_of(body(page, "pt"))
    assert "v5, the small Transformer, is the best rung: 2.254 bits per byte." in english
    assert "[2.223, 2.288]" in english
    assert "3,264,112" in english
    assert "v5, Transformer pequeno, é o melhor degrau: 2,254 bits por byte." in portuguese
    assert "[2,223; 2,288]" in portuguese
    assert "3.264.112" in portuguese
    assert "Small Transformer" not in portuguese


def test_the_table_has_every_measure_of_a_rung_and_its_tokenizer_beside_perplexity(page):
    row = next(r for r in re.findall(r"<tr.*?</tr>", body(page, "en"), re.DOTALL) if ">best<" in r)
    shown = text_of(row)
    for value in (
        "v5",
        "2.254",
        "127",
        "BPE 2,048",
        "20.6 k",
        "1.9 × 10¹²",
        "812 MB",
        "1 min 00 s",
    ):
        assert value in shown


def test_a_rung_that_fails_is_said_to_fail(page):
    assert "v3 does not beat v2: it needs 0.042 more bits per byte" in text_of(body(page, "en"))
    assert "v3 não supera v2: precisa de 0,042 bits por byte a mais" in text_of(body(page, "pt"))


def test_samples_stand_side_by_side_under_their_prompt(page):
    prompts = re.findall(r'<details class="prompt".*?</details>', body(page, "en"), re.DOTALL)
    assert len(prompts) == 6
    for prompt in prompts:
        assert re.findall(r"<h4>(.*?)</h4>", prompt) == ["v1", "v2", "v3", "v4", "v4_gru", "v5"]
    assert "94.3 %" in text_of(page)
    assert "3.1 %" in text_of(page)


def test_what_is_missing_is_said(page):
    english = text_of(body(page, "en"))
    assert "No validation was recorded for: v_final." in english
    assert "No samples were recorded for: v_final." in english
    assert "metrics.jsonl, samples/samples.json, env.json" in english
    assert "not measured" in english


def test_the_environment_separates_what_runs_share_from_what_differs(page):
    english = text_of(body(page, "en"))
    shared = english.split("Common to all runs Name Value")[1].split("Differs between runs")[0]
    assert "packages.torch 2.13.0" in shared
    assert "pid" not in shared
    assert "v1 · pid" in english


def test_figures_are_written_as_svg_and_png_in_both_languages_with_their_numbers(folder):
    names = ["curves-flops", "curves-seconds", "curves-tokens", "frontier-flops"]
    names += ["ladder", "lexicon", "sources"]
    figures = folder / "report" / "figures"
    found = sorted(path.name for path in figures.iterdir())
    pictures = [f"{n}.{c}.{e}" for n in names for c in ("en", "pt") for e in ("svg", "png")]
    assert found == sorted([*pictures, *(f"{name}.csv" for name in names)])
    assert (figures / "ladder.en.png").read_bytes().startswith(b"\x89PNG")
    svg = (figures / "ladder.pt.svg").read_text(encoding="utf-8")
    assert "var(--" not in svg
    assert "2,254" in svg


def test_writing_twice_gives_the_same_bytes(folder, page):
    assert write_report(folder).read_text(encoding="utf-8") == page


def test_extreme_figures_still_make_a_page(climb, table):
    for rung, scale in zip(table["rungs"], (1e-9, 1e-3, 1.0, 1e6, 1e12, 1e30, 1.0), strict=True):
        rung |= {"training_flops": 1e12 * scale, "training_seconds": 60 * scale}
        rung |= {"parameters": round(max(1, 1e6 * min(scale, 1e9))), "beats_previous": None}
        rung["peak_memory_bytes"] = 1e9 * scale
    table["rungs"][0] |= {"bits_per_byte": 1e-6, "ci95": [0.0, 0.5], "perplexity": 1e200}
    table["rungs"][1] |= {"bits_per_byte": 4e7, "ci95": None, "lexicon_share": 0.0}
    table["baselines"] = []
    table["corpus"]["profile"] = "roadmap"
    html = write_report(climb(table)).read_text(encoding="utf-8")
    assert "1.0\u202f×\u202f10²⁰⁰" in html
    assert "which is not the reference text" in html
    assert "nan" not in re.sub(
        r"<style>.*?</style>|<script>.*?</script>", "", html, flags=re.DOTALL
    )


def test_a_climb_with_nothing_measured_still_makes_a_page(climb, table):
    table["rungs"] = [rung for rung in table["rungs"] if rung["name"] == "v_final"]
    table |= {"human": None, "noise": None, "machine": {}, "corpus": {}}
    english = text_of(body(write_report(climb(table)).read_text(encoding="utf-8"), "en"))
    assert "No rung has been measured yet." in english
    assert "No samples were recorded." in english
    assert "No environment was recorded." in english


def test_one_run_has_a_page_of_its_own(one_run):
    page = write_report(one_run)
    assert page == one_run / "report" / "index.html"
    assert "v5, the small Transformer, reaches 2.254 bits per byte" in page.read_text(
        encoding="utf-8"
    )
    assert conclusions(one_run)[0].startswith(
        "v5, the small Transformer, reaches 2.254 bits per byte"
    )


def test_a_broken_samples_file_is_refused_by_name(climb):
    from escada.errors import EscadaError

    folder = climb()
    samples = next(folder.rglob("samples.json"))
    samples.write_text(
        json.dumps({"schema_version": 1, "samples": [{"text": 1}]}), encoding="utf-8"
    )
    with pytest.raises(EscadaError, match=r"samples\.json"):
        write_report(folder)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("code", "mean", "worth", "alone"),
    [
        (
            "en",
            "Mean of the sources",
            "as informative as 10.5 groups of equal size",
            "n = 1 for petrogold",
        ),
        (
            "pt",
            "Média das fontes",
            "informam tanto quanto 10,5 grupos de mesmo tamanho",
            "n = 1 em",
        ),
    ],
)
def test_the_sources_say_what_the_intervals_rest_on(climb, table, code, mean, worth, alone):
    known = {"groups": 1126, "effective_groups": 10.46, "ci95_leaves_out": ["petrogold"]}
    for facts in table["rungs"][:6]:
        facts |= {**known, "macro_bits_per_byte": 2.789, "macro_ci95": [2.7, 2.9]}
    folder = climb(table)
    write_report(folder)
    shown = body((folder / "report" / "index.html").read_text(encoding="utf-8"), code)
    section = shown.split(f'<section id="{code}-sources"')[1].split("</section>")[0]
    assert mean in section
    assert worth in section
    assert alone in section
    assert section.count("2,789" if code == "pt" else "2.789") == 6
