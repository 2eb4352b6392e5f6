"""Memory that a step frees stays with the process, for the next step to use.

glibc hands large blocks back to the system as soon as they are free, and asks for them again in the
next layer: every page is then cleared and mapped anew. That was 13 % of v5's step with dropout
(docs/decisions/0008). The peak hardly changes: what was needed once is needed in every step.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # from glibc's malloc.h
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Ask the allocator to keep what is freed; False where it is not glibc's."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
