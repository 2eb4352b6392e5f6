"""What must be the same for a resume to be bit-identical, and what happened when it was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from escada.errors import EscadaError
from escada.training.compilation import ResolvedCompile
from escada.training.distributed import Share, World
from escada.training.precision import ResolvedPrecision


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What must be the same for a resume to be bit-identical.

    The last two came later; a run of before was trained by one process and not compiled.
    """

    device: str
    threads: int
    precision: str
    micro_batch_sequences: int
    """In one forward pass of one process."""
    torch: str
    cpu_capability: str
    processes: int = 1
    compiled: bool = False

    def check_same(self, recorded: Circumstances, where: object) -> None:
        """Refuse a resume that would not be bit-identical.

        Raises:
            EscadaError: names every difference.
        """
        before = asdict(recorded)
        differing = [
            f"{name} {value!r} (was {before[name]!r})"
            for name, value in asdict(self).items()
            if value != before[name]
        ]
        if differing:
            raise EscadaError(
                "a resume here would not be bit-identical: " + ", ".join(differing),
                where=where,
                fix="go on all the same with --allow-differences",
            )


def circumstances_here(
    device: torch.device,
    precision: ResolvedPrecision,
    compiling: ResolvedCompile,
    world: World,
    share: Share,
) -> Circumstances:
    """Those of this process."""
    return Circumstances(
        device=device.type,
        threads=torch.get_num_threads(),
        precision=precision.name,
        micro_batch_sequences=share.micro_batch_sequences,
        torch=torch.__version__,
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        processes=world.size,
        compiled=compiling.on,
    )


def moved(record: Mapping[str, Any], here: Circumstances, step: int) -> dict[str, Any]:
    """Facts for the record of a run that goes on under other circumstances than before.

    `circumstances` are always those of the last steps; `earlier_circumstances` lists the others,
    each with the step that it lasted to.
    """
    if Circumstances(**record["circumstances"]) == here:
        return {}
    earlier = [*record.get("earlier_circumstances", []), record["circumstances"] | {"to": step}]
    return {"circumstances": asdict(here), "earlier_circumstances": earlier}
