"""The recipes for clusters: they parse, start what they say, and go on after a failure.

The quick tests put stand-ins in the place of Slurm's programs and of torchrun; the slow ones train
with real torchrun, two processes on this machine.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from escada.runs.run import find_runs

yaml = pytest.importorskip("yaml")
RECIPES = Path(__file__).parents[2] / "recipes"
SLURM, SKYPILOT = RECIPES / "slurm.sh", RECIPES / "skypilot.yaml"
SHELLCHECK = shutil.which("shellcheck")
TINY = (
    "tokenizer.vocab_size=400 model.d_model=32 model.n_heads=2 model.d_ff=64 model.n_layers=1 "
    "train.batch_sequences=12 train.micro_batch_sequences=3 train.window_tokens=16 "
    "train.precision=fp32 train.validations=2 train.validation_bytes=500 train.shard=true"
)
SRUN = """#!/bin/sh
# Like the real one it passes no SIGTERM on: it ends its tasks with SIGKILL.
while case $1 in -*) ;; *) false ;; esac; do shift; done
"$@" &
echo $! >task.pid
trap 'kill -KILL $!' TERM
while kill -0 $! 2>/dev/null; do wait $!; code=$?; done
exit $code
"""
SCANCEL = """#!/bin/sh
echo "$*" >>scancel.log
case $1 in --signal=TERM) kill -TERM "$(cat task.pid)" ;; esac
"""
SCONTROL = """#!/bin/sh
case $1 in show) echo localhost ;; *) echo "$*" >>scontrol.log ;; esac
"""
REAL_TORCHRUN = f'#!/bin/sh\nexec "{sys.executable}" -m torch.distributed.run "$@"\n'


def run_of_skypilot():
    return yaml.safe_load(SKYPILOT.read_text("utf-8"))["run"]


@pytest.fixture
def cluster(tmp_path):
    """Starts a script in a folder where Slurm's programs are stand-ins."""

    def start(script, torchrun, **variables):
        programs = tmp_path / "programs"
        programs.mkdir()
        slurm = {"srun": SRUN, "scancel": SCANCEL, "scontrol": SCONTROL}
        for name, text in (slurm | {"torchrun": torchrun}).items():
            (programs / name).write_text(text, encoding="utf-8")
            (programs / name).chmod(0o755)
        slurm = {"SLURM_JOB_ID": "7", "SLURM_NNODES": "1", "SLURM_JOB_NODELIST": "one"}
        sky = {"SKYPILOT_NODE_IPS": "localhost", "SKYPILOT_NUM_NODES": "1"}
        sky |= {"SKYPILOT_NUM_GPUS_PER_NODE": "2", "SKYPILOT_TASK_ID": "t1"}
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            ["bash", *script],
            cwd=tmp_path,
            env=os.environ | slurm | sky | {"PATH": path, "OMP_NUM_THREADS": "1"} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def wait_for(folder, pattern, seconds=30):
    deadline = time.monotonic() + seconds
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_bash_parses_the_scripts(tmp_path):
    script = tmp_path / "run.sh"
    script.write_text(run_of_skypilot(), encoding="utf-8")
    for path in (SLURM, script):
        subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing(tmp_path):
    script = tmp_path / "run.sh"
    script.write_text("#!/usr/bin/env bash\n" + run_of_skypilot(), encoding="utf-8")
    found = [
        subprocess.run([SHELLCHECK, path], capture_output=True, text=True).stdout
        for path in (SLURM, script)
    ]
    assert found == ["", ""]


def test_the_skypilot_file_is_a_task_whose_variables_are_all_declared():
    task = yaml.safe_load(SKYPILOT.read_text("utf-8"))
    assert set(task) == {
        *("name", "resources", "num_nodes", "workdir", "envs", "file_mounts", "setup", "run")
    }
    assert all(isinstance(value, str) for value in task["envs"].values())
    for name in ("RUNG", "PRESET", "BUDGET", "DATA", "OUT", "SEED", "DEVICE", "SETTINGS"):
        assert name in task["envs"]
        assert f"${name}" in task["run"]
    assert task["envs"]["OUT"] in task["file_mounts"]
    assert task["envs"]["DATA"] in task["file_mounts"]


