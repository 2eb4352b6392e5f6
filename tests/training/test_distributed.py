"""Two processes train what one does: the same curve, one run folder, one message when it fails."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.distributed import TCPStore

from escada.errors import EscadaError
from escada.evaluation.sampling import document_sample
from escada.files import read_json, sha256_file
from escada.runs.checkpoint import checkpoint_path, load_checkpoint
from escada.runs.run import find_runs
from escada.spec import TrainSpec
from escada.training import launch
from escada.training.distributed import ALONE, Agreement, World, seed_step, share_of
from escada.training.loop import Interrupted, ruler_validation
from escada.training.metrics import read_rows
from escada.training.run import resume, start

SCRIPT = Path(__file__).with_name("two_processes.py")
_spec = importlib.util.spec_from_file_location("two_processes", SCRIPT)
two = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(two)
MOST_SECONDS = 300


def torchrun(*arguments):
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", "2", *map(str, arguments)),
    ]


def launched(*arguments):
    """Run to the end; one that hangs, as where somebody waits for a lost process, fails."""
    return subprocess.run(
        torchrun(*arguments),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
    )


def escada_lines(said):
    return [line for line in said.splitlines() if line.startswith("escada: ")]


def cli(corpus_path, out, budget):
    overrides = [part for s in two.TINY for part in ("--set", s)]
    return [
        *("train", "v5", "--preset", "laptop", "--budget", budget, "--device", "cpu"),
        *("--data", str(corpus_path), "--out", str(out), *overrides),
    ]


def only_run(folder):
    (run,) = find_runs(folder)
    return run


def losses(run):
    return [(r["kind"], r["step"], r["loss"]) for r in read_rows(run.layout)]


def final_hashes(run):
    last = checkpoint_path(run.layout.checkpoints, "last")
    return [sha256_file(last / f"{part}.safetensors") for part in ("model", "training")]


@pytest.fixture(scope="module")
def folder(corpus_path, tmp_path_factory):
    """What two processes left behind, and beside it the same by one."""
    from escada.text.corpus import Corpus

    folder = tmp_path_factory.mktemp("together")
    corpus = Corpus.open(corpus_path)
    torch.set_num_threads(1)
    start(two.tiny("100 steps"), corpus, folder / "alone", seed=7, device="cpu")
    with (
        two.before_clipping(20, lambda _: os.kill(os.getpid(), signal.SIGTERM)),
        pytest.raises(Interrupted),
    ):
        start(two.tiny("100 steps"), corpus, folder / "one-then-two", seed=7, device="cpu")
    start(two.lstm("20 steps"), corpus, folder / "alone-lstm", seed=7, device="cpu")
    done = launched(SCRIPT, corpus_path, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def seen(folder):
    return [read_json(folder / f"seen-{rank}.json") for rank in (0, 1)]


def test_the_loss_curve_of_two_processes_is_that_of_one(folder):
    alone, together = only_run(folder / "alone"), only_run(folder / "curve")
    assert len(losses(alone)) == 102  # every step, and two validations
    for mine, theirs in zip(losses(alone), losses(together), strict=True):
        assert mine[:2] == theirs[:2]
        assert mine[2] == pytest.approx(theirs[2], abs=1e-4)
    norms = [
        [row["gradient_norm"] for row in read_rows(run.layout) if row["kind"] == "train"]
        for run in (alone, together)
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)  # the sum of all gradients, not the mean
    assert losses(alone)[0][2] - losses(alone)[-2][2] > 0.5  # it did learn


def test_the_record_says_how_many_processes_and_their_micro_batch(folder):
    facts = only_run(folder / "curve").record.setup
    assert facts.processes == 2
    assert facts.micro_batch_sequences == 3  # 4 does not divide the 6 rows of each
    assert only_run(folder / "alone").record.setup.processes == 1


def test_a_budget_in_seconds_is_the_same_number_of_steps_for_all(folder):
    record = only_run(folder / "seconds").record
    assert record.status == "finished"
    assert record.step == record.total_steps
    expected = 2 / record.calibrated_seconds_per_step
    assert record.total_steps == pytest.approx(expected, abs=1)


def test_a_signal_to_one_process_stops_all_at_one_step_and_a_resume_is_bit_identical(folder, seen):
    assert seen[0]["status"] == "interrupted"
    assert seen[0]["stopped"] == seen[1]["stopped"]
    interrupted, reference = (only_run(folder / n) for n in ("interrupted", "uninterrupted"))
    assert final_hashes(interrupted) == final_hashes(reference)  # with dropout
    assert losses(interrupted) == losses(reference)


def test_a_number_that_is_not_finite_in_one_process_stops_all(seen):
    for rank in (0, 1):
        assert "not finite at step 6" in seen[rank]["diverged"]


def test_a_run_of_one_resumes_on_two_when_asked_to(folder, seen):
    for rank in (0, 1):
        assert "processes 2 (was 1)" in seen[rank]["refused"]
        assert "--allow-differences" in seen[rank]["refused"]
    run = only_run(folder / "one-then-two")
    assert run.finished
    assert run.record.setup.processes == 2
    (earlier,) = run.record.earlier_setups
    assert (earlier.processes, earlier.to) == (1, 21)
    expected = losses(only_run(folder / "alone"))
    for mine, theirs in zip(losses(run), expected, strict=True):
        assert mine[2] == pytest.approx(theirs[2], abs=1e-4)


@pytest.mark.parametrize("model", ["", "-lstm"])
def test_the_loss_curve_of_two_sharded_processes_is_that_of_one(folder, model):
    alone, sharded = only_run(folder / f"alone{model}"), only_run(folder / f"sharded{model}")
    assert (alone.record.setup.sharded, sharded.record.setup.sharded) == (False, True)
    assert sharded.record.sharding.reason == "asked for"
    assert len(losses(alone)) == len(losses(sharded))
    for mine, theirs in zip(losses(alone), losses(sharded), strict=True):
        assert mine[:2] == theirs[:2]
        assert mine[2] == pytest.approx(theirs[2], abs=1e-4)


def test_a_sharded_checkpoint_is_that_of_one_process_in_form(folder):
    mine, theirs = (
        load_checkpoint(
            run.layout.checkpoints,
            "last",
            spec_hash=run.spec.hash,
            device=torch.device("cpu"),
            training=True,
        )
        for run in (only_run(folder / "alone"), only_run(folder / "sharded"))
    )
    for part in ("weights", "training"):
        ours, others = getattr(mine, part), getattr(theirs, part)
        assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in others.items()}


def test_a_sharded_resume_on_two_is_bit_identical(folder):
    interrupted, reference = (
        only_run(folder / n) for n in ("sharded-interrupted", "sharded-uninterrupted")
    )
    assert final_hashes(interrupted) == final_hashes(reference)  # with dropout
    assert losses(interrupted) == losses(reference)


def test_a_run_of_two_sharded_processes_resumes_on_one_with_the_same_validation(folder, corpus):
    run = only_run(folder / "sharded-then-one")
    (noted,) = [row for row in read_rows(run.layout) if row["kind"] == "validation"]
    documents = document_sample(corpus, "validation", run.spec.train.validation_bytes)
    found = ruler_validation(run.spec, run.tokenizer, documents)(run.load_model("best"))
    assert found.bits_per_byte == pytest.approx(noted["bits_per_byte"], abs=1e-9)

    torch.set_num_threads(1)
    with pytest.raises(EscadaError, match=r"processes 1 \(was 2\), sharded False \(was True\)"):
        resume(run.path)
    resume(run.path, allow_differences=True)
    expected = losses(only_run(folder / "alone"))
    for mine, theirs in zip(losses(only_run(run.path.parent)), expected, strict=True):
        assert mine[2] == pytest.approx(theirs[2], abs=1e-4)


@pytest.mark.slow  # quick: a signal to one of two processes
def test_ctrl_c_on_torchrun_saves_and_the_run_of_two_resumes_on_one(folder, corpus_path, tmp_path):
    process = subprocess.Popen(
        torchrun("-m", "escada", *cli(corpus_path, tmp_path, "20k steps")),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + MOST_SECONDS
    while not any("train" in p.read_text() for p in tmp_path.glob("*/metrics.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=MOST_SECONDS)
    assert said.count("Stopped and saved") == 1
    run = only_run(tmp_path)
    assert run.record.status == "interrupted"
    step = run.record.step
    assert step == read_json(_last(run) / "checkpoint.json")["step"]
    assert run.layout.card.exists()

    with pytest.raises(EscadaError, match=r"processes 1 \(was 2\).*--allow-differences"):
        resume(run.path)
    with (
        two.before_clipping(step + 2, lambda _: os.kill(os.getpid(), signal.SIGTERM)),
        pytest.raises(Interrupted),
    ):
        resume(run.path, allow_differences=True)
    assert read_json(_last(run) / "checkpoint.json")["step"] == step + 3
    with (
        two.before_clipping(step + 4, lambda _: os.kill(os.getpid(), signal.SIGTERM)),
        pytest.raises(Interrupted),
    ):
        resume(run.path)  # it is a run of one process by now


def _last(run):
    return checkpoint_path(run.layout.checkpoints, "last")


def faulty(folder, act, *, rank, step):
    """The command line, in which one process acts after a step, the first time it is started."""
    script = folder / "faulty.py"
    script.write_text(
        "import os, signal, sys\n"
        "from escada.cli import main\n"
        "from escada.errors import EscadaError\n"
        "from escada.training.loop import Training\n"
        "def stepped(self, step=Training.step):\n"
        "    step(self)\n"
        f"    if (self.world.rank, self.state.step) == ({rank}, {step}):\n"
        "        if os.environ['TORCHELASTIC_RESTART_COUNT'] == '0':\n"
        f"            {act}\n"
        "Training.step = stepped\n"
        "sys.argv[0] = 'escada'\n"
        "main()\n"
    )
    return script


FAULTS = {
    "an error": (
        "raise EscadaError('this one has enough', fix='rest')",
        "escada: this one has enough; rest",
    ),
    "a process that is killed": (
        "os.kill(os.getpid(), signal.SIGKILL)",
        "escada: another process of this training is gone",
    ),
}


@pytest.mark.parametrize(
    "fault", [pytest.param("an error", marks=pytest.mark.slow), "a process that is killed"]
)
def test_what_happens_to_one_process_ends_all_with_one_line(fault, corpus_path, tmp_path):
    act, expected = FAULTS[fault]
    script = faulty(tmp_path, act, rank=1, step=3)
    done = launched(script, *cli(corpus_path, tmp_path / "runs", "20k steps"))
    assert done.returncode != 0
    (line,) = escada_lines(done.stderr)
    assert line.startswith(expected)
    assert "RuntimeError" not in done.stderr


@pytest.mark.slow  # quick: a full disk, of one process
def test_a_full_disk_in_the_middle_of_a_gathering_ends_both_with_one_line(corpus_path, tmp_path):
    act = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    script = faulty(tmp_path, act, rank=0, step=3)
    done = launched(script, *cli(corpus_path, tmp_path / "runs", "40 steps"), "--set", two.SHARDED)
    assert done.returncode != 0
    (line,) = escada_lines(done.stderr)
    assert line.startswith("escada: disk full while saving; no checkpoint was there yet"), line


@pytest.mark.slow  # quick: a process that is killed, and the resume of a sharded run
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("sharded", [False, True])
def test_max_restarts_goes_on_from_the_last_checkpoint(rank, sharded, corpus_path, tmp_path):
    kill = faulty(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)", rank=rank, step=25)
    settings = [*two.DROPOUT, f"train.shard={str(sharded).lower()}"]

    def command(out):
        overrides = [part for setting in settings for part in ("--set", setting)]
        return [*cli(corpus_path, tmp_path / out, "40 steps"), *overrides]

    done = launched("--max-restarts", "1", kill, *command("runs"))
    assert done.returncode == 0, done.stderr
    gone, *_ = escada_lines(done.stderr)
    assert gone.startswith("escada: another process of this training is gone")
    assert "v5: going on with" in done.stderr
    undisturbed = launched("-m", "escada", *command("whole"))
    assert undisturbed.returncode == 0, undisturbed.stderr
    killed, whole = only_run(tmp_path / "runs"), only_run(tmp_path / "whole")
    assert killed.record.setup.sharded is sharded
    assert final_hashes(killed) == final_hashes(whole)
    assert losses(killed) == losses(whole)


@pytest.mark.slow  # quick: how rows are divided, below
def test_a_batch_that_cannot_be_divided_is_one_line_and_no_run(corpus_path, tmp_path):
    odd = ["--set", "train.batch_sequences=9", "--set", "train.micro_batch_sequences=3"]
    done = launched("-m", "escada", *cli(corpus_path, tmp_path, "5 steps"), *odd)
    (line,) = escada_lines(done.stderr)
    assert "train.batch_sequences 9 cannot be divided among 2 processes" in line
    assert re.findall(r"exitcode *: (\d+)", done.stderr)[-1] == "2"
    assert not list(tmp_path.glob("*"))


# --- without other processes ------------------------------------------------------------------


def train_spec(batch, micro):
    return TrainSpec.model_validate(
        {
            "budget": "1 steps",
            "window_tokens": 8,
            "stride_tokens": 1,
            "batch_sequences": batch,
            "micro_batch_sequences": micro,
            "learning_rate": 0.1,
        }
    )


@pytest.mark.parametrize(
    ("batch", "micro", "size", "rows", "of_each"),
    [
        (64, 8, 1, 64, 8),
        (64, 8, 4, 16, 8),
        (64, 32, 4, 16, 16),
        (24, 8, 2, 12, 6),
        (6, None, 2, 3, 3),
    ],
)
def test_a_process_takes_its_rows_in_micro_batches_that_divide_them(
    batch, micro, size, rows, of_each
):
    share = share_of(train_spec(batch, micro), size)
    assert (share.sequences, share.micro_batch_sequences) == (rows, of_each)


def test_the_random_numbers_of_a_step_depend_on_seed_step_and_rank():
    def numbers(*key):
        seed_step(*key, torch.device("cpu"))
        return tuple(torch.rand(4).tolist())

    assert numbers(1, 2, 0) == numbers(1, 2, 0)
    assert len({numbers(*key) for key in ((1, 2, 0), (1, 2, 1), (1, 3, 0), (2, 2, 0))}) == 4


def test_a_process_on_its_own_agrees_with_itself_at_once():
    assert Agreement(ALONE).ask(True, False) == (True, False)
    assert ALONE.from_first("x") == "x"
    assert ALONE.first


def test_only_what_torchrun_says_makes_several_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert launch.processes() == 1
    assert launch.speaks_for_all()


def test_other_verbs_are_refused_under_torchrun(monkeypatch, capsys):
    from escada.cli import main

    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    store = TCPStore("localhost", 0, is_master=True)
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    monkeypatch.setattr(sys, "argv", ["escada", "climb", "v1"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "one process" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main()
    assert not capsys.readouterr().err  # it was said


def test_a_second_process_of_a_machine_uses_the_second_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert World(1, 2, 1).device("auto") == torch.device("cuda", 1)
    assert ALONE.device("cuda") == torch.device("cuda")
