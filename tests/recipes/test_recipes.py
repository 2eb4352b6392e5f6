"""The recipes: every stage of the roadmap's list, in order, and on from where one was killed.

The quick tests put a stand-in in `escada`'s place, which records what it is asked for. The slow
ones train with tiny sizes, from raw text to conclusions.
"""

import json
import os
import random
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from typer.main import get_command

from escada.cli import app
from escada.report.data import read_climb

RECIPES = Path(__file__).parents[2] / "recipes"
COMPARED = {"v5": ["v4"], "v_final": ["v3", "v4"]}
VERBS = (
    *("data prepare", "train", "tokenizer stats", "climb", "evaluate", "compare", "sample"),
    *("judge", "report"),
)
REAL = f'#!/bin/sh\nexec "{sys.executable}" -m escada "$@"\n'
STAND_IN = f"""#!{sys.executable}
import json, sys
from pathlib import Path
asked = sys.argv[1:]
with open("asked.jsonl", "a") as file:
    file.write(json.dumps(asked) + "\\n")
def after(name):
    return asked[asked.index(name) + 1]
if asked[0] == Path("die-at").read_text():
    Path("die-at").write_text("")
    sys.exit(9)
if asked[0] == "data":
    Path(after("--out")).mkdir(parents=True, exist_ok=True)
    Path(after("--out"), "manifest.json").write_text("{{}}")
if asked[0] == "train":
    Path(after("--out")).mkdir(parents=True)
    print(after("--out") + "/rehearsed")
if asked[0] == "climb":
    rungs = asked[1 : asked.index("--preset")]
    rows = [{{"name": one, "run": "run-" + one, "cost": {{"run": "no", "of": 1}}}} for one in rungs]
    table = {{"rungs": rows}}
    Path(after("--out"), "ladder.json").write_text(json.dumps(table, indent=2))
"""


