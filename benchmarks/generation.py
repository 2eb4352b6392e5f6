"""How fast a model writes here, against transformers' generate and against the memory's speed.

    python benchmarks/generation.py [--peer-python ENV/bin/python] [--out FILE]
    python benchmarks/generation.py --quality RUN [--data CORPUS] [--draft RUN]

The first form decodes v_final at full size with random weights, 32 tokens of prompt and 224 new
ones, one stream and 16: ours with every kind of weights, and transformers' GPT-2 of the same size
in fp32, which runs in an environment of its own. The sides take turns; figures are medians of the
turns. Then it says where the time of a step goes, and what share of the bandwidth limit is reached:
the time that reading each weight and each cached key and value once would take at the measured
speed of reading.

The second form reads held-out text of a run token by token, as decoding does, and prints bits per
byte with each kind of weights; with a draft of the same tokenizer also what speculative decoding
could bring.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PROMPT_TOKENS, NEW_TOKENS, VOCABULARY = 32, 224, 4096
STREAMS = (1, 16)
WAYS = ("greedy", "sampled")
TEMPERATURE, TOP_K = 0.8, 50
RUNG = "v_final"
PEER_VARIABLE = "ESCADA_TRANSFORMERS_PYTHON"


# --- the peer: this very file, run by a Python that has transformers -----------------


def serve_peer(threads: int) -> None:
    """Answer each line `STREAMS WAY` with the seconds that one generate took."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel  # type: ignore[import-not-found]
    from transformers import __version__ as version  # type: ignore[import-not-found]

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=256, n_embd=512, n_layer=6, n_head=8, n_inner=2048,
        bos_token_id=1, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).eval()
    print(f"transformers {version}, torch {torch.__version__}", flush=True)
    for line in sys.stdin:
        streams, way = line.split()
        ids = torch.randint(5, VOCABULARY, (int(streams), PROMPT_TOKENS))
        sampling = {"do_sample": True, "temperature": TEMPERATURE, "top_k": TOP_K}
        start = time.perf_counter()
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, use_cache=True,
            **(sampling if way == "sampled" else {"do_sample": False}),
        )  # fmt: skip
        seconds = time.perf_counter() - start
        assert out.shape[1] == PROMPT_TOKENS + NEW_TOKENS
        print(seconds, flush=True)


