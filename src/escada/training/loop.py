"""The training loop of every rung.

A step: set the learning rates → accumulate the micro-batches → clip → update if all is finite
(`escada.training.step`). At certain steps the loop synchronizes with the device: it stops if a step
was refused, logs, scores the validation documents and saves a checkpoint.

Several processes run the same loop, each on its rows of the batch (`escada.training.distributed`).
They agree on when to stop and save; only rank 0 logs, validates and writes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from escada.cost.flops import targets_per_step, training_flops_per_step
from escada.cost.peak_memory import peak_memory_bytes
from escada.cost.sheet import TrainingTotals
from escada.errors import EscadaError
from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Checkpoint, help_to_save, save_checkpoint
from escada.runs.kept import Keeper  # only tells
from escada.runs.run import Run
from escada.runs.sharded_tensors import local
from escada.spec import Spec
from escada.text.batches import WindowBatches
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer
from escada.training.distributed import Agreement, seed_step
from escada.training.metrics import Log, Row
from escada.training.schedules import rate_factor
from escada.training.setup import Setup
from escada.training.sharding import whole_copy
from escada.training.state import TrainingState, checkpoint_of, restore_training
from escada.training.step import Stepper, Windows

LOG_ROWS = 200
CHECKPOINT_SECONDS, MOST_CHECKPOINT_SECONDS = 60.0, 600.0
"""Between checkpoints: more if saving takes long, but less than energy counters take to wrap."""
SAVING_SHARE = 0.05

Show = Callable[[int, str], None]
"""Shows a step and its figures."""


class Interrupted(Exception):  # noqa: N818 - a request of the user, not an error
    """The user asked to stop; the run at `path` is saved and can be resumed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"stopped; resume {path}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Validation:
    """Scores on the validation sample."""

    bits_per_byte: float
    loss: float
    """Nats per token."""


def ruler_validation(
    spec: Spec, tokenizer: Tokenizer, documents: list[Document]
) -> Callable[[LanguageModel], Validation]:
    """Make a function that scores a model on `documents` in fp32, as the ruler does."""

    def validate(model: LanguageModel) -> Validation:
        scores = score_documents(
            model,
            tokenizer,
            documents,
            context_tokens=spec.evaluation.context_tokens or spec.train.window_tokens,
        )
        loss = float(scores.nats.sum()) / int(scores.tokens.sum())
        assert math.isfinite(loss)
        return Validation(bits_per_byte=bits_per_byte(scores), loss=loss)

    return validate


