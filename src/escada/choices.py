"""Literal types shared by code, specs and the command line.

Nothing is imported here, so that `escada --help` is fast.
"""

from __future__ import annotations

from typing import Literal, get_args

DeviceKind = Literal["cpu", "cuda", "mps"]
Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[Device, ...] = get_args(Device)

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Profile = Literal["reference", "roadmap"]
"""Cleaning profile."""
PROFILES: tuple[Profile, ...] = get_args(Profile)

Executor = Literal["local", "slurm", "ray"]
"""What runs the workers of a preparation."""

Metric = Literal["bits_per_byte", "perplexity"]
"""Metric by which two runs are compared."""
METRICS: tuple[Metric, ...] = get_args(Metric)

Scored = Literal["last", "all"]
"""Scored positions of a window."""

Weights = Literal["fp32", "bf16", "int8", "w8a8"]
"""Number format of the weights in generation."""
WEIGHTS: tuple[Weights, ...] = get_args(Weights)
WeightsOption = Literal["auto", Weights]
"""`--weights`; auto is the fastest on this machine."""

Code = Literal["en", "pt"]
"""Language code."""
CODES: tuple[Code, ...] = get_args(Code)