class Peer:
    """transformers in a process of its own."""

    def __init__(self, python: Path, threads: int) -> None:
        command = [str(python), __file__, "--serve-peer", "--threads", str(threads)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.name = self._line()

    def seconds(self, streams: int, way: str) -> float:
        assert self._process.stdin is not None
        print(streams, way, file=self._process.stdin, flush=True)
        return float(self._line())

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the process of transformers ended: see its message above")
        return line.strip()


def peer_python(wanted: Path | None) -> Path | None:
    """A Python with transformers: the one asked for, the environment's, or this one; else None."""
    named = os.environ.get(PEER_VARIABLE)
    for python in [wanted] if wanted else [Path(named) if named else None, Path(sys.executable)]:
        if python is None:
            continue
        found = subprocess.run(
            [str(python), "-c", "import importlib.util as u; assert u.find_spec('transformers')"],
            capture_output=True,
            check=False,
        )
        if found.returncode == 0:
            return python
    return None


# --- ours ----------------------------------------------------------------------------


class Numbers:
    """A tokenizer without an end and almost without text: what is measured is the model's work."""

    kind, vocab_size, bos_id, eos_id, unk_id = "numbers", VOCABULARY, 1, -1, None
    unknown_bits, hash = 0.0, ""

    def token_text(self, token: int) -> str:
        return "a"

    def decode(self, ids: Sequence[int]) -> str:
        return "a" * len(ids)


def random_model() -> Any:
    from escada.models.contract import build_model
    from escada.spec import load_spec

    return build_model(load_spec(RUNG).model, VOCABULARY, seed=0).eval()


def settings_of(way: str) -> Any:
    from escada.generation.samplers import SamplerSettings

    if way == "greedy":
        return SamplerSettings(greedy=True)
    return SamplerSettings(temperature=TEMPERATURE, top_k=TOP_K, top_p=None)


def new_batch(model: Any, streams: int, way: str, weights: str) -> Any:
    """A batch with its requests; the weights are packed when it is returned."""
    from escada.generation.batch import Batch, Request

    batch = Batch(model, Numbers(), weights=weights)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for row in range(streams):
        ids = rng.integers(5, VOCABULARY, PROMPT_TOKENS).tolist()
        batch.add(Request(ids, settings_of(way), NEW_TOKENS, np.random.default_rng(row)))
    return batch


def our_seconds(model: Any, streams: int, way: str, weights: str) -> float:
    """From the requests to the last token; packing the weights is a matter of loading the model."""
    batch = new_batch(model, streams, way, weights)
    start = time.perf_counter()
    tokens = 0
    while batch.rows:
        tokens += len(batch.step())
    assert tokens == streams * NEW_TOKENS
    return time.perf_counter() - start


# --- the limit, and what lies before it ----------------------------------------------


def fastest(work: Callable[[], object], seconds: float = 0.3) -> float:
    """Seconds of the fastest of the calls that fit into so many seconds."""
    work()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 5:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def bandwidth() -> dict[str, float]:
    """Bytes a second: reading 256 MiB (a sum), and copying them (read and written)."""
    import torch

    source = torch.ones(2**26)
    target = torch.empty_like(source)
    size = source.numel() * 4
    return {
        "read": size / fastest(lambda: source.sum()),
        "copy": 2 * size / fastest(lambda: target.copy_(source)),
    }


def step_bytes(model: Any, streams: int, weights: str) -> float:
    """What one step must read: each weight of a product once, and the rows' mean context (fp32)."""
    weight_bytes = {"fp32": 4, "bf16": 2, "int8": 1, "w8a8": 1}[weights]
    c = model.config
    matrices = c.n_layers * (4 * c.d_model**2 + 2 * c.d_model * c.d_ff) + c.d_model * VOCABULARY
    context = PROMPT_TOKENS + NEW_TOKENS / 2
    return matrices * weight_bytes + streams * c.n_layers * 2 * c.d_model * context * 4


def parts_of_a_step(model: Any, streams: int, weights: str) -> dict[str, float]:
    """Milliseconds of one step at the mean context: all, the model, its products, its attention."""
    import torch

    from escada.generation.batch import Batch
    from escada.generation.weights import with_weights
    from escada.models.transformer import KeyValueCache

    batch: Batch = new_batch(model, streams, "sampled", weights)
    for _ in range(NEW_TOKENS // 2 - 20):
        batch.step()
    steps: list[float] = []
    for _ in range(40):
        start = time.perf_counter()
        batch.step()
        steps.append(time.perf_counter() - start)
    twin = with_weights(model, weights)
    context = PROMPT_TOKENS + NEW_TOKENS // 2
    with torch.inference_mode():
        state = twin.fresh_state(streams)
        assert isinstance(state, KeyValueCache)
        twin.advance(torch.randint(5, VOCABULARY, (streams, context)), state)
        ids_B1 = torch.randint(5, VOCABULARY, (streams, 1))

        def whole_model() -> None:
            twin.advance(ids_B1, state)
            state.lengths = [context] * streams  # the same token again
            state.end -= 1

        dtype = next(twin.parameters()).dtype
        products = [
            (module, torch.randn(streams, 1, module.in_features, dtype=dtype))
            for name, module in twin.named_modules()
            if hasattr(module, "in_features") and not name.endswith("_of_pieces")
        ]
        c = model.config
        head = c.d_model // c.n_heads
        q = torch.randn(streams, c.n_heads, 1, head)
        kv = torch.randn(c.n_layers, 2, streams, c.n_heads, context, head)

        def attention() -> None:
            for keys_values in kv:
                torch.nn.functional.scaled_dot_product_attention(q, *keys_values)

        return {
            "step": 1e3 * statistics.median(steps),
            "model": 1e3 * fastest(whole_model),
            "products": 1e3 * fastest(lambda: [layer(x) for layer, x in products]),
            "attention": 1e3 * fastest(attention),
        }


# --- rows ----------------------------------------------------------------------------


def rows(
    *,
    peer: Path | None = None,
    threads: int = 2,
    repeats: int = 5,
    ways: Sequence[str] = WAYS,
    weights: Sequence[str] = ("fp32", "bf16", "int8", "w8a8"),
    report: Callable[[dict[str, Any]], object] = lambda row: None,
) -> list[dict[str, Any]]:
    """Rows of `name`, `ours`, `peer`, `unit`, `ratio`; without transformers, `peer` is None.

    Args:
        peer: a Python that has transformers (`peer_python` looks for one).
        threads: of torch, on either side.
        repeats: turns; figures are their medians.
        ways: greedy, sampled.
        weights: of ours; the peer's are fp32.
        report: called with each row as soon as it is there.
    """
    import torch

    torch.set_num_threads(threads)
    model = random_model()
    process = Peer(peer, threads) if peer else None
    found: list[dict[str, Any]] = []
    speeds: dict[tuple[int, str], list[float]] = {}
    for streams in STREAMS:
        for way in ways:
            theirs: list[float] = []
            ours: dict[str, list[float]] = {kind: [] for kind in weights}
            for _ in range(repeats):
                for kind in weights:
                    ours[kind].append(our_seconds(model, streams, way, kind))
                if process:
                    theirs.append(process.seconds(streams, way))
            for kind in weights:
                name = f"generate.{RUNG}.b{streams}.{way}.{kind}.vs_transformers"
                found.append(_row(name, streams, ours[kind], theirs))
                report(found[-1])
                speeds.setdefault((streams, kind), []).append(found[-1]["ours"])
    if process:
        process.stop()
    speed = bandwidth()
    for (streams, kind), own in speeds.items():
        limit = streams * speed["read"] / step_bytes(model, streams, kind)
        name = f"generate.{RUNG}.b{streams}.{kind}.vs_bandwidth"
        row = {"name": name, "ours": max(own), "peer": round(limit, 1), "unit": "tokens/s"}
        row |= {"ratio": round(max(own) / limit, 3), "parts_ms": None}
        row["parts_ms"] = {
            part: round(ms, 3) for part, ms in parts_of_a_step(model, streams, kind).items()
        }
        row["bandwidth_gb_per_s"] = {what: round(b / 1e9, 1) for what, b in speed.items()}
        found.append(row)
        report(row)
    return found


def _row(name: str, streams: int, ours: list[float], theirs: list[float]) -> dict[str, Any]:
    tokens = streams * NEW_TOKENS
    row: dict[str, Any] = {"name": name, "ours": round(tokens / statistics.median(ours), 1)}
    row |= {"peer": None, "unit": "tokens/s", "ratio": None, "ratio_range": None}
    if theirs:
        ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
        row["peer"] = round(tokens / statistics.median(theirs), 1)
        row["ratio"] = round(statistics.median(theirs) / statistics.median(ours), 2)
        row["ratio_range"] = [round(min(ratios), 2), round(max(ratios), 2)]
    return row


# --- quality, and what a draft could bring -------------------------------------------


def held_out_rows(run: Any, corpus: Any, wanted_tokens: int) -> tuple[Any, int]:
    """Openings of held-out documents that fill a window: ids (B, W + 1), and bytes of text."""
    import torch

    from escada.evaluation.sampling import document_sample

    window = run.spec.model.context_tokens
    rows: list[list[int]] = []
    for document in document_sample(corpus, "validation", 2**60):
        ids = [run.tokenizer.bos_id, *run.tokenizer.encode(document.text).tolist()]
        if len(ids) > window:
            rows.append(ids[: window + 1])
        if len(rows) * window >= wanted_tokens:
            break
    size = sum(len(run.tokenizer.decode(ids[1:]).encode()) for ids in rows)
    return torch.tensor(rows), size


def token_by_token(model: Any, ids_BT: Any) -> Any:
    """Log-probabilities (B, T, V) as decoding computes them, of what follows each id."""
    import torch

    state = model.fresh_state(len(ids_BT))
    with torch.inference_mode():
        parts = [model.advance(ids_BT[:, t : t + 1], state) for t in range(ids_BT.shape[1])]
        return torch.cat(parts, dim=1).float().log_softmax(dim=-1)


def quality(run_path: Path, data: Path, tokens: int = 40_000) -> dict[str, Any]:
    """Bits per byte of held-out text with each kind of weights, and the loss against fp32."""
    from escada.choices import WEIGHTS
    from escada.errors import EscadaError
    from escada.generation.weights import with_weights
    from escada.runs.run import open_run
    from escada.text.corpus import Corpus

    run = open_run(run_path)
    model = run.load_model()
    ids_BT, size = held_out_rows(run, Corpus.open(data), tokens)
    found: dict[str, Any] = {"run": run.name, "rows": len(ids_BT), "bytes": size}
    nats_B: dict[str, Any] = {}
    for kind in WEIGHTS:
        try:
            twin = with_weights(model, kind)
        except EscadaError as error:
            found[kind] = str(error)
            continue
        log_BTV = token_by_token(twin, ids_BT[:, :-1])
        nats_B[kind] = -log_BTV.gather(2, ids_BT[:, 1:, None])[..., 0].double().sum(dim=1).numpy()
    rng = np.random.default_rng(0)
    draws = rng.integers(len(ids_BT), size=(2000, len(ids_BT)))
    for kind, own_B in nats_B.items():
        loss = own_B[draws].sum(axis=1) / nats_B["fp32"][draws].sum(axis=1) - 1
        found[kind] = {
            "bits_per_byte": float(own_B.sum() / math.log(2) / size),
            "loss_percent": float(100 * (own_B.sum() / nats_B["fp32"].sum() - 1)),
            "loss_percent_ci95": (100 * np.quantile(loss, [0.025, 0.975])).tolist(),
        }
    return found


def speculation(run_path: Path, draft_path: Path, data: Path, threads: int) -> dict[str, Any]:
    """What a draft could bring one stream at most: its tokens accepted, and the times of both.

    A drafted token is accepted with probability sum over the vocabulary of min(p, q) (Leviathan et
    al. 2023), averaged over held-out text; k drafts then give (1 - a^(k+1)) / (1 - a) tokens for
    one pass of the target over k + 1 tokens and k steps of the draft. Sampling, acceptance and the
    repair of caches are counted as free: an upper bound.
    """
    import torch

    from escada.generation.weights import with_weights
    from escada.runs.run import open_run
    from escada.text.corpus import Corpus

    torch.set_num_threads(threads)
    run, draft_run = open_run(run_path), open_run(draft_path)
    assert run.tokenizer.hash == draft_run.tokenizer.hash, "another tokenizer"
    ids_BT = held_out_rows(run, Corpus.open(data), 20_000)[0][:, :-1]
    target, draft = (with_weights(one.load_model(), "fp32") for one in (run, draft_run))
    own, other = token_by_token(target, ids_BT), token_by_token(draft, ids_BT)
    found: dict[str, Any] = {"run": run.name, "draft": draft_run.name}
    for temperature in (1.0, 0.8):
        p, q = ((one / temperature).softmax(dim=-1) for one in (own, other))
        found[f"accepted_at_{temperature}"] = float(torch.minimum(p, q).sum(dim=-1).mean())
    a = found["accepted_at_0.8"]
    for name, model in (
        ("as trained", target),
        ("full size", with_weights(random_model(), "fp32")),
    ):
        found[name] = {"plain_ms": 1e3 * pass_seconds(model, 1)}
        step = found["draft_ms"] = 1e3 * pass_seconds(draft, 1)
        for k in (1, 2, 3, 4, 6):
            check = 1e3 * pass_seconds(model, k + 1)
            tokens = (1 - a ** (k + 1)) / (1 - a)
            found[name][f"speedup_of_{k}"] = found[name]["plain_ms"] * tokens / (check + k * step)
    return found


def pass_seconds(model: Any, tokens: int) -> float:
    """One pass over so many tokens of one row, after half a window."""
    import torch

    half = (model.context_tokens or 256) // 2
    with torch.inference_mode():
        state = model.fresh_state(1)
        model.advance(torch.randint(5, model.vocab_size, (1, half)), state)
        ids_1T = torch.randint(5, model.vocab_size, (1, tokens))

        def work() -> None:
            model.advance(ids_1T, state)
            if hasattr(state, "lengths"):
                state.lengths, state.end = [half], state.end - tokens

        return fastest(work)


def print_row(row: dict[str, Any]) -> None:
    peer, ratio = (row[key] if row[key] is not None else "–" for key in ("peer", "ratio"))
    print(f"{row['name']:56} {row['ours']:>9} {peer:>9} {ratio:>6}", flush=True)
    if row.get("parts_ms"):
        print("   " + ", ".join(f"{part} {ms} ms" for part, ms in row["parts_ms"].items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-python", type=Path, help=f"default: ${PEER_VARIABLE}, or this one")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quality", type=Path, metavar="RUN")
    parser.add_argument("--draft", type=Path, metavar="RUN")
    parser.add_argument("--data", type=Path, default=Path("data/default"))
    parser.add_argument("--serve-peer", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_peer:
        serve_peer(arguments.threads)
        return
    if arguments.quality:
        print(json.dumps(quality(arguments.quality, arguments.data), indent=2))
        if arguments.draft:
            found = speculation(
                arguments.quality, arguments.draft, arguments.data, arguments.threads
            )
            print(json.dumps(found, indent=2))
        return
    peer = peer_python(arguments.peer_python)
    if peer is None:
        print(
            "transformers is not installed here: no ratios against it. Install it in an "
            "environment of its own (pip install torch transformers) and give --peer-python",
            file=sys.stderr,
        )
    print(f"{'name':56} {'ours':>9} {'peer':>9} {'ratio':>6}")
    found = rows(peer=peer, threads=arguments.threads, repeats=arguments.repeats, report=print_row)
    if arguments.out:
        from escada.files import write_json

        table = {"schema_version": 1, "threads": arguments.threads, "rows": found}
        write_json(arguments.out, table)


if __name__ == "__main__":
    main()
