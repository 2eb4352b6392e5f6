"""One process trains a run; it can be resumed from anywhere, and from nothing that it never was."""

from __future__ import annotations

import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.training.conftest import last_hashes, spec_of, train_until

from escada.budget import Budget
from escada.cost import processor
from escada.errors import EscadaError
from escada.evaluation.task import Subject, complete
from escada.evaluation.tasks.documents import TEST, VALIDATION
from escada.files import read_json
from escada.ladder.comparison import all_pairs, compare_recipes, group
from escada.locks import exclusive
from escada.models import onednn
from escada.runs.catalogue import catalogue
from escada.runs.corpus import corpus_of
from escada.runs.log import read_log
from escada.runs.run import Run, open_run
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.text.preparation.prepare import prepare
from escada.text.shards import TokenStream
from escada.training import loop
from escada.training.run import resume, start
from escada.training.step import Stepper


def words(seed: int) -> str:
    """A text like no other."""
    rng = random.Random(seed)
    return " ".join(f"{rng.randrange(10**6):x}" for _ in range(40))


@pytest.fixture
def stopped(corpus_path, tmp_path, monkeypatch) -> Run:
    """A run that was stopped after its sixth step of eight, once validated."""
    run = train_until(corpus_path, tmp_path / "runs", monkeypatch, 6)
    assert read_json(run.layout.checkpoints / "index.json")["last"] == "step-00000006"
    return run


@pytest.mark.parametrize(("optimizer", "matmul_library"), [("adam", "onednn"), ("muon", "blas")])
def test_several_optimizers_and_sparse_tables_resume_bit_identically(
    corpus_path, tmp_path, monkeypatch, optimizer, matmul_library
):
    faster = {"blas": 1.0, "onednn": 9.0}
    table = {"fp32": [1.0], "fp32_onednn": [faster[matmul_library]]}
    monkeypatch.setattr(processor, "product_flops", lambda: table)
    monkeypatch.setattr(onednn, "LEAST_ROWS", 1)
    overrides = [
        f"train.optimizer={optimizer}",
        "tokenizer.vocab_size=320",
        "model.d_model=16",
        "model.d_ff=32",
        "model.n_layers=2",
        "model.table_rows=99",
        "train.batch_sequences=4",
        "train.micro_batch_sequences=2",
        "train.window_tokens=16",
        "train.validations=2",
        "train.validation_bytes=500",
    ]
    spec = load_spec("v_next", preset="laptop", overrides=overrides)
    spec = spec.with_budget(Budget.parse("8 steps"))
    whole = start(spec, Corpus.open(corpus_path), tmp_path / "whole", device="cpu")
    stopped = train_until(corpus_path, tmp_path / "stopped", monkeypatch, 5, spec)
    assert last_hashes(stopped) != last_hashes(whole)
    table["fp32_onednn"] = [10 - faster[matmul_library]]  # measured otherwise since
    resumed = resume(stopped.path)
    assert resumed.record.step == 8
    assert (
        resumed.record.setup.matmul_library == whole.record.setup.matmul_library == matmul_library
    )
    assert last_hashes(resumed) == last_hashes(whole)


def test_a_training_that_was_begun_is_resumed_and_a_finished_one_is_returned(stopped, corpus):
    again = {"seed": stopped.seed, "device": "cpu", "begun": True}
    run = start(stopped.spec, corpus, stopped.path.parent, **again)
    assert (run.path, run.record.status, run.record.step) == (stopped.path, "finished", 8)
    before = last_hashes(run)
    again_run = start(stopped.spec, corpus, stopped.path.parent, **again)
    assert (again_run.path, last_hashes(again_run)) == (stopped.path, before)
    with pytest.raises(EscadaError, match="run folder exists"):
        start(stopped.spec, corpus, stopped.path.parent, seed=stopped.seed, device="cpu")
    other = start(stopped.spec, corpus, stopped.path.parent, **again | {"seed": 99})
    assert other.path != stopped.path


def test_the_second_to_train_a_run_is_told_who_holds_it(stopped):
    with (
        exclusive(stopped.layout.lock, "held"),
        pytest.raises(EscadaError, match=rf"is training this run: process {os.getpid()} on"),
    ):
        resume(stopped.path)
    assert resume(stopped.path).finished


