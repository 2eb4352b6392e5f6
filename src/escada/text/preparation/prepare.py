"""Makes a corpus: documents read, cleaned, deduplicated and split, in a folder.

    corpus = prepare("default", Path("data/default"))

`prepare` does nothing when the folder already holds the same corpus, and rebuilds it when the
source, the rules, the document limit or the code has changed.

Text is never held in memory as a whole: it is streamed from the source into parts, on all cores
(`preparation.parts`), and from there, duplicates left out, into the splits.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

from escada.choices import SPLITS
from escada.code_hash import code_hash
from escada.errors import EscadaError, counted
from escada.files import (
    content_hash,
    make_directory,
    new_directory,
    sha256_file,
    write_sealed_json,
)
from escada.locks import exclusive
from escada.text import tables
from escada.text.cleaning import MIN_LINE_CHARACTERS, check_profile, clean
from escada.text.corpus import MANIFEST, Corpus
from escada.text.documents import Document
from escada.text.filters import open_chain, overlap
from escada.text.manifest import Decontamination, Manifest, Size, SplitFile
from escada.text.preparation import dedup
from escada.text.preparation.across import remove_copies
from escada.text.preparation.cluster.slurm import check_no_other_jobs
from escada.text.preparation.folder import FRESH, finish_exchange, is_made
from escada.text.preparation.parts import Parts, make_parts
from escada.text.preparation.processes import Run, UnfinishedError
from escada.text.preparation.splitting import HELD_OUT_BYTES, split_documents
from escada.text.reading import Progress, ReferenceCounts, Rules
from escada.text.sources import DEFAULT_OPTIONS, RowOptions, Source, open_source
from escada.text.sources.streams import printable

SCHEMA_VERSION = 1
_PARTS = ".parts-"
_DECIDING = ("ftfy", "rensa", "wordfreq")
"""Packages whose versions decide what a text becomes, or which documents stay."""


def prepare(
    source: str | Sequence[str],
    out: Path,
    *,
    profile: str = "reference",
    documents: int | None = None,
    min_characters: int = 0,
    mask_personal_data: bool = False,
    filters: Sequence[str] = (),
    held_out_bytes: int = HELD_OUT_BYTES,
    protect: Sequence[str] = (),
    source_file: Path | None = None,
    options: RowOptions = DEFAULT_OPTIONS,
    hub_split: str | None = None,
    mixture_seed: int = 0,
    workers: int = 1,
    run: Run | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Read, clean, deduplicate and split a source into a folder, unless that is already done.

    Args:
        source: one or several; see `escada.text.sources.open_source`.
        out: the folder to write. A folder that holds anything but a prepared corpus is not touched.
        documents: maximum number of documents to read.
        min_characters: documents that are shorter after cleaning are left out.
        mask_personal_data: see `filters.personal_data`.
        filters: by name, see `escada.text.filters`.
        held_out_bytes: cap of validation, and of test, see `preparation.splitting`.
        protect: `validation`, `test` or sources; training documents that share a run of words with
            them are removed (see `filters.overlap`).
        source_file: a local copy of the source's file.
        workers: processes that clean and filter; see `parts.make_parts`. The corpus does not depend
            on their number. A preparation that was interrupted goes on.
        run: makes the parts elsewhere; see `preparation.cluster`.

    Raises:
        UnfinishedError: parts are missing; those that are complete stay.
        EscadaError: what `open_source` and `open_chain` raise; the corpus is too small for three
            splits; `out` holds something else; the disk is full.
    """
    check_profile(profile)
    opened = partial(
        open_source,
        source,
        source_file=source_file,
        documents=documents,
        options=options,
        hub_split=hub_split,
        mixture_seed=mixture_seed,
    )
    recipe = _Recipe(
        opened(),
        Rules(profile, min_characters, mask_personal_data, open_chain(filters)),
        documents,
        held_out_bytes,
        {
            printable(name): None if name in SPLITS[1:] else open_source(name)
            for name in dict.fromkeys(protect)
        },
    )
    key = recipe.key()
    folder = out.resolve()  # fill the target of a link, do not replace the link
    if printable(folder) != str(folder):  # pyarrow cannot write there
        raise EscadaError(
            "a path that is not UTF-8", where=printable(out), fix="choose another --out"
        )
    is_new = not folder.exists()
    if is_made(folder, key) and not any(folder.glob(f"{_PARTS}*")):
        return Corpus.open(out)
    made = Parts(folder / f"{_PARTS}{key[:16]}")
    with exclusive(folder / ".lock"):
        try:
            finish_exchange(folder)
            check_no_other_jobs(folder, made.folder.name)
            if not is_made(folder, key):
                for left in (*folder.glob(f"*{FRESH}*"), *folder.glob(f"{_PARTS}*")):
                    if left != made.folder:  # left by a killed process
                        shutil.rmtree(left)
                make_directory(made.folder)
                parts = make_parts(
                    *(recipe.source, opened, recipe.rules, made.folder),
                    workers=workers,
                    run=run,
                    progress=progress,
                )
                with new_directory(folder / FRESH) as fresh:
                    _make(fresh, parts, recipe, key, workers)
                finish_exchange(folder)
            for left in folder.glob(f"{_PARTS}*"):
                shutil.rmtree(left)
        except UnfinishedError:
            raise
        except Exception as error:
            is_of_the_text = made.complete and not isinstance(error.__cause__ or error, OSError)
            if is_new and (is_of_the_text or not made.paths) and not (folder / MANIFEST).exists():
                shutil.rmtree(folder)  # the same call would end alike; else it goes on
            raise
    return Corpus.open(out)


