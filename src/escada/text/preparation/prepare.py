"""Makes a corpus: documents read, cleaned, deduplicated and split, in a folder.

    corpus = prepare("default", Path("data/default"))

`prepare` does nothing when the folder already holds the same corpus, and rebuilds it when the
source, the rules, the document limit or the code has changed.

Text is never held in memory as a whole: it is streamed from the source into parts, on all cores
(`preparation.parts`), and from there, duplicates left out, into the splits.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path

from escada.choices import SPLITS
from escada.code_hash import code_hash
from escada.errors import EscadaError, counted
from escada.files import (
    content_hash,
    disk_errors,
    exclusive,
    fsync_directory,
    make_directory,
    new_directory,
    read_json,
    sha256_file,
    write_json,
)
from escada.text import tables
from escada.text.cleaning import MIN_LINE_CHARACTERS, check_profile, clean
from escada.text.corpus import MANIFEST, Corpus
from escada.text.documents import Document
from escada.text.filters import open_chain, overlap
from escada.text.manifest import KIND, Decontamination, Manifest, Size, SplitFile
from escada.text.preparation import dedup
from escada.text.preparation.across import remove_copies
from escada.text.preparation.parts import Parts, WorkerKilledError, make_parts
from escada.text.preparation.splitting import split_corpus
from escada.text.reading import Progress, ReferenceCounts, Rules
from escada.text.sources import DEFAULT_OPTIONS, RowOptions, Source, open_source

SCHEMA_VERSION = 1


def prepare(
    source: str | Sequence[str],
    out: Path,
    *,
    profile: str = "reference",
    documents: int | None = None,
    min_characters: int = 0,
    mask_personal_data: bool = False,
    filters: Sequence[str] = (),
    protect: Sequence[str] = (),
    source_file: Path | None = None,
    options: RowOptions = DEFAULT_OPTIONS,
    hub_split: str | None = None,
    mixture_seed: int = 0,
    workers: int = 1,
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
        protect: `validation`, `test` or sources; training documents that share a run of words with
            them are removed (see `filters.overlap`).
        source_file: a local copy of the source's file.
        workers: processes that clean and filter; see `parts.make_parts`. The corpus does not depend
            on their number. A preparation that was interrupted goes on.

    Raises:
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
    stream = opened()
    rules = Rules(profile, min_characters, mask_personal_data, open_chain(filters))
    protected = {
        name: None if name in SPLITS[1:] else open_source(name) for name in dict.fromkeys(protect)
    }
    key = _key(stream, rules, documents, protected)
    folder = out.resolve()  # fill the target of a link, do not replace the link
    is_new = not folder.exists()
    if _is_made(folder, key):
        return Corpus.open(out)
    with exclusive(folder / _LOCK):
        try:
            _finish_exchange(folder)
            if not _is_made(folder, key):
                made = folder / f"{_PARTS}{key[:16]}"
                for left in (*folder.glob(f"*{_FRESH}*"), *folder.glob(f"{_PARTS}*")):
                    if left != made:  # left by a killed process
                        shutil.rmtree(left)
                make_directory(made)
                parts = make_parts(stream, opened, rules, made, workers=workers, progress=progress)
                with new_directory(folder / _FRESH) as fresh:
                    _make(fresh, parts, stream, rules, documents, protected, key)
                _finish_exchange(folder)
                shutil.rmtree(made)
        except WorkerKilledError:
            raise
        except Exception:
            if is_new and not (folder / MANIFEST).exists():
                shutil.rmtree(folder)
            raise
    return Corpus.open(out)


Protected = Mapping[str, Source | None]
"""Texts that must stay unseen: of a held-out split (None), or of a source."""


def _key(source: Source, rules: Rules, limit: int | None, protected: Protected) -> str:
    """A hash of everything the folder's content depends on."""
    return content_hash(
        {
            "schema_version": SCHEMA_VERSION,
            "source": dict(source.identity),
            "profile": rules.profile,
            "limit": limit,
            "min_characters": rules.min_characters,
            "mask_personal_data": rules.mask_personal_data,
            "filters": dict(rules.chain.identity),
            "protected": {name: one and dict(one.identity) for name, one in protected.items()},
            "code": code_hash(__name__, within=("escada.text",)),
            "versions": {name: metadata.version(name) for name in ("ftfy", "rensa", "wordfreq")},
        }
    )


_OWN_FILES = frozenset({MANIFEST, "tokens", *(f"{split}.parquet" for split in SPLITS)})
_LOCK, _FRESH, _PARTS = ".lock", ".fresh", ".parts-"


def _is_made(folder: Path, key: str) -> bool:
    """Whether the folder holds the corpus with this key; raises if it holds something else."""
    if not folder.exists() or (folder / _FRESH / MANIFEST).exists():
        return False
    if not folder.is_dir():
        raise EscadaError("not a folder", where=folder, fix="choose another --out")
    found = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    manifest = read_json(folder / MANIFEST) if MANIFEST in found else {}
    if found and (manifest.get("kind") != KIND or not found <= _OWN_FILES):
        raise EscadaError(
            "the folder holds something else than a prepared corpus; nothing was overwritten",
            where=folder,
            fix="choose another --out, or empty it",
        )
    return manifest.get("key") == key


