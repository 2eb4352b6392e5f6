"""`escada train` says what it is doing, what came out, and what to do next."""

import re
import shutil
import subprocess
import sys

from tests.processes import escada


def test_a_training_says_its_phases_its_score_and_the_next_command(corpus_path, tmp_path):
    sizes = ("model.d_hidden=8", "model.d_embedding=4", "train.batch_sequences=2")
    overrides = [part for text in (*sizes, "train.window_tokens=16") for part in ("--set", text)]
    corpus, out = tmp_path / "corpus", tmp_path / "runs"
    shutil.copytree(corpus_path, corpus, ignore=shutil.ignore_patterns("tokens"))
    train = ("train", "v1", "--budget", "0.01 s", "--data", str(corpus), "--device", "cpu")
    done = escada([*train, "--out", out, *overrides])
    assert done.returncode == 0, done.stderr
    (run,) = out.iterdir()
    assert "-v1-laptop-" in run.name  # the preset, unless another is named
    assert done.stdout.splitlines() == [str(run)]
    said = done.stderr
    order = (
        "tokenizing",
        "checking the model",
        "calibrating",
        "validation: ",
        f"next: escada evaluate {run}",
    )
    places = [said.index(phase) for phase in order]
    assert places == sorted(places)
    assert re.search(r"validation: \d\.\d{3} bits per byte at step \d", said)


MISTAKES = (
    "train nosuch",
    "train v1 --budget 5",
    "train v1 --data nosuch",
    "train v1 --out file",
    "train v1 --set train.nosuch=1",
    "train v1 --set train.learning_rate=x",
    "climb v1 nosuch",
    "climb --budget=-5min",
    "climb --data nosuch",
    "climb --out file/climb",
)


def test_what_is_written_wrong_is_said_before_torch_is_loaded(tmp_path):
    (tmp_path / "file").write_text("")
    script = """
import sys
from escada.cli import main
for mistake in sys.argv[1:]:
    sys.argv = ["escada", *mistake.split()]
    try:
        main()
    except SystemExit as end:
        print(mistake, end.code, "torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *MISTAKES], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [f"{mistake} 2 False" for mistake in MISTAKES], done.stderr