def start(name, folder, escada=REAL, **parameters):
    """A recipe, started; standard error is part of its output."""
    program = folder / "escada"
    program.write_text(escada, encoding="utf-8")
    program.chmod(0o755)
    keep = ("PATH", "HOME", "PYTHONPATH", "OMP_NUM_THREADS", "LANG", "TMPDIR")
    return subprocess.Popen(
        ["bash", RECIPES / f"{name}.sh"],
        cwd=folder,
        env={k: os.environ[k] for k in keep if k in os.environ}
        | {"ESCADA": str(program), "ESCADA_CACHE": str(folder / "cache")}
        | parameters,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def recipe(name, folder, escada=REAL, **parameters):
    """Run a recipe; its exit code and what it said."""
    process = start(name, folder, escada, **parameters)
    said = process.communicate()[0]
    return process.returncode, said


def asked_of_the_stand_in(name, folder, die_at="", **parameters):
    """What a recipe asked `escada` for: a list of arguments for each call."""
    (folder / "die-at").write_text(die_at)
    (folder / "asked.jsonl").unlink(missing_ok=True)
    code, said = recipe(name, folder, STAND_IN, **parameters)
    asked = (folder / "asked.jsonl").read_text(encoding="utf-8").splitlines()
    return code, said, [json.loads(line) for line in asked]


def of(verb, asked):
    return [call for call in asked if " ".join(call).startswith(f"{verb} ")]


def value(call, option):
    return call[call.index(option) + 1]


@pytest.mark.parametrize("name", ["v5", "v_final"])
def test_every_stage_of_the_roadmaps_list_is_asked_for_in_order(name, tmp_path):
    code, said, asked = asked_of_the_stand_in(name, tmp_path)
    assert code == 0, said
    assert re.findall(rf"== {name}: (\d)", said) == list("123456789")
    assert re.findall(r"^(\d) \w", said, re.MULTILINE) == list("123456789")  # the last lines
    order = [next(verb for verb in VERBS if " ".join(call).startswith(verb)) for call in asked]
    assert tuple(dict.fromkeys(order)) == VERBS
    rungs = [*COMPARED[name], name]
    (climb,) = of("climb", asked)
    assert climb[1 : len(rungs) + 1] == rungs
    assert value(climb, "--budget").endswith("e16 flop" if name == "v5" else "e17 flop")
    runs = [f"runs/{name}-reference/run-{rung}" for rung in rungs]
    windows = [call[1] for call in of("evaluate", asked) if "windows" in call]
    ruler = [call[1] for call in of("evaluate", asked) if "windows" not in call]
    assert windows == ruler == runs
    (sample,), (judge,) = of("sample", asked), of("judge", asked)
    prompts = [text for option, text in pairwise(sample) if option == "--prompt"]
    assert len(prompts) >= 3
    assert min(map(len, prompts)) > 300
    assert judge[1 : len(runs) + 1] == runs
    assert value(judge, "--reference") == runs[-1]
    assert value(of("report", asked)[0], "--beside") == str(RECIPES / "origin.json")


def test_parameters_reach_the_stages(tmp_path):
    _, _, asked = asked_of_the_stand_in(
        "v5",
        tmp_path,
        **{"PROFILE": "roadmap", "RUNG": "v5b", "COMPARED": "v4 v5", "PRESET": "laptop"},
        **{"JUDGE_URL": "http://localhost:1/v1", "JUDGE_MODEL": "m", "BESIDE": "", "WINDOWS": "7"},
    )
    (prepare,), (climb,), (judge,) = (
        of(verb, asked) for verb in ("data prepare", "climb", "judge")
    )
    assert value(prepare, "--profile") == "roadmap"
    assert value(prepare, "--min-characters") == "200"
    assert climb[1:4] == ["v4", "v5", "v5b"]
    assert value(climb, "--budget") == "1e13 flop"
    assert value(climb, "--set") == "text.profile=roadmap"
    assert (value(judge, "--base-url"), value(judge, "--model")) == ("http://localhost:1/v1", "m")
    assert "--reference" not in judge
    assert "--beside" not in of("report", asked)[0]
    assert value(of("evaluate", asked)[1], "--max-windows") == "7"


def test_every_option_of_a_recipe_is_one_of_the_verbs(tmp_path):
    _, _, asked = asked_of_the_stand_in("v5", tmp_path, DRY_RUN="1", DOCUMENTS="9", WINDOWS="9")
    for call in asked:
        command, rest = get_command(app), call
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known


def test_the_same_line_goes_on_and_rehearses_once(tmp_path):
    code, said, before = asked_of_the_stand_in("v5", tmp_path, die_at="climb")
    assert code == 9
    assert re.findall(r"== v5: (\d)", said) == list("1234")
    code, said, after = asked_of_the_stand_in("v5", tmp_path)
    assert code == 0
    assert len(of("train", before)) == 1
    assert of("train", after) == []
    assert of("climb", after) == of("climb", before)
    assert value(of("tokenizer stats", after)[0], "--tokenizer").endswith("/rehearsed")
    *_, other = asked_of_the_stand_in("v5", tmp_path, SEED="1")
    assert len(of("train", other)) == 1  # it is another training


@pytest.mark.parametrize("verb", ["tokenizer", "evaluate", "compare", "sample", "judge", "report"])
def test_a_stage_that_fails_ends_the_recipe(verb, tmp_path):
    code, said, asked = asked_of_the_stand_in("v5", tmp_path, die_at=verb)
    assert code == 9
    assert asked[-1][0] == verb
    assert "is done" not in said


def test_a_recipe_says_what_is_wrong_with_the_text_and_stops(tmp_path):
    code, said = recipe("v5", tmp_path, DRY_RUN="1", SOURCE="nowhere.jsonl")
    assert code == 2
    assert "== v5: 1 data" in said
    assert "== v5: 2" not in said


@pytest.mark.parametrize("parameter", ["PROMPTS", "BESIDE", "JUDGE_URL"])
def test_what_a_late_stage_needs_is_looked_for_first(parameter, tmp_path):
    code, said = recipe("v5", tmp_path, STAND_IN, **{parameter: "nowhere"})
    assert code == 2
    assert parameter in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("name", ["v5", "v_final"])
def test_every_parameter_of_a_recipe_stands_at_its_top(name):
    text = (RECIPES / f"{name}.sh").read_text(encoding="utf-8")
    named = set(re.findall(r"^([A-Z_]+)=", text, re.MULTILINE))
    stages = (RECIPES / "_stages.sh").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", stages)) - {"BASH_SOURCE", "ESCADA"}
    assert used <= named


def write_documents(path):
    """400 letters of made-up words, no two alike."""
    random_, lines = random.Random(0), []
    syllables = [a + b for a in "bcdfglmnprstv" for b in "aeiou"]
    words = ["".join(random_.choices(syllables, k=random_.randint(1, 4))) for _ in range(1500)]
    for i in range(400):
        sentences = [" ".join(random_.choices(words, k=12)).capitalize() for _ in range(9)]
        row = {"text": f"{'. '.join(sentences)}.", "group": f"g{i}"}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


PARAMETERS = {"DRY_RUN": "1", "SOURCE": "letters.jsonl", "OUT": "out", "PROFILE": "roadmap"}


def check_what_is_left(name, out, said):
    """Every stage's result, and that the page holds them."""
    assert re.findall(rf"== {name}: (\d)", said) == list("123456789")
    rungs = [*COMPARED[name], name]
    climb = read_climb(out)
    assert [rung.name for rung in climb.ladder.rungs] == rungs
    assert climb.ladder.budget is not None
    assert climb.ladder.budget.endswith("flop")
    assert climb.ladder.corpus.profile == "roadmap"
    assert json.loads((out / "data" / "manifest.json").read_text())["min_characters"] == 200
    assert {(row.a, row.b) for row in climb.ladder.comparisons} >= {
        (name, r) for r in COMPARED[name]
    }
    for rung in climb.ladder.rungs:
        assert rung.bits_per_byte is not None
        windows = climb.runs[rung.name].windows
        assert windows is not None
        assert 0 < windows.windows <= 200
    assert climb.judge is not None
    assert {rated.name for rated in climb.judge.ratings} == set(rungs)
    assert len(climb.beside[0].figures) == 5
    texts = {
        file.name: file.read_text("utf-8")
        for file in out.iterdir()
        if file.suffix in (".txt", ".md")
    }
    assert "bytes per token" in texts["tokenizer.txt"]
    assert texts["evaluation.txt"].count("bits per byte") >= len(rungs)
    assert texts["evaluation.txt"].count("windows/last") == len(rungs)
    assert all(rung in texts["comparison.txt"] for rung in rungs)
    assert texts["samples.txt"].lower().count("a escola do bairro") == 2
    assert re.search(r"\d bits per byte", texts["conclusions.txt"])
    assert "Figures of others" in texts["conclusions.md"]
    assert "Números de outros" in texts["conclusions.pt-BR.md"]
    page = (out / "report" / "index.html").read_text("utf-8")
    assert '<section id="en-windows"' in page
    assert f"\n4 training     {out.relative_to(out.parents[1])}/ladder.json" in said


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_recipe_killed_in_the_middle_of_training_goes_on_and_ends_with_conclusions(tmp_path):
    write_documents(tmp_path / "letters.jsonl")
    out = tmp_path / "out" / "dry-run"
    process = start("v5", tmp_path, **PARAMETERS)
    while not list(out.glob("2*-v5-*")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    for each in (family := psutil.Process(process.pid)).children(recursive=True):
        each.kill()
    family.kill()
    before = process.communicate()[0]
    assert "v5: training for" in before
    assert "== v5: 5" not in before

    code, said = recipe("v5", tmp_path, **PARAMETERS)
    assert code == 0, said
    assert "v4: already trained" in said
    check_what_is_left("v5", out, said)
    assert len(list(out.glob("2*-v5-*"))) == 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_v_final_goes_from_raw_text_to_conclusions(tmp_path):
    write_documents(tmp_path / "letters.jsonl")
    code, said = recipe("v_final", tmp_path, **PARAMETERS)
    assert code == 0, said
    check_what_is_left("v_final", tmp_path / "out" / "dry-run", said)