def _finish_exchange(folder: Path) -> None:
    """Move a complete fresh corpus into place, or finish a move that was interrupted: the manifest
    is removed first and moved last, so a half-moved corpus has none."""
    fresh = folder / _FRESH
    if not (fresh / MANIFEST).exists():
        return
    with disk_errors(folder):
        (folder / MANIFEST).unlink(missing_ok=True)
        if (folder / "tokens").exists():
            shutil.rmtree(folder / "tokens")
        for name in (*(f"{split}.parquet" for split in SPLITS), MANIFEST):
            if (fresh / name).exists():
                (fresh / name).replace(folder / name)
        fsync_directory(folder)
        shutil.rmtree(fresh)


def _make(
    folder: Path,
    parts: Parts,
    source: Source,
    rules: Rules,
    limit: int | None,
    protected: Protected,
    key: str,
) -> None:
    """Write the splits and, last, the manifest."""
    counts = parts.counts()
    found_N = dedup.duplicates(parts.fingerprints(), parts.signatures(), parts.folder)
    counts.read.exact_duplicates = int((found_N == dedup.EXACT).sum())
    counts.read.near_duplicates = int((found_N == dedup.NEAR).sum())
    is_kept_N = found_N == dedup.NEW
    weights: dict[str, Counter[str]] = defaultdict(Counter)
    for document in parts.documents(is_kept_N):
        weights[document.source][document.group] += document.n_bytes
    if not weights:
        raise _nothing_left(source, rules, counts)
    split_of = split_corpus(weights, source.name)
    with ExitStack() as stack:
        splits = {
            split: stack.enter_context(closing(tables.Writer(folder / f"{split}.parquet")))
            for split in SPLITS
        }
        for document in parts.documents(is_kept_N):
            splits[split_of[document.source, document.group]].add(document)
    n_groups = {name: len(groups) for name, groups in weights.items()}
    overlapping = _decontaminate(folder, splits, protected, rules.profile)
    across_splits = remove_copies(folder, splits, n_groups)
    files = {split: _file_entry(file) for split, file in splits.items()}
    contents = {split: file.content_sha256 for split, file in files.items()}
    manifest = Manifest(
        hash=content_hash({"profile": rules.profile, "splits": contents}),
        key=key,
        source=source.name,
        source_identity=dict(source.identity),
        profile=rules.profile,
        limit=limit,
        min_characters=rules.min_characters,
        short=counts.short,
        masks_personal_data=rules.mask_personal_data,
        filters=counts.filters,
        documents=sum(file.documents for file in files.values()),
        bytes=sum(file.bytes for file in files.values()),
        read=counts.read,
        **dict(counts.source),
        deduplication=dedup.SETTINGS,
        decontamination=overlapping,
        across_splits=across_splits,
        licences={name: one for name, one in source.licences.items() if name in weights}
        or dict(source.licences),
        cards=dict(source.cards),
        splits=files,
        by_source={
            name: {split: _size_of(name, file) for split, file in splits.items()}
            for name in sorted(weights)
        },
    )
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))


def _nothing_left(source: Source, rules: Rules, counts: ReferenceCounts) -> EscadaError:
    least = rules.min_characters
    what = f"empty corpus: of {counted(counts.read.documents, 'document')} none has "
    what += f"{'any text' if least < 2 else f'{least} characters'} after cleaning"
    fix = "give files that hold text"
    if counts.filters.documents:
        what += f"; filters removed {counts.filters.documents:,}"
        fix = "use fewer or wider filters"
    elif rules.profile != "reference":
        fix = f"profile {rules.profile} drops lines of fewer than {MIN_LINE_CHARACTERS} characters"
    return EscadaError(what, where=source.name, fix=fix)


def _size_of(source: str, file: tables.Writer) -> Size:
    groups = file.group_bytes[source]
    return Size(documents=file.documents[source], groups=len(groups), bytes=groups.total())


def _file_entry(file: tables.Writer) -> SplitFile:
    return SplitFile(
        file=file.path.name,
        sha256=sha256_file(file.path),
        content_sha256=file.content_hash,
        documents=file.documents.total(),
        groups=sum(map(len, file.group_bytes.values())),
        bytes=file.bytes,
    )


def _decontaminate(
    folder: Path, splits: dict[str, tables.Writer], protected: Protected, profile: str
) -> Decontamination | None:
    """Remove training documents that share a run of words with protected texts."""

    def texts(name: str, source: Source | None) -> Iterator[Document]:
        documents = tables.read(folder / f"{name}.parquet") if source is None else source
        return (replace(one, text=clean(one.text, profile)) for one in documents)

    if not protected:
        return None
    all_texts = {name: texts(name, source) for name, source in protected.items()}
    splits["train"], removed = overlap.remove_overlaps(splits["train"], all_texts)
    return Decontamination(**overlap.SETTINGS, removed=removed)