def counting(code):
    """A torchrun that notes what it is asked for and fails twice with a code."""
    return (
        f"#!{sys.executable}\nimport json, sys\nfrom pathlib import Path\n"
        "with open('asked.jsonl', 'a') as file: file.write(json.dumps(sys.argv[1:]) + '\\n')\n"
        f"sys.exit({code} if len(Path('asked.jsonl').read_text().splitlines()) < 3 else 0)\n"
    )


def test_slurm_tries_again_with_a_fresh_torchrun_and_says_what_happened(cluster, tmp_path):
    job = cluster([SLURM], counting(1), BUDGET="5 steps", SETTINGS="a.b=1 c.d=2", PER_NODE="4")
    said = job.communicate(timeout=60)[0]
    assert job.returncode == 0, said
    assert said.splitlines() == [
        f"slurm.sh: attempt {i} of 3 ended with exit code 1" for i in (1, 2)
    ]
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    ids = [argument for one in asked for argument in one if argument.startswith("--rdzv-id")]
    assert ids == [f"--rdzv-id=7-{attempt}" for attempt in (1, 2, 3)]
    for one in asked:
        assert one[: one.index("-m")][:2] == ["--nnodes=1", "--nproc-per-node=4"]
        verb = one[one.index("escada") + 1 :]
        assert verb[:2] == ["train", "v_final"]
        assert verb[-7:] == [
            "--or-resume",
            "--budget",
            "5 steps",
            "--set",
            "a.b=1",
            "--set",
            "c.d=2",
        ]


def test_slurm_gives_up_with_the_last_exit_code(cluster):
    job = cluster([SLURM], counting(9), ATTEMPTS="2")
    assert "attempt 2 of 2 ended with exit code 9" in job.communicate(timeout=60)[0]
    assert job.returncode == 9


def test_slurm_saves_and_queues_the_job_again_before_its_time_is_over(cluster, tmp_path):
    saving = (
        f"#!{sys.executable}\nimport signal, sys, time\nfrom pathlib import Path\n"
        "def stop(*_):\n    time.sleep(0.5)\n    Path('saved').touch()\n    sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, stop)\nPath('training').touch()\ntime.sleep(60)\n"
    )
    job = cluster([SLURM], saving)
    wait_for(tmp_path, "training")
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=30)
    assert job.returncode == 0
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "scancel.log").read_text() == "--signal=TERM 7\n"
    assert (tmp_path / "scontrol.log").read_text() == "requeue 7\n"


@pytest.fixture
def tiny(corpus_path, tmp_path):
    """Variables of a recipe for a training of two processes in `tmp_path`."""
    return {
        "RUNG": "v5", "PRESET": "laptop", "BUDGET": "30 steps", "SETTINGS": TINY, "SEED": "0",
        "DATA": str(corpus_path), "OUT": str(tmp_path / "runs"), "DEVICE": "cpu", "PER_NODE": "2",
    }  # fmt: skip


@pytest.mark.slow  # quick: with stand-ins, above
def test_slurm_saves_a_real_training_and_queues_it_again(cluster, tiny, tmp_path):
    job = cluster([SLURM], REAL_TORCHRUN, **tiny | {"BUDGET": "20k steps"})
    wait_for(tmp_path, "runs/*/checkpoints/index.json", 200)
    job.send_signal(signal.SIGTERM)
    said = job.communicate(timeout=100)[0]
    assert job.returncode == 0, said
    assert (tmp_path / "scontrol.log").read_text() == "requeue 7\n"
    (run,) = find_runs(tmp_path / "runs")
    assert run.record.status == "interrupted", said


@pytest.mark.slow  # quick: with stand-ins, above
@pytest.mark.parametrize("recipe", ["slurm", "skypilot"])
def test_a_recipe_trains_two_sharded_processes_and_goes_on_where_it_was_stopped(
    recipe, cluster, tiny, tmp_path
):
    script = [SLURM] if recipe == "slurm" else ["-c", run_of_skypilot()]
    for _ in range(2):  # the second time it is finished
        shutil.rmtree(tmp_path / "programs", ignore_errors=True)
        job = cluster(script, REAL_TORCHRUN, **tiny)
        said = job.communicate(timeout=300)[0]
        assert job.returncode == 0, said
        (run,) = find_runs(tmp_path / "runs")
        assert run.finished
        assert run.record.setup.sharded
    assert f"v5: going on with {run.name}" in said
