"""Does the trainings and measurements of a climb in turn, or several at a time.

    with workers(jobs=2) as work:
        controls = work.start(partial(make_controls, corpus, path))
        for run, measured in work.finish(trainings, say, is_measured, measure): ...
        controls()

A small model gains little from a second thread (docs/decisions/0018-a-budget-in-flop.md). Several
at a time share the threads equally, and each measurement runs in a worker process.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

import torch

from escada.errors import EscadaError
from escada.extensions import trust, trusted
from escada.ladder.training import Launcher, Training, TrainingInterrupted
from escada.runs.run import Run
from escada.signals import end_with_parent

Result = TypeVar("Result")
Test = Callable[[Run], bool]


@contextmanager
def workers(jobs: int) -> Generator[InTurn | SideBySide]:
    """Places for `jobs` at a time; at the end, or on an error, what runs in them is stopped.

    Raises:
        TrainingInterrupted: the user asked to stop; trainings are saved.
    """
    if jobs == 1:
        yield InTurn()
        return
    places = SideBySide(jobs)
    try:
        yield places
    except KeyboardInterrupt:
        raise TrainingInterrupted from None
    finally:
        places.stop()


class InTurn:
    """One thing after the other, in this process."""

    def start(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """Do some work, and return a function that gives its result.

        In a thread, to be stopped meanwhile: a signal reaches Python only between two calls of C,
        and one of a compressor may take a minute.
        """
        done: Future[Result] = Future()

        def do() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 for the thread that waits
                done.set_exception(error)

        threading.Thread(target=do, daemon=True).start()
        result = done.result()
        return lambda: result

    def finish(
        self,
        trainings: Sequence[Training],
        say: Callable[[str], None],
        is_measured: Test,
        measure: Test,
    ) -> Iterator[tuple[Run, bool]]:
        """Train and measure each; the run, and whether something was measured."""
        for training in trainings:
            run = training.run(say)
            yield run, measure(run)


class SideBySide:
    """Up to `jobs` trainings and measurements at a time.

    Work for `start` and `measure` goes to worker processes and must be picklable.
    """

    def __init__(self, jobs: int) -> None:
        threads = max(1, torch.get_num_threads() // jobs)
        self._launcher = Launcher(threads)
        self._places = ThreadPoolExecutor(jobs)
        self._processes = ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin_worker,
            initargs=(threads, trusted()),
        )

    def start(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """Begin some work, and return a function that waits for its result."""
        return self._places.submit(self._in_process, work).result

    def finish(
        self,
        trainings: Sequence[Training],
        say: Callable[[str], None],
        is_measured: Test,
        measure: Test,
    ) -> Iterator[tuple[Run, bool]]:
        """Train and measure all; see `InTurn.finish`. Results come in the order of `trainings`."""
        looking = threading.Lock()  # caches of what is looked up are not made for threads

        def one(training: Training) -> tuple[Run, bool]:
            run = training.run(say, self._launcher)
            with looking:
                done = is_measured(run)
            return run, not done and self._in_process(measure, run)

        # The top of a ladder takes longest; begun last, it would run alone at the end.
        futures: dict[int, Future[tuple[Run, bool]]] = {}
        for i in sorted(range(len(trainings)), key=lambda i: (trainings[i].seed, -i)):
            futures[i] = self._places.submit(one, trainings[i])
        for i in range(len(trainings)):
            yield futures[i].result()

    def _in_process(self, work: Callable[..., Result], *arguments: object) -> Result:
        try:
            return self._processes.submit(work, *arguments).result()
        except BrokenProcessPool:
            raise EscadaError(
                "a process that measured was ended from outside",
                fix="rerun, with fewer --jobs if memory is short: what is finished is kept",
            ) from None

    def stop(self) -> None:
        """Let trainings save, end measurements, and wait for them."""
        self._launcher.stop()
        for process in multiprocessing.active_children():
            process.terminate()
        self._places.shutdown(cancel_futures=True)
        self._processes.shutdown(cancel_futures=True)


def _begin_worker(threads: int, modules: Sequence[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the climb ends its workers itself
    end_with_parent()
    torch.set_num_threads(threads)
    trust(*modules)
