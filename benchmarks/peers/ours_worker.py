"""Our side of every row, and the limits of the machine: the largest product, a dict, a naive loop.

Training goes through `escada.training.loop.Training` with real batches, so it is what
`escada train` does, less validation and checkpoints. Models that are only timed have fresh weights.
"""

from __future__ import annotations

import json
import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from protocol import Job, serve
from stepping import training_of

import escada
from escada.cost.processor import onednn_pays
from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.generation.batch import Batch
from escada.generation.decoding import requests
from escada.generation.inference import exact_inference
from escada.generation.samplers import SamplerSettings
from escada.models import onednn
from escada.models.contract import LanguageModel, build_model
from escada.runs.run import open_run
from escada.spec import Spec, TokenizerSpec, load_spec
from escada.text.batches import WindowBatches
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.shards import write_stream
from escada.text.token_cache import prepare_tokens
from escada.text.tokenizers import Tokenizer, train_tokenizer
from escada.text.tokenizers.subwords import LINE_CHARACTERS, SubwordTokenizer, cut_line

WARMUP_STEPS = 2
CPU = torch.device("cpu")
NAIVE_STRIDE = 2


@cache
def corpus(path: str) -> Corpus:
    return Corpus.open(Path(path))


@cache
def test_documents(path: str) -> list[Document]:
    return list(corpus(path).documents("test"))


def train(*, data: str, rung: str, preset: str, overrides: list[str]) -> Job:
    spec = load_spec(rung, preset=preset, overrides=overrides)
    _, stream = prepare_tokens(corpus(data), spec.tokenizer)
    training = training_of(spec, stream, CPU)
    work = {
        "steps": 1.0,
        "tokens": float(spec.train.batch_sequences * spec.train.window_tokens),
        "predictions": float(training.targets_per_step),
        "flop": float(training.flops_per_step),
    }
    facts = {
        "ours": f"escada {escada.__version__}, torch {torch.__version__}",
        "precision": training.setup.precision.name,
        "parameters": training.model.parameter_count(),
        "vocabulary": stream.vocab_size,
        "batch": f"{spec.train.batch_sequences} x {spec.train.window_tokens}",
        "objective": spec.train.objective,
        "compile": spec.train.compile,
    }

    def step() -> dict[str, float]:
        training.step()
        return work

    for _ in range(WARMUP_STEPS):
        step()
    return Job(step, facts)


def product(*, dtype: str, size: int) -> Job:
    """The peak: one square product of matrices that do not fit the caches."""
    a, b = (torch.randn(size, size).to(getattr(torch, dtype)) for _ in range(2))
    out = a @ b
    by_onednn = dtype == "float32" and onednn_pays()

    def multiply() -> dict[str, float]:
        if by_onednn:
            onednn.product(a, b)
        else:
            torch.mm(a, b, out=out)
        return {"flop": 2.0 * size**3}

    multiply()
    library = " by oneDNN" if by_onednn else ""
    return Job(multiply, {"peer": f"one {dtype} product of {size} x {size}{library}"})


def subject(
    data: str, rung: str, preset: str, run: str | None
) -> tuple[LanguageModel, Tokenizer, Spec]:
    """A trained run, or the same rung with fresh weights."""
    if run is not None:
        opened = open_run(Path(run))
        return opened.load_model("best"), opened.tokenizer, opened.spec
    spec = load_spec(rung, preset=preset)
    tokenizer, _ = prepare_tokens(corpus(data), spec.tokenizer)
    return build_model(spec.model, tokenizer.vocab_size, seed=0).eval(), tokenizer, spec


def write(
    *,
    data: str,
    rung: str,
    rows: int,
    prompt_tokens: int,
    new_tokens: int,
    sampler: dict,
    options: dict,
) -> Job:
    """A `Batch` as the service keeps it, its weights packed once, on prompts of the test split.

    Prompts are cut in characters, a few tokens more or less than `prompt_tokens`; a row that ends
    early counts what it wrote.
    """
    model, tokenizer, _ = subject(data, rung, "full", None)
    texts = [document.text for document in test_documents(data) if len(document.text) > 400]
    encoded = [tokenizer.encode(text)[:prompt_tokens].tolist() for text in texts[:rows]]
    prompts = [tokenizer.decode(ids) for ids in encoded]
    settings = SamplerSettings(**sampler)
    batch = Batch(model, tokenizer, **options)
    facts = {"ours": f"escada {escada.__version__}", "sampler": sampler} | options

    def once() -> dict[str, float]:
        for request in requests(tokenizer, prompts, settings, max_tokens=new_tokens):
            batch.add(request)
        tokens = 0
        while batch.rows:
            tokens += len(batch.step())
        return {"tokens": tokens}

    return Job(once, facts)


