"""The order in which clients are served, and how much one of them may hold.

Clients take turns (`FairQueue`); rows of one client are first come, first served. `may_hold` limits
a client's share of batch rows and queue places: never more than it leaves free. A single client can
therefore use half, a second one half of the rest, and a client that asks for one row finds a place
at once.

Source: dynamic thresholds for buffers in network switches (Choudhury and Hahne 1998).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


def may_hold(own: int, free: int, more: int = 1) -> bool:
    """Whether a client that holds `own` may take `more` of the `free` ones."""
    return own + more <= free


class FairQueue(Generic[T]):
    """Items by client; clients are served round-robin.

    queue.push("a", row)
    client, row = queue.pop(lambda client: client != "b")
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def count(self, client: str) -> int:
        """Items of one client."""
        return len(self._waiting.get(client, ()))

    def push(self, client: str, item: T) -> None:
        """Append to the client's items; a new client comes last in turn."""
        self._waiting.setdefault(client, deque()).append(item)
        self._size += 1

    def pop(self, allowed: Callable[[str], bool]) -> tuple[str, T] | None:
        """The next item among the allowed clients; None if there is none."""
        for client, items in self._waiting.items():
            if allowed(client):
                item = items.popleft()
                self._size -= 1
                self._waiting.move_to_end(client)
                if not items:
                    del self._waiting[client]
                return client, item
        return None

    def remove(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Remove and return all matching items."""
        removed: list[T] = []
        for client, items in list(self._waiting.items()):
            kept: deque[T] = deque()
            for item in items:
                (removed if unwanted(item) else kept).append(item)
            if kept:
                self._waiting[client] = kept
            else:
                del self._waiting[client]
        self._size -= len(removed)
        return removed
