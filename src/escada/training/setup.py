"""The computation setup: resolved before a training, recorded, and compared on resume.

    setup = resolve_setup(spec, world.device("auto"), world)            # resolves every `auto`
    Stepper(model, spec.train, setup)
    setup.recorded(spec.train)                                          # into record.json
    check_same_setup(setup.recorded(spec.train), record.setup, path)    # before a resume

A resume is bit-identical if the setup is the same, and refused otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from escada.errors import EscadaError
from escada.models.contract import LanguageModel
from escada.models.onednn import onednn_packs
from escada.runs.record import EarlierSetup, RecordedSetup, RunRecord
from escada.spec import Spec, TrainSpec
from escada.training.compilation import ResolvedCompile, resolve_compile
from escada.training.distributed import BatchShare, World, share_of
from escada.training.precision import (
    BLAS,
    ResolvedMatmulLibrary,
    ResolvedPrecision,
    resolve_matmul_library,
    resolve_precision,
)
from escada.training.sharding import NOT_SHARDED, ResolvedSharding, resolve_sharding


@dataclass(frozen=True, slots=True)
class Setup:
    """Device, precision, compilation, processes, sharding and matmul library of a training."""

    device: torch.device
    precision: ResolvedPrecision
    compiling: ResolvedCompile
    world: World
    sharding: ResolvedSharding = NOT_SHARDED
    matmul_library: ResolvedMatmulLibrary = BLAS

    @property
    def shards(self) -> int:
        """Processes that divide weights, gradients and optimizer state among them."""
        return self.world.size if self.sharding.on else 1

    def share(self, train: TrainSpec) -> BatchShare:
        """The part of a step that each process trains; see `share_of`."""
        return share_of(train, self.world.size)

    def recorded(self, train: TrainSpec) -> RecordedSetup:
        """The setup for record.json; `train` has its micro-batch chosen."""
        return RecordedSetup(
            device=self.device.type,
            threads=torch.get_num_threads(),
            precision=self.precision.name,
            micro_batch_sequences=self.share(train).micro_batch_sequences,
            torch=torch.__version__,
            cpu_capability=torch.backends.cpu.get_cpu_capability(),
            processes=self.world.size,
            compiled=self.compiling.on,
            sharded=self.sharding.on,
            matmul_library=self.matmul_library.name,
        )


def resolve_setup(
    spec: Spec,
    device: torch.device,
    world: World,
    *,
    precision: ResolvedPrecision | None = None,
    matmul_library: ResolvedMatmulLibrary | None = None,
    dry_run: bool = False,
) -> Setup:
    """Resolve everything that a spec leaves open, the same on every process.

    A resume passes the recorded `precision` and `matmul_library`.

    Raises:
        EscadaError: the device would only emulate the precision.
    """
    if precision is None:  # measured, so processes might disagree
        precision = world.from_first(resolve_precision(spec.train.precision, device))
    compiling = resolve_compile(spec, device, dry_run=dry_run)
    recorded = matmul_library is not None and matmul_library.name == "onednn"
    if compiling.on or (recorded and not onednn_packs(torch.float32)):
        matmul_library = BLAS  # where a resume asks for more than is here, `check_same_setup` tells
    elif matmul_library is None:
        matmul_library = world.from_first(resolve_matmul_library(precision.name, device))
    return Setup(device, precision, compiling, world, matmul_library=matmul_library)


def for_model(setup: Setup, spec: Spec, shape: LanguageModel) -> Setup:
    """The setup with all resolved that depends on the model, which may be on the meta device.

    Raises:
        EscadaError: sharding or recomputation is asked for, and impossible with this spec.
    """
    if spec.train.recompute and not shape.units():
        raise EscadaError(
            f"the model {spec.model.kind} names no units to repeat",
            where="train.recompute",
            fix="give it a method `units`, or leave train.recompute out",
        )
    sharding = resolve_sharding(
        spec,
        shape,
        setup.device,
        setup.world,
        precision=setup.precision,
        compiling=setup.compiling,
    )
    if not (sharding.on and setup.compiling.on):
        return replace(setup, sharding=sharding)
    plain = ResolvedCompile(False, "auto: weights are sharded")
    return replace(setup, sharding=sharding, compiling=plain)


def check_same_setup(here: RecordedSetup, recorded: RecordedSetup, where: object) -> None:
    """Raise an EscadaError with all differences if a resume would not be bit-identical."""
    before = recorded.model_dump()
    differing = [
        f"{name} {value!r} (was {before[name]!r})"
        for name, value in here.model_dump().items()
        if value != before[name]
    ]
    if differing:
        raise EscadaError(
            "a resume here would not be bit-identical: " + ", ".join(differing),
            where=where,
            fix="go on all the same with --allow-differences",
        )


def setup_changes(record: RunRecord, here: RecordedSetup, step: int) -> dict[str, object]:
    """Updates to the record of a run that goes on with another setup from `step`.

    `setup` is the current one; `earlier_setups` lists those before it.
    """
    if record.setup == here:
        return {}
    left = EarlierSetup(**record.setup.model_dump(), to=step)
    return {"setup": here, "earlier_setups": [*record.earlier_setups, left]}
