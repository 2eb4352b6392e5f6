"""Rows that wait, served in turn from client to client: who asks for much waits for himself.

    queue.push("a", row)
    client, row = queue.pop(lambda client, row: client != "b")

Clients take turns; within a client, first come, first served. How much one client may hold of what
all share (rows of a batch, places in the queue) follows one rule, `may_hold`: never more than he
leaves free. So one client alone uses half of it, a second one half of the rest, and somebody who
asks for one row finds a place at once, however much a single other client has asked for before.
(The rule is that of buffers in network switches: Choudhury and Hahne 1998, dynamic thresholds.)
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


def may_hold(own: int, free: int, more: int = 1) -> bool:
    """Whether a client who holds `own` may take `more` of the `free` ones."""
    return own + more <= free


class FairQueue(Generic[T]):
    """Items by client, in turn."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def count(self, client: str) -> int:
        """Items of one client."""
        return len(self._waiting.get(client, ()))

    def push(self, client: str, item: T) -> None:
        """Behind the client's other items; a client who had none comes last in turn."""
        self._waiting.setdefault(client, deque()).append(item)
        self._size += 1

    def pop(self, allowed: Callable[[str], bool]) -> tuple[str, T] | None:
        """The first item, in turn, of the clients that are allowed; None: there is none."""
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
        """Take items out, wherever they stand."""
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
