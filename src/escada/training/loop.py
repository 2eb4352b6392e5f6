"""The one loop that trains every rung.

A step: set the rates → accumulate the micro-batches → clip → step, if all is finite → meter. At
marked steps the sums are logged, a refused step ends the training, the validation documents are
scored, and a checkpoint is written. Nothing inside a step waits for the device, so a GPU is never
left idle for a number that nobody reads yet.

Several processes run the same loop, each on its rows of the batch (`escada.training.distributed`).
They agree on when to stop and to save, and only the first one logs, validates and writes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from escada.cost.flops import targets_per_step, training_flops_per_step
from escada.cost.memory import peak_memory_bytes
from escada.errors import EscadaError
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Checkpoint, save_checkpoint, weights_of
from escada.runs.run import Run
from escada.text.batches import WindowBatches
from escada.training.compilation import ResolvedCompile, compile_errors
from escada.training.distributed import ALONE, Agreement, World, seed_step, share_of
from escada.training.gradients import clip_norm, gradient_tensors
from escada.training.metrics import Log
from escada.training.objective import Objective
from escada.training.optimizers import build_optimizer
from escada.training.precision import ResolvedPrecision
from escada.training.progress import Display
from escada.training.schedules import rate_factor
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
        compiling: ResolvedCompile,
        world: World = ALONE,
        progress: Progress | None = None,
    ) -> None:
        self.run, self.spec, self.train = run, run.spec, run.spec.train
        self.model, self.batches, self.device, self.precision = model, batches, device, precision
        self.total_steps = total_steps
        self.world, self.share = world, share_of(self.train, world.size)
        self.progress = progress or Progress()
        self.optimizer = build_optimizer(model, self.train)
        self.scaler = precision.scaler(device)
        self.targets_per_step = targets_per_step(self.train)
        self.flops_per_step = training_flops_per_step(model, self.train)
        self.objective = world.distribute(compiling.apply(Objective(model, self.train)), device)
        # Those of all processes up to the last check, and since then those of this one.
        nats = self.progress.unlogged_nats if world.first else 0.0
        self._nats = torch.tensor(nats, dtype=torch.float64, device=device)
        self._gradient_norm = torch.zeros((), device=device)
        self._refused_steps = torch.zeros((), dtype=torch.float64, device=device)
        self._log_every = max(1, total_steps // LOG_ROWS)
        self._validation_steps = {
            round(total_steps * i / self.train.validations)
            for i in range(1, self.train.validations + 1)
        }
        if compiling.on or world.size > 1:
            self._rehearse()

    def _rehearse(self) -> None:
        """One micro-batch without a step, before any clock runs.

        It compiles, and lets DistributedDataParallel put its buckets in the order in which
        gradients come: from then on, and after a resume too, every step sums in the same order.
        """
        micro_BT = self._windows(0)[: self.share.micro_batch_sequences]
        with compile_errors():
            self._nats_of(micro_BT).backward()
        self.model.zero_grad(set_to_none=True)

    # --- one step -----------------------------------------------------------------------------

    def step(self) -> None:
        """One optimizer step."""
        p = self.progress
        self._set_learning_rates()
        self._accumulate()
        self._clip()
        self._update_weights()
        p.step += 1
        p.unlogged_steps += 1

    def _set_learning_rates(self) -> None:
        factor = rate_factor(self.train, self.progress.step, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def _accumulate(self) -> None:
        """Sum the gradient of the mean loss over the micro-batches of this step."""
        step = self.progress.step
        seed_step(self.run.seed, step, self.world.rank, self.device)
        self.optimizer.zero_grad(set_to_none=True)
        # Processes average their gradients, where the step wants the sum.
        divisor = self.targets_per_step / self.world.size
        micros: Sequence[Tensor] = torch.split(
            self._windows(step), self.share.micro_batch_sequences
        )
        for number, micro_BT in enumerate(micros, start=1):
            with self.world.keep_local(self.objective, local=number < len(micros)):
                nats = self._nats_of(micro_BT)
                self.scaler.scale(nats / divisor).backward()
            self._nats += nats.detach()

    def _windows(self, step: int) -> Tensor:
        """This process's rows of the windows of a step, on the device: (B, T + 1)."""
        rows = self.share.sequences
        first = step * self.train.batch_sequences + self.world.rank * rows
        starts = self.batches.starts(first, rows)
        ids_BT = torch.from_numpy(self.batches.stream.windows(starts, self.train.window_tokens + 1))
        if self.device.type == "cuda":
            ids_BT = ids_BT.pin_memory()  # a copy from other memory would wait for the GPU
        return ids_BT.to(self.device, non_blocking=True)

    def _nats_of(self, ids_BT: Tensor) -> Tensor:
        with self.precision.autocast(self.device):
            return self.objective(ids_BT)

    def _clip(self) -> None:
        self.scaler.unscale_(self.optimizer)
        gradients = gradient_tensors(self.model)
        self._gradient_norm = torch.nn.utils.get_total_norm(gradients)
        if self.train.clip_norm is not None:
            clip_norm(gradients, self._gradient_norm, self.train.clip_norm)

    def _update_weights(self) -> None:
        """The optimizer's step; one whose loss or gradient is not finite changes no weight."""
        if not self.scaler.is_enabled():  # which refuses such steps itself, and goes on
            refused = ~(self._gradient_norm.isfinite() & self._nats.isfinite())
            vars(self.optimizer)["found_inf"] = refused.float()
            self._refused_steps += refused
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _logs_after(self, step: int) -> bool:
        return step % self._log_every == 0 or step == self.total_steps

    # --- the whole training -------------------------------------------------------------------

    def go(
        self,
        log: Log,
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
        agreement = Agreement(self.world)
        saved = clock = time.perf_counter()
        while p.step < self.total_steps and not p.stopped_early:
            self.step()
            last = p.step == self.total_steps
            validating = p.step in self._validation_steps
            overdue = self.world.first and time.perf_counter() - saved > CHECKPOINT_SECONDS
            stopping, saving = agreement.ask(interrupted(), overdue)
            saving = saving or validating or stopping
            if p.step % self._log_every == 0 or saving:
                self._check_finite()
                now = time.perf_counter()
                p.seconds += now - clock
                p.unlogged_seconds += now - clock
                if self._logs_after(p.step):
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
        sums = self.world.sum(torch.stack([self._nats, self._refused_steps]))
        p.unlogged_nats, refused = sums[0].item(), sums[1].item()  # waits for the device
        self._nats = sums[0] if self.world.first else torch.zeros_like(sums[0])
        if not math.isfinite(p.unlogged_nats):
            raise self._diverged("loss")
        if refused:
            raise self._diverged("gradient")

    def _diverged(self, what: str) -> EscadaError:
        return EscadaError(
            f"the training diverged: the {what} is not finite at step {self.progress.step}",
            where=self.run.path,
            fix="lower train.learning_rate or set train.clip_norm; earlier checkpoints survive",
        )

    def _log(self, log: Log) -> str:
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
            learning_rate=self.train.learning_rate
            * rate_factor(self.train, p.step - 1, self.total_steps),
            **self._finite_norm(),
            tokens_per_second=tokens_per_second,
            flop_per_second=steps * self.flops_per_step / seconds,
            memory_bytes=peak_memory_bytes(self.device),
        )
        p.unlogged_nats, p.unlogged_steps, p.unlogged_seconds = 0.0, 0, 0.0
        self._nats.zero_()
        return f"loss {loss:.3f}  {tokens_per_second:,.0f} tokens/s"

    def _finite_norm(self) -> dict[str, float]:
        """The gradient's norm; nothing for a step that loss scaling skips for being too large."""
        norm = self._gradient_norm.item()
        return {"gradient_norm": norm} if math.isfinite(norm) else {}

    def _validate(self, log: Log, validate: Callable[[LanguageModel], Validation]) -> bool:
        """Score the validation sample; True when it is the best so far."""
        p = self.progress
        found = self.world.from_first(validate(self.model) if self.world.first else None)
        assert found is not None
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
        if self.world.first:
            if not all(weight.isfinite().all() for weight in self.model.parameters()):
                raise self._diverged("model")
            self._write_checkpoint(best)
        self.world.barrier()

    def _write_checkpoint(self, best: bool) -> None:
        save_checkpoint(
            self.run.layout.checkpoints,
            Checkpoint(
                step=self.progress.step,
                spec_hash=self.spec.hash,
                weights=weights_of(self.model),
                training=training_tensors(self.optimizer, self.scaler),
                facts=self.progress.to_facts(),
            ),
            best=best,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint's optimizer and scaler (its weights are loaded)."""
        restore_training(checkpoint.training, self.optimizer, self.scaler)