@dataclass(frozen=True)
class _Recipe:
    """Everything that a corpus depends on.

    Attributes:
        limit: maximum number of documents to read.
        held_out_bytes: see `splitting`.
        protected: texts that must stay unseen: of a held-out split (None), or of a source.
    """

    source: Source
    rules: Rules
    limit: int | None
    held_out_bytes: int
    protected: Mapping[str, Source | None]

    def key(self) -> str:
        """A hash of all of it, and of the code."""
        protected = [(name, one and dict(one.identity)) for name, one in self.protected.items()]
        return content_hash(
            {
                "schema_version": SCHEMA_VERSION,
                "source": dict(self.source.identity),
                "profile": self.rules.profile,
                "limit": self.limit,
                "min_characters": self.rules.min_characters,
                "mask_personal_data": self.rules.mask_personal_data,
                "filters": self.rules.chain.identity,
                "held_out_bytes": self.held_out_bytes,
                "protected": protected,
                "code": code_hash(__name__, within=("escada.text",)),
                "versions": {name: metadata.version(name) for name in _DECIDING},
            }
        )


def _make(folder: Path, parts: Parts, recipe: _Recipe, key: str, workers: int) -> None:
    """Write the splits and, last, the manifest."""
    source, rules = recipe.source, recipe.rules
    counts = parts.counts()
    found_N = dedup.duplicates(parts.fingerprints(), parts.signatures(), parts.folder)
    counts.read.exact_duplicates = int((found_N == dedup.EXACT).sum())
    counts.read.near_duplicates = int((found_N == dedup.NEAR).sum())
    is_kept_N = found_N == dedup.NEW
    if not is_kept_N.any():
        raise _nothing_left(source, rules, counts)
    split = split_documents(parts.groups(is_kept_N), recipe.held_out_bytes, source.name)
    files = {name: tables.Writer(folder / f"{name}.parquet") for name in SPLITS}
    with ExitStack() as stack:
        by_place = [stack.enter_context(closing(files[name])) for name in SPLITS]
        for document, place in zip(parts.documents(is_kept_N), split.split_N, strict=True):
            by_place[place].add(document)
    overlapping = _decontaminate(folder, files, recipe)
    across_splits = remove_copies(folder, files, split.n_groups, parts.folder, workers)
    splits = {name: _file_entry(file) for name, file in files.items()}
    contents = {name: file.content_sha256 for name, file in splits.items()}
    sources = sorted(split.n_groups)
    manifest = Manifest(
        hash=content_hash({"profile": rules.profile, "splits": contents}),
        key=key,
        source=source.name,
        source_identity=dict(source.identity),
        profile=rules.profile,
        limit=recipe.limit,
        min_characters=rules.min_characters,
        short=counts.short,
        masks_personal_data=rules.mask_personal_data,
        filters=counts.filters,
        documents=sum(file.documents for file in splits.values()),
        bytes=sum(file.bytes for file in splits.values()),
        read=counts.read,
        **dict(counts.source),
        deduplication=dedup.SETTINGS,
        held_out_bytes=recipe.held_out_bytes,
        decontamination=overlapping,
        across_splits=across_splits,
        licences={name: one for name, one in source.licences.items() if name in split.n_groups}
        or dict(source.licences),
        cards=dict(source.cards),
        splits=splits,
        by_source={
            source: {name: _size_of(source, file) for name, file in files.items()}
            for source in sources
        },
    )
    write_sealed_json(folder / MANIFEST, manifest.model_dump(mode="json"))


def _nothing_left(source: Source, rules: Rules, counts: ReferenceCounts) -> EscadaError:
    least = rules.min_characters
    what = f"empty corpus: of {counted(counts.read.documents, 'document')} none "
    what += f"has {'any text' if least < 2 else f'{least} characters'} after cleaning"
    fix = "give files that hold text"
    if counts.filters.documents:
        what += f" and is kept by the filters, which removed {counts.filters.documents:,}"
        fix = "use fewer or wider filters"
    elif rules.profile != "reference":
        fix = f"profile {rules.profile} drops lines of fewer than {MIN_LINE_CHARACTERS} characters"
    return EscadaError(what, where=source.name, fix=fix)


def _size_of(source: str, file: tables.Writer) -> Size:
    return Size(
        documents=file.documents[source],
        groups=file.groups(source),
        bytes=file.text_bytes[source],
    )


def _file_entry(file: tables.Writer) -> SplitFile:
    return SplitFile(
        file=file.path.name,
        sha256=sha256_file(file.path),
        content_sha256=file.content_hash,
        documents=file.documents.total(),
        groups=sum(map(file.groups, file.documents)),
        bytes=file.text_bytes.total(),
    )


def _decontaminate(
    folder: Path, splits: dict[str, tables.Writer], recipe: _Recipe
) -> Decontamination | None:
    """Remove training documents that share a run of words with protected texts."""

    def texts(name: str, source: Source | None) -> Iterator[Document]:
        documents = tables.read(folder / f"{name}.parquet") if source is None else source
        return (replace(one, text=clean(one.text, recipe.rules.profile)) for one in documents)

    if not recipe.protected:
        return None
    all_texts = {name: texts(name, source) for name, source in recipe.protected.items()}
    splits["train"], removed = overlap.remove_overlaps(splits["train"], all_texts)
    return Decontamination(**overlap.SETTINGS, removed=removed)
