"""Versions, machine and source of a run, for `env.json`."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil
import torch
from pydantic import ConfigDict, Field

import escada
from escada.typed_json import JsonObject

PACKAGES = ("torch", "numpy", "sentencepiece", "safetensors", "pyarrow", "pydantic")
_NARROW = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx_vnni")


class GitState(JsonObject):
    """Of a source tree."""

    commit: str = ""
    changed: bool = False
    """Whether something in it was not committed."""


class Environment(JsonObject):
    """env.json, whatever version wrote it; nothing in it identifies a person."""

    model_config = ConfigDict(extra="allow")

    schema_version: int = 1
    escada: str | None = None
    python: str | None = None
    packages: dict[str, str | None] = Field(default_factory=dict)
    platform: str | None = None
    cpu: str | None = None
    cpu_capability: str | None = None
    cpu_narrow_formats: tuple[str, ...] | None = None
    cores: int | None = None
    threads: int | None = None
    memory_bytes: int | None = None
    gpus: tuple[str, ...] = ()
    git: GitState | None = None

    @property
    def git_commit(self) -> str | None:
        """Of the source tree that ran, where that was known."""
        return (self.git and self.git.commit) or None

    @property
    def processor(self) -> str:
        """The GPUs, or the CPU where there is none; empty if unknown."""
        return ", ".join(self.gpus) or self.cpu or ""


def environment() -> Environment:
    """This process and machine."""
    return Environment(
        escada=escada.__version__,
        python=platform.python_version(),
        packages={name: version(name) for name in PACKAGES},
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=cpu_name(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        cpu_narrow_formats=narrow_formats(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        memory_bytes=psutil.virtual_memory().total,
        gpus=tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())),
        git=_git_state(),
    )


def narrow_formats() -> tuple[str, ...] | None:
    """Of the processor's instructions, those for bf16 and int8; None where torch cannot say.

    They determine its speed, but the CPU capability is "AVX512" with or without them.
    """
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch
        return None
    found = torch.cpu.get_capabilities()
    return tuple(sorted(name for name in _NARROW if found.get(name)))


def cpu_name() -> str:
    """The processor's model name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_state() -> GitState | None:
    """Commit of the running source tree; None for an installed package or without git."""
    here = Path(escada.__file__).parent
    if "site-packages" in here.parts:
        return None
    try:
        answers = [
            subprocess.run(
                ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return GitState(commit=answers[0], changed=bool(answers[1]))
