"""Ctrl-C asks a training to stop where it can go on again."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from escada.signals import on_stop
from escada.training.distributed import World


@contextmanager
def interruptions(world: World) -> Generator[Callable[[], bool]]:
    """In this context the first Ctrl-C (or SIGTERM) asks to stop; a second one stops at once.

    Not with several processes: `torchrun` passes on what it gets, and may do so twice. It ends
    those that have not stopped after half a minute.
    """
    asked = False

    def ask() -> None:
        nonlocal asked
        if asked and world.size == 1:
            raise KeyboardInterrupt
        asked = True

    with on_stop(ask):
        yield lambda: asked
