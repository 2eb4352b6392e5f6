"""Versions, machine and source of a run, for `env.json`."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import psutil
import torch

import escada

PACKAGES = ("torch", "numpy", "sentencepiece", "safetensors", "pyarrow", "pydantic")
_NARROW = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx_vnni")


class GitState(TypedDict):
    """State of the source tree."""

    commit: str
    changed: bool
    """Whether there are uncommitted changes."""


class Environment(TypedDict):
    """env.json."""

    schema_version: int
    escada: str
    python: str
    packages: dict[str, str]
    platform: str
    cpu: str
    cpu_capability: str
    cpu_narrow_formats: list[str] | None
    cores: int | None
    threads: int
    memory_bytes: int
    gpus: list[str]
    git: GitState | None


def environment() -> Environment:
    """Describe this process and machine; contains no personal data."""
    return {
        "schema_version": 1,
        "escada": escada.__version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_narrow_formats": narrow_formats(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "git": _git_state(),
    }


def narrow_formats() -> list[str] | None:
    """The processor's bf16 and int8 instruction sets; None if torch cannot tell.

    They determine its speed, but the CPU capability is "AVX512" with or without them.
    """
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch
        return None
    found = torch.cpu.get_capabilities()
    return sorted(name for name in _NARROW if found.get(name))


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
    return {"commit": answers[0], "changed": bool(answers[1])}
