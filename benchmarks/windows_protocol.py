"""How fast the window protocol is beside a naive loop that reads one window at a time.

    python benchmarks/windows_protocol.py CORPUS [RUN ...] [--preset full] [--windows 1000]

Takes runs, or else builds v1 and v5 with fresh weights and a tokenizer of the corpus: speed does
not depend on what was learned. The same windows of the test split are scored three ways, in turn,
five times over: `model(ids)[:, -1]` a window at a time; in batches, with the logits of every
position; in batches, with those of the last position only, which is what
`escada evaluate --protocol windows` does. Medians; the losses of the first and the last must be
equal to one part in a million.
"""

from __future__ import annotations

import argparse
import statistics
import time
import types
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from escada.evaluation.windows import WindowSettings, default_settings, score_windows
from escada.generation.inference import exact_inference
from escada.models.contract import LanguageModel, build_model
from escada.runs.environment import environment
from escada.runs.run import open_run
from escada.spec import Spec, load_spec
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer, train_tokenizer

RUNGS = ("v1", "v5")
ROUNDS = 5


@dataclass
class Subject:
    name: str
    spec: Spec
    tokenizer: Tokenizer
    model: LanguageModel


def of_run(path: Path) -> Subject:
    run = open_run(path)
    return Subject(f"{run.spec.name} {run.spec.preset}", run.spec, run.tokenizer, run.load_model())


def fresh(rung: str, preset: str, corpus: Corpus) -> Subject:
    spec = load_spec(rung, preset=preset)
    tokenizer = train_tokenizer(spec.tokenizer, (d.text for d in corpus.documents("train")))
    model = build_model(spec.model, tokenizer.vocab_size, seed=0).eval()
    return Subject(f"{rung} {preset}, untrained", spec, tokenizer, model)


def naive_windows(
    documents: Sequence[Document], tokenizer: Tokenizer, settings: WindowSettings
) -> list[tuple[list[int], int]]:
    """Each window and its target."""
    stream: list[int] = []
    for document in documents:
        stream += [tokenizer.bos_id, *tokenizer.encode(document.text).tolist(), tokenizer.eos_id]
    width = settings.window_tokens
    starts = range(0, len(stream) - width, settings.window_stride)
    kept = [start for start in starts if stream[start + width] != tokenizer.bos_id]
    n = min(len(kept), settings.max_windows)
    drawn = [kept[i * len(kept) // n] for i in range(n)]
    return [(stream[start : start + width], stream[start + width]) for start in drawn]


def naive_loop(model: LanguageModel, windows: list[tuple[list[int], int]]) -> tuple[float, float]:
    """Mean loss and windows a second."""
    nats = 0.0
    with exact_inference(model):
        began = time.perf_counter()
        for ids, target in windows:
            logits_1V = model(torch.tensor([ids]))[:, -1]
            nats += torch.nn.functional.cross_entropy(logits_1V, torch.tensor([target])).item()
        seconds = time.perf_counter() - began
    return nats / len(windows), len(windows) / seconds


def rate_text(windows_per_second: float) -> str:
    return f"{windows_per_second:,.{0 if windows_per_second >= 100 else 1}f}"


def compare(subject: Subject, documents: list[Document], n_windows: int) -> None:
    settings = replace(default_settings(subject.spec), max_windows=n_windows)
    model, tokenizer = subject.model, subject.tokenizer
    windows = naive_windows(documents, tokenizer, settings)
    quick = model.last_logits
    rates: dict[str, list[float]] = {"naive": [], "all logits": [], "last logits": []}
    losses: dict[str, float] = {}
    for _ in range(ROUNDS):
        losses["naive"], rate = naive_loop(model, windows)
        rates["naive"].append(rate)
        for way in ("all logits", "last logits"):
            model.last_logits = (
                types.MethodType(LanguageModel.last_logits, model) if way == "all logits" else quick
            )
            scores = score_windows(model, tokenizer, documents, settings)
            rates[way].append(scores.windows / scores.seconds)
            losses[way] = float(scores.nats.sum() / scores.weights.sum())
    apart = abs(losses["last logits"] / losses["naive"] - 1)
    assert apart < 1e-6, losses
    naive, batched, ours = (statistics.median(rates[way]) for way in rates)
    print(
        f"| {subject.name} | {model.parameter_count() / 1e6:.2f} M | {tokenizer.vocab_size:,} "
        f"| {len(windows):,} × {settings.window_tokens} | {rate_text(naive)} "
        f"| {rate_text(batched)} | {rate_text(ours)} | {ours / naive:.2f} | {apart:.0e} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="a prepared corpus folder")
    parser.add_argument("runs", type=Path, nargs="*", help="run folders; else v1 and v5, untrained")
    parser.add_argument("--preset", default="laptop", help="of the untrained ones")
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    corpus = Corpus.open(arguments.corpus)
    documents = list(corpus.documents("test"))
    facts = environment().model_dump(mode="json")
    print(
        f"{time.strftime('%Y-%m-%d')}, {facts['cpu']}, {arguments.threads} thread(s) of "
        f"{facts['cores']} cores, torch {facts['packages']['torch']}\n\n"
        "| model | parameters | V | windows | naive, windows/s | batches, all logits "
        "| batches, last logits | ratio to naive | loss apart |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    for path in arguments.runs:
        compare(of_run(path), documents, arguments.windows)
    for rung in RUNGS if not arguments.runs else ():
        compare(fresh(rung, arguments.preset, corpus), documents, arguments.windows)


if __name__ == "__main__":
    main()
