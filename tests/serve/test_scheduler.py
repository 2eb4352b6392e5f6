"""The scheduler's thread, without a server: whose turn it is, who leaves, what errors do."""

import threading
import time

import pytest
from tests.serve.conftest import Listener, SlowBatch, eventually, requests

from escada.errors import EscadaError
from escada.generation.batch import Batch
from escada.serve.errors import ApiError


def test_fifty_requests_of_one_client_do_not_delay_anothers_first(make):
    scheduler, _ = make(SlowBatch, max_rows=4)
    greedy = [Listener() for _ in range(50)]
    for listener in greedy:
        scheduler.submit("v1", "greedy", requests(max_tokens=30), listener)
    scheduler.start()
    eventually(lambda: any(listener.events for listener in greedy))
    modest = Listener()
    before = time.perf_counter()
    scheduler.submit("v1", "modest", requests(max_tokens=3), modest)
    eventually(lambda: modest.finished)
    steps = (modest.first - before) / SlowBatch.seconds
    assert steps < 10, "it waited for a place"  # one that it found free takes one or two
    assert sum(listener.finished for listener in greedy) < 10


def test_with_one_row_clients_take_turns(make):
    scheduler, _ = make(max_rows=1)
    order = []
    listeners = {}
    for number, client in enumerate("aaabbc"):
        listener = Listener()
        listeners[number] = (client, listener)
        scheduler.submit("v1", client, requests(max_tokens=2), listener)
    scheduler.start()
    eventually(lambda: all(listener.finished for _, listener in listeners.values()))
    order = [c for c, _ in sorted(listeners.values(), key=lambda pair: pair[1].first)]
    assert "".join(order) == "abcaba"


def test_a_cancelled_request_leaves_the_batch_and_the_queue(make):
    scheduler, batches = make(SlowBatch, max_rows=2)
    scheduler.start()
    first, second = Listener(), Listener()
    job = scheduler.submit("v1", "a", requests(3, max_tokens=10_000), first)
    eventually(lambda: first.events)
    assert scheduler.rows() == {"v1": (1, 2)}
    scheduler.cancel(job)
    eventually(lambda: scheduler.rows() == {"v1": (0, 0)})
    assert batches["v1"].rows == 0
    assert batches["v1"]._decoder is None, "the cache is still held"
    scheduler.submit("v1", "a", requests(max_tokens=2), second)
    eventually(lambda: second.finished)
    scheduler.cancel(job)  # finished long ago: nothing happens
    assert not first.finished


def test_an_idle_model_holds_no_cache(make):
    scheduler, batches = make()
    scheduler.start()
    listener = Listener()
    scheduler.submit("v1", "a", requests(2, max_tokens=3), listener)
    eventually(lambda: listener.finished == 2)
    eventually(lambda: batches["v1"]._decoder is None)


def test_a_fast_model_is_not_slowed_to_the_pace_of_a_slow_one(make):
    scheduler, batches = make(SlowBatch, names=("fast", "slow"))
    batches["slow"].seconds = 0.2
    batches["fast"].seconds = 0.001
    fast, slow = Listener(), Listener()
    scheduler.submit("slow", "a", requests(max_tokens=200), slow)
    scheduler.submit("fast", "a", requests(max_tokens=200), fast)
    scheduler.start()
    eventually(lambda: len(slow.events) >= 3)
    assert len(fast.events) > 5 * len(slow.events)
    assert not fast.failures


def test_a_model_that_was_idle_gets_no_more_than_the_others_afterwards(make):
    scheduler, _ = make(SlowBatch, names=("one", "two"))
    first, second = Listener(), Listener()
    scheduler.start()
    scheduler.submit("one", "a", requests(max_tokens=1000), first)
    eventually(lambda: len(first.events) > 30)
    scheduler.submit("two", "a", requests(max_tokens=1000), second)
    eventually(lambda: len(second.events) > 5)
    before = len(first.events)
    eventually(lambda: len(second.events) > 15)
    assert len(first.events) - before > 5


