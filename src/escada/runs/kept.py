"""Weights kept on the way through a training, to measure later what was learned when.

    train.keep = "log"          # at most 12 steps, evenly spaced in log(step), the last included

    checkpoints/kept/
      step-00000015/   model.safetensors   kept.json (step, hash)

    for step in kept_in(run):                           # 15, 24, 39, …
        at = at_step(run, step)                         # a view: those weights, results of its own
        evaluate(Subject(at, corpus), [PAIRS])          # into evaluation/kept/step-00000015/

They are exact (fp32), have no optimizer state, and no training goes on from them. A killed training
keeps the same set: a step after its last checkpoint is trained, and kept, again. Keeping changes
neither the weights nor the log: the loop only hands them over here.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

import torch
from torch import nn

from escada.errors import EscadaError, nearest
from escada.files import new_directory, write_sealed_json
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Which, load_weights, read_tensors, weights_of
from escada.runs.device import synchronize
from escada.runs.layout import RESTORE, Layout, read_whole
from escada.runs.run import Run
from escada.runs.sharded_tensors import gathered, write_tensors
from escada.spec import Spec
from escada.typed_json import JsonObject, parse

SCHEMA_VERSION = 1
MOST_KEPT = 12
FIRST_SHARE = 200
"""The first kept step is the one after this part of the training, or step 1."""
FOLDER = "kept"
_WEIGHTS, _ABOUT = "model.safetensors", "kept.json"


def kept_steps(total_steps: int) -> list[int]:
    """The steps to keep of a training: at most `MOST_KEPT`, ascending, the last included."""
    first = max(1, total_steps // FIRST_SHARE)
    ratio = total_steps / first
    wanted = {round(first * ratio ** (i / (MOST_KEPT - 1))) for i in range(MOST_KEPT)}
    return sorted(wanted)


def weights_bytes(model: nn.Module) -> int:
    """Disk that the weights take; `model` may be on the meta device, or sharded."""
    return sum(tensor.numel() * tensor.element_size() for tensor in weights_of(model).values())


def say_kept(spec: Spec, model: nn.Module, total_steps: int, say: Callable[[str], None]) -> None:
    """Say what a training will keep, before its first step."""
    if spec.train.keep == "log":
        count, size = len(kept_steps(total_steps)), weights_bytes(model) / 2**20
        say(f"{spec.name}: keeping the weights of {count} steps, {count * size:,.1f} MiB in all")


class Keeper:
    """Keeps the weights of a run's training at the chosen steps; none unless `train.keep` is "log".

    All processes of a training call it together.

    Args:
        first: whether this process is the one that writes.
    """

    def __init__(self, run: Run, total_steps: int, *, first: bool) -> None:
        self._run, self._first = run, first
        self._on = run.spec.train.keep == "log"
        self._steps = frozenset(kept_steps(total_steps)) if self._on else frozenset[int]()
        self._kept: int | None = None

    def after_step(self, model: LanguageModel, step: int) -> float:
        """Keep the weights if it is time to; returns the seconds that this took.

        Raises:
            EscadaError: disk full or not writable.
        """
        if step not in self._steps:
            return 0.0
        synchronize(model.device)
        began = time.perf_counter()
        self._keep(model, step)
        return time.perf_counter() - began

    def at_end(self, model: LanguageModel, step: int) -> None:
        """Keep the last weights, also where the training stopped early."""
        if self._on and step != self._kept:
            self._keep(model, step)

    def _keep(self, model: LanguageModel, step: int) -> None:
        weights = weights_of(model)
        if self._first:
            path = _folder(self._run.layout) / _name(step)
            shutil.rmtree(path, ignore_errors=True)  # of before a kill, or of another setup
            with new_directory(path, f"the weights of step {step:,} are not kept") as new:
                about = {
                    "schema_version": SCHEMA_VERSION,
                    "step": step,
                    "spec_hash": self._run.spec.hash,
                    "sha256": write_tensors(new / _WEIGHTS, weights),
                }
                write_sealed_json(new / _ABOUT, about)
        else:
            for _ in gathered(weights, keep=False):
                pass
        self._kept = step


class KeptLayout(Layout):
    """The paths of a run, but for results: those of one kept step."""

    def __init__(self, path: Path, step: int) -> None:
        super().__init__(path)
        self.results = path / "evaluation" / FOLDER / _name(step)
        self.samples = self.results / "samples.json"


@dataclass
class KeptRun(Run):
    """A run as it was at a kept step: its weights, and results in a folder of their own."""

    step: int = 0

    def load_model(
        self, which: Which = "last", device: torch.device | str = "cpu"
    ) -> LanguageModel:
        """The model of the step, whatever `which` is, in evaluation mode.

        Raises:
            EscadaError: damaged, of another spec, or left out of an archive.
        """
        about, path = self._about, self._path
        if about.spec_hash != self.spec.hash:
            raise EscadaError("the weights belong to another spec", where=path, fix=RESTORE)
        if not (path / _WEIGHTS).exists():
            what = "the weights of this step are not here; an archive leaves them out"
            raise EscadaError(what, where=path, fix=RESTORE)
        model = self.new_model().to(device)
        tensors = read_tensors(path / _WEIGHTS, about.sha256, torch.device(device))
        load_weights(model, tensors, path)
        return model.eval()

    def weights_sha256(self, which: Which) -> str:
        """SHA-256 of the weights of the step."""
        return self._about.sha256

    @property
    def _path(self) -> Path:
        return _folder(self.layout) / _name(self.step)

    @property
    def _about(self) -> _About:
        file = self._path / _ABOUT
        return parse(_About, read_whole(file, tuple(_About.model_fields)), file)


class _About(JsonObject):
    step: int
    spec_hash: str
    sha256: str


def kept_in(run: Run) -> list[int]:
    """The steps whose weights a run has kept, ascending."""
    found = _folder(run.layout).glob(f"step-*/{_ABOUT}")
    return sorted(int(path.parent.name.removeprefix("step-")) for path in found)


def at_step(run: Run, step: int) -> KeptRun:
    """The run as it was at a kept step.

    Raises:
        EscadaError: the weights of this step were not kept.
    """
    if step not in (there := kept_in(run)):
        near = nearest(str(step), [str(one) for one in there]) if there else need_kept()
        raise EscadaError(f"no weights of step {step} were kept", where=run.path, fix=near)
    return KeptRun(KeptLayout(run.path, step), run.spec, run.record, step=step)


def need_kept() -> str:
    """What a run without kept weights needs."""
    return "train it with --set train.keep=log"


def is_kept_weights(place: PurePath) -> bool:
    """Whether a path within a run or a climb is that of kept weights, which archives leave out."""
    return place.name == _WEIGHTS and FOLDER in place.parts


def _folder(layout: Layout) -> Path:
    return layout.checkpoints / FOLDER


def _name(step: int) -> str:
    return f"step-{step:08d}"
