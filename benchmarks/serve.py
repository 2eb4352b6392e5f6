"""Many clients at once against `escada serve`: is anything lost, crossed or unfair, and how fast?

    python benchmarks/serve.py RUN… [--clients 64] [--seconds 60] [--json]

A real server process is started on RUN… (everything after `--` goes to it). First one client asks
for every text that there will be, alone, one after the other: that is the solo run, and the
throughput of one client at a time. Then all clients ask for them at once, over and over, each from
an address of its own (127.0.0.x, so that the server knows them apart), each the next text as soon
as it has the last. A client reads the stream and compares it with the solo run: text, reason and
counts.

The waiting time is that from a request to its first token. Jain's index of what clients got is 1
when all got the same, and 1/clients when one got all. The server and all clients share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

SCHEMA_VERSION = 1
PROMPTS = (
    "Era uma vez", "O governo anunciou", "A vacina", "", "Em São Paulo, na última semana,",
    "Não sei se", "Este trabalho apresenta", "PETR4",
)  # fmt: skip
SETTINGS: tuple[dict[str, Any], ...] = (
    {"temperature": 0.8, "top_p": 0.95},
    {"temperature": 1.0, "top_k": 50},
    {"temperature": 0.0},
    {"temperature": 0.9, "min_p": 0.02, "repetition_penalty": 1.1},
)
TEXTS_A_CLIENT = 2
LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """What a client saw of one stream."""

    rows: tuple[tuple[str, str], ...]
    """Text and reason of each."""
    completion_tokens: int


@dataclass
class Client:
    """One user: his address, what he asks for, and what became of it."""

    address: str
    wishes: list[int]
    waits: list[float] = field(default_factory=list[float])
    gaps: list[float] = field(default_factory=list[float])
    tokens: int = 0
    answers: int = 0
    crossed: int = 0
    errors: list[str] = field(default_factory=list[str])


# --- the server, a process of its own ------------------------------------------------


@contextlib.contextmanager
def server(runs: Sequence[Path], options: Sequence[str]) -> Iterator[tuple[psutil.Process, int]]:
    """A running `escada serve`, and its port."""
    command = [sys.executable, "-m", "escada", "serve", *map(str, runs), "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        if " at http" not in line:
            sys.exit(line + process.stderr.read())
        port = int(line.split(" at ")[1].split("/")[2].rpartition(":")[2])
        yield psutil.Process(process.pid), port
        process.send_signal(signal.SIGTERM)
        if code := process.wait(60):
            sys.exit(f"the server ended with exit code {code}: {process.stderr.read()}")
    finally:
        process.kill()
        process.wait()


# --- a client, with as little of its own work as possible ------------------------------


async def ask(port: int, address: str, wish: dict[str, Any]) -> tuple[Answer, float, list[float]]:
    """One request over a connection of its own: the answer, and seconds until each piece."""
    body = json.dumps(wish).encode()
    head = (
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    lines: list[bytes] = []
    times: list[float] = []
    try:
        writer.write(head.encode() + body)
        status = await reader.readline()
        async for line in reader:
            if line.startswith(b"data: "):
                lines.append(line)
                times.append(time.perf_counter() - began)
            elif b" 200 " not in status:
                lines.append(line)
    finally:
        writer.close()
    if b" 200 " not in status or not lines or lines[-1] != b"data: [DONE]\n":
        raise ValueError(f"{status.decode().strip()} … {b''.join(lines[-1:]).decode().strip()}")
    return read_answer(lines[:-1]), times[0], times[:-2]  # without the usage and the end


def read_answer(lines: Sequence[bytes]) -> Answer:
    texts: dict[int, str] = {}
    reasons: dict[int, str] = {}
    usage: dict[str, int] = {}
    for line in lines:
        chunk = json.loads(line[6:])
        if "error" in chunk:
            raise ValueError(chunk["error"]["message"])
        usage = chunk["usage"] or usage
        for choice in chunk["choices"]:
            number = choice["index"]
            if number in reasons:
                raise ValueError("a piece after the last one")
            texts[number] = texts.get(number, "") + choice["text"]
            if choice["finish_reason"]:
                reasons[number] = choice["finish_reason"]
    rows = tuple((texts[number], reasons[number]) for number in sorted(texts))
    return Answer(rows, usage["completion_tokens"])


def wishes(models: Sequence[str], count: int, max_tokens: int) -> list[dict[str, Any]]:
    """Different requests, all of them streams."""
    return [
        {
            "model": models[number % len(models)],
            "prompt": PROMPTS[number // len(models) % len(PROMPTS)],
            "max_tokens": max_tokens,
            "seed": number,
            "stream": True,
            "stream_options": {"include_usage": True},
            **SETTINGS[number % len(SETTINGS)],
        }
        for number in range(count)
    ]


# --- the two phases ------------------------------------------------------------------


async def alone(port: int, all_wishes: list[dict[str, Any]]) -> tuple[list[Answer], Client, float]:
    """Every text, one after the other."""
    client = Client("127.0.0.1", [])
    answers: list[Answer] = []
    began = time.perf_counter()
    for wish in all_wishes:
        answer, wait, times = await ask(port, client.address, wish)
        answers.append(answer)
        note(client, answer, wait, times)
    return answers, client, time.perf_counter() - began


def note(client: Client, answer: Answer, wait: float, times: list[float]) -> None:
    client.waits.append(wait)
    client.tokens += answer.completion_tokens
    client.answers += 1
    if len(times) > 1:
        client.gaps.append((times[-1] - times[0]) / (len(times) - 1))


async def together(
    port: int,
    process: psutil.Process,
    clients: Sequence[Client],
    all_wishes: list[dict[str, Any]],
    expected: list[Answer],
    seconds: float,
) -> tuple[float, list[int]]:
    """All clients at once; the seconds until the last answer, and the server's memory meanwhile."""
    began = time.perf_counter()
    end = began + seconds

    async def live(client: Client) -> None:
        turn = 0
        while time.perf_counter() < end:
            number = client.wishes[turn % len(client.wishes)]
            turn += 1
            try:
                answer, wait, times = await ask(port, client.address, all_wishes[number])
            except (ValueError, OSError, KeyError) as error:
                client.errors.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.1)
                continue
            note(client, answer, wait, times)
            client.crossed += answer != expected[number]

    memory = [process.memory_info().rss]

    async def look() -> None:
        while time.perf_counter() + LOOK_SECONDS <= end:
            await asyncio.sleep(LOOK_SECONDS)
            memory.append(process.memory_info().rss)

    await asyncio.gather(look(), *(live(client) for client in clients))
    return time.perf_counter() - began, memory


def quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95)]
    return {"median": at[0], "p95": at[1], "max": ordered[-1]}


def jain(values: Sequence[float]) -> float:
    """(Σx)² / (n Σx²): Jain, Chiu and Hawe 1984."""
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))


def summary(clients: Sequence[Client], seconds: float) -> dict[str, Any]:
    means = [statistics.mean(client.waits) for client in clients if client.waits]
    return {
        "clients": len(clients),
        "seconds": seconds,
        "requests": sum(client.answers for client in clients),
        "tokens": sum(client.tokens for client in clients),
        "tokens_per_second": sum(client.tokens for client in clients) / seconds,
        "first_token_seconds": quantiles([wait for c in clients for wait in c.waits]),
        "next_token_seconds": quantiles([gap for c in clients for gap in c.gaps]),
        "fairness": {
            "jain_of_tokens": jain([client.tokens for client in clients]),
            "least_tokens": min(client.tokens for client in clients),
            "most_tokens": max(client.tokens for client in clients),
            "mean_wait_of_the_best_served": min(means),
            "mean_wait_of_the_worst_served": max(means),
        },
        "errors": sum(len(client.errors) for client in clients),
        "differ_from_solo_run": sum(client.crossed for client in clients),
    }


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    options = [*arguments.options, "--grace-seconds", "30"]
    with server(arguments.runs, options) as (process, port):
        models = await served_models(port)
        if arguments.model:
            models = [name for name in models if name in arguments.model]
        count = TEXTS_A_CLIENT * arguments.clients
        all_wishes = wishes(models, count, arguments.max_tokens)
        expected, one, seconds_alone = await alone(port, all_wishes)
        clients = [
            Client(
                f"127.0.{1 + number // 250}.{1 + number % 250}",
                [(number + step * arguments.clients) % count for step in range(TEXTS_A_CLIENT)],
            )
            for number in range(arguments.clients)
        ]
        seconds, memory = await together(
            port, process, clients, all_wishes, expected, arguments.seconds
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {"processor": platform.processor() or platform.machine(),
                    "cores": os.cpu_count(), "python": platform.python_version()},
        "models": models,
        "options": options,
        "max_tokens": arguments.max_tokens,
        "distinct_texts": len({answer.rows for answer in expected}),
        "alone": summary([one], seconds_alone),
        "together": summary(clients, seconds),
        "resident_bytes": {"every_seconds": LOOK_SECONDS, "values": memory},
        "example_errors": [text for client in clients for text in client.errors][:3],
    }  # fmt: skip


async def served_models(port: int) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return [model["id"] for model in json.loads(answer.partition(b"\r\n\r\n")[2])["data"]]


def show(found: dict[str, Any]) -> None:
    print(f"models {', '.join(found['models'])}; {found['max_tokens']} tokens at most; "
          f"{found['distinct_texts']} different texts")  # fmt: skip
    print("| clients | requests | tokens/s | first token: median / 95 % / max, s | "
          "next token: median, ms |")  # fmt: skip
    print("|---:|---:|---:|---:|---:|")
    for phase in ("alone", "together"):
        row = found[phase]
        first = row["first_token_seconds"]
        print(f"| {row['clients']} | {row['requests']} | {row['tokens_per_second']:,.0f} | "
              f"{first['median']:.3f} / {first['p95']:.3f} / {first['max']:.3f} | "
              f"{1000 * row['next_token_seconds']['median']:.1f} |")  # fmt: skip
    both, fair = found["together"], found["together"]["fairness"]
    ratio = both["tokens_per_second"] / found["alone"]["tokens_per_second"]
    print(f"throughput {ratio:.2f} times that of one client at a time")
    print(f"fairness {fair['jain_of_tokens']:.4f} (Jain); tokens by client {fair['least_tokens']} "
          f"to {fair['most_tokens']}; mean wait by client "
          f"{fair['mean_wait_of_the_best_served']:.3f} to "
          f"{fair['mean_wait_of_the_worst_served']:.3f} s")  # fmt: skip
    memory = " ".join(f"{value / 2**20:.0f}" for value in found["resident_bytes"]["values"])
    print(f"resident memory every {LOOK_SECONDS:.0f} s, MiB: {memory}")
    print(f"errors {both['errors']}, streams that differ from their solo run "
          f"{both['differ_from_solo_run']}", *found["example_errors"])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--model", action="append", help="only this one; may be repeated")
    parser.add_argument("--json", action="store_true")
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:cut])
    arguments.options = given[cut + 1 :]
    found = asyncio.run(measure(arguments))
    print(json.dumps(found, indent=2)) if arguments.json else show(found)
    both = found["together"]
    sys.exit(1 if both["errors"] or both["differ_from_solo_run"] else 0)


if __name__ == "__main__":
    main()
