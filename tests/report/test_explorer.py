"""The learning curve that can be asked, in a real browser: it says what the run's files say."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from playwright.sync_api import expect, sync_playwright
from tests.browser import CHROMIUM, needs_browser

from escada.report.writers.html import write_report

pytestmark = needs_browser
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def page_path(folder):
    return write_report(folder)


@pytest.fixture(scope="module")
def data(page_path):
    """What the page carries for its script, by language."""
    found = re.findall(
        r'id="(en|pt)-explorer" data-curves="([^"]*)"', page_path.read_text(encoding="utf-8")
    )
    return {code: json.loads(unescape(text)) for code, text in found}


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, page_path):
    """Opens the curve of a language; the console stays empty and nothing is asked of a network."""
    contexts, told = [], []

    def open_(code="en", size=DESKTOP, scheme="light"):
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda one: told.append(one.url) if one.url[:4] == "http" else None)
        page.goto(f"{page_path.as_uri()}?lang={code}")
        explorer = page.locator(f"#{code}-explorer")
        explorer.scroll_into_view_if_needed()
        expect(explorer.locator("polyline").first).to_be_visible()
        return page, explorer

    yield open_
    for context in contexts:
        context.close()
    assert told == []


def test_the_page_carries_every_validation_of_every_rung(data, folder):
    ladder = json.loads((folder / "ladder.json").read_text(encoding="utf-8"))
    with_curve = [line["name"] for line in data["en"]["lines"]]
    assert set(with_curve) <= {rung["name"] for rung in ladder["rungs"]}
    assert len(with_curve) >= 2
    assert data["en"]["lines"] == data["pt"]["lines"]
    for line in data["en"]["lines"]:
        keys = {"step", "seconds", "tokens", "flops", "bits_per_byte"}
        assert all(set(point) == keys for point in line["points"])


@pytest.mark.parametrize(
    ("code", "size", "scheme"),
    [
        ("en", DESKTOP, "light"),
        pytest.param("pt", PHONE, "dark", marks=pytest.mark.slow),
    ],
)
def test_the_keyboard_goes_from_point_to_point(opened, data, code, size, scheme):
    _, explorer = opened(code, size, scheme)
    svg, told = explorer.locator("svg"), explorer.locator(".told")
    expect(told).to_have_text(data[code]["words"]["hint"])
    svg.focus()
    svg.press("Home")
    lines = {
        line["name"]: [point for point in line["points"] if point["tokens"] > 0]
        for line in data[code]["lines"]
    }
    name, first = min(
        ((name, points[0]) for name, points in lines.items()), key=lambda one: one[1]["tokens"]
    )
    bits = f"{first['bits_per_byte']:.3f}"
    expect(told).to_contain_text(f"{name} {bits if code == 'en' else bits.replace('.', ',')}")
    before = told.inner_text()
    svg.press("ArrowRight")
    assert told.inner_text() != before
    svg.press("Escape")
    expect(told).to_have_text(data[code]["words"]["hint"])


def test_the_pointer_tells_the_nearest_point_of_each_rung_that_is_shown(opened, data):
    page, explorer = opened()
    box = explorer.locator("svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 100)
    told = explorer.locator(".told")
    expect(told).to_contain_text(data["en"]["lines"][0]["name"])
    said = dict(re.findall(r"(\w+) (\d\.\d{3}) \(", told.inner_text()))
    for line in data["en"]["lines"]:
        last = line["points"][-1]["bits_per_byte"]
        assert float(said[line["name"]]) == pytest.approx(last, abs=6e-4)
    first = data["en"]["lines"][0]["name"]
    button = explorer.get_by_role("button", name=first, exact=True)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(explorer.locator("polyline")).to_have_count(len(data["en"]["lines"]) - 1)
    page.mouse.move(box["x"] + box["width"] - 18, box["y"] + 110)
    expect(told).not_to_contain_text(f"{first} ")


def test_a_part_is_enlarged_by_dragging_and_the_axis_is_switched(opened, data):
    page, explorer = opened()
    box = explorer.locator("svg").bounding_box()
    whole = explorer.locator("svg").text_content()
    reset = explorer.get_by_role("button", name=data["en"]["words"]["reset"])
    expect(reset).to_be_disabled()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 120)
    page.mouse.up()
    expect(reset).to_be_enabled()
    assert explorer.locator("svg").text_content() != whole
    reset.click()
    expect(reset).to_be_disabled()
    assert explorer.locator("svg").text_content() == whole
    explorer.get_by_role("button", name=data["en"]["words"]["flops"]).click()
    expect(explorer.locator("svg")).to_contain_text("× 10")
    explorer.get_by_role("button", name=data["en"]["words"]["seconds"]).click()
    expect(explorer.locator("svg")).not_to_contain_text("× 10")


def test_without_javascript_the_drawn_curves_remain(browser, page_path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_path.as_uri())
    expect(page.locator("#en-explorer")).to_be_hidden()
    expect(page.locator("#en-top figure.curves-tokens svg")).to_be_visible()
    context.close()


def test_every_figure_has_its_files_beside_the_page(page_path):
    page = page_path.read_text(encoding="utf-8")
    links = re.findall(r'<a href="(figures/[^"]+)" download', page)
    assert {link.rsplit(".", 1)[1] for link in links} == {"svg", "png", "csv"}
    assert all((page_path.parent / link).is_file() for link in links)
    figures = page.count("<figcaption>")
    assert len([link for link in links if link.endswith(".svg")]) == figures
    curves = (page_path.parent / "figures" / "curves-tokens.csv").read_text(encoding="utf-8")
    assert curves.startswith("name,key,step,tokens,seconds,flops,bits_per_byte\n")
