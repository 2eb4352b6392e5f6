"""Requests of different users in one batch: each gets what it would get alone."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.generation import batch as batch_module
from escada.generation.batch import Batch, Request
from escada.generation.decoding import generate, random_stream, requests
from escada.generation.samplers import SamplerSettings
from escada.text.tokenizers.bytes import ByteTokenizer
from escada.text.tokenizers.characters import CharacterTokenizer

BYTES = ByteTokenizer()
SETTINGS = [
    SamplerSettings(temperature=1.0, top_p=None),
    SamplerSettings(greedy=True),
    SamplerSettings(temperature=0.9, top_k=9, repetition_penalty=1.3),
]


def request(prompt, number=0, settings=SETTINGS[0], max_tokens=20, **options):
    ids = [BYTES.bos_id, *BYTES.encode(prompt).tolist()]
    return Request(ids, settings, max_tokens, random_stream(7, prompt, number), **options)


def alone(model, one):
    fresh = dataclasses.replace(one, uniforms=random_stream(7, prompt_of(one), 0))
    batch = Batch(model, BYTES)
    batch.add(fresh)
    events = []
    while batch.rows:
        events += batch.step()
    return events


def prompt_of(one):
    return BYTES.decode(one.prompt_ids)


def same(events, expected):
    """All but the number, and the nats up to rounding."""
    plain = [
        [(event.token, event.text, event.finish) for event in some] for some in (events, expected)
    ]
    assert plain[0] == plain[1]
    for event, other in zip(events, expected, strict=True):
        assert event.nats == pytest.approx(other.nats, abs=1e-4)


def run(batch, arrivals, cancels=()):
    """Steps with requests that arrive, and leave, before a certain step; events by request."""
    events, step = {}, 0
    while batch.rows or any(when >= step for when, _ in arrivals):
        for when, one in arrivals:
            if when == step:
                events[batch.add(one)] = []
        for when, which in cancels:
            if when == step:
                batch.cancel(which)
        for event in batch.step():
            events[event.request].append(event)
        step += 1
    return events


PLAN = [
    (0, request("Era uma vez", settings=SETTINGS[0], max_tokens=30)),
    (0, request("O", settings=SETTINGS[1], max_tokens=5)),
    (2, request("", settings=SETTINGS[2], max_tokens=25)),
    (3, request("Não sei que dia é hoje, mas chove.", settings=SETTINGS[0], max_tokens=12)),
    (9, request("abc", settings=SETTINGS[2], max_tokens=1)),
    (30, request("depois", settings=SETTINGS[1], max_tokens=9)),
]


def renewed(plan):
    """Random streams are used up: the same requests anew."""
    return [
        (when, dataclasses.replace(one, uniforms=random_stream(7, prompt_of(one), 0)))
        for when, one in plan
    ]


@pytest.mark.parametrize("max_rows", [1, 2, 64])
@pytest.mark.parametrize("name", ["lstm", "gru", "sinusoidal", "learned"])
def test_a_request_gets_what_it_gets_alone_whenever_it_joins(tiny, name, max_rows):
    model = tiny(name, BYTES.vocab_size)
    events = run(Batch(model, BYTES, max_rows=max_rows), renewed(PLAN))
    assert len(events) == len(PLAN)
    for which, (_, one) in enumerate(PLAN):
        same(events[which], alone(model, one))


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_no_schedule_changes_what_a_request_gets(tiny_learned, data):
    """Joining, leaving and crossing a window of 7 tokens at any time."""
    words = st.text("abç ", max_size=12)
    plan = [
        (
            data.draw(st.integers(0, 12)),
            request(
                data.draw(words),
                settings=data.draw(st.sampled_from(SETTINGS)),
                max_tokens=data.draw(st.integers(1, 16)),
            ),
        )
        for _ in range(data.draw(st.integers(1, 5)))
    ]
    cancels = data.draw(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 4)), max_size=2))
    batch = Batch(tiny_learned, BYTES, max_rows=data.draw(st.integers(1, 4)))
    events = run(batch, renewed(plan), cancels)
    by_arrival = sorted(range(len(plan)), key=lambda index: plan[index][0])
    for which, index in enumerate(by_arrival):
        expected = alone(tiny_learned, plan[index][1])
        if any(cancelled == which for _, cancelled in cancels):
            expected = expected[: len(events[which])]
        same(events[which], expected)


@pytest.fixture(scope="module")
def tiny_learned():
    from tests.generation.conftest import tiny_model

    return tiny_model("learned", BYTES.vocab_size)


@pytest.mark.parametrize("name", ["lstm", "learned"])
def test_logits_wrong_within_rounding_never_change_a_text(tiny, name, monkeypatch):
    model = tiny(name, BYTES.vocab_size)
    write = Batch._write

    def texts(noise_seed, rounding):
        noise = torch.Generator().manual_seed(noise_seed)

        def noisy(self, logits_BV):
            wrong_BV = 0.0099 * (2 * torch.rand(logits_BV.shape, generator=noise) - 1)
            return write(self, logits_BV + wrong_BV)

        monkeypatch.setattr(Batch, "_write", noisy)
        monkeypatch.setattr(batch_module, "ROUNDING_NATS", rounding)
        events = run(Batch(model, BYTES), renewed(PLAN))
        return {which: [event.token for event in some] for which, some in events.items()}

    expected = texts(0, rounding=0.01)
    assert all(texts(seed, rounding=0.01) == expected for seed in range(1, 6))
    assert any(texts(seed, rounding=0.0) != expected for seed in range(6))


def test_a_cancelled_request_gets_no_more_events_and_leaves_its_place(tiny):
    batch = Batch(tiny("gru", BYTES.vocab_size), BYTES, max_rows=1)
    first = batch.add(request("a", max_tokens=50))
    second = batch.add(request("b", max_tokens=3))
    third = batch.add(request("c", max_tokens=3))
    assert {event.request for event in batch.step()} == {first}
    batch.cancel(first)
    batch.cancel(third)  # it was waiting
    assert batch.rows == 1
    found = [event for _ in range(3) for event in batch.step()]
    assert [event.request for event in found] == [second] * 3
    assert found[-1].finish == "length"
    assert batch.rows == 0
    assert batch.step() == []
    batch.cancel(second)  # finished: nothing happens


def test_the_last_event_says_why(table_model):
    tokenizer = CharacterTokenizer("abcd")
    a, b, c, d = (int(i) for i in tokenizer.encode("abcd"))
    table = torch.full((tokenizer.vocab_size,) * 2, -50.0)
    for before, after in ((a, b), (b, tokenizer.eos_id), (c, d), (d, c)):
        table[before, after] = 50.0
    greedy = SamplerSettings(greedy=True)

    def finish(prompt, **options):
        events = list(
            Batch(table_model(table), tokenizer).run(
                requests(tokenizer, [prompt], greedy, max_tokens=6, **options)
            )
        )
        assert [event.finish for event in events[:-1]] == [None] * (len(events) - 1)
        return "".join(event.text for event in events), events[-1].finish

    assert finish("a") == ("b", "eos")
    assert finish("c") == ("dcdcdc", "length")
    assert finish("c", stop=["cd"]) == ("d", "stop")
    assert finish("c", stop=["dd"]) == ("dcdcdc", "length")  # what waited came at the end


@pytest.mark.parametrize("name", ["lstm", "learned"])
def test_a_stream_is_generate_token_by_token(tiny, name):
    model = tiny(name, BYTES.vocab_size)
    options = {"max_tokens": 25, "n": 2, "seed": 3}
    prompts = ["Era", "É", "Era"]
    samples = generate(model, BYTES, prompts, SETTINGS[2], profile="reference", **options)
    events = list(Batch(model, BYTES).run(requests(BYTES, prompts, SETTINGS[2], **options)))
    for row, sample in enumerate(samples):
        own = [event for event in events if event.request == row]
        assert [event.token for event in own] == sample.ids
        assert "".join(event.text for event in own) == sample.text
        assert sum(event.nats for event in own) / len(own) / np.log(2) == pytest.approx(
            sample.bits_per_token
        )
        assert (own[-1].finish == "eos") == sample.finished


def test_alternatives_are_the_models_most_probable_tokens(tiny):
    model = tiny("gru", BYTES.vocab_size)
    batch = Batch(model, BYTES)
    batch.add(request("Era", max_tokens=4, alternatives=3))
    batch.add(request("Era", max_tokens=4))
    ids = request("Era").prompt_ids
    model.eval()
    for _ in range(4):
        with_names, without = batch.step()
        with torch.no_grad():
            nats = -model(torch.tensor([ids]))[0, -1].log_softmax(-1)
        best = nats.argsort(stable=True)[:3].tolist()
        assert [token for token, _ in with_names.alternatives] == best
        assert with_names.alternatives[0][1] == pytest.approx(float(nats.min()), abs=1e-4)
        assert with_names.nats == pytest.approx(float(nats[with_names.token]), abs=1e-4)
        assert without.alternatives == ()
        ids = [*ids, with_names.token]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"alternatives": -1}, "alternatives"),
        ({"stop": ("x", "")}, "stop string"),
    ],
)
def test_a_request_without_meaning_is_an_error(options, words):
    with pytest.raises(EscadaError, match=words):
        request("a", **options)


def test_a_batch_without_room_is_an_error(tiny):
    with pytest.raises(EscadaError, match="batch_rows"):
        Batch(tiny("gru", BYTES.vocab_size), BYTES, max_rows=0)
