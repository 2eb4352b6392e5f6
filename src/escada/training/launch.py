"""Whether `torchrun` started this process as one of several.

Imports nothing heavy: the command line uses this before it knows what to run.
"""

from __future__ import annotations

import os
from datetime import timedelta

_NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_STORE_SECONDS = 3


def processes() -> int:
    """The number of processes started together; 1 without `torchrun`."""
    if any(name not in os.environ for name in _NEEDED):
        return 1
    return int(os.environ["WORLD_SIZE"])


def attempt() -> int:
    """How often `torchrun --max-restarts` started this process again after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def speaks_for_all() -> bool:
    """Whether this process should report an error to the user; True for only one process.

    An error often hits every process (a wrong key), and the death of one is an error in all others.
    The first process to call this reports; the rest exit silently. It uses torchrun's TCP store,
    which is reachable at any time.
    """
    if processes() == 1:
        return True
    from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

    try:
        store = TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            timeout=timedelta(seconds=_STORE_SECONDS),
            wait_for_workers=False,
        )
        return int(store.add(f"escada/spoken/{attempt()}", 1)) == 1
    except RuntimeError:  # the store is not up (yet)
        return os.environ["RANK"] == "0"
