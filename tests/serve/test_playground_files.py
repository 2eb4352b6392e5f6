"""The playground's files, without a browser: words, colours, addresses, and the logic in node."""

import itertools
import json
import re
import shutil
import subprocess
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from escada.report.figures.palette import THEMES

STATIC = Path(str(resources.files("escada.serve") / "static"))
SCRIPTS = sorted(STATIC.rglob("*.js"))
STYLE = (STATIC / "style.css").read_text(encoding="utf-8")
PAGE = (STATIC / "index.html").read_text(encoding="utf-8")
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """Run the body of an async function in node, the page's modules beside it; what it returns."""
    folder = tmp_path_factory.mktemp("modules") / "static"
    shutil.copytree(STATIC, folder)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")

    def run(body, **values):
        constants = "".join(f"const {k} = {json.dumps(v)};\n" for k, v in values.items())
        script = f"{constants}console.log(JSON.stringify(await (async () => {{{body}}})()));"
        (folder / "run.js").write_text(script, encoding="utf-8")
        assert NODE is not None
        done = subprocess.run(
            [NODE, "run.js"], cwd=folder, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def messages(code):
    text = (STATIC / "messages" / f"{code}.js").read_text(encoding="utf-8")
    rows = re.findall(r'^  "([^"]+)": "((?:[^"\\]|\\.)*)",$', text, re.MULTILINE)
    assert len(rows) == text.count("\n  "), "a message is not on one line"
    assert len(dict(rows)) == len(rows), "a key is there twice"
    return dict(rows)


def luminance(colour):
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colours():
    """Role → (light, dark), of the page's style sheet."""
    found = re.findall(r"--([\w-]+):light-dark\((#\w{6}),(#\w{6})\)", STYLE)
    return {role: (light, dark) for role, light, dark in found}


def test_both_languages_say_the_same_things():
    pt, en = messages("pt"), messages("en")
    assert pt.keys() == en.keys()
    for key, text in pt.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", en[key])), key


def test_every_message_is_used_and_every_used_one_is_there():
    code = PAGE + "".join(p.read_text("utf-8") for p in SCRIPTS if p.parent.name != "messages")
    prefixes = [part for part in re.findall(r"`([\w.]+\.)\$\{", code) if "." in part]
    plurals = re.findall(r'plural\("([\w.]+)"', code)
    literal = set(re.findall(r'"([a-z]\w*(?:\.\w+)*)"', code))
    for key in messages("pt"):
        used = key in literal or any(key.startswith(prefix) for prefix in [*prefixes, *plurals])
        assert used, f"{key} is never said"
    named = set(re.findall(r'data-t(?:-[\w-]+)?="([\w.]+)"', PAGE))
    named |= set(re.findall(r'\bt\("([\w.]+)"', code))
    assert named <= messages("pt").keys()


def test_the_colours_are_those_of_the_report():
    ours = colours()
    shared = ours.keys() & THEMES.keys()
    assert len(shared) > 20
    assert {role: ours[role] for role in shared} == {role: THEMES[role] for role in shared}


def test_text_can_be_read_on_every_step_of_the_scale_in_both_themes():
    ours = colours()
    for theme in (0, 1):
        for level in range(1, 5):
            assert contrast(ours["ink"][theme], ours[f"level-{level}"][theme]) >= 4.5
            assert contrast(ours["level-line"][theme], ours[f"level-{level}"][theme]) >= 2


def test_the_steps_of_the_scale_differ_in_lightness_alone():
    ours = colours()
    for theme in (0, 1):
        ground = ours["surface"][theme]
        steps = [ground, *(ours[f"level-{level}"][theme] for level in range(1, 5))]
        away = [contrast(step, ground) for step in steps]
        assert away == sorted(away)
        pairs = itertools.pairwise(steps)
        assert all(contrast(a, b) >= 1.1 for a, b in pairs)


def test_no_file_names_another_host_or_needs_what_the_policy_forbids():
    namespace = "http://www.w3.org/2000/svg"
    for path in [*SCRIPTS, STATIC / "style.css", STATIC / "index.html", STATIC / "icon.svg"]:
        text = path.read_text(encoding="utf-8").replace(namespace, "")
        assert "//" not in re.sub(r"(?m)(^|\s)//\s.*$", "", text), path.name
        assert not re.search(r"\bimport\(|eval\(|new Function|innerHTML|outerHTML", text), path.name
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", PAGE)


@needs_node
def test_the_examples_are_prompts_that_every_rung_is_sampled_with(evaluate):
    file = resources.files("escada.generation") / "prompts.toml"
    known = {row["text"] for row in tomllib.loads(file.read_text(encoding="utf-8"))["prompt"]}
    examples = evaluate('return (await import("./examples.js")).EXAMPLES;')
    assert examples
    assert {example["text"] for example in examples} <= known


STREAM = (
    ': hello\r\n\r\ndata: {"a":1}\n\ndata: first\r\ndata:second\r\n\r\nevent: x\rdata: ação\r\r'
    "data\n\ndata: [DONE]\n\n"
)
EVENTS = ['{"a":1}', "first\nsecond", "ação", "", "[DONE]"]


@needs_node
def test_a_stream_gives_the_same_events_wherever_it_is_cut(evaluate):
    results = evaluate(
        """
        const { SseParser, serverEvents } = await import("./sse.js");
        const bytes = new TextEncoder().encode(stream);
        const results = [];
        for (let size = 1; size <= bytes.length; size++) {
          const body = new ReadableStream({ start(controller) {
            for (let at = 0; at < bytes.length; at += size) {
              controller.enqueue(bytes.slice(at, at + size));
            }
            controller.close();
          } });
          const events = [];
          for await (const event of serverEvents(body)) events.push(event);
          results.push(events);
        }
        return results;
        """,
        stream=STREAM,
    )
    assert len(results) == len(STREAM.encode())
    assert all(events == EVENTS for events in results)


@needs_node
def test_surprisal_is_minus_the_binary_logarithm_and_its_steps_are_those_of_the_legend(evaluate):
    bits, levels = evaluate(
        """
        const { bitsOf, levelOf } = await import("./surprisal.js");
        return [
          [Math.log(1 / 8), 0, -0, Math.log(0.75), null, undefined].map(bitsOf),
          [0, 0.99, 1, 2, 3.9, 4, 8, 40, null].map(levelOf),
        ];
        """
    )
    assert bits[:3] == [pytest.approx(3), 0, 0]
    assert bits[3] == pytest.approx(0.4150375)
    assert bits[4:] == [None, None]
    assert levels == [0, 0, 1, 2, 2, 3, 4, 4, 0]


@needs_node
def test_alternatives_are_ordered_by_probability_with_the_chosen_one_among_or_behind_them(evaluate):
    found = evaluate(
        """
        const { alternativesOf } = await import("./surprisal.js");
        const top = { 7: Math.log(0.1), " a": Math.log(0.5), b: Math.log(0.2) };
        return [
          alternativesOf(top, "7", Math.log(0.1)),
          alternativesOf(top, "z", Math.log(0.05)),
          alternativesOf(top, "7", Math.log(0.1), 2),
        ];
        """
    )
    names = [[row["token"] for row in one["rows"]] for one in found]
    assert names == [[" a", "b", "7"], [" a", "b", "7", "z"], [" a", "b", "7"]]
    assert [one["rank"] for one in found] == [3, None, None]
    assert [row["share"] for row in found[1]["rows"]] == pytest.approx([0.5, 0.2, 0.1, 0.05])
    assert [row["chosen"] for row in found[1]["rows"]] == [False, False, False, True]


@needs_node
def test_bytes_of_a_character_become_one_cell_and_an_end_without_text_its_own(evaluate):
    cells, text, means = evaluate(
        r"""
        const { Cells } = await import("./surprisal.js");
        const half = Math.log(0.5);
        const chunk = (text, tokens, finish_reason = null) => ({
          text, finish_reason,
          logprobs: { tokens, token_logprobs: tokens.map(() => half), top_logprobs: [] },
        });
        const cells = new Cells();
        for (const one of [
          chunk(" a", [" a"]), chunk("", ["bytes:\\xc3"]), chunk("ç", ["bytes:\\xa7"]),
          chunk("", ["<eos>"], "stop"),
        ]) cells.push(one);
        return [cells.list, cells.text, [0, 1, 2].map((upTo) => cells.bitsPerByte(upTo))];
        """
    )
    assert text == " aç"
    assert [cell["text"] for cell in cells] == [" a", "ç", ""]
    assert [len(cell["tokens"]) for cell in cells] == [1, 2, 1]
    assert [cell["bits"] for cell in cells] == pytest.approx([1, 2, 1])
    assert [cell["end"] for cell in cells] == [False, False, True]
    assert means == pytest.approx([1 / 2, 3 / 4, 4 / 4])


@needs_node
def test_a_link_carries_the_state_and_nonsense_in_it_becomes_the_default(evaluate):
    state, back, link, nonsense, usual = evaluate(
        """
        const { decodeState, defaultState, encodeState } = await import("./state.js");
        const state = {
          ...defaultState(), prompt: "É cedo & tarde #1\\n+ 100 %", rungs: ["v1", "v_final"],
          temperature: 0, top_k: 40, min_p: 0.05, seed: 7, view: "ladder",
        };
        const link = encodeState(state);
        const hash = "#temperature=hot&top_p=9&top_k=2.6&max_tokens=&seed=-1&view=x&rungs=";
        return [state, decodeState("#" + link), link, decodeState(hash), defaultState()];
        """
    )
    assert back == state
    assert "top_p" not in link
    changed = {key: value for key, value in nonsense.items() if value != usual[key]}
    assert changed == {"top_p": 1, "top_k": 3, "rungs": []}


@needs_node
def test_numbers_are_written_as_each_language_writes_them(evaluate):
    pt, en = evaluate(
        """
        globalThis.document = { documentElement: {}, querySelectorAll: () => [] };
        const i18n = await import("./i18n.js");
        return ["pt", "en"].map((code) => {
          i18n.setLanguage(code);
          return [
            i18n.number(1234.5, 2), i18n.interval([2.04, 2.23]), i18n.duration(61),
            i18n.percent(0.4531), i18n.percent(0.00042), i18n.percent(1e-9), i18n.number(null, 2),
            document.documentElement.lang,
          ];
        });
        """
    )
    assert pt == [
        "1.234,50",
        "[2,040; 2,230]",
        "1 min 1 s",
        "45,3%",
        "0,042%",
        "< 0,01%",
        "–",
        "pt-BR",
    ]
    assert en == [
        "1,234.50",
        "[2.040, 2.230]",
        "1 min 1 s",
        "45.3%",
        "0.042%",
        "< 0.01%",
        "–",
        "en",
    ]


@needs_node
def test_the_grid_of_the_chart_has_a_few_round_lines(evaluate):
    grids = evaluate(
        """
        globalThis.document = { documentElement: {}, querySelectorAll: () => [] };
        const { gridLines } = await import("./ladder.js");
        return ranges.map(([low, high]) => gridLines(low, high));
        """,
        ranges=[[1.97, 2.71], [2.0, 2.04], [0.5, 8], [2.4999, 2.5001]],
    )
    assert grids[0] == {"lines": pytest.approx([2.0, 2.2, 2.4, 2.6]), "digits": 1}
    for (low, high), grid in zip(
        [(1.97, 2.71), (2.0, 2.04), (0.5, 8), (2.4999, 2.5001)], grids, strict=True
    ):
        assert 2 <= len(grid["lines"]) <= 6
        assert all(low - 1e-6 <= line <= high + 1e-6 for line in grid["lines"])
        shown = [f"{line:.{grid['digits']}f}" for line in grid["lines"]]
        assert len(set(shown)) == len(shown)
