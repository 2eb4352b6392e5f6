"""`escada evaluate`: the ruler on a run, or the roadmap's window protocol."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from escada.choices import Scored
from escada.cli.measure import kept as kept_steps
from escada.cli.measure import windows
from escada.cli.shared import completion, options, reading
from escada.errors import EscadaError, counted
from escada.files import read_json
from escada.terminal import echo, echo_json, shortened

if TYPE_CHECKING:
    from escada.evaluation.tasks.documents import DocumentsResult, SourceFigure
    from escada.runs.run import Run
    from escada.text.sources import RowOptions

    Found = tuple[DocumentsResult, Mapping[str, object]]
    """The figures, and the JSON that `--json` prints."""

_LONGEST_NAME = 255
"""Of a file, on every system: a text longer than that is no path."""


def evaluate(
    run: options.MaybeRunFolder = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="Measure these documents instead: JSONL, CSV, Parquet, plain text, a folder, a "
            "glob or hub:OWNER/NAME, cleaned by the run's profile. Nothing is stored."
        ),
    ] = None,
    split: options.Split = "test",
    data: Annotated[
        Path | None,
        typer.Option(
            help="The run's corpus folder, if it was moved; for a pretrained model, any corpus "
            "(without it, the default corpus).",
            autocompletion=completion.corpora,
        ),
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            help="Measure a model that others trained instead of a run: gemma3-270m, or a folder "
            "that transformers can read. Needs escada[pretrained]; nothing is fetched or stored."
        ),
    ] = None,
    protocol: Annotated[
        Literal["document", "windows"],
        typer.Option(
            help="document: the ruler. windows: the roadmap's loss, perplexity and accuracy of the "
            "token after each window, to set beside its published figures only.",
        ),
    ] = "document",
    window_tokens: Annotated[
        int | None, typer.Option(help="windows: tokens per window; default: the training window.")
    ] = None,
    window_stride: Annotated[
        int | None,
        typer.Option(
            help="windows: tokens from one start to the next; default: 4 (characters) or 2."
        ),
    ] = None,
    max_windows: Annotated[
        int | None,
        typer.Option(help="windows: maximum scored; default: 300000 (characters) or 250000."),
    ] = None,
    score: Annotated[
        Scored | None,
        typer.Option(help="windows: the token after each (last, the default) or all positions."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="windows: '60 s' or '5 min'; a sample by source if all take longer."),
    ] = None,
    lm_eval: Annotated[
        list[str] | None,
        typer.Option(help="A task of lm-eval instead: its name or a YAML file; may be repeated."),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="This task instead: its name (samples, pairs, cloze, guardrails …) or a module "
            "on the path that offers TASKS; may be repeated."
        ),
    ] = None,
    kept: Annotated[
        bool,
        typer.Option(
            "--kept",
            help="At each step whose weights were kept (train.keep=log): agreement, bits per byte "
            "of a sample of validation documents and lexicon words; or each --task.",
        ),
    ] = False,
    text_column: reading.TextColumn = None,
    id_column: reading.IdColumn = None,
    group_column: reading.GroupColumn = None,
    source_column: reading.SourceColumn = None,
    skip_bad_rows: reading.SkipBadRows = False,
    device: options.Device = "auto",
    json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Measure a run: bits per byte of held-out documents, with a 95 % interval."""
    from escada.text.sources import RowOptions

    given = windows.WindowOptions(window_tokens, window_stride, max_windows, score, budget)
    _check_options(protocol, text, given)
    rows = RowOptions(text_column, id_column, group_column, source_column, skip_bad_rows)
    if text is None and rows != RowOptions():
        raise EscadaError("options of rows have a meaning for --text only", fix="add --text FILE")
    if (run is None) == (pretrained is None):
        raise EscadaError(
            "evaluate measures one thing: a run's folder or a --pretrained model",
            fix="name one of them; see escada evaluate --help",
        )
    if pretrained is not None and (text is not None or lm_eval or protocol != "document"):
        raise EscadaError(
            "a pretrained model is measured by the ruler, on a corpus",
            fix="--pretrained takes --data and --split",
        )

    from escada.runs.run import open_run

    if kept and (run is None or text or lm_eval or protocol != "document" or split != "test"):
        raise EscadaError(
            "--kept measures a run's own steps", fix="beside it --task, --data, --device and --json"
        )
    if kept:
        assert run is not None
        kept_steps.measure(open_run(run), task or [], data, device, json=json)
        return
    if run is None:
        assert pretrained is not None
        found, table = _of_pretrained(pretrained, split, data, device)
    elif lm_eval:
        from escada.evaluation.tasks.lm_eval import evaluate_tasks

        # As JSON, whatever was asked for: its metrics have no fixed form.
        echo_json(evaluate_tasks(open_run(run), lm_eval, device=device))
        return
    elif task:
        _named_tasks(open_run(run), task, data, device, json)
        return
    elif protocol == "windows":
        windows.measure(open_run(run), split, data, device, given, json=json)
        return
    elif text is None:
        found, table = _of_split(open_run(run), split, data, device)
    else:
        found, table = _of_text(open_run(run), text, rows, device)
    if json:
        echo_json(table)
    else:
        _show(found)


