"""Documents from files: JSON lines, CSV, Parquet, plain text, treebanks, or a folder of them.

| file | a document is | its group |
|---|---|---|
| `.jsonl` `.ndjson` `.json`, `.csv` `.tsv`, `.parquet` | a row (see `rows`) | `group` or itself |
| text (`.txt` `.text` `.md` or no suffix), alone | a block; without blank lines, a line | itself |
| text, in a folder | the file | itself |
| `.vert` `.conll` | as in BrWaC's release | its site |
| `.conllu` | from `# newdoc` to the next; without such marks, a sentence | itself |
| `.xml` | a `TEI` element | itself |

All but Parquet may be compressed (`.gz`, `.bz2`, `.xz`, `.zst`). Everything is streamed. A document
without an id is named by its place: the file's path below the source, a colon, and the row.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from itertools import chain, groupby, islice
from pathlib import Path

from escada.errors import EscadaError
from escada.files import parse_json
from escada.text.documents import Document
from escada.text.sources import rows, tei, walk
from escada.text.sources.brwac import read_conll, read_vert
from escada.text.sources.conllu import read_treebank
from escada.text.sources.intake import Intake
from escada.text.sources.rows import read_rows, suffix_of
from escada.text.sources.streams import NotUtf8Error, lines, one_document, without_packing

TEXT = (".txt", ".text", ".md", "")
SUFFIXES = (*TEXT, *rows.SUFFIXES, ".vert", ".conll", ".conllu", *tei.SUFFIXES)
_COLUMN = re.compile(r"[\w.-]*")


def source_name(path: Path) -> str:
    """The `source` of documents in a file or folder that name none."""
    name = path.resolve().name
    if not path.is_dir():
        name = without_packing(name)
        name = name.removesuffix(Path(name).suffix) or name
    return name or "text"


def read_file(path: Path, place: str, intake: Intake) -> Iterator[Document]:
    """The documents of a file in any format of the module docstring; `place` begins their ids.

    Raises:
        EscadaError: unknown format; missing or damaged file; a bad row.
    """
    suffix = suffix_of(path)
    if suffix in rows.SUFFIXES:
        named, columns = intake.options.named, intake.columns
        found = read_rows(path, columns=columns, required=named, on_bad_row=intake.on_bad_row)
        return intake.documents(found, f"{place}:")
    if suffix == ".vert":
        return read_vert(path, place, intake.source)
    if suffix == ".conll":
        return read_conll(path, place, intake.source)
    if suffix == ".conllu":
        return read_treebank(lines(path), place, intake.source, intake.on_bad_row)
    if suffix in tei.SUFFIXES:
        return tei.read_tei(path, place, intake.source)
    if suffix in TEXT:
        return _read_blocks(path, place, intake)
    raise walk.unknown_form(path, SUFFIXES)


def read_files(files: Mapping[str, Path], intake: Intake) -> Iterator[Document]:
    """The documents of several files, given by place; a text file is one document.

    A text file that is not UTF-8 is left out and counted.

    Raises:
        EscadaError: what `read_file` raises.
    """
    for place, path in files.items():
        if suffix_of(path) not in TEXT:
            yield from read_file(path, place, intake)
            continue
        _refuse_rows(path, intake.options.text)
        try:
            text = "\n".join(one_document(lines(path), path))
        except NotUtf8Error:
            intake.counts.leave_out(walk.NOT_UTF8, place)
        else:
            yield Document(place, intake.source, "", text)


def _read_blocks(path: Path, place: str, intake: Intake) -> Iterator[Document]:
    """The blocks of a text file between blank lines; in a file without blank lines, its lines."""
    _refuse_rows(path, intake.options.text)
    has_blocks = next(islice(_blocks(path), 1, None), None) is not None
    blocks = _blocks(path)
    whole = ("\n".join(one_document(block, path)) for block in blocks)
    texts = whole if has_blocks else chain.from_iterable(blocks)
    for number, text in enumerate(texts, start=1):
        yield Document(f"{place}:{number}", intake.source, "", text)


def _blocks(path: Path) -> Iterator[Iterator[str]]:
    """The lines of each block, streamed: consume a block before the next."""
    parts = groupby(lines(path), key=lambda line: bool(line.strip()))
    return (block for has_text, block in parts if has_text)


def _refuse_rows(path: Path, column: str) -> None:
    """Refuse JSON lines and tables named as text: a JSON object or column names come first."""
    try:
        first = next((line for line in lines(path) if line.strip()), "")
    except NotUtf8Error:
        return
    kind = None
    if first.lstrip().startswith("{"):
        with contextlib.suppress(EscadaError):
            parse_json(first, path)
            kind = "JSON lines", ".jsonl"
    for sign in rows.DELIMITERS:
        names = [name.strip('"') for name in first.split(sign)]
        if len(names) > 1 and column in names and all(map(_COLUMN.fullmatch, names)):
            kind = "a table", ".tsv" if "\t" in first else ".csv"
    if kind is not None:
        fix = f"let its name end in {kind[1]}"
        raise EscadaError(f"this is no plain text but {kind[0]}", where=path, fix=fix)
