"""The one loop that trains every rung.

A step: set the rate → accumulate the micro-batches → clip → step → meter. At marked steps the sums
are checked to be finite and logged, the validation documents are scored, and a checkpoint is
written. Nothing inside a step waits for the device, so a GPU is never left idle for a number that
nobody reads yet.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from escada.cost.flops import targets_per_step, training_flops_per_step
from escada.cost.memory import peak_memory_bytes
from escada.errors import EscadaError
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Checkpoint, save_checkpoint, weights_of
from escada.runs.run import Run
from escada.text.batches import WindowBatches
from escada.training.metrics import MetricsLog
from escada.training.optimizers import build_optimizer, learning_rate
from escada.training.precision import ResolvedPrecision
from escada.training.progress import Display
from escada.training.state import Progress, restore_training, training_tensors

LOG_ROWS = 200
CHECKPOINT_SECONDS = 60.0


class Interrupted(Exception):  # noqa: N818 - a request of the user, not an error
    """The user asked to stop; the run at `path` is saved and can be resumed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"stopped; resume {path}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Validation:
    """What the ruler says of the validation sample."""

    bits_per_byte: float
    loss: float
    """Nats per token."""


class Training:
    """A model on its way, at some step."""

    def __init__(
        self,
        run: Run,
        model: LanguageModel,
        batches: WindowBatches,
        *,
        total_steps: int,
        device: torch.device,
        precision: ResolvedPrecision,
        progress: Progress | None = None,
    ) -> None:
        self.run, self.spec, self.train = run, run.spec, run.spec.train
        self.model, self.batches, self.device, self.precision = model, batches, device, precision
        self.total_steps = total_steps
        self.progress = progress or Progress()
        self.optimizer = build_optimizer(model, self.train)
        self.scaler = precision.scaler(device)
        self.targets_per_step = targets_per_step(self.train)
        self.flops_per_step = training_flops_per_step(model, self.train)
        self._nats = torch.tensor(self.progress.unlogged_nats, dtype=torch.float64, device=device)
        self._gradient_norm = torch.zeros((), device=device)
        self._log_every = max(1, total_steps // LOG_ROWS)
        self._validation_steps = {
            round(total_steps * i / self.train.validations)
            for i in range(1, self.train.validations + 1)
        }

    # --- one step -----------------------------------------------------------------------------

    def step(self) -> None:
        """One optimizer step."""
        p = self.progress
        self._set_learning_rate()
        self._accumulate()
        self._clip()
        self._update_weights()
        p.step += 1
        p.unlogged_steps += 1

    def _set_learning_rate(self) -> None:
        rate = learning_rate(self.train, self.progress.step, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _accumulate(self) -> None:
        """Sum the gradient of the mean loss over the micro-batches of this step."""
        windows_BT = self.batches.batch(self.progress.step)
        micro = self.train.known_micro_batch or len(windows_BT)
        self.optimizer.zero_grad(set_to_none=True)
        for first in range(0, len(windows_BT), micro):
            nats = self._nats_of(windows_BT[first : first + micro])
            self.scaler.scale(nats / self.targets_per_step).backward()
            self._nats += nats.detach()

    def _nats_of(self, windows_BT: np.ndarray) -> Tensor:
        ids_BT = torch.from_numpy(windows_BT).to(self.device, non_blocking=True)
        targets_BT = ids_BT[:, 1:]
        with self.precision.autocast(self.device):
            logits_BTV = self.model(ids_BT[:, :-1])
            if self.train.objective == "last":
                logits_BTV, targets_BT = logits_BTV[:, -1:], targets_BT[:, -1:]
            return torch.nn.functional.cross_entropy(
                logits_BTV.flatten(0, 1),
                targets_BT.flatten(),
                reduction="sum",
                label_smoothing=self.train.label_smoothing,
            )

    def _clip(self) -> None:
        self.scaler.unscale_(self.optimizer)
        limit = self.train.clip_norm or math.inf
        self._gradient_norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)

    def _update_weights(self) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()

    # --- the whole training -------------------------------------------------------------------

    def go(
        self,
        log: MetricsLog,
        validate: Callable[[LanguageModel], Validation],
        display: Display,
        interrupted: Callable[[], bool],
        save_meter: Callable[[], None] = lambda: None,
    ) -> None:
        """Train to the end of the budget; `save_meter` is called beside each checkpoint.

        Raises:
            Interrupted: the user asked to stop; everything is saved.
            EscadaError: the loss is no longer finite, or the disk is full.
        """
        p = self.progress
        saved = clock = time.perf_counter()
        while p.step < self.total_steps and not p.stopped_early:
            self.step()
            last = p.step == self.total_steps
            validating = p.step in self._validation_steps
            stopping = interrupted()
            saving = validating or stopping or time.perf_counter() - saved > CHECKPOINT_SECONDS
            if p.step % self._log_every == 0 or saving:
                self._check_finite()
                now = time.perf_counter()
                p.seconds += now - clock
                p.unlogged_seconds += now - clock
                if p.step % self._log_every == 0 or last:
                    display.update(p.step, self._log(log))
                best = validating and self._validate(log, validate)
                if saving:
                    save_meter()
                    self._save(best)
                    saved = time.perf_counter()
                clock = time.perf_counter()
            if stopping and not last:
                raise Interrupted(self.run.path)

    def _check_finite(self) -> None:
        p = self.progress
        p.unlogged_nats = self._nats.item()  # waits for the device
        if not math.isfinite(p.unlogged_nats):
            raise EscadaError(
                f"the training diverged: the loss is not finite at step {p.step}",
                where=self.run.path,
                fix="lower train.learning_rate or set train.clip_norm; earlier checkpoints survive",
            )

    def _log(self, log: MetricsLog) -> str:
        p = self.progress
        steps, seconds = p.unlogged_steps, p.unlogged_seconds
        loss = p.unlogged_nats / (steps * self.targets_per_step)
        tokens_per_second = steps * self.targets_per_step / seconds
        log.write(
            "train",
            p.step,
            seconds=p.seconds,
            tokens=p.step * self.targets_per_step,
            flops=p.step * self.flops_per_step,
            loss=loss,
            learning_rate=learning_rate(self.train, p.step - 1, self.total_steps),
            gradient_norm=self._gradient_norm.item(),
            tokens_per_second=tokens_per_second,
            flop_per_second=steps * self.flops_per_step / seconds,
            memory_bytes=peak_memory_bytes(self.device),
        )
        p.unlogged_nats, p.unlogged_steps, p.unlogged_seconds = 0.0, 0, 0.0
        self._nats.zero_()
        return f"loss {loss:.3f}  {tokens_per_second:,.0f} tokens/s"

    def _validate(self, log: MetricsLog, validate: Callable[[LanguageModel], Validation]) -> bool:
        """Score the validation sample; True when it is the best so far."""
        p = self.progress
        found = validate(self.model)
        log.write(
            "validation",
            p.step,
            seconds=p.seconds,
            tokens=p.step * self.targets_per_step,
            flops=p.step * self.flops_per_step,
            loss=found.loss,
            bits_per_byte=found.bits_per_byte,
        )
        better = p.best_bits_per_byte is None or found.bits_per_byte < p.best_bits_per_byte
        if better:
            p.best_bits_per_byte, p.best_step = found.bits_per_byte, p.step
            p.validations_without_gain = 0
        else:
            p.validations_without_gain += 1
            patience = self.train.early_stopping
            p.stopped_early = patience is not None and p.validations_without_gain >= patience
        return better

    def _save(self, best: bool) -> None:
        save_checkpoint(
            self.run.layout.checkpoints,
            Checkpoint(
                step=self.progress.step,
                spec_hash=self.spec.hash,
                weights=weights_of(self.model),
                training=training_tensors(self.optimizer, self.scaler, self.device),
                facts=self.progress.to_facts(),
            ),
            best=best,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint's optimizer, scaler and random state (its weights are loaded)."""
        restore_training(checkpoint.training, self.optimizer, self.scaler, self.device)