def _check_options(protocol: str, text: str | None, given: windows.WindowOptions) -> None:
    """Refuse an option that the protocol would ignore."""
    if protocol == "windows" and text is not None:
        raise EscadaError(
            "--text has a meaning for the ruler only",
            fix="leave it out, or leave out --protocol windows",
        )
    if protocol != "windows" and given.given:
        flags = ", ".join("--" + name.replace("_", "-") for name in given.given)
        raise EscadaError(f"{flags}: without meaning for the ruler", fix="add --protocol windows")


def _of_split(run: Run, split: str, data: Path | None, device: str) -> Found:
    """The figures of a split of the run's own corpus, from its folder if they are there."""
    from escada.evaluation.task import Subject, complete, read
    from escada.evaluation.tasks.documents import Documents
    from escada.report.writers.card import write_card
    from escada.runs.corpus import corpus_of

    corpus, task = corpus_of(run, data), Documents(split)
    echo(f"evaluating {run.name} on its {split} documents", err=True)
    if complete(Subject(run, corpus, device=device), task):
        write_card(run)
    return read(run, task), read_json(task.path(run))


def _named_tasks(run: Run, names: list[str], data: Path | None, device: str, json: bool) -> None:
    """Print what the tasks found; they are evaluated where that was not done."""
    from escada.evaluation.task import Subject, evaluate, find_tasks, read
    from escada.report.writers.card import write_card
    from escada.runs.corpus import corpus_of

    tasks = [task for name in names for task in find_tasks(name)]
    subject = Subject(run, corpus_of(run, data), device=device)
    if refused := [task.name for task in tasks if not task.applies(subject)]:
        raise EscadaError(
            f"run and corpus hold nothing for the task {refused[0]!r}",
            where=f"{run.path}, {subject.corpus.path}",
        )
    if evaluate(subject, tasks, lambda done: echo(done, err=True)):
        write_card(run)
    if json:
        echo_json({task.name: read_json(task.path(run)) for task in tasks})
        return
    for task in tasks:
        for figure in read(run, task).figures():
            ends = f"  [{figure.ci95[0]:.4f}, {figure.ci95[1]:.4f}]" if figure.ci95 else ""
            echo(f"{task.name:14} {figure.name} {figure.value:.4f} {figure.unit}{ends}")


