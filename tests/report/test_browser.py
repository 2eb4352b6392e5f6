"""The report in a real browser: nothing is cut without a hint, no label meets another.

At a laptop's and a telephone's width, in both languages, light and dark.
"""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from tests.browser import CHROMIUM, needs_browser

from escada.report.writers.html import write_report

pytestmark = [pytest.mark.slow, needs_browser]
LAPTOP, PHONE = {"width": 1366, "height": 768}, {"width": 390, "height": 844}
CHECKS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}

# What reaches out of its frame: of every element that is shown, the nearest ancestor that clips or
# scrolls; that may be a table's frame, which says so, or the row of links, which fades.
CUT = """() => {
  const found = [];
  const shown = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth + 1) found.push("the page scrolls sideways");
  for (const e of document.querySelectorAll("body *")) {
    if (!shown(e) || e.closest("svg") || e.closest(".hidden")) continue;
    const style = getComputedStyle(e);
    if (style.display === "inline" || !e.clientWidth) continue;
    if (e.scrollWidth <= e.clientWidth + 1) continue;
    if (e.matches(".bar nav") && style.maskImage !== "none") continue;
    if (e.matches(".scroll")) {
      const hint = e.closest(".frame").querySelector(".more");
      if (!shown(hint)) found.push(`no hint above: ${e.getAttribute("aria-label")}`);
      continue;
    }
    if (e.closest(".scroll") && style.overflowX === "visible") continue;
    found.push(`${e.tagName}.${e.className}: ${e.textContent.slice(0, 60)}`);
  }
  for (const hint of document.querySelectorAll(".more")) {
    const scroll = hint.parentElement.querySelector(".scroll");
    const fits = scroll.scrollWidth <= scroll.clientWidth + 1;
    if (shown(hint) && fits) found.push("a hint without need");
  }
  return found;
}"""
OVERLAPS = """() => {
  const found = [];
  for (const svg of document.querySelectorAll(".figure svg")) {
    if (!svg.checkVisibility()) continue;
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")]
      .map((t) => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([name, a], i) => {
      if (a.left < frame.left - 1 || a.right > frame.right + 1) found.push(`${name} is cut`);
      for (const [other, b] of texts.slice(i + 1)) {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const along = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 1 && along > 3) found.push(`${name} meets ${other}`); // boxes hold leading
      }
    });
  }
  return found;
}"""
STICKY = """() => [...document.querySelectorAll(".frame.overflows .scroll")].flatMap((s) => {
  if (!s.checkVisibility()) return [];
  s.scrollLeft = s.scrollWidth;
  const left = s.getBoundingClientRect().left, width = s.clientWidth;
  const first = [...s.querySelectorAll("tbody th")].map((e) => e.getBoundingClientRect());
  const bad = first.filter((box) => Math.abs(box.left - left) > 2 || box.width > 0.55 * width);
  s.scrollLeft = 0;
  const name = s.getAttribute("aria-label");
  return bad.map((box) => `${name}: ${box.left - left}, ${box.width} of ${width}`);
})"""


@pytest.fixture(scope="module")
def page_path(wide) -> Path:
    return write_report(wide)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, page_path):
    """A function that opens the report; its console stays empty."""
    contexts, said = [], []

    def open_(size, code, scheme="light"):
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{page_path.as_uri()}?lang={code}")
        page.wait_for_timeout(150)  # a frame, for the observer of sizes
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("code", ["en", "pt"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_nothing_is_cut_without_a_hint_and_no_label_meets_another(opened, size, code, scheme):
    page = opened(size, code, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    for _ in range(20):  # the observer of sizes comes after the next frame
        if not page.evaluate(CUT):
            break
        page.wait_for_timeout(150)
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate(STICKY) == []


@pytest.mark.parametrize("code", ["en", "pt"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_one_screen_says_what_was_trained_on_what_for_how_long(opened, size, code):
    page = opened(size, code)
    lead = page.locator(f"main[data-lang={code}] .lead")
    glance = lead.locator(".glance").bounding_box()
    assert glance["y"] + glance["height"] < size["height"]
    text = lead.inner_text().replace("\u00a0", " ").replace("\u202f", " ")
    said = {
        "en": ("v5, the small Transformer, is the best rung", "60 s per rung", "v1: 1 min 48 s"),
        "pt": ("v5, Transformer pequeno, é o melhor degrau", "60 s por degrau", "v1: 1 min 48 s"),
    }
    for words in (*said[code], "11,991" if code == "en" else "11.991", "Kneser-Ney"):
        assert words in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_the_report_is_accessible(opened, size, scheme):
    results = Axe().run(opened(size, "pt", scheme), options=CHECKS)
    assert results.violations_count == 0, results.generate_report()
