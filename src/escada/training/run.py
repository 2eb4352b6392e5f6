"""Start and resume a training: everything around the loop.

    corpus → tokenizer and shards (cached) → run folder → calibration → the loop → totals

With several processes all go through here, and rank 0 writes. `start` makes the run folder before
the first step, so that a process killed at any moment can be resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from escada.cost.meter import Meter
from escada.cost.sheet import write_sheet
from escada.errors import EscadaError
from escada.evaluation.sampling import document_sample
from escada.files import read_json
from escada.generation.contract_check import check_contract
from escada.locks import exclusive
from escada.models.activation_memory import setting_of
from escada.models.contract import ReadsTrainingText
from escada.runs.checkpoint import has_checkpoint
from escada.runs.corpus import corpus_of
from escada.runs.device import memory_errors
from escada.runs.kept import say_kept  # only tells
from escada.runs.layout import Layout, read_whole
from escada.runs.record import RecordedSetup
from escada.runs.run import Run, create_run, open_run, run_key, run_of
from escada.spec import Spec
from escada.terminal import LiveProgress, duration
from escada.text.batches import WindowBatches
from escada.text.corpus import Corpus
from escada.text.shards import TokenStream
from escada.text.token_cache import prepare_tokens
from escada.text.tokenizers import Tokenizer
from escada.training.calibration import fixed_steps
from escada.training.continuing import (
    at_last_checkpoint,
    carry_over,
    check_continued,
    check_warm_start,
    end_of,
)
from escada.training.distributed import ALONE, World, interruptions
from escada.training.loop import Interrupted, Show, Training, ruler_validation
from escada.training.memory import SMALLER, choose_micro_batch, settle_host_memory, shape_of
from escada.training.metrics import Log, MetricsLog
from escada.training.precision import ResolvedMatmulLibrary, ResolvedPrecision
from escada.training.setup import (
    Setup,
    check_same_setup,
    for_model,
    resolve_setup,
    setup_changes,
)
from escada.training.state import TrainingState

Say = Callable[[str], None]


def unsaid(_: str) -> None:
    """Discard progress messages."""


def start(
    spec: Spec,
    corpus: Corpus,
    out: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    dry_run: bool = False,
    warm_start: Run | None = None,
    continued: Run | None = None,
    begun: bool = False,
    world: World = ALONE,
    say: Say = unsaid,
) -> Run:
    """Train a rung from its first step, in a new run folder below `out`.

    Args:
        corpus: prepared with the spec's profile.
        out: the parent of the run folder.
        dry_run: at most 1,000 steps and one minute.
        warm_start: start with the best weights of this run, of the same model and tokenizer.
        continued: a finished run to continue with the budget of `spec`: weights, optimizer, data
            and schedule go on as if its budget had been longer.
        begun: if `out` has a run of this training already, resume it, or return it if finished.
        world: the processes that train together; all of them call this.
        say: called with a line at the start of every slow phase.

    Raises:
        EscadaError: a problem that the user can fix.
        Interrupted: the user asked to stop; the run can be resumed.
    """
    check_profile(spec, corpus)
    key = run_key(
        spec,
        seed=seed,
        corpus_hash=corpus.hash,
        warm_start=warm_start.record.key if warm_start else None,
        continued=continued.record.key if continued else None,
    )
    if begun:
        there = world.from_first(run_of(out, key, dry_run=dry_run) if world.first else None)
        if there is not None:
            say(f"{spec.name}: going on with {there.name}")
            if there.finished:
                return there
            return resume(there.path, data=corpus.path, world=world, say=say)
    begun_with = continued and ResolvedMatmulLibrary(continued.record.setup.matmul_library)
    setup = resolve_setup(
        spec, world.device(device), world, matmul_library=begun_with, dry_run=dry_run
    )
    tokenizer, stream = world.first_then_others(partial(_tokens, spec, corpus, say))
    setup = for_model(setup, spec, shape_of(spec, tokenizer.vocab_size))
    if warm_start is not None:
        check_warm_start(warm_start, spec, tokenizer.hash)
    if continued is not None:
        check_continued(continued, spec, corpus, tokenizer.hash, setup.precision)
    say(f"{spec.name}: checking the model against its contract")
    _check_model(spec, tokenizer.vocab_size, setup)
    batches = _windows(spec, stream, seed)
    # Free memory differs between processes, but all must divide the batch in the same way.
    fitted, micro_batch = world.from_first(
        choose_micro_batch(
            spec,
            tokenizer.vocab_size,
            setup.device,
            setup.precision,
            processes=world.size,
            shards=setup.shards,
        )
    )
    create = partial(
        create_run,
        out,
        fitted,
        tokenizer,
        seed=seed,
        key=key,
        data=_data_table(corpus, stream),
        recorded={
            "dry_run": dry_run,
            "warm_start": str(warm_start.path.resolve()) if warm_start else None,
            "continued_from": end_of(continued) if continued else None,
            "micro_batch": micro_batch,
            **_setup_tables(setup, fitted),
        },
        suffix="-dry-run" if dry_run else "",
    )
    run = _by_first(create, world)
    if continued is not None:
        if world.first:
            carry_over(continued, run)
        world.barrier()
    with _alone(run.path, world), memory_errors(run.path, SMALLER):
        return _train(run, corpus, batches, setup, say)


def _data_table(corpus: Corpus, stream: TokenStream) -> dict[str, object]:
    """data.json."""
    return {
        "path": str(corpus.path.resolve()),
        "stream_path": str(stream.path.resolve()),
        "corpus_hash": corpus.hash,
        "profile": corpus.profile,
        "stream_hash": stream.hash,
        "training_tokens": stream.n_tokens,
        "training_bytes": corpus.text_bytes("train"),
        **corpus.manifest.model_dump(mode="json", include={"source", "licences", "documents"}),
    }


def _setup_tables(setup: Setup, spec: Spec) -> dict[str, object]:
    """What record.json has of the setup."""
    return {
        "precision": asdict(setup.precision),
        "matmul_library": asdict(setup.matmul_library),
        "compile": asdict(setup.compiling),
        "sharding": asdict(setup.sharding),
        "setup": setup.recorded(spec.train),
    }


def _by_first(work: Callable[[], Run], world: World) -> Run:
    """Create or open a run on rank 0 and share it with the others."""
    run = world.from_first(work() if world.first else None)
    assert run is not None
    return run


def _note(run: Run, world: World, **values: object) -> None:
    """Update the record: the copy of every process, and the file on rank 0."""
    if world.first:
        run.update(**values)
    else:
        run.record = run.record.model_copy(update=values)


def check_profile(spec: Spec, corpus: Corpus) -> None:
    """Raise an EscadaError unless the corpus was cleaned with the spec's profile."""
    if corpus.profile != spec.text.profile:
        raise EscadaError(
            f"the corpus was cleaned with profile {corpus.profile!r}, the rung reads "
            f"{spec.text.profile!r}",
            where=corpus.path,
            fix=f"prepare one with `escada data prepare --profile {spec.text.profile}`",
        )


