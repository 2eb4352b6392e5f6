"""What a CUDA machine without a network does with the `full` presets, in under eight minutes.

    python benchmarks/gpu.py pack --data data/default --to build/gpu-tokens   (where the corpus is)
    python benchmarks/gpu.py run --tokens build/gpu-tokens --out DIR [--only NAME …] [--whole-v5]
    python benchmarks/gpu.py run --tokens build/gpu-tokens --out DIR --dry    (a minute, CPU)

`pack` copies the tokens and tokenizers of the rungs and some validation documents (a few MB), so
that `run` needs neither the corpus nor what reads it. `run` measures, in this order:

    peak            one large product in bf16
    train.v_final   tokens/s and the share of the peak (utilisation), at micro-batches of 8 and 64
    train.v5        the same, and how long 50k steps would take
    train.v1 …      v1 to v4 and v4_gru on cuDNN
    generate        v_final, 1 and 16 streams, beside transformers' generate where it is installed
    v5_whole        with --whole-v5 or --only v5_whole: all 50k steps, with a CSV of the losses

Precision and compilation are what `train.precision = auto` and `train.compile = auto` choose there:
bf16, compiled for Transformers. Every section writes gpu.json again, so that a limit of time
loses only what it cut.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peers.stepping import training_of

from escada.errors import EscadaError
from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.files import write_json
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.models.contract import build_model
from escada.spec import Spec, load_spec
from escada.text.documents import Document
from escada.text.shards import TokenStream
from escada.text.tokenizers import load_tokenizer

RECURRENT = ("v1", "v2", "v3", "v4", "v4_gru")
MICRO_BATCHES = (8, 64)
VALIDATION_BYTES = 200_000
MATRIX = 8192
SECONDS_A_RUNG = 6.0
WHOLE_STEPS = 50_000
LOG_EVERY = 250
VALIDATE_EVERY = 5_000
SHEET_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bf16 of the data sheets, by a part of the device's name: the peak that others divide by."""


