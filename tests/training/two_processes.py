"""What test_distributed.py lets two processes do together: several trainings in one launch.

    torchrun --nproc-per-node 2 two_processes.py CORPUS FOLDER

Each process writes what it saw of the failures into FOLDER/seen-RANK.json.
"""

import json
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from escada.budget import Budget
from escada.errors import EscadaError
from escada.runs.run import find_runs
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.training.distributed import joined
from escada.training.loop import Interrupted, Training
from escada.training.run import resume, start
from escada.training.step import Stepper

TINY = [
    "tokenizer.vocab_size=400",
    *("model.d_model=32", "model.n_heads=2", "model.d_ff=64", "model.n_layers=1"),
    *("train.batch_sequences=12", "train.micro_batch_sequences=4", "train.window_tokens=16"),
    *("train.precision=fp32", "train.validations=2", "train.validation_bytes=500"),
]
DROPOUT = ["model.dropout=0.1", "model.attention_dropout=0.1"]
SHARDED = "train.shard=true"
LSTM = [
    *("tokenizer.vocab_size=400", "model.d_embedding=16", "model.d_hidden=31"),
    *("train.batch_sequences=12", "train.micro_batch_sequences=4", "train.window_tokens=16"),
    *("train.precision=fp32", "train.validations=2", "train.validation_bytes=500"),
    *("model.dropout=0", "model.recurrent_dropout=0"),
]


def lstm(budget, *overrides):
    spec = load_spec("v4", preset="laptop", overrides=[*LSTM, *overrides])
    return spec.with_budget(Budget.parse(budget))


def tiny(budget, *overrides):
    spec = load_spec("v5", preset="laptop", overrides=[*TINY, *overrides])
    return spec.with_budget(Budget.parse(budget))


@contextmanager
def before_clipping(step, act):
    """Lets `act(training)` happen in the middle of a step."""
    whole_step, clip, stepping = Training.step, Stepper.clip, []

    def noted(self):
        stepping[:] = [self]
        whole_step(self)

    def acting(self):
        (training,) = stepping
        if training.state.step == step:
            act(training)
        clip(self)

    with patch.object(Training, "step", noted), patch.object(Stepper, "clip", acting):
        yield


def terminate_second(training):
    if training.world.rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)


def spoil_second(training):
    if training.world.rank == 1:
        training.stepper.nats += float("nan")


def only_run(folder):
    (run,) = find_runs(folder)
    return run


def main(corpus_path, folder):
    torch.set_num_threads(1)
    seen = {}
    with joined("cpu") as world:
        corpus = Corpus.open(corpus_path)

        def train(name, spec):
            return start(spec, corpus, folder / name, seed=7, device="cpu", world=world)

        train("curve", tiny("100 steps"))
        train("uninterrupted", tiny("30 steps", *DROPOUT))
        train("seconds", tiny("2 s"))
        with before_clipping(20, terminate_second):
            try:
                train("interrupted", tiny("30 steps", *DROPOUT))
            except Interrupted as stop:
                seen["stopped"] = str(stop.path)
        world.barrier()  # so that the record is written
        if world.first:
            seen["status"] = only_run(folder / "interrupted").record.status
        resume(Path(seen["stopped"]), world=world)
        one = only_run(folder / "one-then-two").path
        try:
            resume(one, world=world)
        except EscadaError as error:
            seen["refused"] = str(error)
        resume(one, allow_differences=True, world=world)
        train("sharded", tiny("100 steps", SHARDED))
        train("sharded-lstm", lstm("20 steps", SHARDED))
        train("sharded-uninterrupted", tiny("30 steps", SHARDED, *DROPOUT))
        with before_clipping(20, terminate_second):
            try:
                train("sharded-interrupted", tiny("30 steps", SHARDED, *DROPOUT))
            except Interrupted as stop:
                resume(stop.path, world=world)
        with before_clipping(60, terminate_second):
            try:
                train("sharded-then-one", tiny("100 steps", SHARDED))
            except Interrupted:
                world.barrier()
        with before_clipping(5, spoil_second):
            try:
                train("diverged", tiny("30 steps"))
            except EscadaError as error:
                seen["diverged"] = str(error)
        (folder / f"seen-{world.rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
