"""Memory that a step frees stays with the process, for the next step to use.

glibc hands large blocks back to the system as soon as they are free, and asks for them again in the
next layer: every page is then cleared and mapped anew. That was 13 % of v5's step with dropout
(docs/decisions/0008), and 40 % of v1's. Kept blocks of 32 MiB and more are cut up for smaller ones
until nothing large fits any more, so they need more memory: they are kept only where there is
plenty (`escada.cost.footprint.with_large_kept`).
"""

from __future__ import annotations

import ctypes

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_NEVER = 2**31 - 1
_USUAL_BLOCKS = 2**16
"""glibc's own limit of blocks that come from the system one by one."""
_LARGE = 2**25
"""The highest threshold that glibc takes."""


def keep_freed_memory(*, large_too: bool) -> bool:
    """Ask the allocator to keep freed blocks; False where it is not glibc's.

    Args:
        large_too: those of 32 MiB and more as well.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    wishes = {
        _M_MMAP_MAX: 0 if large_too else _USUAL_BLOCKS,
        _M_MMAP_THRESHOLD: _LARGE,
        _M_TRIM_THRESHOLD: _NEVER,
    }
    refused = [name for name, value in wishes.items() if not mallopt(name, value)]
    return not refused
