"""Shares as tasks of a Ray cluster."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from escada.errors import EscadaError
from escada.extensions import needed
from escada.text.preparation.cluster.block import EXTRA, Block, datatrove, new_logs
from escada.text.preparation.processes import Run, Share, UnfinishedError
from escada.toml_tables import StrictTable

_ANSWER_SECONDS = 20.0


class RayOptions(StrictTable):
    """Keys of `--executor-options` for Ray."""

    address: str = "auto"
    """Of a running cluster, unless RAY_ADDRESS is set; auto: the one that this machine is in."""
    cpus_per_task: Annotated[int, Field(ge=1)] = 1
    mem_per_cpu_gb: Annotated[float, Field(gt=0)] = 2


def on_ray(options: RayOptions, workers: int | None) -> Run:
    """Run shares as tasks of a Ray cluster; `workers` of them, or one for each of its CPUs.

    Raises:
        EscadaError: no such cluster, none of its machines is large enough, or what a share raises.
        UnfinishedError: a task was killed, or met with an error that is not the user's.
    """
    needed("ray", EXTRA)
    datatrove("executor.ray")
    return partial(_on_ray, options, workers)


def _on_ray(options: RayOptions, workers: int | None, share: Share, folder: Path) -> None:
    logs = new_logs(folder / "logs")
    block = Block(share, logs)
    with _connected(options) as ray:
        if workers is None:
            workers = int(ray.cluster_resources()["CPU"]) // options.cpus_per_task
        executor = datatrove("executor.ray").RayPipelineExecutor(
            pipeline=[block],
            tasks=workers,
            logging_dir=str(logs),
            skip_completed=False,
            cpus_per_task=options.cpus_per_task,
            mem_per_cpu_gb=options.mem_per_cpu_gb,
        )
        executor.run()
    block.raise_error()
    if lost := executor.get_incomplete_ranks(skip_completed=True):
        fix = "see the logs there, then start the same command again; it goes on from here"
        what = f"{len(lost)} of {workers} tasks did not end well"
        raise UnfinishedError(what, where=logs, fix=fix)


@contextlib.contextmanager
def _connected(options: RayOptions) -> Generator[Any]:
    """Ray, connected to a cluster in which a task fits."""
    ray = needed("ray", EXTRA)
    ours = not ray.is_initialized()
    address = os.environ.get("RAY_ADDRESS") or options.address  # Ray's own order
    try:
        if ours:
            _check_answers(address)
            ray.init(address, log_to_driver=False, configure_logging=False)
    except (OSError, ValueError) as error:  # ConnectionError is an OSError
        what = f"no Ray cluster answers: {error}"
        fix = "start one with `ray start --head`, or give its address in --executor-options"
        raise EscadaError(what, where=address, fix=fix) from error
    try:
        _check_room(ray, options)
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise an OSError where nothing listens: Ray tries again for minutes, without a word."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()


def _check_room(ray: Any, options: RayOptions) -> None:
    """Refuse tasks that fit nowhere: Ray would wait for a larger machine for ever."""
    cpus = options.cpus_per_task
    memory_bytes = cpus * options.mem_per_cpu_gb * 2**30
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(
        machine.get("CPU", 0) >= cpus and machine.get("memory", 0) >= memory_bytes
        for machine in machines
    ):
        raise EscadaError(
            f"no machine of the Ray cluster has {cpus} CPU and {memory_bytes / 2**30:g} GiB",
            where=options.address,
            fix="lower cpus_per_task or mem_per_cpu_gb in --executor-options",
        )
