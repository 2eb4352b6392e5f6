"""Whatever else a real server is doing, a stream is what it is alone."""

import json
import random
import threading

import pytest
from tests.serve.conftest import running, usual_models

from escada.serve.limits import Limits

PROMPTS = ["Era uma vez", "O", "", "Não sei que dia é hoje, mas chove.", "A menina\nperdeu"]
SETTINGS = [
    {"temperature": 1.0},
    {"temperature": 0},
    {"temperature": 0.8, "top_p": 0.95},
    {"temperature": 1.2, "top_k": 9, "repetition_penalty": 1.3},
    {"temperature": 0.9, "min_p": 0.02, "stop": ["a", "\n"]},
]


def wishes(count, model, number):
    rng = random.Random(f"{model} {number}")
    return [
        {
            "model": model,
            "prompt": rng.choice(PROMPTS),
            "max_tokens": rng.randint(1, 60),
            "seed": rng.randint(0, 10**6),
            "n": rng.choice([1, 1, 3]),
            "logprobs": rng.choice([None, 3]),
            "stream": True,
            "stream_options": {"include_usage": True},
            **rng.choice(SETTINGS),
        }
        for _ in range(count)
    ]


def stream(service, wish, source="127.0.0.1"):
    """What a client sees: text, tokens and reason of each row, and the usage."""
    status, headers, body = service.request(
        "POST", "/v1/completions", wish, source=source, raw=True
    )
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    lines = body.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    rows, usage = {}, None
    for line in lines[:-2]:
        chunk = json.loads(line.removeprefix("data: "))
        usage = chunk["usage"]
        for choice in chunk["choices"]:
            row = rows.setdefault(choice["index"], {"text": "", "tokens": [], "reason": None})
            assert row["reason"] is None
            row["text"] += choice["text"]
            row["tokens"] += choice["logprobs"]["tokens"] if choice["logprobs"] else []
            row["reason"] = choice["finish_reason"]
    assert sorted(rows) == list(range(wish["n"]))
    assert all(row["reason"] for row in rows.values())
    return rows, usage


@pytest.mark.parametrize("max_rows", [5, 64])
def test_every_stream_of_many_clients_equals_its_solo_run(max_rows):
    limits = Limits(max_rows=max_rows)
    with running(usual_models(limits), limits) as service:
        plans = [wishes(5, ("v1", "v5")[number % 2], number) for number in range(12)]
        alone = [[stream(service, wish) for wish in plan] for plan in plans]
        together = [[] for _ in plans]

        def client(number):
            for wish in plans[number]:
                together[number].append(stream(service, wish, f"127.0.0.{number % 7 + 2}"))

        threads = [threading.Thread(target=client, args=(n,)) for n in range(len(plans))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert together == alone
        rows = [row for plan in alone for found, _ in plan for row in found.values()]
        assert len({row["text"] for row in rows}) > len(plans)  # they are not all the same
        assert service.service.scheduler.rows() == {"v1": (0, 0), "v5": (0, 0)}
