"""What may be chosen where only some words are allowed: one list for code, specs and command line.

Nothing is imported here, so that `escada --help` answers at once.
"""

from __future__ import annotations

from typing import Literal, get_args

DeviceKind = Literal["cpu", "cuda", "mps"]
Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[Device, ...] = get_args(Device)