def _of_text(run: Run, text: str, options: RowOptions, device: str) -> Found:
    """The figures of the user's documents: those that a corpus of the same file would hold."""
    from escada.evaluation.task import ruler_context
    from escada.evaluation.tasks.documents import measure
    from escada.runs.device import resolve_device
    from escada.text.reading import ReferenceCounts, Rules, reference_documents
    from escada.text.sources import open_source
    from escada.text.sources.hub import PREFIX
    from escada.text.sources.walk import is_there

    if not text.startswith(PREFIX) and not is_there(text[:_LONGEST_NAME]):
        raise EscadaError(
            "source not found: --text takes a file, a folder or a glob of documents",
            where=shortened(text, 80),
            fix=f'check the path; for a sentence: escada score {run.path} "…"',
        )
    profile = run.spec.text.profile
    counts = ReferenceCounts()
    documents = reference_documents(open_source(text, options=options), Rules(profile), counts)
    read = counts.read
    if (first := next(documents, None)) is None:
        what = f"no text to measure: none is left of {read.documents} after cleaning"
        raise EscadaError(what, where=text, fix="check the file")
    found, _ = measure(
        run.load_model(device=resolve_device(device)),
        run.tokenizer,
        chain([first], documents),
        context_tokens=ruler_context(run),
        profile=profile,
        corpus_hash=None,
        split=text,
    )
    if read.left_out:
        echo(
            f"not measured: {read.left_out:,} of {counted(read.documents, 'document')} "
            f"({read.empty:,} empty, {read.exact_duplicates:,} exact and "
            f"{read.near_duplicates:,} near-duplicates)",
            err=True,
        )
    reading.say_what_was_not_read(counts.source)
    not_read = counts.source.model_dump()
    return found, found.to_json() | {"read": read.model_dump(), **not_read}


def _of_pretrained(name: str, split: str, data: Path | None, device: str) -> Found:
    """The figures of a pretrained model on a split of a corpus."""
    from escada.api import open_corpus
    from escada.evaluation.baselines.pretrained import BATCH_TOKENS, load_pretrained
    from escada.evaluation.tasks.documents import measure
    from escada.runs.device import resolve_device

    model, tokenizer = load_pretrained(name)
    corpus = open_corpus(data, "reference")
    found, _ = measure(
        model.to(resolve_device(device)),
        tokenizer,
        corpus.documents(split),
        profile=corpus.profile,
        corpus_hash=corpus.hash,
        split=split,
        batch_tokens=BATCH_TOKENS,
    )
    return found, found.to_json() | {"pretrained": name}


def _show(found: DocumentsResult) -> None:
    tokenizer = found.tokenizer
    rows = {
        "bits per byte": f"{found.bits_per_byte:.4f}",
        "95 % interval": _interval(found),
        "mean of sources": _macro(found),
        "perplexity": (
            f"{found.perplexity:.2f} per token of {tokenizer.kind} "
            f"{tokenizer.vocab_size}; not comparable across tokenizers"
        ),
        "accuracy": f"{found.accuracy:.2%} of next tokens",
        "text": (
            f"{found.split}: {counted(found.documents, 'document')}, "
            f"{counted(found.bytes, 'byte')}, {counted(found.tokens, 'token')}, "
            f"profile {found.profile}"
        ),
        "unknown": counted(found.unknown, "character"),
        "protocol": found.protocol
        + (f", {found.context_tokens} tokens" if found.context_tokens else ""),
        "speed": f"{found.tokens_per_second:,.0f} tokens/s",
    }
    for name, value in rows.items():
        echo(f"{name:15} {value}")
    for source, part in found.sources.items():
        echo(f"  {source:13} {_of_source(part)}")


def _interval(found: DocumentsResult) -> str:
    """The interval, how many groups it is of, and what it leaves out."""
    groups = counted(found.groups, "group")
    if found.groups > 1:
        groups += f" (as informative as {found.effective_groups:.1f} groups of equal size)"
    if found.ci95 is None:
        return f"none: no source has two groups; {groups}"
    low, high = found.ci95
    text = f"{low:.4f} to {high:.4f}, over {groups}"
    if borrowed := found.ci95_borrowed:
        text += f"; few groups of {', '.join(borrowed)}: validation documents tell how they vary"
    if alone := found.ci95_leaves_out:
        text += f"; without what other groups of {', '.join(alone)} would give (n = 1)"
    return text


def _macro(found: DocumentsResult) -> str:
    figure = f"{found.macro_bits_per_byte:.4f}"
    if found.macro_ci95 is None:
        return figure
    low, high = found.macro_ci95
    return f"{figure} ({low:.4f} to {high:.4f})"


def _of_source(part: SourceFigure) -> str:
    groups = "n = 1" if part.groups == 1 else f"{part.groups:,} groups"
    figure = f"{part.bits_per_byte:.4f}"
    if part.ci95 is None:
        return f"{figure}  {groups}"
    low, high = part.ci95
    return f"{figure}  {low:.4f} to {high:.4f}, {groups}"
