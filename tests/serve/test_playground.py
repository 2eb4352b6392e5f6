"""The playground in a real browser, in front of the real service with three real rungs.

The rungs are tiny: an LSTM over characters, an LSTM over subwords, a Transformer. Every page notes
what its console says and what it asks for; a test ends by looking at both.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from contextlib import contextmanager
from math import log
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from tests.browser import CHECKS, CHROMIUM, DESKTOP, PHONE, QUIET, needs_browser

from escada.evaluation.task import ruler_context
from escada.evaluation.text_score import score_text
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.runs.run import open_run
from escada.serve.app import create_app
from escada.serve.limits import Limits
from escada.serve.models import open_models
from escada.serve.service import Service

pytestmark = [pytest.mark.slow, needs_browser]

PROMPT = "A menina encontrou"
RUNGS = ("v1", "v4", "v5")
SIZES = {
    "v1": ["model.d_hidden=48", "model.d_embedding=16"],
    "v4": ["tokenizer.vocab_size=400", "model.d_hidden=48", "model.d_embedding=48"],
    "v5": ["tokenizer.vocab_size=400", "model.d_model=48", "model.n_heads=3", "model.d_ff=96"],
}
TOKEN = "segredo"


@pytest.fixture(scope="module")
def runs(corpus_path, tmp_path_factory):
    """Folders of three rungs, trained for a few steps."""
    from escada.budget import Budget
    from escada.spec import load_spec
    from escada.text.corpus import Corpus
    from escada.training.run import start

    corpus, out = Corpus.open(corpus_path), tmp_path_factory.mktemp("runs")
    budget = Budget.parse("60 steps")
    common = ["train.batch_sequences=8", "train.window_tokens=48"]
    specs = [load_spec(name, preset="laptop", overrides=SIZES[name] + common) for name in RUNGS]
    return [start(spec.with_budget(budget), corpus, out, device="cpu").path for spec in specs]


class Pace:
    """Slows a service down: every piece of an answer waits `seconds`."""

    def __init__(self, app, service):
        self.app, self.service, self.seconds = app, service, 0.0

    async def __call__(self, scope, receive, send):
        async def slowly(message):
            if message["type"] == "http.response.body" and scope["path"] == "/v1/completions":
                await asyncio.sleep(self.seconds)
            await send(message)

        await self.app(scope, receive, slowly)


@contextmanager
def served(runs, tokens=()):
    """One of our own; yields its address and its pace."""
    service = Service(open_models(runs), Limits())
    pace = Pace(create_app(service, tokens=tokens), service)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(pace, log_level="warning", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        deadline = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < deadline, "the service did not start"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}/", pace
        finally:
            server.should_exit = True
            thread.join(timeout=30)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def service(runs):
    with served(runs) as (url, pace):
        yield url, pace


@pytest.fixture
def url(service):
    address, pace = service
    pace.seconds = 0.0
    return address


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Opens pages that may ask nobody but the service; what they did is looked at in the end."""
    contexts, said, elsewhere, expected = [], [], [], []

    def open_at(url, *, size=DESKTOP, locale="pt-BR", scheme="light", complaints=(), state=""):
        context = chromium.new_context(
            viewport=size, locale=locale, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        expected.extend(complaints)

        def only_home(route):
            if route.request.url.startswith(url):
                route.continue_()
            else:
                elsewhere.append(route.request.url)
                route.abort()

        context.route("**/*", only_home)
        page = context.new_page()
        page.on(
            "console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url + state)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert [text for text in said if not any(part in text for part in expected)] == []


@pytest.fixture(scope="module")
def samples(runs):
    """What the three rungs write when asked directly, with a seed that ends none of them early."""
    opened = [open_run(path) for path in runs]
    models = [(run.load_model(), run.tokenizer) for run in opened]
    settings = SamplerSettings(temperature=0.8, top_p=0.95)
    for seed in range(50):
        found = [
            generate(
                model, tokenizer, [PROMPT], settings, max_tokens=60, seed=seed, profile="reference"
            )[0]
            for model, tokenizer in models
        ]
        if not any(sample.finished for sample in found):
            return dict(zip(RUNGS, found, strict=True))
    raise AssertionError("every seed ends an answer early")


@pytest.fixture
def state(samples):
    """The part of the address behind "#" that asks for `samples`."""
    return f"#prompt={PROMPT.replace(' ', '+')}&max_tokens=60&seed={samples['v1'].seed}"


def card(page, name):
    return page.locator(f'.card[data-rung="{name}"]')


def tokens(page, name):
    return card(page, name).locator(".token")


def generate_all(page, names=RUNGS):
    page.locator("#generate").click()
    for name in names:
        expect(card(page, name)).to_have_attribute("data-status", "finished", timeout=60_000)


def text_of(page, name):
    return card(page, name).locator(".whole").text_content()


def number_in(text):
    found = re.search(r"-?\d+(?:[.,]\d+)?", text)
    assert found, text
    return float(found[0].replace(",", "."))


# --- what it is for --------------------------------------------------------------------------


def test_three_rungs_stream_what_escada_writes_with_the_same_seed(url, open_page, state, samples):
    page = open_page(url)
    expect(page.locator("#rungs .chip")).to_have_count(3)
    page.locator("#prompt").fill(PROMPT)
    page.goto(url + state)  # the settings of the samples, by a link to the page that is open
    generate_all(page)
    for name, sample in samples.items():
        assert text_of(page, name) == sample.text
        assert "".join(tokens(page, name).all_text_contents()) == sample.text
        mean = sample.bits_per_token * len(sample.ids) / len(sample.text.encode())
        shown = number_in(card(page, name).locator(".facts .mean").inner_text())
        assert shown == pytest.approx(mean, abs=0.0051)


def test_an_answer_is_seen_while_it_is_written(service, url, open_page, state):
    page = open_page(url, state=state)
    service[1].seconds = 0.03
    page.locator("#generate").click()
    expect(tokens(page, "v1").nth(2)).to_be_visible()
    assert card(page, "v1").get_attribute("data-status") == "streaming"
    assert tokens(page, "v1").count() < 60
    expect(card(page, "v1").locator(".text")).to_have_attribute("aria-busy", "true")
    expect(card(page, "v1")).to_have_attribute("data-status", "finished")
    expect(tokens(page, "v1")).to_have_count(60)


def test_a_click_shows_alternatives_whose_probabilities_are_those_of_the_model(
    url, open_page, state, samples, runs
):
    page = open_page(url, state=state)
    generate_all(page)
    tokens(page, "v1").first.click()
    panel = page.locator("#panel")
    expect(panel).to_be_visible()
    shares = [number_in(text) / 100 for text in panel.locator(".share").all_inner_texts()]
    *named, others = shares
    assert len(named) in (10, 11)  # the ten most probable, and the chosen one behind them
    assert named[:10] == sorted(named[:10], reverse=True)
    assert sum(shares) == pytest.approx(1, abs=0.01)
    assert others == pytest.approx(1 - sum(named), abs=0.01)

    import torch

    run = open_run(runs[0])
    ids = [run.tokenizer.bos_id, *run.tokenizer.encode(PROMPT).tolist()]
    with torch.inference_mode():
        nats_V = -run.load_model()(torch.tensor([ids]))[0, -1].log_softmax(-1)
    best = nats_V.sort().values[:10].neg().exp().tolist()
    assert named[:10] == pytest.approx(best, abs=0.0011)
    bits = number_in(panel.locator(".panel-head span").inner_text())
    chosen = samples["v1"].ids[0]
    assert bits == pytest.approx(nats_V[chosen].item() / log(2), abs=0.0051)
    tracks = panel.locator(".bar-track").evaluate_all(
        "(tracks) => tracks.map((one) => one.firstChild.offsetWidth / one.offsetWidth)"
    )
    assert tracks == pytest.approx(shares, abs=0.03)  # a bar is as long as it is probable
    share = number_in(panel.locator("li.chosen .share").inner_text()) / 100
    assert share == pytest.approx(2**-bits, abs=0.002)


def test_colour_and_line_follow_the_bits(url, open_page, state):
    page = open_page(url, state=state)
    generate_all(page)
    for token in tokens(page, "v4").all()[:30]:
        bits = number_in(token.get_attribute("aria-label").rpartition(", ")[2])
        level = sum(bits >= edge for edge in (1, 2, 4, 8))
        near_an_edge = any(abs(bits - edge) <= 0.05 for edge in (1, 2, 4, 8))
        assert near_an_edge or f"level-{level}" in token.get_attribute("class")
    widths = page.evaluate(
        """() => [1, 2, 3, 4].map((level) => {
          const style = getComputedStyle(document.querySelector(`#scale .level-${level}`));
          return [style.textDecorationStyle, parseFloat(style.textDecorationThickness)];
        })"""
    )
    assert widths == [["dotted", 1], ["solid", 1], ["solid", 2], ["solid", 4]]


def test_stop_ends_one_answer_and_the_others_go_on(service, url, open_page, state):
    page = open_page(url, state=state)
    service[1].seconds = 0.05
    page.locator("#generate").click()
    expect(tokens(page, "v4").nth(1)).to_be_visible()
    card(page, "v4").get_by_role("button", name="Parar v4").click()
    expect(card(page, "v4")).to_have_attribute("data-status", "stopped")
    assert 2 <= tokens(page, "v4").count() < 60
    expect(card(page, "v4").locator(".facts")).to_contain_text("interrompida")
    expect(card(page, "v1")).to_have_attribute("data-status", "finished")
    expect(card(page, "v5")).to_have_attribute("data-status", "finished")
    assert tokens(page, "v1").count() == 60


def test_stop_all_ends_all_and_the_service_is_free_again(service, url, open_page, state):
    page = open_page(url, state=state.replace("max_tokens=60", "max_tokens=1000"))
    service[1].seconds = 0.05
    page.locator("#generate").click()
    expect(tokens(page, "v5").first).to_be_visible()
    assert service[1].service.active == 3
    page.get_by_role("button", name="Parar tudo").click()
    for name in RUNGS:
        expect(card(page, name)).to_have_attribute("data-status", "stopped")
    deadline = time.monotonic() + 10  # a thousand tokens take five times as long
    while service[1].service.active:
        assert time.monotonic() < deadline, "the service still writes what nobody reads"
        time.sleep(0.05)
    assert all(tokens(page, name).count() < 60 for name in RUNGS)
    service[1].seconds = 0.0
    generate_all(page)
    assert tokens(page, "v5").count() >= 60


def test_again_draws_another_answer_of_one_rung_and_names_its_seed(url, open_page, state, samples):
    page = open_page(url, state=state)
    generate_all(page)
    card(page, "v1").get_by_role("button", name="Gerar de novo com v1").click()
    seed = f"semente {samples['v1'].seed}"
    expect(card(page, "v1").locator(".facts")).not_to_contain_text(re.compile(rf"{seed}\b"))
    expect(card(page, "v1")).to_have_attribute("data-status", "finished")
    assert text_of(page, "v1") != samples["v1"].text
    assert text_of(page, "v4") == samples["v4"].text


def test_greedy_takes_the_most_probable_token_each_time(url, open_page):
    page = open_page(url)
    page.locator("#prompt").fill(PROMPT)
    page.get_by_role("button", name="Gulosa").click()
    expect(page.locator("#setting-temperature")).to_have_value("0")
    expect(page.locator("#setting-top_p")).to_be_disabled()
    expect(page.locator("#greedy-note")).to_be_visible()
    generate_all(page)
    for name in RUNGS:
        for token in tokens(page, name).all()[:5]:
            token.click()
            # UNK and BOS are never chosen, so the best one may be one of these.
            first = page.locator("#panel li").filter(has_not_text=re.compile("<(unk|bos)>")).first
            expect(first).to_have_class("chosen")


# --- a text of the reader's ------------------------------------------------------------------

OWN = "O coração da menina 😀\nnão dormiu."


def score_own(page, text=OWN, names=RUNGS):
    page.locator("#score-text").fill(text)
    page.locator("#score-go").click()
    for name in names:
        expect(page.locator(f'[data-score="{name}"]')).to_have_attribute(
            "data-status", "finished", timeout=30_000
        )


@pytest.fixture(scope="module")
def own_scores(runs):
    """What `escada score` finds for the text."""
    opened = [open_run(path) for path in runs]
    return {
        run.spec.name: score_text(
            run.load_model(),
            run.tokenizer,
            OWN,
            profile="reference",
            context_tokens=ruler_context(run),
        )
        for run in opened
    }


def test_a_text_of_the_readers_is_scored_under_each_rung_as_escada_score_does(
    url, open_page, own_scores
):
    page = open_page(url)
    page.get_by_role("button", name="Avaliar meu texto").click()
    score_own(page)
    for name, score in own_scores.items():
        one = page.locator(f'[data-score="{name}"]')
        assert "".join(one.locator(".token").all_text_contents()) == score.text
        facts = one.locator(".facts").inner_text()
        assert number_in(facts) == pytest.approx(score.bits_per_byte, abs=0.0051)
        assert f"{len(score.tokens)} tokens" in facts
        shown = [
            number_in(token.get_attribute("aria-label").rsplit(", ", 1)[-1].replace(",", "."))
            for token in one.locator(".token").all()[:5]
        ]
        assert shown == pytest.approx([token.bits for token in score.tokens[:5]], abs=0.051)
        expect(one.locator(".token").last).to_have_class(re.compile("end"))
    page.locator('[data-score="v4"] .token').nth(1).click()
    assert page.locator("#panel li").count() in (11, 12)  # ten, all others, and the one there
    page.keyboard.press("ArrowRight")
    expect(page.locator('[data-score="v4"] .token').nth(2)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()


def test_the_difference_of_two_rungs_adds_up_and_is_told_span_by_span(url, open_page, own_scores):
    page = open_page(url, locale="en")
    page.get_by_role("button", name="Score my text").click()
    score_own(page)
    for first, second in (("v1", "v4"), ("v4", "v5")):
        page.locator("#pair-0").select_option(first)
        page.locator("#pair-1").select_option(second)
        expect(page.locator("#difference-sum")).to_contain_text(second)
        spans = page.locator("#difference-text .token")
        assert "".join(spans.all_text_contents()) == OWN
        saved = 0.0
        for label in (span.get_attribute("aria-label") for span in spans.all()):
            bits = float(re.search(r": ([\d.]+) bits", label)[1])
            saved += bits if "saved" in label else -bits
        expected = own_scores[first].bits - own_scores[second].bits
        assert saved == pytest.approx(expected, abs=0.06 * spans.count())
        said = page.locator("#difference-sum").inner_text()
        assert ("saves" in said) == (expected >= 0)
        assert f"{abs(expected):.1f} bits" in said
        assert spans.count() <= min(len(own_scores[name].tokens) for name in (first, second))
    spans.first.focus()
    page.keyboard.press("ArrowRight")
    expect(spans.nth(1)).to_be_focused()
    expect(page.locator("#difference-told")).to_have_text(spans.nth(1).get_attribute("aria-label"))
    page.locator('label[for="language-pt"]').click()
    expect(page.locator("#difference-sum")).to_contain_text(re.compile("economiza|a mais"))
    page.reload()
    expect(page.locator("#score-text")).to_have_value(OWN)  # the text is part of the address
    page.locator("#score-go").click()
    expect(page.locator("#pair-0")).to_have_value("v4")


def test_nothing_is_scored_without_a_text_or_a_rung_and_a_refusal_is_said(url, open_page):
    page = open_page(url, complaints=["400", "429"])
    page.get_by_role("button", name="Avaliar meu texto").click()
    page.locator("#score-go").click()
    expect(page.locator("#score-hint")).to_contain_text("Escreva um texto")
    page.locator("#score-text").fill("casa " * 3000)
    page.keyboard.press("Control+Enter")
    problem = page.locator('[data-score="v1"] .problem')
    expect(problem).to_contain_text("2048")
    page.locator("#score-text").fill("casa")
    page.route("**/escada/score", refuse(429))
    page.locator("#score-go").click()
    expect(problem).to_contain_text("O servidor está ocupado.")
    page.unroute("**/escada/score")
    problem.get_by_role("button").click()
    expect(page.locator('[data-score="v1"]')).to_have_attribute("data-status", "finished")
    for name in RUNGS:
        page.locator(f'label[for="score-rung-{name}"]').click()
    page.locator("#score-go").click()
    expect(page.locator("#score-hint")).to_contain_text("Escolha ao menos um degrau")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_scores(url, open_page, size, scheme):
    page = open_page(url, size=size, scheme=scheme, state="#view=score")
    expect(page.locator("#score-rungs .chip")).to_have_count(3)
    assert violations(page) == []
    score_own(page)
    expect(page.locator("#difference")).to_be_visible()
    page.locator('[data-score="v4"] .token').nth(3).click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_what_it_was_asked_for_without_scrolling(url, open_page, state, width):
    page = open_page(url, size={"width": width, "height": 740}, state=state)
    expect(page.locator("#rungs .chip")).to_have_count(3)
    generate_all(page)
    expect(tokens(page, "v1").first).to_be_in_viewport()
    expect(page.locator("#answers-title")).to_be_in_viewport()
    expect(page.locator("#answers")).to_be_focused()
    page.get_by_role("button", name="Avaliar meu texto").click()
    score_own(page)
    expect(page.locator('[data-score="v1"] .token').first).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_desktop_that_shows_the_answers_is_not_scrolled(url, open_page, state):
    page = open_page(url, state=state)
    expect(page.locator("#rungs .chip")).to_have_count(3)
    generate_all(page)
    assert page.evaluate("scrollY") == 0


# --- languages, links, the ladder ------------------------------------------------------------


def test_the_browser_chooses_the_language_and_the_switch_changes_every_word(url, open_page, state):
    page = open_page(url, locale="en-GB", state=state)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    generate_all(page)
    tokens(page, "v1").first.click()
    english = page.locator("body").inner_text()
    page.locator('label[for="language-pt"]').click()
    expect(page.locator("html")).to_have_attribute("lang", "pt-BR")
    expect(page.locator("#panel")).to_contain_text("probabilidade")
    expect(card(page, "v1")).to_contain_text("LSTM de caracteres")
    assert re.search(r"\d,\d\d bits/byte", card(page, "v1").locator(".facts").inner_text())
    assert re.search(r", \d+,\d bits$", tokens(page, "v1").first.get_attribute("aria-label"))
    portuguese = page.locator("body").inner_text()
    lines = set(english.splitlines()) & set(portuguese.splitlines())
    left = {line for line in lines if re.search(r"\b(the|of|Answer|token was|seed)\b", line)}
    assert left == set()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "pt-BR")  # it was chosen: it stays


def test_a_link_opens_what_it_was_copied_from(url, open_page, state):
    page = open_page(url, state=state)
    page.locator('label[for="rung-v4"]').click()
    page.locator("#setting-temperature").fill("1.2")
    page.locator("#seed").fill("77")
    page.locator("#share").click()
    other = open_page(url, state=page.url.removeprefix(url))
    expect(other.locator("#prompt")).to_have_value(PROMPT)
    expect(other.locator("#setting-temperature")).to_have_value("1.2")
    expect(other.locator("#seed")).to_have_value("77")
    expect(other.locator("#rung-v4")).not_to_be_checked()
    expect(other.locator(".card")).to_have_count(2)


def test_the_ladder_shows_every_rung_with_its_figures(url, open_page, runs):
    page = open_page(url)
    page.get_by_role("button", name="A escada").click()
    expect(page.locator("#play")).to_be_hidden()
    rows = page.locator("#table tbody tr")
    expect(rows).to_have_count(3)
    for row, path in zip(rows.all(), runs, strict=True):
        run = open_run(path)
        expect(row).to_contain_text(run.spec.name)
        expect(row).to_contain_text("não medido")
        expect(row).to_contain_text(run.record.key[:8])
    expect(page.locator("#about")).to_contain_text("Objetivo")
    page.reload()
    expect(rows).to_have_count(3)  # the view is part of the address


def test_a_table_wider_than_its_frame_says_that_it_scrolls(url, open_page):
    page = open_page(url, size=PHONE, state="?#view=ladder")
    expect(page.locator("#table tbody tr")).to_have_count(3)
    hint = page.locator("#more")
    expect(hint).to_have_text("role para o lado para ver mais →")
    page.set_viewport_size(DESKTOP)
    expect(hint).to_be_hidden()


@pytest.mark.parametrize("locale", ["pt-BR", "en"])
def test_the_parts_of_the_page_stand_in_one_row_on_a_phone(url, open_page, locale):
    page = open_page(url, size={"width": 390, "height": 844}, locale=locale)
    shown = page.locator("nav button:visible")
    tops = {b.bounding_box()["y"] for b in shown.all()}
    assert len(tops) == 1


MEASURED = """{"schema_version": 1, "limits": {"max_tokens": 100}, "rungs": [
 {"name": "a", "preset": "full", "seed": 1, "title": {"en": "A", "pt": "Á"}, "parameters": 1234567,
  "bits_per_byte": 2.5, "interval": [2.4, 2.6], "context_tokens": null, "hash": "0123456789",
  "tokenizer": {"kind": "characters", "vocab_size": 100}, "training_tokens": 1e9,
  "training_seconds": 7325},
 {"name": "b", "preset": "full", "seed": 1, "title": {"en": "B", "pt": "B"}, "parameters": 10,
  "bits_per_byte": 2.1, "interval": [2.05, 2.2], "context_tokens": 256, "hash": "abc",
  "tokenizer": {"kind": "bpe", "vocab_size": 4096}, "training_tokens": 5,
  "training_seconds": 42.4}]}"""


def test_the_chart_draws_a_lower_figure_lower_and_writes_it_as_the_language_does(url, open_page):
    page = open_page(url)
    page.route("**/escada/ladder", lambda route: route.fulfill(body=MEASURED))
    page.goto(url + "?#view=ladder")
    chart = page.locator("#chart svg")
    expect(chart).to_have_attribute("aria-label", re.compile("a 2,500, b 2,100"))
    heights = [float(line.get_attribute("y1")) for line in chart.locator(".tread").all()]
    assert heights[0] < heights[1]  # y grows downward
    band = chart.locator(".band").first
    top, height = (float(band.get_attribute(key)) for key in ("y", "height"))
    assert top < heights[0] < top + height
    first = page.locator("#table tbody tr").first
    for words in ("2,500", "[2,400; 2,600]", "1,23", "sem limite", "2 h 2 min", "01234567"):
        expect(first).to_contain_text(words)
    expect(page.locator("#table tbody tr").nth(1)).to_contain_text("menor valor")
    expect(page.locator("#setting-max_tokens")).to_have_attribute("max", "100")


# --- by keyboard, on a phone, for everybody ----------------------------------------------------


def focused(page):
    return page.evaluate(
        "() => document.activeElement.id || document.activeElement.ariaLabel"
        " || document.activeElement.textContent"
    )


def tab_until(page, wanted, most=40):
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted(focused(page)):
            return
    raise AssertionError("Tab does not lead there")


def test_everything_can_be_done_by_keyboard(url, open_page, samples):
    page = open_page(url)
    expect(page.locator("#rungs .chip")).to_have_count(3)
    page.keyboard.press("Tab")
    assert focused(page) == "skip"
    page.keyboard.press("Enter")
    tab_until(page, lambda name: name == "prompt")
    page.keyboard.type(PROMPT)
    tab_until(page, lambda name: name == "rung-v4")
    page.keyboard.press("Space")
    expect(card(page, "v4")).to_have_count(0)
    tab_until(page, lambda name: name == "setting-max_tokens")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#setting-max_tokens")).to_have_value("170")
    page.keyboard.press("Control+Enter")
    for name in ("v1", "v5"):
        expect(card(page, name)).to_have_attribute("data-status", "finished", timeout=60_000)
    assert tokens(page, "v1").count() > 5

    tab_until(page, lambda name: name == tokens(page, "v1").first.get_attribute("aria-label"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    third = tokens(page, "v1").nth(2)
    expect(third).to_be_focused()
    assert page.locator('.card[data-rung="v1"] .token[tabindex="0"]').count() == 1
    outline = third.evaluate("(token) => getComputedStyle(token).outlineStyle")
    assert outline == "solid"  # the focus is seen
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_visible()
    expect(third).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#announce")).to_contain_text("%")
    before = page.locator("#panel").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("#panel").inner_text() != before  # the panel walks along
    page.keyboard.press("Tab")
    expect(page.locator("#panel button")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(tokens(page, "v1").nth(3)).to_be_focused()
    page.keyboard.press("End")
    expect(tokens(page, "v1").last).to_be_focused()
    page.keyboard.press("ArrowUp")
    line_above = tokens(page, "v1").last.evaluate(
        "(last) => document.activeElement.getBoundingClientRect().top"
        " < last.getBoundingClientRect().top"
    )
    assert line_above


@pytest.mark.parametrize("width", [320, 360, 390, 768])
def test_nothing_scrolls_sideways_on_a_narrow_screen(url, open_page, state, width):
    page = open_page(url, size={"width": width, "height": 740}, state=state)
    wide = "document.documentElement.scrollWidth"
    generate_all(page)
    assert page.evaluate(wide) <= width
    tokens(page, "v4").nth(5).click()
    expect(page.locator("#panel")).to_be_in_viewport(ratio=0.99)
    assert page.evaluate(wide) <= width
    page.locator("#sampler > summary").click()
    assert page.evaluate(wide) <= width
    tops = [one.bounding_box()["y"] for one in page.locator("#cards .card").all()]
    assert width >= 700 or (tops == sorted(tops) and len(set(tops)) == 3)  # stacked
    page.get_by_role("button", name="A escada").click()
    assert page.evaluate(wide) <= width


def violations(page):
    found = Axe().run(page, options=CHECKS).response["violations"]
    return [
        (one["id"], one["impact"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(url, open_page, state, size, scheme):
    page = open_page(url, size=size, scheme=scheme, state=state, complaints=["429"])
    expect(page.locator("#rungs .chip")).to_have_count(3)
    assert violations(page) == []
    generate_all(page)
    tokens(page, "v4").nth(3).click()
    page.locator("#sampler").evaluate("(sampler) => { sampler.open = true; }")
    assert violations(page) == []
    page.route("**/v1/completions", refuse(429))
    if size == PHONE:
        page.keyboard.press("Escape")  # the panel covers the card below
    card(page, "v5").get_by_role("button", name="Gerar de novo com v5").click()
    expect(page.locator("#panel")).to_be_hidden()
    expect(card(page, "v5").locator(".problem")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="A escada").click()
    assert violations(page) == []


def test_the_theme_can_be_chosen_against_the_system_and_stays(url, open_page):
    page = open_page(url, scheme="light")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator('label[for="theme-dark"]').click()
    dark = page.evaluate(ground)
    assert (light, dark) == ("rgb(251, 250, 247)", "rgb(20, 23, 28)")
    page.reload()
    expect(page.locator("#theme-dark")).to_be_checked()
    assert page.evaluate(ground) == dark


# --- when something goes wrong -----------------------------------------------------------------


def refuse(status, headers=None):
    body = '{"error": {"message": "the service says why", "type": "x"}}'
    return lambda route: route.fulfill(
        status=status, body=body, headers={"Content-Type": "application/json", **(headers or {})}
    )


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (429, {"Retry-After": "7"}, "Tente de novo em 7 s."),
        (429, {}, "O servidor está ocupado."),
        (503, {}, "O servidor está ocupado."),
        (400, {}, "O servidor não aceitou o pedido."),
        (500, {}, "Houve um erro no servidor."),
    ],
)
def test_a_refusal_is_said_plainly_and_can_be_tried_again(
    url, open_page, state, status, headers, words
):
    page = open_page(url, state=state, complaints=[str(status)])
    page.route("**/v1/completions", refuse(status, headers))
    page.locator("#generate").click()
    problem = card(page, "v1").locator(".problem")
    expect(problem).to_contain_text(words)
    expect(problem).to_contain_text("the service says why")
    page.unroute("**/v1/completions")
    problem.get_by_role("button").click()
    expect(card(page, "v1")).to_have_attribute("data-status", "finished")
    expect(card(page, "v1").locator(".problem")).to_have_count(0)
    expect(card(page, "v4").locator(".problem")).to_have_count(1)


def broken_off(body):
    return lambda route: route.fulfill(body=body)


def test_an_answer_that_breaks_off_keeps_its_text_and_says_so(url, open_page, state):
    page = open_page(url, state=state)
    chunk = 'data: {"choices": [{"text": " um", "index": 0, "finish_reason": null}]}\n\n'
    rest = ['data: {"error": {"message": "no memory"}}\n\n', ""]
    for end, words in zip(rest, ["no memory", "cortada no meio"], strict=True):
        page.route("**/v1/completions", broken_off(chunk + end))
        page.locator("#generate").click()
        expect(card(page, "v1").locator(".problem")).to_contain_text(words)
        assert text_of(page, "v1") == " um"
        page.unroute("**/v1/completions")


def test_a_service_that_is_gone_is_said_to_be_gone(runs, open_page, state):
    with served(runs) as (url, _):
        page = open_page(url, state=state, complaints=["ERR_CONNECTION_REFUSED"])
        expect(page.locator("#rungs .chip")).to_have_count(3)
    page.locator("#generate").click()
    for name in RUNGS:
        expect(card(page, name).locator(".problem")).to_contain_text("O servidor não responde.")


def test_the_token_is_asked_for_once_and_kept_for_the_tab(runs, open_page, state):
    with served(runs, tokens=[TOKEN]) as (url, _):
        page = open_page(url, state=state, complaints=["401"])
        dialog = page.locator("#access")
        expect(dialog).to_be_visible()
        assert violations(page) == []
        page.locator("#access-token").fill("errado")
        page.keyboard.press("Enter")
        expect(page.locator("#access-wrong")).to_contain_text("não aceitou")
        page.locator("#access-token").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        expect(page.locator("#page-problem .problem")).to_have_count(0)
        generate_all(page)
        page.reload()
        expect(page.locator("#rungs .chip")).to_have_count(3)
        expect(dialog).to_be_hidden()
        assert TOKEN not in page.url
        assert page.evaluate("() => localStorage.length") == 0


def test_a_prompt_beyond_the_limit_is_refused_with_the_services_reason(url, open_page):
    page = open_page(url, complaints=["400"])
    page.locator("#prompt").fill("casa " * 3000)
    page.locator("#generate").click()
    expect(card(page, "v1").locator(".problem")).to_contain_text("não aceitou o pedido")
    expect(card(page, "v1").locator(".problem .detail")).to_contain_text("2048")


def test_text_from_a_prompt_is_never_read_as_markup(url, open_page):
    page = open_page(url)
    page.locator("#prompt").fill("<img src=x onerror=alert(1)><b>oi</b>")
    generate_all(page)
    assert page.locator(".card img, .card b").count() == 0
    expect(card(page, "v1").locator(".opening")).to_contain_text("<b>oi</b>")


def test_the_page_is_served_with_a_policy_that_allows_nothing_from_elsewhere(url, open_page):
    page = open_page(url)
    response = page.goto(url)
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "unsafe" not in response.headers["content-security-policy"]
    assert Path(str(CHROMIUM)).exists()
