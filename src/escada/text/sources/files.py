"""Documents from a user's own files: JSONL, Parquet, plain text, or a folder of them.

| file | a document is | its group |
|---|---|---|
| `.jsonl` `.ndjson` `.json` | a line: `text`, maybe `id`, `source`, `group` | `group` or itself |
| `.parquet` | a row with the same columns | the same |
| text, alone | a block between blank lines; without blank lines, a line | itself |
| text, in a folder | the file | itself |
| `.vert` `.conll` | what BrWaC's release marks as one | its site |

Any of the text forms may be compressed (`.gz`). Everything is streamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from escada.errors import EscadaError
from escada.files import parse_json
from escada.text.documents import Document
from escada.text.sources.base import document_of_row, lines
from escada.text.sources.brwac import read_conll, read_vert

JSON_LINES = (".jsonl", ".ndjson", ".json")
_COLUMNS = frozenset({"text", "id", "doc_id", "source", "group", "uri", "url"})
TEXT = (".txt", ".text", ".md")
_JSON_LINE = 'each line is one object, such as {"text": "Era uma vez"}'


def _kind(path: Path) -> str:
    """The suffix that tells the form, in lower case, `.gz` set aside."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or path.name


def read_jsonl(path: Path, source: str) -> Iterator[Document]:
    """One document a line.

    Raises:
        EscadaError: names the file and the line that is not an object with a text.
    """
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        row = parse_json(line, where, _JSON_LINE)
        if not isinstance(row, dict):
            raise EscadaError("expected a JSON object", where=where, fix=_JSON_LINE)
        yield document_of_row(
            cast(dict[str, Any], row),
            default_id=f"{_stem(path)}:{number}",
            default_source=source,
            where=where,
        )


def read_parquet(path: Path, source: str) -> Iterator[Document]:
    """One document a row, read a batch at a time.

    Raises:
        EscadaError: not a Parquet file, or no text column.
    """
    import pyarrow.parquet as parquet
    from pyarrow import ArrowInvalid  # pyright: ignore[reportUnknownVariableType]

    if not path.exists():
        raise EscadaError("file not found", where=path, fix="check the path")
    try:
        file = parquet.ParquetFile(path)
        present = cast(list[str], file.schema_arrow.names)
        columns = [name for name in present if name in _COLUMNS]
        if "text" not in columns:
            raise EscadaError(
                f"no 'text' column; there are: {', '.join(present)}",
                where=path,
                fix="name the column of the text 'text'",
            )
        number = 0
        for batch in cast(Iterator[Any], file.iter_batches(batch_size=1024, columns=columns)):
            for row in cast(list[dict[str, Any]], batch.to_pylist()):
                number += 1
                yield document_of_row(
                    row,
                    default_id=f"{_stem(path)}:{number}",
                    default_source=source,
                    where=f"{path}, row {number}",
                )
    except (ArrowInvalid, OSError) as error:  # pyright: ignore[reportUnknownVariableType]
        fix = "download or write it again"
        raise EscadaError(
            f"not a Parquet file, or corrupted: {error}", where=path, fix=fix
        ) from error


def read_blocks(path: Path, source: str) -> Iterator[Document]:
    """The blocks of a text file between blank lines; in a file without blank lines, its lines."""
    has_blocks = _has_inner_blank_line(path)
    block: list[str] = []
    number = 0
    for line in lines(path):
        if line.strip():
            block.append(line)
        if block and (not has_blocks or not line.strip()):
            number += 1
            name = f"{_stem(path)}:{number}"
            yield Document(name, source, name, "\n".join(block))
            block = []
    if block:
        name = f"{_stem(path)}:{number + 1}"
        yield Document(name, source, name, "\n".join(block))


def _has_inner_blank_line(path: Path) -> bool:
    blank = text = False
    for line in lines(path):
        if not line.strip():
            blank = text
        elif blank:
            return True
        else:
            text = True
    return False


def _read_whole(path: Path, name: str, source: str) -> Iterator[Document]:
    yield Document(name, source, name, "\n".join(lines(path)))


def read_file(path: Path, source: str) -> Iterator[Document]:
    """A file of any form of the module docstring; of an unknown suffix, text."""
    kind = _kind(path)
    if kind in JSON_LINES:
        return read_jsonl(path, source)
    if kind == ".parquet":
        return read_parquet(path, source)
    if kind == ".vert":
        return read_vert(path, source)
    if kind in (".conll", ".conllu"):
        return read_conll(path, source)
    return read_blocks(path, source)


def read_folder(path: Path, source: str) -> Iterator[Document]:
    """The files below a folder in the order of their names; those of unknown forms are an error.

    Raises:
        EscadaError: no file, or one of a form that is not known.
    """
    known = (*JSON_LINES, ".parquet", ".vert", ".conll", ".conllu")
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        if not file.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        kind = _kind(file)
        if kind in known:
            yield from read_file(file, source)
        elif kind in TEXT:
            yield from _read_whole(file, str(relative), source)
        else:
            forms = " ".join((*TEXT, *known))
            raise EscadaError(f"unknown form {kind or file.name!r}", where=file, fix=f"use {forms}")
