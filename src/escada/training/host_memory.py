"""Memory that a step frees stays with the process, for the next step to use.

glibc hands large blocks back to the system as soon as they are free, and asks for them again in the
next layer: every page is then cleared and mapped anew. That was 13 % of v5's step with dropout
(docs/decisions/0008). Blocks of 32 MiB and more are still given back: they are few, and kept ones
would be cut up for smaller ones until nothing large fits any more (docs/planner.md).
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_NEVER = 2**31 - 1
_LARGE = 2**25
"""The highest threshold that glibc takes."""


def keep_freed_memory() -> bool:
    """Ask the allocator to keep freed blocks below 32 MiB; False where it is not glibc's."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
