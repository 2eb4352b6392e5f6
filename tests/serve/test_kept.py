"""The slider through a training, in a real browser before a real service, and its route."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from tests.browser import CHROMIUM, needs_browser
from tests.serve.conftest import running

from escada.budget import Budget
from escada.evaluation.task import Subject, read
from escada.evaluation.tasks.acquisition import ACQUISITION
from escada.evaluation.tasks.samples import SAMPLES
from escada.runs.kept import at_step, kept_in
from escada.runs.run import Run, open_run
from escada.serve.models import open_models
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.training.run import start

STEPS = 40
SIZES = {
    "v1": ["model.d_hidden=24", "model.d_embedding=12", "train.keep=log"],
    "v4": ["tokenizer.vocab_size=400", "model.d_hidden=24", "model.d_embedding=16"],
}
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
CHECKS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
TAB = {"pt-BR": "Treino", "en-US": "Training"}


@pytest.fixture(scope="module")
def runs(corpus_path, tmp_path_factory) -> list[Path]:
    """A v1 that kept weights, measured at each of them, and a v4 that kept none."""
    corpus, out = Corpus.open(corpus_path), tmp_path_factory.mktemp("runs")
    common = ["train.batch_sequences=4", "train.window_tokens=32"]
    found = []
    for name, sizes in SIZES.items():
        spec = load_spec(name, preset="laptop", overrides=[*sizes, *common])
        spec = spec.with_budget(Budget.parse(f"{STEPS} steps"))
        found.append(start(spec, corpus, out, device="cpu"))
    Subject(found[0], corpus, device="cpu").need(ACQUISITION)
    return [run.path for run in found]


@pytest.fixture(scope="module")
def run(runs) -> Run:
    return open_run(runs[0])


@pytest.fixture(scope="module")
def service(runs):
    with running(open_models(runs)) as one:
        yield one


def text_at(run: Run, step: int, place: int = 0) -> str:
    return read(at_step(run, step), SAMPLES).samples[place].text


def test_the_route_has_every_kept_step_with_its_texts(service, run):
    status, _, kept = service.request("GET", "/escada/kept?model=v1")
    assert status == 200
    assert [step["step"] for step in kept["steps"]] == kept_in(run)
    for step in kept["steps"]:
        assert step["texts"][0]["text"] == text_at(run, step["step"])
        assert len(step["texts"]) == len(kept["prompts"]) == 20
    assert len(json.dumps(kept)) < 200_000


def test_a_run_that_kept_none_and_an_unknown_model_are_not_found(service):
    for name, said in (("v4", "has kept no weights"), ("v9", "does not exist")):
        status, _, answer = service.request("GET", f"/escada/kept?model={name}")
        assert status == 404
        assert said in answer["error"]["message"]


def test_the_ladder_says_who_kept_weights(service):
    rungs = service.request("GET", "/escada/ladder")[2]["rungs"]
    assert {rung["name"]: rung["kept"] for rung in rungs} == {"v1": True, "v4": False}


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, service):
    """Opens pages; what their consoles said is looked at in the end."""
    contexts, said = [], []

    def open_at(size, locale, state="", scheme="light", complaints=()):
        context = chromium.new_context(
            viewport=size, locale=locale, color_scheme=scheme, has_touch=size == PHONE
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda m: (
                said.append(m.text)
                if m.type in ("error", "warning") and not any(c in m.text for c in complaints)
                else None
            ),
        )
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(service.url + "/" + state)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert said == []


def violations(page) -> list[str]:
    found = Axe().run(page, options=CHECKS).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("locale", list(TAB))
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_slider_shows_what_the_rung_wrote_at_each_step(open_page, run, size, locale):
    page = open_page(size, locale)
    page.get_by_role("button", name=TAB[locale], exact=True).click()
    slider, shown = page.locator("#training-step"), page.locator("#training-text")
    expect(shown).to_contain_text(text_at(run, STEPS)[:20])
    steps = kept_in(run)
    assert slider.get_attribute("max") == str(len(steps) - 1)
    slider.focus()
    page.keyboard.press("Home")
    expect(shown).to_contain_text(text_at(run, steps[0])[:20])
    expect(page.locator("#training-at")).to_contain_text(f"1 {'de' if locale[0] == 'p' else 'of'}")
    for step in steps[1:4]:
        page.keyboard.press("ArrowRight")
        expect(shown).to_contain_text(text_at(run, step)[:20])
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    expect(shown).to_contain_text(text_at(run, STEPS)[:20])
    page.locator("#training-prompt").select_option("3")
    expect(shown).to_contain_text(text_at(run, STEPS, 3)[:20])
    assert str(STEPS) in slider.get_attribute("aria-valuetext")
    wide = "() => document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= size["width"]
    assert violations(page) == []


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_in_the_dark_and_by_a_link(open_page, size):
    page = open_page(size, "pt-BR", state="#view=training", scheme="dark")
    expect(page.locator("#training-text")).not_to_be_empty()
    assert violations(page) == []
    page.locator('label[for="language-en"]').click()
    expect(page.locator("#training-at")).to_have_text(f"step {STEPS} of {STEPS}")
    assert page.title() == "escada: Through the training"


@pytest.mark.slow
@needs_browser
def test_a_rung_whose_steps_cannot_be_read_says_so_and_is_asked_again(open_page):
    page = open_page(DESKTOP, "pt-BR", complaints=["500"])
    refused = {"status": 500, "body": '{"error": {"message": "x"}}'}
    page.route("**/escada/kept*", lambda route: route.fulfill(**refused))
    page.get_by_role("button", name="Treino", exact=True).click()
    expect(page.locator("#training-problem")).to_contain_text("Houve um erro no servidor")
    page.unroute("**/escada/kept*")
    page.locator("#training-problem").get_by_role("button").click()
    expect(page.locator("#training-text")).not_to_be_empty()
    expect(page.locator("#training-problem")).to_be_empty()


@pytest.mark.slow
@needs_browser
def test_without_kept_weights_there_is_no_tab_and_a_link_says_why(chromium, runs):
    with running(open_models(runs[1:])) as one:
        page = chromium.new_page(locale="en-US")
        page.goto(one.url + "/#view=training")
        expect(page.locator("#training-none")).to_be_visible()
        expect(page.locator("#training-tab")).to_be_hidden()
        page.close()
