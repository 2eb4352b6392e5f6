"""The pictures of the playground in docs/pictures, from real runs behind the real service.

    python docs/playground_pictures.py runs/demo

Starts `escada serve`, opens the page in Chromium at the widths of a desktop and of a telephone, in
light with Portuguese and in dark with English, lets the rungs answer, opens a token, shows the
ladder, scores a sentence, and writes what is seen as PNGs of 256 colours. Needs the
extra `dev` (playwright) and a Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

FOLDER = Path(__file__).parent / "pictures"
MOST_BYTES = 300_000
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
LOOKS = {"light-pt": ("light", "pt-BR"), "dark-en": ("dark", "en")}
PROMPT = (
    "Neste capítulo apresentam-se os resultados obtidos nos ensaios de laboratório. As amostras"
)
SENTENCE = "As amostras que foram coletadas no poço apresentaram teores mais altos."
TO_THE_TOP = "() => scrollTo(0, 0)"
TO_THE_PANEL = """() => {
  const card = document.getElementById("panel").closest(".card");
  scrollTo(0, card.getBoundingClientRect().top + scrollY - 12);
}"""
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@contextmanager
def service(runs: list[Path]) -> Iterator[str]:
    """The address of `escada serve RUN…` for as long as it is entered."""
    command = [sys.executable, "-m", "escada", "serve", *map(str, runs), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = ""
            for line in process.stderr:
                said += line
                if found := re.search(r"http://\S+", line):
                    yield found[0]
                    return
            raise SystemExit(f"the service did not start:\n{said}")
        finally:
            process.terminate()


def answered(page: Page) -> None:
    """Let the chosen rungs answer and open the alternatives of a token that surprised."""
    expect(page.locator(".chip").first).to_be_visible()
    page.locator("#generate").click()
    cards = page.locator(".card")
    done = page.locator('.card[data-status="finished"]')
    expect(done).to_have_count(cards.count(), timeout=120_000)
    tokens = cards.nth(min(1, cards.count() - 1)).locator(".token")
    early = tokens.all()[: max(1, tokens.count() // 3)]
    surprising = [t for t in early if re.search("level-[34]", t.get_attribute("class") or "")]
    (surprising or early)[-1].click()
    page.mouse.move(0, 0)


def scored(page: Page) -> None:
    """Let the chosen rungs score a sentence."""
    page.locator('[data-view="score"]').click()
    page.locator("#score-text").fill(SENTENCE)
    page.locator("#score-go").click()
    expect(page.locator("#difference")).to_be_visible(timeout=60_000)


def shoot(page: Page, path: Path, *, whole: bool) -> None:
    """Write what the page shows."""
    picture = Image.open(io.BytesIO(page.screenshot(full_page=whole)))
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{path} has {size:,} bytes, more than {MOST_BYTES:,}")
    print(f"{path}: {size:,} bytes")


def take_pictures(browser: Browser, url: str, arguments: argparse.Namespace) -> None:
    """All sizes and looks."""
    state = {"prompt": arguments.prompt, "seed": arguments.seed, "max_tokens": arguments.tokens}
    if arguments.rungs:
        state["rungs"] = arguments.rungs
    for size, (width, height) in SIZES.items():
        for look, (scheme, locale) in LOOKS.items():
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
                locale=locale,
                reduced_motion="reduce",
            )
            page.goto(f"{url}#{urlencode(state)}")
            answered(page)
            on_phone = size == "phone"
            page.evaluate(TO_THE_PANEL if on_phone else TO_THE_TOP)
            shoot(page, arguments.out / f"playground-{size}-{look}.png", whole=not on_phone)
            page.locator('[data-view="ladder"]').click()
            page.evaluate(TO_THE_TOP)
            shoot(page, arguments.out / f"ladder-{size}-{look}.png", whole=False)
            scored(page)
            page.evaluate(TO_THE_TOP)
            shoot(page, arguments.out / f"score-{size}-{look}.png", whole=True)
            page.close()


def main() -> None:
    """Read the arguments and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs or of a climb")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--rungs", help="names, with commas; else those that the page chooses")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--tokens", type=int, default=90)
    parser.add_argument(
        "--chromium", default=os.environ.get("CHROMIUM") or shutil.which("chromium")
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with service(arguments.runs) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=QUIET)
        take_pictures(browser, url, arguments)
        browser.close()


if __name__ == "__main__":
    main()
