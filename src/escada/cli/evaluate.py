"""`escada evaluate`: the ruler on a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from escada.cli import options

if TYPE_CHECKING:
    from escada.runs.run import Run


def evaluate(
    run: options.RunFolder,
    text: Annotated[
        str | None,
        typer.Option(
            help="Measure these documents instead: JSONL, Parquet, plain text or a folder, "
            "cleaned by the run's profile. Nothing is stored."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    data: Annotated[
        Path | None, typer.Option(help="The run's corpus folder, if it was moved.")
    ] = None,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Measure a run: bits per byte of held-out documents, with a 95 % interval."""
    import json as json_module

    from escada.runs.run import open_run

    opened = open_run(run)
    if text is None:
        found = _of_split(opened, split, data, device)
    else:
        found = _of_text(opened, text, device)
    if json:
        typer.echo(json_module.dumps(found, ensure_ascii=False, indent=2))
    else:
        _show(found)


def _of_split(run: Run, split: str, data: Path | None, device: str) -> dict[str, Any]:
    """The figures of a split of the run's own corpus, from its folder if they are there."""
    from escada.errors import EscadaError, nearest
    from escada.evaluation.card import write_card
    from escada.evaluation.review import measure_run, read_measurement
    from escada.text.corpus import SPLITS, Corpus

    if split not in SPLITS:
        raise EscadaError(f"unknown split {split!r}", fix=nearest(split, SPLITS))
    corpus = Corpus.open(data or run.data_path)
    if corpus.hash != run.corpus_hash:
        raise EscadaError(
            "this is not the corpus that the run was trained on, so the run may have read its "
            f"{split} documents",
            where=corpus.path,
            fix="give the right folder with --data, or any file with --text",
        )
    if measure_run(run, corpus, split, device=device):
        write_card(run)
    return read_measurement(run, split)


def _of_text(run: Run, text: str, device: str) -> dict[str, Any]:
    """The figures of the user's documents."""
    from dataclasses import replace

    from escada.evaluation.measurement import measure
    from escada.evaluation.results import ruler_context
    from escada.runs.device import resolve_device
    from escada.text.cleaning import clean
    from escada.text.sources import open_source

    profile = run.spec.text.profile
    found, _ = measure(
        run.load_model(device=resolve_device(device)),
        run.tokenizer,
        [replace(document, text=clean(document.text, profile)) for document in open_source(text)],
        context_tokens=ruler_context(run),
        profile=profile,
        corpus_hash=None,
        split=text,
    )
    return found.to_json()


def _show(found: dict[str, Any]) -> None:
    tokenizer = found["tokenizer"]
    interval = found["ci95"]
    rows = {
        "bits per byte": f"{found['bits_per_byte']:.4f}",
        "95 % interval": (
            f"{interval[0]:.4f} to {interval[1]:.4f}, over {found['groups']} groups"
            if interval
            else "none: it takes at least two groups of documents"
        ),
        "perplexity": (
            f"{found['perplexity']:.2f} per token of {tokenizer['kind']} "
            f"{tokenizer['vocab_size']}; not comparable across tokenizers"
        ),
        "accuracy": f"{found['accuracy']:.2%} of next tokens",
        "text": (
            f"{found['split']}: {found['documents']:,} documents, {found['bytes']:,} bytes, "
            f"{found['tokens']:,} tokens, profile {found['profile']}"
        ),
        "unknown": f"{found['unknown']:,} characters",
        "protocol": found["protocol"]
        + (f", {found['context_tokens']} tokens" if found["context_tokens"] else ""),
        "speed": f"{found['tokens_per_second']:,.0f} tokens/s",
    }
    for name, value in rows.items():
        typer.echo(f"{name:14} {value}")
    for source, figure in found["by_source"].items():
        typer.echo(f"  {source:12} {figure:.4f}")