class Session:
    """Where, with what, and the rows so far."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.dry: bool = arguments.dry
        self.preset = "laptop" if self.dry else "full"
        self.device = torch.device("cpu" if self.dry else "cuda")
        self.tokens: Path = arguments.tokens
        self.out: Path = arguments.out
        self.limit: float = arguments.seconds
        self.begun = time.perf_counter()
        self.peak: float | None = None
        self.rows: list[dict[str, Any]] = []

    def add(self, name: str, value: float, unit: str, **facts: Any) -> None:
        self.rows.append({"name": name, "status": "ok", "ours": value, "unit": unit, **facts})
        print(f"{self.elapsed():6.0f} s  {name}: {value:,.4g} {unit}  {facts}", flush=True)
        self.save()

    def skip(self, name: str, status: str, reason: str) -> None:
        self.rows.append({"name": name, "status": status, "reason": reason})
        print(f"{self.elapsed():6.0f} s  {name}: {status}, {reason}", flush=True)
        self.save()

    def save(self) -> None:
        cuda = self.device.type == "cuda"
        machine: dict[str, Any] = {"torch": torch.__version__, "device": str(self.device)}
        if cuda:
            of = torch.cuda.get_device_properties(self.device)
            machine |= {"gpu": of.name, "memory_bytes": of.total_memory, "cuda": torch.version.cuda}
        record = {
            "schema_version": 1,
            "date": time.strftime("%Y-%m-%d"),
            "dry": self.dry,
            "machine": machine,
            "seconds": self.elapsed(),
            "rows": self.rows,
        }
        write_json(self.out / "gpu.json", record)

    def elapsed(self) -> float:
        return time.perf_counter() - self.begun

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def spec(self, rung: str, *overrides: str) -> Spec:
        return load_spec(rung, preset=self.preset, overrides=list(overrides))

    def stream(self, spec: Spec) -> TokenStream:
        return TokenStream.open(self.tokens / _folder(spec) / "train")


def _folder(spec: Spec) -> str:
    return f"{spec.tokenizer.kind}-{spec.tokenizer.vocab_size or 'all'}"


# --- sections -------------------------------------------------------------------------------------


def peak(session: Session) -> None:
    size = 512 if session.dry else MATRIX
    a, b = (torch.randn(size, size, device=session.device).bfloat16() for _ in range(2))
    times = [_seconds(session, lambda: a @ b, 10) / 10 for _ in range(5)]
    session.peak = 2 * size**3 / sorted(times)[2]
    session.add("peak.bf16", session.peak / 1e12, "TFLOP/s", size=size)


def _seconds(session: Session, work: Callable[[], Any], times: int) -> float:
    session.wait()
    begun = time.perf_counter()
    for _ in range(times):
        work()
    session.wait()
    return time.perf_counter() - begun


def _train(session: Session, rung: str, micro: int | None) -> dict[str, Any]:
    """Steps of a rung for some seconds; adds a row and returns it."""
    overrides = [f"train.micro_batch_sequences={micro}"] if micro else []
    spec = session.spec(rung, *overrides)
    training = training_of(spec, session.stream(spec), session.device)
    warmup = _seconds(session, training.step, 3)
    step = _seconds(session, training.step, 2) / 2
    times = max(3, round((0.5 if session.dry else SECONDS_A_RUNG) / 3 / step))
    seconds = sorted(_seconds(session, training.step, times) / times for _ in range(3))[1]
    flops = training.flops_per_step / seconds
    facts: dict[str, Any] = {
        "steps_per_second": 1 / seconds,
        "step_seconds": seconds,
        "warmup_seconds": warmup,
        "batch": f"{spec.train.batch_sequences} x {spec.train.window_tokens}",
        "micro_batch": micro or spec.train.batch_sequences,
        "precision": training.setup.precision.name,
        "tflop_per_second": flops / 1e12,
        "utilisation_of_measured_peak": flops / session.peak if session.peak else None,
        "utilisation_of_data_sheet": _of_sheet(session, flops),
    }
    if session.device.type == "cuda":
        facts["peak_memory_bytes"] = torch.cuda.max_memory_allocated(session.device)
        torch.cuda.reset_peak_memory_stats(session.device)
    name = f"train.{rung}" + (f".micro{micro}" if micro else "")
    session.add(name, training.targets_per_step / seconds, "tokens/s", **facts)
    return session.rows[-1]


def _of_sheet(session: Session, flops: float) -> float | None:
    if session.device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(session.device)
    known = [most for part, most in SHEET_FLOPS.items() if part in name]
    return flops / known[0] if known else None


def transformer(rung: str) -> Callable[[Session], None]:
    def section(session: Session) -> None:
        micros = [session.spec(rung).train.batch_sequences] if session.dry else MICRO_BATCHES
        rows = [_train(session, rung, micro) for micro in micros]
        best = max(rows, key=lambda row: row["ours"])
        facts = {key: best[key] for key in best if key.startswith(("utilisation", "micro"))}
        hours = WHOLE_STEPS * best["step_seconds"] / 3600
        session.add(f"train.{rung}.whole_planned", hours, "hours of 50k steps", **facts)

    return section


def recurrent(rung: str) -> Callable[[Session], None]:
    return lambda session: void(_train(session, rung, None))


def void(_: object) -> None:
    return None


def decoding(session: Session) -> None:
    spec = session.spec("v_final")
    tokenizer = load_tokenizer(session.tokens / _folder(spec) / "tokenizer")
    model = build_model(spec.model, tokenizer.vocab_size, seed=0).to(session.device).eval()
    new_tokens = 8 if session.dry else 224
    documents = json.loads((session.tokens / "validation.json").read_text(encoding="utf-8"))
    texts = [d["text"] for d in documents if len(d["text"]) > 300]
    prompts = [tokenizer.decode(tokenizer.encode(text)[:32].tolist()) for text in texts]
    for rows in (1, 16):
        chosen = [prompts[n % len(prompts)] for n in range(rows)]

        def ours(chosen: list[str] = chosen) -> int:
            samples = generate(
                model, tokenizer, chosen, SamplerSettings(), max_tokens=new_tokens,
                profile="reference",
            )  # fmt: skip
            return sum(len(sample.ids) for sample in samples)

        theirs = _transformers(session, spec, tokenizer.vocab_size, rows, new_tokens)
        rates: dict[str, list[float]] = {"ours": [], "theirs": []}
        for turn in range(2 if session.dry else 4):
            for side, write in (("ours", ours), ("theirs", theirs)):
                if write is not None:
                    session.wait()
                    begun = time.perf_counter()
                    tokens = write()
                    session.wait()
                    if turn:
                        rates[side].append(tokens / (time.perf_counter() - begun))
        medians = {side: sorted(r)[len(r) // 2] for side, r in rates.items() if r}
        session.add(
            f"generate.v_final.b{rows}", medians["ours"], "tokens/s",
            peer=medians.get("theirs"),
            ratio=medians["ours"] / medians["theirs"] if "theirs" in medians else None,
            peer_name=None if theirs else "transformers is not installed",
        )  # fmt: skip


def _transformers(
    session: Session, spec: Spec, vocab_size: int, rows: int, new_tokens: int
) -> Callable[[], int] | None:
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        return None
    of = spec.model.model_dump(mode="json")
    config = GPT2Config(
        vocab_size=vocab_size, n_positions=of["context_tokens"], n_embd=of["d_model"],
        n_head=of["n_heads"], n_inner=of["d_ff"], n_layer=of["n_layers"], eos_token_id=None,
    )  # fmt: skip
    network = GPT2LMHeadModel(config).to(session.device).eval()
    prompt_BT = torch.randint(3, vocab_size, (rows, 32), device=session.device)

    @torch.inference_mode()
    def write() -> int:
        out_BT = network.generate(
            prompt_BT, attention_mask=torch.ones_like(prompt_BT), max_new_tokens=new_tokens,
            min_new_tokens=new_tokens, pad_token_id=0, do_sample=True, temperature=0.8,
            top_p=0.95, top_k=0,
        )  # fmt: skip
        return (out_BT.shape[1] - 32) * rows

    return write


def v5_whole(session: Session) -> None:
    """The roadmap's 50k steps, validated ten times; stops early when the time is up."""
    steps = 40 if session.dry else WHOLE_STEPS
    log_every, validate_every = (10, 20) if session.dry else (LOG_EVERY, VALIDATE_EVERY)
    known = {row["name"]: row["ours"] for row in session.rows if row["status"] == "ok"}
    size = session.spec("v5").train.batch_sequences
    fastest = max(MICRO_BATCHES, key=lambda m: known.get(f"train.v5.micro{m}", m / 1e9))
    spec = session.spec("v5", f"train.micro_batch_sequences={min(fastest, size)}")
    training = training_of(spec, session.stream(spec), session.device, total_steps=steps)
    tokenizer = load_tokenizer(session.tokens / _folder(spec) / "tokenizer")
    table = json.loads((session.tokens / "validation.json").read_text(encoding="utf-8"))
    documents = [Document(**row) for row in table]
    seconds, clock = 0.0, time.perf_counter()
    best: float | None = None
    with (session.out / "v5_whole.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "seconds", "loss", "gradient_norm", "bits_per_byte"])
        nats_before, step = 0.0, 0
        while step < steps:
            training.step()
            step += 1
            if step % log_every:
                continue
            nats = float(training.stepper.nats.item())
            seconds += time.perf_counter() - clock
            loss = (nats - nats_before) / (log_every * training.targets_per_step)
            nats_before, found = nats, None
            if step % validate_every == 0:
                found = bits_per_byte(score_documents(training.model, tokenizer, documents))
                best = found if best is None else min(best, found)
                print(f"{session.elapsed():6.0f} s  step {step}: {loss:.3f}, {found:.4f} bits/byte")
            writer.writerow([step, f"{seconds:.2f}", f"{loss:.5f}",
                             f"{float(training.stepper.gradient_norm):.4f}", found])  # fmt: skip
            file.flush()
            if session.elapsed() > session.limit:
                break
            clock = time.perf_counter()
    session.add(
        "v5_whole", seconds, "s of training", steps=step, planned_steps=steps,
        training_flops=step * training.flops_per_step,
        tokens_per_second=step * training.targets_per_step / seconds,
        best_validation_bits_per_byte=best, validation_bytes=_bytes(documents),
        utilisation_of_data_sheet=_of_sheet(session, step * training.flops_per_step / seconds),
    )  # fmt: skip


def _bytes(documents: list[Document]) -> int:
    return sum(len(document.text.encode()) for document in documents)


SECTIONS: dict[str, Callable[[Session], None]] = {
    "peak": peak,
    "train.v_final": transformer("v_final"),
    "train.v5": transformer("v5"),
    **{f"train.{rung}": recurrent(rung) for rung in RECURRENT},
    "generate": decoding,
    "v5_whole": v5_whole,
}


def run(arguments: argparse.Namespace) -> None:
    if not arguments.dry and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --dry tries the script on a CPU")
    arguments.out.mkdir(parents=True, exist_ok=True)
    session = Session(arguments)
    wanted = arguments.only or [name for name in SECTIONS if name != "v5_whole"]
    if arguments.whole_v5:
        wanted.append("v5_whole")
    sections = {name: section for name, section in SECTIONS.items() if name in wanted}
    for name, section in sections.items():
        if session.elapsed() > session.limit:
            session.skip(name, "skipped", f"{session.limit:.0f} s are over")
            continue
        try:
            section(session)
        except (EscadaError, RuntimeError, OSError, torch.OutOfMemoryError) as error:
            session.skip(name, "failed", f"{type(error).__name__}: {error}"[:300])
        if session.device.type == "cuda":
            torch.cuda.empty_cache()
    print(f"written to {session.out / 'gpu.json'}")
    if any(row["status"] == "failed" for row in session.rows):
        sys.exit(1)


def pack(arguments: argparse.Namespace) -> None:
    from escada.evaluation.sampling import document_sample
    from escada.text.corpus import Corpus
    from escada.text.token_cache import prepare_tokens, tokens_path

    corpus = Corpus.open(arguments.data)
    arguments.to.mkdir(parents=True, exist_ok=True)
    for preset in ("full", "laptop"):
        for rung in ("v1", "v4"):
            spec = load_spec(rung, preset=preset)
            prepare_tokens(corpus, spec.tokenizer)
            target = arguments.to / _folder(spec)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(tokens_path(corpus, spec.tokenizer), target)
    sample = document_sample(corpus, "validation", VALIDATION_BYTES)
    rows = [{"id": d.id, "source": d.source, "group": d.group, "text": d.text} for d in sample]
    write_json(arguments.to / "validation.json", rows)  # type: ignore[arg-type]
    total = sum(path.stat().st_size for path in arguments.to.rglob("*") if path.is_file())
    print(f"{total / 1e6:.1f} MB in {arguments.to}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    packing = verbs.add_parser("pack", help="copy tokens and tokenizers, where the corpus is")
    packing.add_argument("--data", type=Path, default=Path("data/default"))
    packing.add_argument("--to", type=Path, required=True)
    packing.set_defaults(verb=pack)
    running = verbs.add_parser("run", help="measure")
    running.add_argument("--tokens", type=Path, required=True)
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--only", action="append", choices=list(SECTIONS), default=[])
    running.add_argument("--whole-v5", action="store_true", help="train v5's 50k steps as well")
    running.add_argument("--seconds", type=float, default=460.0, help="start nothing after these")
    running.add_argument("--dry", action="store_true", help="laptop presets on the CPU, a minute")
    running.set_defaults(verb=run)
    arguments = parser.parse_args()
    arguments.verb(arguments)


if __name__ == "__main__":
    main()
