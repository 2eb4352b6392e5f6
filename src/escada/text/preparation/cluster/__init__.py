"""Runs the shares of a preparation on a cluster, by datatrove's executors for Ray and Slurm.

    prepare(source, out, run=on_ray(RayOptions(), workers=16))
    prepare(source, out, run=on_slurm(options, workers=64, finish=again))

A share is a block of datatrove's pipelines; what is left once the parts are there is another. On
Ray the calling process does the rest, as on one machine; on Slurm a job that waits for the others
does, and `prepare` raises SubmittedError as soon as both are in the queue. All machines see the
corpus's folder and the source under the same paths.

Which tasks have ended is datatrove's business within one run: what is kept is parts, whatever
number of tasks made them. Needs the extra `escada[scale]`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from escada.choices import Executor
from escada.errors import EscadaError, nearest
from escada.files import read_toml
from escada.text.preparation.cluster.ray import RayOptions, on_ray
from escada.text.preparation.cluster.slurm import SlurmOptions, SubmittedError, on_slurm
from escada.text.preparation.processes import Run
from escada.toml_tables import StrictTable, field_keys, validated

__all__ = ["RayOptions", "SlurmOptions", "SubmittedError", "on_ray", "on_slurm", "run_of"]

S = TypeVar("S", bound=StrictTable)


def run_of(
    executor: Executor,
    options: Path | None,
    workers: int | None,
    finish: Callable[..., object],
) -> Run | None:
    """What `--executor` says: what runs the shares, None for processes of this machine.

    Args:
        options: a TOML file; see `RayOptions` and `SlurmOptions`.
        workers: tasks; None: as many as the cluster has CPUs (Ray only).
        finish: see `on_slurm`.

    Raises:
        EscadaError: the options are no TOML file, with an unknown or missing key or a wrong value;
            the executor needs other arguments; the extra is not installed.
    """
    where = f"--executor {executor}"
    if executor == "local":
        if options is not None:
            fix = "leave it out, or choose slurm or ray"
            raise EscadaError("--executor-options has no meaning here", where=where, fix=fix)
        return None
    if executor == "ray":
        return on_ray(_read(RayOptions, options), workers)
    if workers is None:
        raise EscadaError("how many tasks?", where=where, fix="say so with --workers")
    return on_slurm(_read(SlurmOptions, options), workers, finish)


def _read(kind: type[S], path: Path | None) -> S:
    table = {} if path is None else read_toml(path, "fix it")
    where = "--executor-options" if path is None else path
    keys = field_keys(kind)
    for key in set(table) - set(keys):  # said before a required key that is then missing
        raise EscadaError(f"unknown key {key!r}", where=where, fix=nearest(key, keys))
    return validated(kind, table, where, keys, fix="change it")
