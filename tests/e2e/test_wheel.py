"""The built wheel holds all that the program needs: a climb runs from it, far from the source."""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA_SUFFIXES = set(".cff .css .html .j2 .js .json .md .svg .toml .txt .typed".split())
SIZES = "model.d_hidden=24 model.d_embedding=12 train.batch_sequences=4 train.window_tokens=24"

READ_SCALE = """
from escada.cli.demo import LAPTOP_SCALE
from escada.report.data import need_scale
need_scale(LAPTOP_SCALE)
"""


def run(command: list[object], cwd: Path, **environment: str) -> str:
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept | {"OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("building takes hatchling: make dev")
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT]
    run(build, out, PYTHONPATH=os.environ.get("PYTHONPATH", ""))
    (found,) = out.glob("escada-*.whl")
    return found


def rungs_and_a_climb(
    escada: list[object], package: Path, source: Path, folder: Path, **environment: str
) -> None:
    """What a user does first, with the given command; its package data must be in `package`."""
    where = [escada[0], "-c", "import escada; print(escada.__file__)"]
    assert Path(run(where, folder, **environment).strip()).is_relative_to(package)
    assert "v_final" in run([*escada, "rungs"], folder, **environment)
    assert "--out" in run([*escada, "demo", "--help"], folder, **environment)
    run([escada[0], "-c", READ_SCALE], folder, **environment)
    prepare = ("data", "prepare", "--source", source, "--out", "corpus")
    run([*escada, *prepare], folder, **environment)
    sizes = [part for size in SIZES.split() for part in ("--set", size)]
    climb = ("climb", "v1", "--preset", "laptop", "--budget", "10 steps", "--data", "corpus")
    shown = run([*escada, *climb, "--out", "climb", *sizes], folder, **environment)
    assert "v1" in shown
    ladder = json.loads((folder / "climb" / "ladder.json").read_text(encoding="utf-8"))
    assert ladder["rungs"][0]["status"] == "finished"
    assert ladder["rungs"][0]["bits_per_byte"] > 0
    assert ladder["machine"]["git"] is None
    page = (folder / "climb" / "report" / "index.html").read_text(encoding="utf-8")
    assert "<svg" in page


def test_the_wheel_holds_every_file_of_the_package(wheel):
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.suffix in {".py", *DATA_SUFFIXES} and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    assert held == wanted


@pytest.mark.slow  # quick: the wheel holds every file
def test_a_climb_runs_from_the_unpacked_wheel(wheel, corpus_path, tmp_path):
    target = tmp_path / "site-packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run([*pip, "--target", target, wheel], tmp_path)
    rungs_and_a_climb(
        [sys.executable, "-m", "escada"],
        target,
        corpus_path.parent / "source.jsonl",
        tmp_path,
        PYTHONPATH=str(target),
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_climb_runs_in_a_fresh_environment(wheel, corpus_path, tmp_path):
    """Takes minutes and a package registry: torch and all the rest are installed anew."""
    run([sys.executable, "-m", "venv", "fresh"], tmp_path)
    python = tmp_path / "fresh" / "bin" / "python"
    run(
        [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel], tmp_path
    )
    rungs_and_a_climb(
        [python, "-m", "escada"],
        tmp_path / "fresh",
        corpus_path.parent / "source.jsonl",
        tmp_path,
    )
    assert "escada" in run([tmp_path / "fresh" / "bin" / "escada", "--version"], tmp_path)
