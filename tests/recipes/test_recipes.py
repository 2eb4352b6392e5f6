"""The recipes run whole, with tiny sizes: raw text to conclusions, and again without training."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"
WORDS = [
    a + b
    for a in "ca ser lon tu nin boa ra zão mun do vi da".split()
    for b in "sa ra ge do".split()
]


def recipe(name, folder, **parameters):
    """Run a recipe with this interpreter's escada; its output and its story, as one text."""
    escada = folder / "escada"
    escada.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m escada "$@"\n', encoding="utf-8")
    escada.chmod(0o755)
    keep = ("PATH", "HOME", "PYTHONPATH", "OMP_NUM_THREADS", "LANG", "TMPDIR")
    done = subprocess.run(
        ["bash", RECIPES / f"{name}.sh"],
        cwd=folder,
        env={k: os.environ[k] for k in keep if k in os.environ}
        | {"ESCADA": str(escada), "ESCADA_CACHE": str(folder / "cache")}
        | parameters,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def write_documents(path):
    """400 letters of made-up words, no two alike."""
    random_, lines = random.Random(0), []
    for i in range(400):
        sentences = [" ".join(random_.choices(WORDS, k=9)).capitalize() for _ in range(4)]
        row = {"text": f"{'. '.join(sentences)}.", "group": f"g{i}"}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["v5", pytest.param("v_final", marks=pytest.mark.slow)], ids=["v5", "v_final"]
)
def test_a_recipe_goes_from_raw_text_to_conclusions_and_trains_once(name, tmp_path):
    write_documents(tmp_path / "letters.jsonl")
    code, said = recipe(name, tmp_path, DRY_RUN="1", SOURCE="letters.jsonl", OUT="out")
    assert code == 0, said
    assert re.findall(rf"== {name}: (\d)", said) == list("1234567")
    assert f"{name}, " in said
    assert " reaches " in said
    out = tmp_path / "out" / "dry-run"
    assert (out / "report" / "index.html").is_file()
    assert (out / "conclusions.txt").read_text(encoding="utf-8").startswith(f"{name}, ")
    assert "already trained" not in said


@pytest.mark.slow
def test_a_recipe_that_is_run_again_trains_nothing(tmp_path):
    write_documents(tmp_path / "letters.jsonl")
    parameters = {"DRY_RUN": "1", "SOURCE": "letters.jsonl", "OUT": "out"}
    assert recipe("v5", tmp_path, **parameters)[0] == 0
    code, said = recipe("v5", tmp_path, **parameters)
    assert code == 0
    assert "v5: already trained" in said


def test_a_recipe_stops_at_the_first_stage_that_fails(tmp_path):
    code, said = recipe("v5", tmp_path, DRY_RUN="1", SOURCE="nowhere.jsonl")
    assert code == 2
    assert "== v5: 1 data" in said
    assert "== v5: 2" not in said


@pytest.mark.parametrize("name", ["v5", "v_final"])
def test_every_parameter_of_a_recipe_stands_at_its_top(name):
    text = (RECIPES / f"{name}.sh").read_text(encoding="utf-8")
    named = set(re.findall(r"^([A-Z_]+)=", text, re.MULTILINE))
    wanted = {"RUNG", "PRESET", "BUDGET", "SOURCE", "DOCUMENTS", "DATA", "OUT", "SEED"}
    assert wanted <= named
    stages = (RECIPES / "_stages.sh").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", stages)) - {"BASH_SOURCE", "ESCADA"}
    assert used <= named
