"""Real servers on free ports, over tiny models."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.generation.conftest import tiny_model

from escada.generation.batch import Batch, Request
from escada.generation.decoding import random_stream
from escada.generation.samplers import SamplerSettings
from escada.inside.look import views_of
from escada.inside.views import Views
from escada.serve.limits import Limits
from escada.serve.metrics import Metrics
from escada.serve.models import LoadedModel
from escada.serve.queues import Failure
from escada.serve.scheduler import Scheduler
from escada.serve.schema import LadderRung
from escada.serve.server import Server, bind, run
from escada.serve.service import Service
from escada.text.tokenizers.bytes import ByteTokenizer
from escada.text.tokenizers.characters import CharacterTokenizer

LETTERS = CharacterTokenizer("abcdefghijlmnopqrstuvxzáâãàçéêíóôõúABCDEFEGMNOPRSTV ,.;:!?\n-")
BYTES = ByteTokenizer()
WORDS = {"en": "A", "pt": "B"}


def rung_of(name, model=None) -> LadderRung:
    """As the playground shows a rung that was never evaluated."""
    return LadderRung.model_validate(
        {
            "name": name, "rung": name, "preset": "laptop", "seed": 0, "title": WORDS,
            "follows": None, "about": dict.fromkeys(("objective", "changes", "expected"), WORDS),
            "parameters": 1000, "bits_per_byte": None, "interval": None, "context_tokens": None,
            "tokenizer": {"kind": "bytes", "vocab_size": 260}, "training_tokens": None,
            "training_seconds": None, "hash": "0" * 64, "run": name, "weights": "fp32",
            "inside": views_of(model) if model is not None else Views(views=["tree", "pair"]),
        }
    )  # fmt: skip


class SlowBatch(Batch):
    """A batch whose steps take a while, as those of a large model do."""

    seconds = 0.01

    def step(self):
        time.sleep(self.seconds)
        return super().step()


def talkative(kind, tokenizer):
    """A tiny model that seldom ends its text, so that there is something to look at."""
    model = tiny_model(kind, tokenizer.vocab_size, seed=1)
    if getattr(model.output, "bias", None) is not None:
        with torch.no_grad():
            model.output.bias[tokenizer.eos_id] -= 5
    return model


def loaded_model(
    name, kind="lstm", tokenizer=LETTERS, batch_class=Batch, max_rows=64
) -> LoadedModel:
    model = talkative(kind, tokenizer)
    return LoadedModel(
        name=name,
        tokenizer=tokenizer,
        batch=batch_class(model, tokenizer, max_rows=max_rows),
        profile="reference",
        created=1_700_000_000,
        fingerprint=f"escada-{name}",
        rung=rung_of(name, model),
    )


def usual_models(limits=None, batch_class=Batch) -> dict[str, LoadedModel]:
    """A character LSTM and a Transformer over bytes, whose context is only 16 tokens."""
    rows = (limits or Limits()).max_rows
    models = [
        loaded_model("v1", "lstm", LETTERS, batch_class, rows),
        loaded_model("v5", "sinusoidal", BYTES, batch_class, rows),
    ]
    return {model.name: model for model in models}


@dataclass
class Running:
    """A server in a thread of this process."""

    service: Service
    server: Any
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def request(self, method, path, body=None, headers=None, source="127.0.0.1", raw=False):
        """Status, headers and body, over a connection of its own."""
        connection = http.client.HTTPConnection(
            self.host, self.port, timeout=60, source_address=(source, 0)
        )
        with contextlib.closing(connection):
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
            extra = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, body, extra | (headers or {}))
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, answer.headers, content if raw else json.loads(content)

    def complete(self, source="127.0.0.1", headers=None, **body):
        return self.request("POST", "/v1/completions", body, headers, source)

    def stop(self) -> None:
        self.server.handle_exit(signal.SIGTERM, None)


@contextlib.contextmanager
def running(models=None, limits=None, grace_seconds=5.0, **options) -> Iterator[Running]:
    limits = limits or Limits()
    service = Service(models or usual_models(limits), limits)
    tokens = options.pop("tokens", ())
    address = bind("127.0.0.1", 0, tokens=tokens)
    ready = threading.Event()
    server = Server(service, address, tokens=tokens, grace_seconds=grace_seconds, ready=ready.set)
    thread = threading.Thread(target=run, args=(server,))
    host, port = address.socket.getsockname()[:2]
    thread.start()
    try:
        assert ready.wait(20)
        yield Running(service, server, host, port)
    finally:
        if not service.stopping:  # a second signal would end it at once
            server.handle_exit(signal.SIGTERM, None)
        thread.join(30)
        assert not thread.is_alive()


def eventually(condition, seconds=10.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def here() -> Iterator[Running]:
    """A server that many tests ask, none of which may change it."""
    with running() as one:
        yield one


@pytest.fixture(scope="session")
def a_run(corpus_path, tmp_path_factory):
    """A v1 of a few steps."""
    from escada.budget import Budget
    from escada.spec import load_spec
    from escada.text.corpus import Corpus
    from escada.training.run import start

    overrides = ["model.d_hidden=24", "model.d_embedding=12", "train.batch_sequences=4"]
    spec = load_spec("v1", preset="laptop", overrides=[*overrides, "train.window_tokens=32"])
    out = tmp_path_factory.mktemp("runs")
    spec = spec.with_budget(Budget.parse("20 steps"))
    return start(spec, Corpus.open(corpus_path), out, device="cpu")


def request_bytes(body):
    data = json.dumps(body).encode()
    head = (
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Content-Type: application/json\r\n"
    )
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def is_closed(connection):
    """Whether the server has closed it; reads what there is."""
    connection.setblocking(False)
    try:
        while connection.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def requests(count=1, max_tokens=5, prompt="Era"):
    ids = [LETTERS.bos_id, *LETTERS.encode(prompt).tolist()]
    settings = SamplerSettings(top_p=None)
    return [
        Request(ids, settings, max_tokens, random_stream(1, prompt, number))
        for number in range(count)
    ]


class Listener:
    """Notes what its job got, and when."""

    def __init__(self):
        self.events, self.failures, self.first = [], [], None

    def __call__(self, deliveries):
        self.first = self.first or time.perf_counter()
        for delivery in deliveries:
            if isinstance(delivery, Failure):
                self.failures.append(delivery)
            else:
                self.events.append(delivery)

    @property
    def finished(self):
        return sum(event.finish is not None for _, event in self.events)


@pytest.fixture
def make():
    schedulers = []

    def build(batch_class=Batch, names=("v1",), **limits):
        limits = Limits(**limits)
        batches = {
            name: batch_class(talkative("lstm", LETTERS), LETTERS, max_rows=limits.max_rows)
            for name in names
        }
        scheduler = Scheduler(batches, limits, post=lambda call: call(), metrics=Metrics())
        schedulers.append(scheduler)
        return scheduler, batches

    yield build
    for scheduler in schedulers:
        scheduler.stop()
        if scheduler._thread.ident:  # it was started
            scheduler.join()