def ruler(*, data: str, rung: str, preset: str, run: str | None, most_bytes: int | None) -> Job:
    """The ruler over the test split, or over its first documents."""
    model, tokenizer, _ = subject(data, rung, preset, run)
    documents, held = [], 0
    for document in test_documents(data):
        if most_bytes is not None and held >= most_bytes:
            break
        documents.append(document)
        held += len(document.text.encode())
    facts = {
        "documents": len(documents),
        "bytes": held,
        "trained": run is not None,
        "parameters": model.parameter_count(),
    }

    def score() -> dict[str, float]:
        scores = score_documents(model, tokenizer, documents)
        facts["protocol"] = scores.protocol
        facts["nats_per_target"] = float(scores.nats.sum() / scores.tokens.sum())
        facts["bits_per_byte"] = bits_per_byte(scores)
        return {"targets": float(scores.tokens.sum()), "splits": 1.0}

    return Job(score, facts)


def naive_windows(
    *, data: str, rung: str, preset: str, run: str | None, windows: int, batch: int
) -> Job:
    """Windows of the test split at stride 2, the last target of each, in batches of some rows."""
    model, tokenizer, spec = subject(data, rung, preset, run)
    width = spec.train.window_tokens
    parts = []
    for document in test_documents(data):
        parts += [tokenizer.bos_id, *tokenizer.encode(document.text).tolist(), tokenizer.eos_id]
    stream = torch.tensor(parts)
    starts = range(0, len(stream) - width - 1, NAIVE_STRIDE)
    # Spread over the split; neighbours would tell the loss of one document only.
    drawn = [starts[i * len(starts) // windows] for i in range(windows)]
    ids_NT = torch.stack([stream[start : start + width + 1] for start in drawn])
    facts = {"protocol": f"windows, stride {NAIVE_STRIDE}, last target", "windows": windows}

    def score() -> dict[str, float]:
        nats = 0.0
        with exact_inference(model):
            for rows_BT in ids_NT.split(batch):
                logits_BV = model(rows_BT[:, :-1])[:, -1]
                nats += torch.nn.functional.cross_entropy(
                    logits_BV, rows_BT[:, -1], reduction="sum"
                ).item()
        facts["nats_per_target"] = nats / windows
        return {"targets": float(windows)}

    return Job(score, facts)


def characters(*, texts_path: str, way: str) -> Job:
    """Characters to ids: our table, or a dict and a list comprehension."""
    texts: list[str] = json.loads(Path(texts_path).read_text(encoding="utf-8"))
    tokenizer = train_tokenizer(TokenizerSpec(kind="characters"), texts)
    joined = "\n".join(texts)
    n_bytes = len(joined.encode())
    table = {letter: number for number, letter in enumerate(sorted(set(joined)))}

    def encode() -> dict[str, float]:
        if way == "ours":
            tokenizer.encode(joined)
        else:
            np.array([table[letter] for letter in joined], dtype=np.int32)
        return {"bytes": n_bytes}

    encode()
    return Job(encode, {"peer": "a dict, letter by letter"})


@cache
def subwords(texts_path: str, vocab_size: int) -> tuple[list[str], Tokenizer]:
    texts: list[str] = json.loads(Path(texts_path).read_text(encoding="utf-8"))
    return texts, train_tokenizer(TokenizerSpec(kind="bpe", vocab_size=vocab_size), texts)


def sentences(*, texts_path: str, vocab_size: int, threads: int, way: str) -> Job:
    """Subword ids of all documents: ours, or SentencePiece's own list call on the same lines."""
    texts, trained = subwords(texts_path, vocab_size)
    assert isinstance(trained, SubwordTokenizer)
    ours = SubwordTokenizer(trained.model, kind="bpe", threads=threads)
    library = sentencepiece.SentencePieceProcessor(model_proto=trained.model)
    lines = [
        piece for text in texts for line in text.split("\n")
        for piece in cut_line(line, LINE_CHARACTERS)
    ]  # fmt: skip
    n_bytes = sum(len(text.encode()) for text in texts)
    facts = {"peer": f"sentencepiece {sentencepiece.__version__}, encode(list of lines)"}

    def encode() -> dict[str, float]:
        if way == "ours":
            ours.encode_batch(texts)
        else:
            library.encode(lines, out_type=int, num_threads=threads)
        return {"bytes": n_bytes}

    encode()
    return Job(encode, facts)


def windows(*, texts_path: str, vocab_size: int, window_tokens: int, batch_sequences: int) -> Job:
    """Batches of windows from the memory-mapped stream, as training reads them."""
    texts, tokenizer = subwords(texts_path, vocab_size)
    with tempfile.TemporaryDirectory() as folder:  # what is mapped outlives its name
        stream = write_stream(Path(folder) / "stream", texts, tokenizer, corpus_hash="")
    batches = WindowBatches(
        stream,
        window_tokens=window_tokens,
        stride_tokens=2,
        batch_sequences=batch_sequences,
        seed=0,
    )
    step = iter(range(1 << 62))

    def batch() -> dict[str, float]:
        batches.batch(next(step))
        return {"batches": 1.0}

    batch()
    return Job(batch)


JOBS = {
    "train": train,
    "product": product,
    "generate": write,
    "ruler": ruler,
    "naive_windows": naive_windows,
    "characters": characters,
    "sentences": sentences,
    "windows": windows,
}

if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    serve(JOBS)
