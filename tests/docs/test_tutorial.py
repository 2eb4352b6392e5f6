"""The tutorial: its figures are those of its facts, and its commands are the command line's."""

import json
import math
import re
import shlex

import pytest
import typer
from tutorial import FACTS, PAGES, PASSAGE
from tutorial_blocks import blocks, fill, perplexity

from escada.cli import app

facts = json.loads(FACTS.read_text(encoding="utf-8"))


def commands(path):
    """Every `escada …` of a page's code, continued lines joined."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    found = re.findall(r"^(?:\$ )?escada (.+)$", fenced, re.MULTILINE)
    return [*found, *re.findall(r"`escada ([^`]+)`", text)]


COMMANDS = sorted({command for page in PAGES.values() for command in commands(page)})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_of_the_command_line(command, monkeypatch):
    monkeypatch.setattr("escada.cli.shared.options.find_run", lambda given: given)  # no runs here
    group, words = typer.main.get_command(app), shlex.split(command)
    names = []
    while hasattr(group, "commands") and words:
        names.append(words.pop(0))
        group = group.commands[names[-1]]
    group.make_context(" ".join(names), words)


def test_the_commands_are_found():
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("code", ["en", "pt"])
def test_the_page_says_what_its_facts_say(code):
    page = PAGES[code].read_text(encoding="utf-8")
    assert fill(page, blocks(facts, code)) == page


def test_both_languages_have_the_same_parts():
    english, portuguese = (page.read_text(encoding="utf-8") for page in PAGES.values())
    for part in (
        r"^#+ (?=\d)",
        r"<!-- made: ([\w-]+) -->",
        r"^```",
        r"^escada (\w+)",
        r"\]\((.*?)\)",
    ):
        found = [re.findall(part, text, re.MULTILINE) for text in (english, portuguese)]
        in_common = [re.sub(r"-(en|pt)\.svg", "", str(one)) for one in found]
        assert in_common[0] == in_common[1]


def test_the_passage_of_the_command_is_the_one_of_the_figures():
    row = json.loads(PASSAGE.read_text(encoding="utf-8"))
    assert row["text"] == facts["passage"]["text"]
    assert len(row["text"].encode()) == facts["passage"]["bytes"]


@pytest.mark.parametrize("name", ["v1", "v4"])
def test_the_figures_are_those_that_the_command_printed(name):
    rung = facts["rungs"][name]
    printed = facts["console"][f"evaluate-{name}"]["output"]
    printed = re.sub(" +", " ", printed)
    assert f"bits per byte {rung['bits'] / facts['passage']['bytes']:.4f}" in printed
    assert f"perplexity {perplexity(rung):.2f} per token" in printed


@pytest.mark.parametrize("name", facts["rungs"])
def test_the_tokens_add_up_to_the_text_and_to_its_bits(name):
    rung = facts["rungs"][name]
    assert "".join(piece for piece, _ in rung["pieces"]) == facts["passage"]["text"]
    assert rung["tokens"] == len(rung["pieces"]) + 1
    total = sum(bits for _, bits in rung["pieces"]) + rung["end_bits"]
    assert math.isclose(total, rung["bits"], abs_tol=0.0006 * rung["tokens"])


def test_an_unknown_part_of_a_page_is_an_error():
    with pytest.raises(KeyError):
        fill("<!-- made: nothing -->\n<!-- /made -->", {})