def recorded_device(path: Path) -> str:
    """The device type that a run was trained on, for resuming it.

    Raises:
        EscadaError: not a run, or damaged.
    """
    return open_run(path).record.setup.device


def is_complete(run: Run) -> bool:
    """Whether a run is finished and its cost sheet was written; `resume` completes one without."""
    cost = run.layout.cost
    return run.finished and cost.exists() and read_json(cost).get("status") != "training"


def _never_began(run: Run) -> bool:
    return not has_checkpoint(run.layout.checkpoints) and not run.layout.metrics.exists()


@contextmanager
def _alone(path: Path, world: World) -> Generator[None]:
    """Lock a run (on rank 0) against other trainings; it can still be evaluated and sampled."""
    if not world.first:
        yield
        return
    fix = "wait until it has ended, or stop it"
    with exclusive(Layout(path).lock, "another process is training this run", fix=fix):
        yield


def resume(
    path: Path,
    *,
    data: Path | None = None,
    allow_differences: bool = False,
    world: World = ALONE,
    say: Say = unsaid,
) -> Run:
    """Resume a run from its last checkpoint, or from the start if it has none.

    On the same machine and settings the final weights are bit-identical to those of an
    uninterrupted training. Another device or number of processes changes the rounding and needs
    `allow_differences`.

    Args:
        data: where its corpus was moved to; None: not moved.
        world: the processes that train together; all of them call this.
        say: called with a line at the start of every slow phase.

    Raises:
        EscadaError: the run is finished or being trained, its data are missing or changed, or the
            setup breaks bit-identity (unless `allow_differences`).
        Interrupted: the user asked to stop again.
    """
    open_run(path)  # before a lock file is created there
    with _alone(path, world):
        return _resume(path, data, allow_differences, world, say)


def _resume(path: Path, data: Path | None, allow_differences: bool, world: World, say: Say) -> Run:
    run = _by_first(partial(open_run, path), world)
    if is_complete(run):
        raise EscadaError(
            "the run is finished", where=path, fix="evaluate it with `escada evaluate`"
        )
    if run.record.continued_from is not None and _never_began(run):
        # Killed between the making of its folder and the copy of where it goes on from.
        if world.first:
            carry_over(open_run(Path(run.record.continued_from.run)), run)
        world.barrier()
    recorded, precision = run.record.setup, run.record.precision
    torch.set_num_threads(recorded.threads)
    setup = resolve_setup(
        run.spec,
        world.device(recorded.device),
        world,
        precision=ResolvedPrecision(precision.name, precision.reason),
        matmul_library=ResolvedMatmulLibrary(recorded.matmul_library),
        dry_run=run.record.dry_run,
    )
    setup = for_model(setup, run.spec, shape_of(run.spec, run.tokenizer.vocab_size))
    here = setup.recorded(run.spec.train)
    if not allow_differences:
        check_same_setup(here, recorded, path)
    corpus = world.first_then_others(lambda: corpus_of(run, data))
    stream_hash = read_whole(run.layout.data, ("stream_hash",))["stream_hash"]
    tokenizer, stream = world.first_then_others(partial(_tokens, run.spec, corpus, say))
    if stream.hash != stream_hash or tokenizer.hash != run.tokenizer.hash:
        raise EscadaError(
            "the prepared tokens are not those that the run began with",
            where=stream.path,
            fix="go on with the version of escada that the run's env.json names",
        )
    _check_model(run.spec, tokenizer.vocab_size, setup)
    batches = _windows(run.spec, stream, run.seed)
    with memory_errors(path, SMALLER):
        return _train(run, corpus, batches, setup, say, here)