def test_a_model_that_was_busy_alone_owes_the_others_nothing_afterwards(make):
    scheduler, _ = make(SlowBatch, names=("one", "two"))
    scheduler.start()
    alone, first, second = Listener(), Listener(), Listener()
    scheduler.submit("one", "a", requests(max_tokens=60), alone)
    eventually(lambda: alone.finished)
    scheduler.submit("two", "a", requests(max_tokens=1000), second)
    eventually(lambda: second.events)
    scheduler.submit("one", "a", requests(max_tokens=1000), first)
    eventually(lambda: first.events)
    assert len(second.events) < 20


def test_the_queue_has_a_limit_and_one_client_half_of_it(make):
    """Of what is not reserved for single samples of new clients."""
    scheduler, _ = make(max_rows=1, max_queue=16)  # not started: everything waits
    for _ in range(6):
        scheduler.submit("v1", "a", requests(), Listener())
    with pytest.raises(ApiError, match="Too many of your samples wait") as full:
        scheduler.submit("v1", "a", requests(), Listener())
    assert full.value.status == 429
    assert 1 <= int(full.value.headers["Retry-After"]) <= 60
    scheduler.submit("v1", "b", requests(3), Listener())
    with pytest.raises(ApiError, match="Too many samples wait") as full:
        scheduler.submit("v1", "c", requests(4), Listener())
    assert full.value.status == 503
    assert 1 <= int(full.value.headers["Retry-After"]) <= 60
    scheduler.submit("v1", "c", requests(3), Listener())
    with pytest.raises(ApiError, match="Too many samples wait"):
        scheduler.submit("v1", "d", requests(2), Listener())
    for client in "defg":
        scheduler.check_room()
        scheduler.submit("v1", client, requests(), Listener())
    assert scheduler.rows() == {"v1": (0, 16)}
    with pytest.raises(ApiError, match="Too many samples wait"):
        scheduler.check_room()
    with pytest.raises(ApiError, match="Too many samples wait"):
        scheduler.submit("v1", "h", requests(), Listener())


def test_a_model_that_fails_ends_its_requests_and_serves_the_next(make, monkeypatch):
    scheduler, batches = make(names=("good", "bad"))
    steps = {"left": 2}
    step = Batch.step

    def failing(self):
        if self is batches["bad"] and self.rows:
            steps["left"] -= 1
            if steps["left"] == 0:
                raise EscadaError("the model's logit is nan, not a finite number")
        return step(self)

    monkeypatch.setattr(Batch, "step", failing)
    good, bad, later = Listener(), Listener(), Listener()
    scheduler.submit("good", "a", requests(max_tokens=5), good)
    scheduler.submit("bad", "a", requests(2, max_tokens=5), bad)
    scheduler.start()
    eventually(lambda: bad.failures and good.finished)
    assert "nan" in bad.failures[0].message
    assert not bad.failures[0].stopping
    assert len(bad.failures) == 1
    scheduler.submit("bad", "a", requests(max_tokens=3), later)
    eventually(lambda: later.finished)


def test_a_bug_ends_the_scheduler_and_everybody_hears_of_it(make, monkeypatch):
    scheduler, batches = make()
    seen = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    monkeypatch.setattr(batches["v1"], "step", lambda: 1 / 0)
    listener = Listener()
    scheduler.submit("v1", "a", requests(), listener)
    scheduler.start()
    eventually(lambda: listener.failures)
    scheduler.join()
    assert scheduler.broken
    assert seen[0].exc_type is ZeroDivisionError
    with pytest.raises(ApiError, match="shutting down"):
        scheduler.submit("v1", "a", requests(), listener)


def test_stopping_fails_what_is_left(make):
    scheduler, _ = make(SlowBatch, max_rows=1)
    running, waiting = Listener(), Listener()
    scheduler.submit("v1", "a", requests(max_tokens=10_000), running)
    scheduler.submit("v1", "b", requests(max_tokens=10_000), waiting)
    scheduler.start()
    eventually(lambda: running.events)
    scheduler.stop()
    scheduler.join()
    assert running.failures[0].stopping
    assert waiting.failures[0].stopping
    assert not scheduler.broken
