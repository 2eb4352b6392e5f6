"""Whether this process is one of several that train together, as `torchrun` tells it.

Nothing heavy is imported here, because the command line asks before it knows what it will do.
"""

from __future__ import annotations

import os
from datetime import timedelta

_NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_STORE_SECONDS = 3


def processes() -> int:
    """Processes that were started together; 1 for a process of its own."""
    if any(name not in os.environ for name in _NEEDED):
        return 1
    return int(os.environ["WORLD_SIZE"])


def speaks_for_all() -> bool:
    """Whether this process is the first of those started together that has a failure to report.

    An error is often everybody's (a wrong key), and the death of one process is an error to all
    others. The first to ask here tells the user; the others leave in silence. The question goes to
    the store by which the processes found each other, so that it can be asked at any time.
    """
    if processes() == 1:
        return True
    from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store = TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            timeout=timedelta(seconds=_STORE_SECONDS),
            wait_for_workers=False,
        )
        return int(store.add(f"escada/spoken/{attempt}", 1)) == 1
    except RuntimeError:  # nobody keeps the store (yet)
        return os.environ["RANK"] == "0"
