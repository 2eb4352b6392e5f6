"""A disk that is full, or may not be written to: one line, and nothing that was there is lost."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.faults.table import outcomes
from tests.processes import escada

from escada.files import read_json, sha256_file
from escada.runs.checkpoint import checkpoint_path
from escada.runs.run import find_runs
from escada.text.corpus import Corpus
from escada.training.metrics import read_rows

STEPS = 120
SIZES = "model.d_hidden=48 model.d_embedding=16 train.batch_sequences=4 train.window_tokens=24"


def train(corpus: Path, out: Path) -> list[str]:
    sizes = [part for size in SIZES.split() for part in ("--set", size)]
    return [
        *("train", "v1", "--preset", "laptop", "--budget", f"{STEPS} steps", "--device", "cpu"),
        *("--data", str(corpus), "--out", str(out), "--set", "train.validations=4", *sizes),
    ]


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What the process said, which must be one clear line of a user's error."""
    found = outcomes("a disk that is full or read-only")
    found["refused" if done.returncode == 2 else "wrong"] += 1
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [part for part in done.stderr.splitlines() if part.startswith("escada: ")]
    assert done.stderr.splitlines()[-1] == line
    return line


def weights(out: Path) -> tuple[str, str]:
    (run,) = find_runs(out)
    last = checkpoint_path(run.layout.checkpoints, "last")
    assert read_json(last / "checkpoint.json")["step"] == STEPS
    return sha256_file(last / "model.safetensors"), sha256_file(last / "training.safetensors")


@pytest.fixture(scope="module")
def uninterrupted(corpus_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    done = escada(train(corpus_path, out))
    assert done.returncode == 0, done.stderr
    return weights(out)


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts a filesystem of a size in tmp_path, where that may be done."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            outcomes("a disk that is full or read-only")["skipped"] += 1
            pytest.skip("mounting takes root")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True)


# From the third checkpoint on, the system refuses files above 20 kB (EFBIG).
LIMIT = """
import resource
import escada.runs.checkpoint as checkpoint
write, calls = checkpoint.write_tensors, []
def limited(path, tensors):
    calls.append(path)
    if len(calls) == 5:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    return write(path, tensors)
checkpoint.write_tensors = limited
"""


def test_disk_full_while_saving_keeps_the_last_checkpoint_which_resumes(
    uninterrupted, corpus_path, tmp_path
):
    said = one_line(escada(train(corpus_path, tmp_path), prelude=LIMIT))
    assert "disk full while saving; checkpoint step-00000060 survives" in said
    assert "free some space" in said
    (run,) = find_runs(tmp_path)
    assert [p.name for p in run.layout.checkpoints.iterdir() if p.is_dir()] == ["step-00000060"]
    assert run.load_model("last").vocab_size > 0
    done = escada(["resume", str(run.path)])
    assert done.returncode == 0, done.stderr
    assert weights(tmp_path) == uninterrupted


# After the second checkpoint someone else fills the disk to its last byte: the next row of the log,
# in the CSV or in TensorBoard's file, is what fails.
FILL = """
import os
from escada.cost.meter import Meter
save, calls = Meter.save, []
def save_then_fill(self):
    save(self)  # after the checkpoint
    calls.append(1)
    if len(calls) == 2:
        with open(os.environ["FILLER"], "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 512):
                    pass
            except OSError:
                pass
Meter.save = save_then_fill
"""


def test_a_really_full_disk_ends_the_training_at_once_and_it_resumes(
    uninterrupted, corpus_path, mounted, monkeypatch
):
    disk = mounted("size=1m")
    monkeypatch.setenv("FILLER", str(disk / "filler"))
    said = one_line(escada(train(corpus_path, disk / "runs"), prelude=FILL))
    assert "disk full while saving; the last checkpoint survives" in said
    assert "metrics.jsonl" in said
    (disk / "filler").unlink()
    (run,) = find_runs(disk / "runs")
    assert read_rows(run.layout)
    done = escada(["resume", str(run.path)])
    assert done.returncode == 0, done.stderr
    assert weights(disk / "runs") == uninterrupted


LITTLE = """
import resource
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
"""


@pytest.mark.parametrize(
    "command",
    ["data prepare --source {source}", "tokenizer train --data {corpus} --vocab-size 500"],
)
def test_disk_full_leaves_no_half_a_folder(corpus_path, tmp_path, command):
    command = command.format(source=corpus_path.parent / "source.jsonl", corpus=corpus_path)
    said = one_line(escada([*command.split(), "--out", str(tmp_path / "new")], prelude=LITTLE))
    assert "disk full while saving; nothing was overwritten" in said
    assert list(tmp_path.iterdir()) == []


def test_disk_full_leaves_the_corpus_that_was_there(corpus_path, tmp_path):
    source, folder = str(corpus_path.parent / "source.jsonl"), tmp_path / "corpus"
    assert escada(["data", "prepare", "--source", source, "--out", str(folder)]).returncode == 0
    before = Corpus.open(folder).hash
    again = ["data", "prepare", "--source", source, "--out", str(folder), "--documents", "200"]
    assert "disk full while saving" in one_line(escada(again, prelude=LITTLE))
    assert Corpus.open(folder).hash == before
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_folder_that_may_not_be_written_to_is_one_line(corpus_path, tmp_path, mounted):
    if os.geteuid() == 0:
        folder = mounted("size=64k,ro")  # root writes wherever the disk lets it
    else:
        folder = tmp_path / "disk"
        folder.chmod(0o500)
    said = one_line(escada(train(corpus_path, folder / "runs")))
    assert "no permission to write" in said
    assert str(folder) in said


READS_A_RUN = {
    "evaluate": ["evaluate", "{run}", "--device", "cpu"],
    "cloze": ["cloze", "{run}", "--device", "cpu"],
    "report": ["report", "{run}"],
    "export": ["export", "{run}", "{run}/out", "--to", "transformers"],
    "continue": ["train", "--continue-from", "{run}", "--budget", "9 steps", "--out", "{disk}"],
    "climb": ["climb", "v1", "--budget", "9 steps", "--data", "{corpus}", "--out", "{disk}"],
}


def fill(disk: Path) -> None:
    """To its last byte."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 512):
            pass


@pytest.fixture(scope="module")
def finished(uninterrupted, tmp_path_factory, corpus_path) -> Path:
    """A finished run that was not evaluated."""
    out = tmp_path_factory.mktemp("finished")
    assert escada(train(corpus_path, out)).returncode == 0
    (run,) = find_runs(out)
    return run.path


@pytest.mark.parametrize("verb", READS_A_RUN)
@pytest.mark.parametrize("how", ["full", "read-only"])
@pytest.mark.slow
def test_a_verb_on_such_a_disk_is_one_line_and_the_run_stays(
    finished, corpus_path, tmp_path, mounted, monkeypatch, verb, how
):
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path / "cache"))
    disk = mounted("size=2m")
    run = Path(shutil.copytree(finished, disk / "run"))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    if how == "full":
        fill(disk)
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    named = {"run": run, "disk": disk / "runs", "corpus": corpus_path}
    one_line(escada([part.format(**named) for part in READS_A_RUN[verb]]))
    assert {path: path.read_bytes() for path in before} == before
