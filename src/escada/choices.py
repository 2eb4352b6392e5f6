"""What may be chosen where only some words are allowed: one list for code, specs and command line.

Nothing is imported here, so that `escada --help` answers at once.
"""

from __future__ import annotations

from typing import Literal, get_args

DeviceKind = Literal["cpu", "cuda", "mps"]
Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[Device, ...] = get_args(Device)

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Profile = Literal["reference", "roadmap"]
"""Of cleaning."""
PROFILES: tuple[Profile, ...] = get_args(Profile)

Metric = Literal["bits_per_byte", "perplexity"]
"""That two runs are compared by."""
METRICS: tuple[Metric, ...] = get_args(Metric)

Scored = Literal["last", "all"]
"""Which positions of a window are scored."""

Weights = Literal["fp32", "bf16", "int8"]
"""That a model generates with."""
WEIGHTS: tuple[Weights, ...] = get_args(Weights)

Code = Literal["en", "pt"]
"""Of a language."""
CODES: tuple[Code, ...] = get_args(Code)