class Training:
    """A model being trained, at some step."""

    def __init__(
        self,
        run: Run,
        model: LanguageModel,
        batches: WindowBatches,
        setup: Setup,
        *,
        total_steps: int,
        state: TrainingState | None = None,
    ) -> None:
        self.run, self.spec, self.train = run, run.spec, run.spec.train
        self.model, self.batches, self.setup = model, batches, setup
        self.world, self.share = setup.world, setup.share(self.train)
        self.total_steps = total_steps
        self.state = state or TrainingState()
        self.stepper = Stepper(model, self.train, setup)
        # Summed over all processes at the last check, then added to by each process.
        self.stepper.nats += self.state.unlogged_nats if self.world.first else 0.0
        self.targets_per_step = targets_per_step(self.train)
        self.flops_per_step = training_flops_per_step(model, self.train)
        self._keeper = Keeper(run, total_steps, first=setup.world.first)  # only tells
        self._log_every = max(1, total_steps // LOG_ROWS)
        self._validation_steps = {
            round(total_steps * i / self.train.validations)
            for i in range(1, self.train.validations + 1)
        }
        if setup.compiling.on or self.world.size > 1:
            self.stepper.rehearse(self._micro_batches(0)[0])

    def step(self) -> None:
        """One optimizer step."""
        state, stepper = self.state, self.stepper
        seed_step(self.run.seed, state.step, self.world.rank, self.setup.device)
        stepper.set_rates(rate_factor(self.train, state.step, self.total_steps))
        stepper.accumulate(self._micro_batches(state.step))
        stepper.clip()
        stepper.update()
        state.step += 1
        state.unlogged_steps += 1

    def _micro_batches(self, step: int) -> list[Windows]:
        """This process's rows of a step's windows, on the device."""
        rows, device = self.share.sequences, self.setup.device
        first = step * self.train.batch_sequences + self.world.rank * rows
        starts = self.batches.starts(first, rows)
        ids_BT = torch.from_numpy(self.batches.stream.windows(starts, self.train.window_tokens + 1))
        if device.type == "cuda":
            ids_BT = ids_BT.pin_memory()  # copying from pageable memory would block
        ids_BT = ids_BT.to(device, non_blocking=True)
        windows = zip(
            torch.split(ids_BT, self.share.micro_batch_sequences),
            torch.split(torch.from_numpy(starts), self.share.micro_batch_sequences),
            strict=True,
        )
        return list(windows)

    def go(
        self,
        log: Log,
        validate: Callable[[LanguageModel], Validation],
        show: Show,
        interrupted: Callable[[], bool],
        save_meter: Callable[[], None] = lambda: None,
    ) -> None:
        """Train to the end of the budget.

        Args:
            show: called with the step and its metrics when they are logged.
            save_meter: called after each checkpoint is saved.

        Raises:
            Interrupted: the user asked to stop; a checkpoint is saved.
            EscadaError: the loss is no longer finite, or the disk is full.
        """
        state, agreement = self.state, Agreement(self.world)
        saved, clock, pause = time.perf_counter(), time.perf_counter(), CHECKPOINT_SECONDS
        while state.step < self.total_steps and not state.stopped_early:
            self.step()
            clock += self._keeper.after_step(self.model, state.step)  # only tells
            last = state.step == self.total_steps
            logging = last or state.step % self._log_every == 0
            validating = state.step in self._validation_steps
            overdue = self.world.first and time.perf_counter() - saved > pause
            stopping, saving = agreement.ask(interrupted(), overdue)
            saving = saving or validating or stopping
            if logging or saving:
                self._check_finite()
                now = time.perf_counter()
                state.seconds += now - clock
                state.unlogged_seconds += now - clock
                if logging:
                    show(state.step, self._log(log))
                best = validating and self._validate(log, validate)
                if saving:
                    begun = time.perf_counter()
                    self._save(best)
                    save_meter()
                    saved = time.perf_counter()
                    pause = min((saved - begun) / SAVING_SHARE, MOST_CHECKPOINT_SECONDS)
                    pause = max(pause, CHECKPOINT_SECONDS)
                clock = time.perf_counter()
            if stopping and not last:
                raise Interrupted(self.run.path)
        self._keeper.at_end(self.model, state.step)  # only tells

    def _check_finite(self) -> None:
        state, stepper = self.state, self.stepper
        sums = self.world.sum(torch.stack([stepper.nats, stepper.refused_steps]))
        state.unlogged_nats, refused = sums[0].item(), sums[1].item()  # synchronizes
        stepper.nats = sums[0] if self.world.first else torch.zeros_like(sums[0])
        if not math.isfinite(state.unlogged_nats):
            raise self._diverged("loss")
        if refused:
            raise self._diverged("gradient")

    def _diverged(self, what: str) -> EscadaError:
        return EscadaError(
            f"the training diverged: the {what} is not finite at step {self.state.step}",
            where=self.run.path,
            fix="lower train.learning_rate or set train.clip_norm; earlier checkpoints survive",
        )

    def _log(self, log: Log) -> str:
        state = self.state
        steps, seconds = state.unlogged_steps, state.unlogged_seconds
        loss = state.unlogged_nats / (steps * self.targets_per_step)
        tokens_per_second = steps * self.targets_per_step / seconds
        row: Row = {
            "kind": "train",
            "step": state.step,
            "seconds": state.seconds,
            "tokens": state.step * self.targets_per_step,
            "flops": state.step * self.flops_per_step,
            "loss": loss,
            "learning_rate": self.train.learning_rate
            * rate_factor(self.train, state.step - 1, self.total_steps),
            "tokens_per_second": tokens_per_second,
            "flop_per_second": steps * self.flops_per_step / seconds,
            "memory_bytes": peak_memory_bytes(self.setup.device),
        }
        norm = self.stepper.gradient_norm.item()
        if math.isfinite(norm):  # fp16 loss scaling skips steps that overflow
            row["gradient_norm"] = norm
        self._write(log, row)
        state.unlogged_nats, state.unlogged_steps, state.unlogged_seconds = 0.0, 0, 0.0
        self.stepper.nats.zero_()
        return f"loss {loss:.3f}  {tokens_per_second:,.0f} tokens/s"

    def _write(self, log: Log, row: Row) -> None:
        log(row)
        self.state.logged_rows += 1

    def _validate(self, log: Log, validate: Callable[[LanguageModel], Validation]) -> bool:
        """Score the validation sample; True if it is the best so far."""
        state = self.state
        model = self.model if self.world.first else None
        if self.setup.sharding.on:
            model = whole_copy(self.model, self.run, self.setup.device, keep=self.world.first)
        found = self.world.from_first(None if model is None else validate(model))
        assert found is not None
        row: Row = {
            "kind": "validation",
            "step": state.step,
            "seconds": state.seconds,
            "tokens": state.step * self.targets_per_step,
            "flops": state.step * self.flops_per_step,
            "loss": found.loss,
            "bits_per_byte": found.bits_per_byte,
        }
        self._write(log, row)
        better = state.best_bits_per_byte is None or found.bits_per_byte < state.best_bits_per_byte
        if better:
            state.best_bits_per_byte, state.best_step = found.bits_per_byte, state.step
            state.validations_without_gain = 0
        else:
            state.validations_without_gain += 1
            most = self.train.early_stopping
            state.stopped_early = most is not None and state.validations_without_gain >= most
        return better

    def _save(self, best: bool) -> None:
        spoiled = [~local(weight).isfinite().all() for weight in self.model.parameters()]
        if self.world.sum(torch.stack(spoiled).sum()).item():
            raise self._diverged("model")
        checkpoint = checkpoint_of(
            self.model, self.stepper.optimizer, self.stepper.scaler, self.state, self.spec.hash
        )
        if self.world.first:
            save_checkpoint(self.run.layout.checkpoints, checkpoint, best=best)
        else:
            help_to_save(checkpoint)
        self.world.barrier()

    def totals(self) -> TrainingTotals:
        """Totals up to the current step."""
        state = self.state
        tokens = state.step * self.targets_per_step
        return TrainingTotals(
            step=state.step,
            best_step=state.best_step,
            best_bits_per_byte=state.best_bits_per_byte,
            stopped_early=state.stopped_early,
            training_seconds=state.seconds,
            training_tokens=tokens,
            training_flops=state.step * self.flops_per_step,
            tokens_per_second=tokens / state.seconds if state.seconds else None,
            peak_memory_bytes=peak_memory_bytes(self.setup.device),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore optimizer and scaler from a checkpoint whose weights are already loaded."""
        restore_training(checkpoint.training, self.stepper.optimizer, self.stepper.scaler)
