"""The view "Inside" of the playground, in a real browser in front of the real service."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from tests.browser import CHECKS, CHROMIUM, DESKTOP, PHONE, QUIET, needs_browser
from tests.inside.conftest import TEXTS, new_mixture
from tests.serve.conftest import BYTES, LETTERS, loaded_model, running

from escada.generation.batch import Batch
from escada.inside.look import views_of
from escada.text.tokenizers.characters import CharacterTokenizer

pytestmark = needs_browser
SIZES = {"desktop": DESKTOP, "phone": PHONE}
WORDS = {
    "en": {"go": "Look inside", "cells": "cell", "prefers": "prefers the"},
    "pt": {"go": "Ver por dentro", "cells": "célula", "prefers": "prefere a"},
}


def _models():
    """An LSTM, a Transformer and a mixture with counts, all tiny and untrained."""
    characters = CharacterTokenizer.train(TEXTS)
    counts = loaded_model("v_next_counts", tokenizer=characters)
    mixture = new_mixture(characters)
    counts.batch = Batch(mixture, characters)
    counts.rung = counts.rung.model_copy(update={"inside": views_of(mixture)})
    models = [
        loaded_model("v1", "lstm", LETTERS),
        loaded_model("v5", "sinusoidal", BYTES),
        counts,
    ]
    return {model.name: model for model in models}


@pytest.fixture(scope="module")
def service():
    with running(_models()) as here:
        yield here


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@contextmanager
def opened(browser, service, size="desktop", code="en", scheme="light", refusals=0):
    """A page; afterwards its console has only those refusals, it fits, and axe finds nothing."""
    context = browser.new_context(
        viewport=SIZES[size], color_scheme=scheme, locale="pt-BR" if code == "pt" else "en-GB"
    )
    page = context.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(f"{service.url}/#view=inside")
    yield page
    found = Axe().run(page, options=CHECKS)
    assert [(one["id"], one["nodes"]) for one in found.response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert ["400 (Bad Request)" in line for line in told] == [True] * refusals
    context.close()


def look(page, rung, view, text=None):
    page.locator("#inside-rung").select_option(rung)
    page.locator("#inside-look").select_option(view)
    if text is not None:
        page.locator("#inside-text").fill(text)
    page.locator("#inside-go").click()
    expect(page.locator("#inside-body > *").first).to_be_visible()
    expect(page.locator("#inside-body > .empty")).to_have_count(0)


everywhere = pytest.mark.parametrize(
    ("size", "code", "scheme"),
    [
        ("desktop", "en", "light"),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in [
                ("desktop", "pt", "dark"),
                ("phone", "en", "dark"),
                ("phone", "pt", "light"),
            ]
        ),
    ],
)


@everywhere
def test_a_cell_is_picked_and_its_value_told(browser, service, size, code, scheme):
    with opened(browser, service, size, code, scheme) as page:
        expect(page.locator("#inside-go")).to_contain_text(WORDS[code]["go"])
        look(page, "v1", "cells", "Ana disse: bom dia.\nE saiu.")
        second = page.locator(".ranking button").nth(1)
        second.click()
        expect(second).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".ranking [aria-pressed=true]")).to_have_count(1)
        name = second.inner_text().split(":")[0]
        expect(page.locator(".seen h3")).to_have_text(name)
        assert WORDS[code]["cells"] in name
        tokens = page.locator(".seen .token")
        expect(tokens).to_have_count(1 + len("Ana disse: bom dia.\nE saiu."))
        tokens.nth(1).click()
        expect(page.locator(".seen .told")).to_contain_text("“A”")
        page.keyboard.press("ArrowRight")
        expect(page.locator(".seen .told")).to_contain_text("“n”")
        page.locator("#inside-body select").select_option("line_position")
        expect(page.locator("#inside-body .note")).to_contain_text("Spearman")


@everywhere
def test_a_head_is_picked_and_what_a_token_looks_at(browser, service, size, code, scheme):
    with opened(browser, service, size, code, scheme) as page:
        look(page, "v5", "attention", "Bom dia")
        page.locator("#inside-body select").select_option("previous_token")
        third = page.locator(".ranking button").nth(2)
        third.click()
        expect(page.locator(".seen h3")).to_have_text(third.inner_text().split(":")[0])
        tokens = page.locator(".seen .token")
        expect(tokens).to_have_count(1 + len("Bom dia"))
        tokens.nth(1).click()
        expect(page.locator(".seen .told")).to_contain_text("“B”")
        expect(page.locator(".seen .told")).to_contain_text("<bos>")
        expect(page.locator(".seen [data-looking]")).to_have_count(1)
        tokens.nth(5).hover()
        expect(page.locator(".seen .told")).to_contain_text("“d”")
        expect(tokens.nth(5)).to_have_attribute("data-looking", "")
        page.locator(".grid-of-weights").click(position={"x": 5, "y": 5})
        expect(tokens.nth(0)).to_have_attribute("data-looking", "")
        shapes = page.locator(".grid-of-weights path").evaluate_all(
            "(paths) => paths.map((path) => path.getAttribute('d'))"
        )
        squares = sum(shape.count("M") for shape in shapes)
        assert 8 < squares <= 36  # eight tokens look back at themselves and what came before


@everywhere
def test_a_tree_is_opened_and_continued(browser, service, size, code, scheme):
    with opened(browser, service, size, code, scheme) as page:
        look(page, "v1", "tree", "Bom")
        expect(page.locator(".tree .tree").first).to_be_hidden()
        page.locator("#inside-body summary").first.click()
        expect(page.locator(".tree .tree").first).to_be_visible()
        first = page.locator("#inside-body summary .piece").first.inner_text()
        page.locator("#inside-body details button").first.click()
        expect(page.locator("#inside-body .opening")).to_have_text(
            "Bom" + first.replace("·", " "), use_inner_text=True
        )


@everywhere
def test_counts_of_a_chosen_token_are_told(browser, service, size, code, scheme):
    with opened(browser, service, size, code, scheme) as page:
        look(page, "v_next_counts", "counts", "Bom dia")
        expect(page.locator(".thirds section")).to_have_count(3)
        before = page.locator(".thirds").inner_text()
        page.locator("#inside-body .token").nth(3).click()
        expect(page.locator("#inside-body .told")).to_contain_text("%")
        assert page.locator(".thirds").inner_text() != before
        shares = page.locator("#inside-body .parts .share")
        expect(shares).to_have_count(4)
        assert shares.last.inner_text() in page.locator("#inside-body .told").inner_text()


@everywhere
def test_a_pair_says_which_sentence_is_preferred(browser, service, size, code, scheme):
    with opened(browser, service, size, code, scheme) as page:
        look(page, "v5", "pair")
        expect(page.locator("#inside-body .sum")).to_contain_text(WORDS[code]["prefers"])
        expect(page.locator("#inside-body [data-looking]")).to_have_count(2)
        page.locator("#inside-pairs").select_option("2")
        expect(page.locator("#inside-other")).to_have_value("A professora está cansado.")


@everywhere
def test_embeddings_are_shown_as_neighbours_and_as_a_map(browser, service, size, code, scheme):
    with opened(browser, service, size, code, scheme) as page:
        look(page, "v1", "neighbours", "a")
        expect(page.locator("#inside-body .alternatives li")).to_have_count(12)
        page.locator("#inside-body button.piece").first.click()
        picked = page.locator("#inside-text").input_value()
        expect(page.locator("#inside-body > p")).to_contain_text(f"“{picked.replace(' ', '·')}”")
        look(page, "v1", "embedding_map")
        assert page.locator("svg.map text, svg.map circle").count() > 40
        page.locator("#inside-body summary").click()
        expect(page.locator("#inside-body dd").first).to_be_visible()


def test_a_rung_offers_its_views_and_the_link_keeps_the_choice(browser, service):
    with opened(browser, service) as page:
        options = page.locator("#inside-look option")
        expect(options).to_have_count(5)
        page.locator("#inside-rung").select_option("v5")
        expect(options.first).to_have_attribute("value", "attention")
        page.locator("#inside-look").select_option("tree")
        assert "inside=v5" in page.url
        assert "look=tree" in page.url
        page.reload()
        expect(page.locator("#inside-rung")).to_have_value("v5")
        expect(page.locator("#inside-look")).to_have_value("tree")


def test_a_refusal_is_said_where_the_view_would_be(browser, service):
    with opened(browser, service, refusals=1) as page:
        look(page, "v5", "attention", "a" * 400)
        expect(page.locator("#inside-body .problem")).to_contain_text("shorten the text")
        page.locator("#inside-text").fill("Bom dia")
        page.locator("#inside-body .problem button").click()
        expect(page.locator(".grid-of-weights")).to_be_visible()