def _tokens(spec: Spec, corpus: Corpus, say: Say) -> tuple[Tokenizer, TokenStream]:
    return prepare_tokens(corpus, spec.tokenizer, say=lambda line: say(f"{spec.name}: {line}"))


def _check_model(spec: Spec, vocab_size: int, setup: Setup) -> None:
    """Check the model against its contract before the first step (see `check_contract`)."""
    check_contract(
        spec.model,
        vocab_size,
        window_tokens=spec.train.window_tokens,
        device=setup.device,
        setting=setting_of(setup.precision.name, setup.device),
    )


def _windows(spec: Spec, stream: TokenStream, seed: int) -> WindowBatches:
    return WindowBatches(
        stream,
        window_tokens=spec.train.window_tokens,
        stride_tokens=spec.train.stride_tokens,
        batch_sequences=spec.train.batch_sequences,
        seed=seed,
        objective=spec.train.objective,
    )


def token_groups(corpus: Corpus, stream: TokenStream) -> NDArray[np.int64]:
    """The group number of each token of the training text."""
    numbers: dict[tuple[str, str], int] = {}
    group_D = [
        numbers.setdefault((document.source, document.group), len(numbers))
        for document in corpus.documents("train")
    ]
    lengths_D = np.diff(stream.document_starts, append=stream.n_tokens)
    return np.repeat(np.array(group_D), lengths_D)


def _train(
    run: Run,
    corpus: Corpus,
    batches: WindowBatches,
    setup: Setup,
    say: Say,
    resumed: RecordedSetup | None = None,
) -> Run:
    spec, device, world = run.spec, setup.device, setup.world
    # A sharded model moves to its device part by part, and would not fit as a whole.
    host = torch.device("cpu") if setup.sharding.on else device
    if setup.compiling.on:
        say(f"{spec.name}: compiling the training step")
    meter = Meter(run, device)
    save_meter = meter.save if world.first else lambda: None
    kept = settle_host_memory(
        spec,
        shape_of(spec, run.tokenizer.vocab_size),
        device,
        setup.precision,
        sequences=setup.share(spec.train).micro_batch_sequences,
        processes=world.size,
        shards=setup.shards,
    )
    _note(run, world, keeps_large_blocks=kept)

    def new_training(steps: int, state: TrainingState | None = None) -> Training:
        model = run.new_model().to(host)
        if isinstance(model, ReadsTrainingText):
            say(f"{spec.name}: reading the training text")
            stream = batches.stream
            model.read_training_text(stream.read(0, stream.n_tokens), token_groups(corpus, stream))
        return Training(run, model, batches, setup, total_steps=steps, state=state)

    if run.record.total_steps is None:
        if spec.train.budget.unit == "seconds" or run.record.dry_run:
            say(f"{spec.name}: calibrating: a few steps are timed and thrown away")
        _note(run, world, **fixed_steps(run, new_training(1_000_000)))
    training = at_last_checkpoint(run, new_training, host)
    say_kept(spec, training.model, training.total_steps, say)  # only tells
    if resumed is not None:
        _note(run, world, **setup_changes(run.record, resumed, training.state.step))
    validate = ruler_validation(
        spec,
        run.tokenizer,
        document_sample(corpus, "validation", spec.train.validation_bytes),
    )
    with _watched(training) as (log, show), interruptions(world) as interrupted:
        _note(run, world, status="training")
        try:
            training.go(log, meter.timed(validate), show, interrupted, save_meter)
        except Interrupted:
            _account(training, meter, "interrupted")
            raise
    _account(training, meter, "finished")
    return run


def _account(training: Training, meter: Meter, status: str) -> None:
    totals = training.totals()
    if training.world.first:  # before the record, so that no finished run lacks it
        precision = training.setup.precision.name
        write_sheet(
            training.run, meter, training.batches, totals, precision=precision, status=status
        )
    _note(training.run, training.world, status=status, **dict(totals))


@contextmanager
def _watched(training: Training) -> Generator[tuple[Log, Show]]:
    """The log and progress display of a training; no-ops except on rank 0."""
    if not training.world.first:
        yield lambda _row: None, lambda _step, _figures: None
        return
    spec, first, total = training.spec, training.state.step, training.total_steps
    logged = training.state.logged_rows
    begun = time.monotonic()
    with (
        MetricsLog(training.run.layout, step=first, rows_before=logged) as log,
        LiveProgress(f"{spec.name} ({spec.preset})") as live,
    ):

        def show(step: int, figures: str) -> None:
            left = (total - step) * (time.monotonic() - begun) / (step - first)
            said = f"{step:,}/{total:,} steps  {figures}  {duration(left)} left"
            live.update(step, total, said)

        yield log.write, show