def test_a_killed_holder_holds_nothing_and_neither_does_a_copy(stopped):
    code = (
        "import sys, time; from pathlib import Path; from escada.locks import exclusive\n"
        "with exclusive(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, stopped.layout.lock], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(EscadaError, match=f"process {holder.pid} on"):
        resume(stopped.path)
    copy = stopped.path.with_name("copy")
    shutil.copytree(stopped.path, copy)  # with its lock file, and who holds the other
    assert resume(copy).finished
    # and it can be measured while somebody trains it
    assert complete(Subject(stopped, corpus_of(stopped), device="cpu"), VALIDATION)
    holder.kill()
    holder.wait()
    assert resume(stopped.path).finished


def test_a_mistyped_folder_gets_no_lock(tmp_path):
    with pytest.raises(EscadaError, match="not a run folder"):
        resume(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_run_whose_corpus_was_moved_goes_on_and_remembers_the_place(
    corpus_path, tmp_path, monkeypatch
):
    first = tmp_path / "corpus"
    shutil.copytree(corpus_path, first)
    run = train_until(first, tmp_path / "runs", monkeypatch, 6)
    moved = first.rename(tmp_path / "moved")
    with pytest.raises(EscadaError, match=r"no longer in its folder.*--data"):
        resume(run.path)
    with pytest.raises(EscadaError, match=r"no longer in its folder.*--data"):
        corpus_of(run)
    assert resume(run.path, data=moved).finished
    assert open_run(run.path).data_path == moved
    assert corpus_of(open_run(run.path)).path == moved


def test_another_corpus_is_refused_and_not_remembered(stopped, tmp_path):
    other = tmp_path / "other.jsonl"
    rows = [{"id": str(n), "text": words(n)} for n in range(30)]
    other.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    path = prepare(str(other), tmp_path / "other").path
    before = stopped.data_path
    for work in (lambda: resume(stopped.path, data=path), lambda: corpus_of(stopped, path)):
        with pytest.raises(EscadaError, match="not the corpus that the run was trained on"):
            work()
    assert open_run(stopped.path).data_path == before


def test_checkpoints_that_are_gone_are_no_reason_to_begin_again(stopped):
    (stopped.layout.checkpoints / "index.json").unlink()
    copy = stopped.path.with_name("copy")
    shutil.copytree(stopped.path, copy)
    assert resume(copy).record.step == 8
    assert min(row["step"] for row in rows_of(copy) if row["kind"] == "train") == 1
    shutil.rmtree(stopped.layout.checkpoints)
    with pytest.raises(EscadaError, match="the run's checkpoints are gone"):
        resume(stopped.path)


def rows_of(path: Path) -> list[dict[str, object]]:
    lines = open_run(path).layout.metrics.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("clip", ["1.0", None])
def test_a_gradient_that_is_not_finite_changes_no_weight_and_ends_in_one_line(
    corpus_path, tmp_path, monkeypatch, clip
):
    accumulate, update = Stepper.accumulate, Stepper.update
    taken: list[bool] = []

    def poisoned(self: Stepper, micro_batches: tuple[torch.Tensor, ...]) -> None:
        accumulate(self, micro_batches)
        if len(taken) == 5:
            next(self.model.parameters()).grad.fill_(float("nan"))

    def watched(self: Stepper) -> None:
        before = [p.detach().clone() for p in self.model.parameters()]
        update(self)
        pairs = zip(before, self.model.parameters(), strict=True)
        taken.append(not all(torch.equal(a, b) for a, b in pairs))

    monkeypatch.setattr(Stepper, "accumulate", poisoned)
    monkeypatch.setattr(Stepper, "update", watched)
    overrides = [f"train.clip_norm={clip}"] if clip else []
    with pytest.raises(EscadaError, match=r"diverged: the gradient is not finite at"):
        start(spec_of("v1", 8, *overrides), Corpus.open(corpus_path), tmp_path, device="cpu")
    assert taken == [True, True, True, True, True, False]
    (run,) = tmp_path.iterdir()
    index = read_json(run / "checkpoints" / "index.json")
    assert index["last"] == "step-00000004"


@pytest.mark.parametrize(("share", "steps"), [(1e9, [1, 2, 3, 4, 5, 6, 7, 8]), (1e-3, [1, 4, 8])])
def test_checkpoints_are_as_far_apart_as_their_saving_is_slow(
    corpus, tmp_path, monkeypatch, share, steps
):
    saved = []

    def slow(folder, checkpoint, *, best, save=loop.save_checkpoint):
        time.sleep(0.1)
        saved.append(checkpoint.step)
        save(folder, checkpoint, best=best)

    monkeypatch.setattr(loop, "save_checkpoint", slow)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "SAVING_SHARE", share)
    start(spec_of("v1", 8), corpus, tmp_path, device="cpu")
    assert saved == steps


def test_a_damaged_run_is_listed(stopped):
    out = stopped.path.parent
    for name, lost in (("a", "record.json"), ("b", "nothing")):
        shutil.copytree(stopped.path, out / name)
        (out / name / lost).unlink(missing_ok=True)
    (out / "b" / "evaluation").mkdir()
    (out / "b" / "evaluation" / "test.json").write_text("{}", encoding="utf-8")
    found = {Path(row["run"]).name: row["status"] for row in catalogue(out)}
    assert found == {"a": "damaged", "b": "damaged", stopped.name: "interrupted"}


def test_line_separators_in_ids_and_sources_break_no_file_of_a_run(tmp_path):
    signs = "\u2028\u2029\u0085\x0b\x0c\x1c\x1e\r"
    rows = [
        {
            "id": f"d{n}{signs[n % len(signs)]}x",
            "source": f"fonte{signs[n % 3]}a",
            "group": f"g{n}{signs[n % len(signs)]}",
            "text": words(n),
        }
        for n in range(60)
    ]
    file = tmp_path / "paginas.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    corpus = prepare(str(file), tmp_path / "corpus")
    runs = [start(spec_of(r, 2), corpus, tmp_path / "runs", device="cpu") for r in ("v1", "v2")]
    for run in runs:
        assert complete(Subject(run, corpus, device="cpu"), TEST)
    (row,) = compare_recipes(all_pairs(group(runs)), split="test")
    assert row.verdict
    ids = [json.loads(line)["id"] for line in scores(runs[0])[2:]]
    assert sorted(ids) == sorted(document.id for document in corpus.documents("test"))
    assert re.search(r"[\u2028\u2029\x85]", "".join(ids))


def scores(run: Run) -> list[str]:
    data = run.layout.document_scores("test").read_bytes()
    return data.decode("utf-8").rstrip("\n").split("\n")


def test_a_finished_run_is_trained_further_into_a_new_run(stopped, corpus_path, tmp_path):
    """From its last step, with its optimizer: as a training of the longer budget goes on there."""
    corpus, out = Corpus.open(corpus_path), tmp_path / "more"
    more = Budget.parse("4 steps")
    with pytest.raises(EscadaError, match="only a finished run can be continued"):
        start(stopped.spec.with_budget(more), corpus, out, device="cpu", continued=stopped)
    source = resume(stopped.path)
    with pytest.raises(EscadaError, match="with its own spec"):
        start(spec_of("v2", 4), corpus, out, device="cpu", continued=source)
    run = start(source.spec.with_budget(more), corpus, out, device="cpu", continued=source)
    assert (run.record.step, run.record.total_steps) == (12, 12)
    assert run.record.continued_from.model_dump() | {"training_seconds": 0} == {
        "run": str(source.path),
        "key": source.record.key,
        "budget": "8 steps",
        "step": 8,
        "training_seconds": 0,
    }
    # The rate is constant here, so nothing tells it from a training of twelve steps.
    whole = start(spec_of("v1", 12), corpus, tmp_path / "whole", device="cpu")
    ours, theirs = run.load_model("last").state_dict(), whole.load_model("last").state_dict()
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert open_run(source.path).finished


def test_a_run_of_before_with_its_former_names_goes_on(stopped):
    record = read_json(stopped.layout.record)
    record["circumstances"] = record.pop("setup")
    stopped.layout.record.write_text(json.dumps(record), encoding="utf-8")
    found = open_run(stopped.path).record
    assert found.setup.processes == 1
    assert resume(stopped.path).finished
    assert "setup" in (now := read_json(stopped.layout.record))
    assert "circumstances" not in now


def test_a_resume_with_another_setup_is_refused_or_remembered(stopped):
    record = read_json(stopped.layout.record)
    record["setup"]["torch"] = "1.0"
    stopped.layout.record.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(EscadaError, match=r"not be bit-identical: torch .* \(was '1.0'\)"):
        resume(stopped.path)
    run = resume(stopped.path, allow_differences=True)
    (earlier,) = run.record.earlier_setups
    assert (earlier.torch, earlier.to) == ("1.0", 6)
    assert run.record.setup.torch == torch.__version__


MANY_IDS = """
from escada.text.tokenizers.bytes import ByteTokenizer


class ManyIds(ByteTokenizer):
    kind = "many_ids"
    vocab_size, bos_id, eos_id = 70_258, 70_256, 70_257

    def encode(self, text):
        return super().encode(text) + 70_000

    def decode(self, ids):
        return ByteTokenizer().decode([one - 70_000 for one in ids])


def train(spec, texts):
    return ManyIds()


def load(folder, content):
    return ManyIds()
"""


@pytest.mark.slow
def test_a_vocabulary_above_65_536_ids_is_trained_and_measured(corpus, tmp_path, monkeypatch):
    """Its tokens are 32 bits wide, and all of them are in the upper range."""
    (tmp_path / "many_ids.py").write_text(MANY_IDS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    run = start(spec_of("v1", 4, "tokenizer.kind=many_ids"), corpus, tmp_path / "r", device="cpu")
    assert run.finished
    data = read_json(run.layout.data)
    stream = TokenStream.open(Path(data["stream_path"]))
    assert read_json(stream.path / "manifest.json")["dtype"] == "<u4"
    assert stream.read(0, stream.n_tokens).min() >= 70_000
    rows = read_log(run.layout)
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    assert losses[0] == pytest.approx(math.log(70_258), abs=1)
    measured = [row["bits_per_byte"] for row in rows if row["kind"] == "validation"]
    assert measured
    assert all(map(math.isfinite, measured))
    sys.modules.pop("many_ids", None)
