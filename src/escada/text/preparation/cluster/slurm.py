"""Shares as an array of jobs of Slurm, and one job after them that finishes the corpus."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from escada.errors import EscadaError
from escada.files import read_json, write_json
from escada.text.preparation.cluster.block import Block, datatrove, new_logs
from escada.text.preparation.processes import Run, Share, UnfinishedError
from escada.toml_tables import StrictTable

Count = Annotated[int, Field(ge=1)]
Finish = Callable[..., object]
RECORD = "slurm.json"
LOGS = ".logs"
"""In the folder of the corpus, not of the parts: jobs still write there when those are removed."""


class SlurmOptions(StrictTable):
    """Keys of `--executor-options` for Slurm; those of datatrove's executor have its names."""

    partition: str
    time: str
    """The limit of a task: `04:00:00`."""
    cpus_per_task: Count = 1
    mem_per_cpu_gb: Count = 2
    finish_time: str | None = None
    """Of the job that finishes the corpus, where it differs."""
    finish_cpus_per_task: Count | None = None
    finish_mem_per_cpu_gb: Count | None = None
    qos: str | None = None
    max_array_size: Count = 1001
    env_command: str = ""
    """For the shell before the work: `module load …`."""
    sbatch_args: dict[str, str] = Field(default_factory=dict)
    """Any other option of sbatch, without its hyphens."""


class SubmittedError(UnfinishedError):
    """Jobs in a queue make the parts and finish the corpus; nothing is wrong."""


def on_slurm(options: SlurmOptions, workers: int, finish: Finish) -> Run:
    """Submit an array of `workers` tasks to Slurm, and a job that finishes the corpus after them.

    Args:
        finish: the same preparation, as `finish(run=…, workers=…)`; picklable.

    Raises:
        SubmittedError: they were submitted, or those of before are in the queue still.
        EscadaError: there is no sbatch here, or it refuses.
    """
    datatrove("executor.slurm")
    return partial(_on_slurm, options, workers, finish)


def _on_slurm(
    options: SlurmOptions, workers: int, finish: Finish, share: Share, folder: Path
) -> None:
    record = folder.parent / LOGS / RECORD
    if jobs := _jobs_of(record):
        what = f"already submitted to Slurm, and not done: {', '.join(jobs)}"
        raise SubmittedError(what, where=folder.parent, fix=f"see squeue --jobs {','.join(jobs)}")
    logs = new_logs(record.parent)
    makes_parts = _executor(options, Block(share, logs), logs / "parts", workers)
    last = options.model_copy(
        update={
            "time": options.finish_time or options.time,
            "cpus_per_task": options.finish_cpus_per_task or options.cpus_per_task,
            "mem_per_cpu_gb": options.finish_mem_per_cpu_gb or options.mem_per_cpu_gb,
        }
    )
    the_rest = partial(_finish, finish, last.cpus_per_task)
    finishes = _executor(last, Block(the_rest, logs), logs / "finish", depends=makes_parts)
    where = "--executor slurm"
    try:
        finishes.launch_job()
    except FileNotFoundError as error:
        fix = "start it on a machine from which jobs are submitted"
        raise EscadaError("there is no sbatch here", where=where, fix=fix) from error
    except subprocess.CalledProcessError as error:
        if makes_parts.job_id:  # nothing would finish what it makes
            subprocess.run(["scancel", str(makes_parts.job_id)], check=False)
        fix = "see its message above, and --executor-options"
        raise EscadaError("sbatch refused the job", where=where, fix=fix) from error
    jobs = [makes_parts.job_id, finishes.job_id]
    write_json(record, {"jobs": jobs, "parts": folder.name})
    what = f"submitted to Slurm: job {jobs[0]} makes the parts in {workers} tasks, then job "
    what += f"{jobs[1]} finishes the corpus"
    fix = f"see squeue --jobs {','.join(jobs)}; logs are in {logs}"
    raise SubmittedError(what, where=folder.parent, fix=fix)


def _executor(
    options: SlurmOptions, block: Block, logs: Path, tasks: int = 1, depends: Any = None
) -> Any:
    programs = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    return datatrove("executor.slurm").SlurmPipelineExecutor(
        pipeline=[block],
        tasks=tasks,
        time=options.time,
        partition=options.partition,
        cpus_per_task=options.cpus_per_task,
        mem_per_cpu_gb=options.mem_per_cpu_gb,
        qos=options.qos,
        max_array_size=options.max_array_size,
        job_name=f"escada-{logs.name}",
        logging_dir=str(logs),
        skip_completed=False,
        depends=depends,
        env_command="\n".join(filter(None, [options.env_command, programs])),
        # When a task fails, the jobs that wait for it leave the queue.
        sbatch_args={"kill-on-invalid-dep": "yes", **options.sbatch_args},
    )


def check_no_other_jobs(folder: Path, parts: str) -> None:
    """Whether the folder of a corpus is free of Slurm jobs that make other parts than these.

    Raises:
        EscadaError: such jobs are in the queue; their parts must not be removed under them.
    """
    record = folder / LOGS / RECORD
    if not record.exists() or read_json(record).get("parts", parts) == parts:
        return
    if jobs := _jobs_of(record):
        fix = f"choose another --out, or end them first: scancel {' '.join(jobs)}"
        what = f"Slurm jobs make another corpus in this folder: {', '.join(jobs)}"
        raise EscadaError(what, where=folder, fix=fix)


def _jobs_of(record: Path) -> list[str]:
    """Which of the submitted jobs wait or run; those that Slurm has forgotten do neither.

    Raises:
        EscadaError: squeue does not say.
    """
    if not record.exists():
        return []
    jobs: list[str] = read_json(record)["jobs"]
    command = ["squeue", "--noheader", "--format=%F", "--jobs", ",".join(jobs)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    if done.returncode and "Invalid job id" not in done.stderr:
        told = " ".join(done.stderr.split())
        raise EscadaError(f"squeue failed: {told}", where=record, fix="try again when it answers")
    return [job for job in jobs if job in done.stdout.split()]


def _finish(finish: Finish, workers: int, *, rank: int, world: int, parent: int | None) -> None:
    """The rest of a preparation whose parts are there."""
    finish(run=_refuse, workers=workers)


def _refuse(share: Share, folder: Path) -> None:
    """Missing parts are made by many tasks, not by the one that finishes."""
    what = "parts are missing: a task failed, or the source changed meanwhile"
    raise UnfinishedError(what, where="data prepare", fix="start the same command again")
