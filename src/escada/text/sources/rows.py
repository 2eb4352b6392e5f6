"""Rows of a file as dicts: JSON lines, a JSON list, CSV or Parquet.

| file | a row is |
|---|---|
| `.jsonl` `.ndjson` `.json` | a line with an object; or an item of one list of objects |
| `.csv` `.tsv` | a record below the header |
| `.parquet` | a row |

Rows are numbered from 1; a JSON line has its line number. The CSV delimiter (comma, semicolon, tab
or bar) is taken from the first line; quotes are doubled inside quotes, and a quoted field may hold
line ends. A record with another number of fields than the header is bad: something was not quoted.
Text formats may be compressed (see `streams`). `meta.url` names the field `url` of a column `meta`,
unless a column has this name.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

from escada.errors import EscadaError, nearest
from escada.files import parse_json
from escada.text.sources.streams import (
    LINE_BYTES,
    Size,
    byte_lines,
    decode,
    printable,
    readable,
    without_packing,
)

JSON_LINES = (".jsonl", ".ndjson", ".json")
DELIMITED = (".csv", ".tsv")
PARQUET = (".parquet",)
SUFFIXES = (*JSON_LINES, *DELIMITED, *PARQUET)

Row = dict[str, Any]
NumberedRow = tuple[int, str, Row]
"""Row number, location for messages, row."""
_Checked = Iterator[tuple[int, str, Row | EscadaError]]
"""A bad row is given as its error."""

_JSON_LINE = 'each line is one object, such as {"text": "Era uma vez"}'
_LIST_OPENS = re.compile(rb"\s*\[\s*(\{|\]?\s*$)")
"""The start of a list of objects, which may end on the same line."""
DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"sep=([,;\t|])\s*", re.IGNORECASE)
"""Spreadsheets may write this line above the header."""
_AS_LINES = "write it as JSON lines: one object a line"
LIST_BYTES = 128 * 2**20
"""Maximum length of a JSON list, which is read at once."""
BATCH_ROWS, BATCH_BYTES = 1024, 256 * 2**20
"""Maximum rows of a Parquet file that are unpacked at a time, and their size if each of them were
as large as all values of the row group together, which one entry of a dictionary can be."""
SMALL_BYTES, RATIO = 64 * 2**20, 200
"""Columns of a Parquet file that unpack to more than this may not do so by more than this factor
(text: 2 to 20)."""
_QUOTE = "put a field that holds the separator, a quote or a line end in quotes"
NAME_THE_COLUMN = "name the column of the text 'text', or say which it is with --text-column"


def suffix_of(path: Path) -> str:
    """The suffix in lower case, without that of a compression format."""
    return Path(without_packing(path.name)).suffix.lower()


def value_of(row: Mapping[str, object], column: str) -> object:
    """The value of a column or of a field below one; None if it is not there."""
    if column in row:
        return row[column]
    name, _, rest = column.partition(".")
    below = row.get(name)
    return (
        value_of(cast(Mapping[str, object], below), rest)
        if rest and isinstance(below, Mapping)
        else None
    )


def has_column(row: Mapping[str, object], column: str) -> bool:
    """Whether a row has a column, or a field below one."""
    if column in row:
        return True
    name, _, rest = column.partition(".")
    below = row.get(name)
    return (
        bool(rest)
        and isinstance(below, Mapping)
        and has_column(cast(Mapping[str, object], below), rest)
    )


def read_rows(
    path: Path,
    *,
    columns: Collection[str] | None = None,
    required: Sequence[str] = (),
    on_bad_row: Callable[[EscadaError], None] | None = None,
) -> Iterator[NumberedRow]:
    """The rows of a file, streamed (a JSON list is read at once).

    Args:
        columns: of a Parquet file, the only ones to read; None: all.
        required: columns that a CSV or Parquet file must have; not checked for JSON.
        on_bad_row: called with the error of a bad row, which is then skipped; None: raise it.

    Raises:
        EscadaError: a missing or damaged file, another format, or a bad row.
    """
    suffix = suffix_of(path)
    if suffix in PARQUET:
        rows = _parquet_rows(path, columns, required)
    elif suffix in DELIMITED:
        rows = _delimited_rows(path, required)
    elif suffix in JSON_LINES:
        rows = _json_rows(path)
    else:
        known = " ".join(SUFFIXES)
        raise EscadaError(f"unknown form {suffix or path.name!r}", where=path, fix=f"use {known}")
    for number, where, row in rows:
        if not isinstance(row, EscadaError):
            yield number, where, row
        elif on_bad_row is None:
            raise row
        else:
            on_bad_row(row)


def _check_columns(present: Sequence[str], required: Sequence[str], where: object) -> None:
    for name in required:
        if name not in present and name.partition(".")[0] not in present:
            raise EscadaError(
                f"no {name!r} column; there are: {', '.join(present) or 'none'}",
                where=where,
                fix=NAME_THE_COLUMN if name == "text" else nearest(name, present),
            )
    if twice := {name for name in present if name and list(present).count(name) > 1}:
        raise EscadaError(f"two columns are named {min(twice)!r}", where=where, fix="rename one")


def _json_rows(path: Path) -> _Checked:
    stream = enumerate(byte_lines(path), start=1)
    begun = False
    for number, (offset, data) in stream:
        if not data.strip():
            continue
        if not begun and _LIST_OPENS.match(data):
            size, text = Size(path, "a JSON list", LIST_BYTES, fix=_AS_LINES), list[str]()
            for _, (at, part) in chain([(number, (offset, data))], stream):
                size.add(len(part))
                text.append(decode(part, path, at))
            yield from _list_rows("".join(text), path)
            return
        begun = True
        where = f"{printable(path)}:{number}"
        try:
            line = decode(data, path, offset)
            if not line.strip():
                continue
            row = _object(parse_json(line, where, _JSON_LINE), where)
        except EscadaError as error:
            row = error
        yield number, where, row


def _list_rows(text: str, path: Path) -> _Checked:
    for number, value in enumerate(cast(list[object], parse_json(text, path)), start=1):
        where = f"{printable(path)}, row {number}"
        yield number, where, _object(value, where)


def _object(value: object, where: str) -> Row | EscadaError:
    if isinstance(value, dict):
        return cast(Row, value)
    return EscadaError("expected a JSON object", where=where, fix=_JSON_LINE)


def _delimited_rows(path: Path, required: Sequence[str]) -> _Checked:
    csv.field_size_limit(LINE_BYTES)
    size = Size(path, "a CSV record", fix=_QUOTE)  # an open quote takes the rest of the file
    lines = (
        _counted(data, size).decode("utf-8", "surrogateescape") for _, data in byte_lines(path)
    )
    before, first = next(((n, line) for n, line in enumerate(lines) if line.strip()), (0, ""))
    delimiter = "\t" if suffix_of(path) == ".tsv" else _delimiter(first, required)
    if separator := _SEPARATOR_LINE.fullmatch(first):
        delimiter, before, first = separator[1], before + 1, next(lines, "")
    records = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    names: list[str] = []
    number = 0
    while True:
        where = f"{printable(path)}:{before + records.line_num + 1}"
        size.total = 0
        try:
            fields = next(records, None)
        except csv.Error as error:
            bad = EscadaError(f"not a CSV record: {error}", where=where, fix=_QUOTE)
            if not names or "unexpected end" in str(error):  # an open quote takes the rest
                raise bad from error
            yield number, where, bad
            continue
        if fields is None:
            return
        if not fields:
            continue
        if not names:
            names = [name.strip() for name in fields]
            _check_utf8(names, where)
            _check_columns(names, required, where)
            continue
        number += 1
        yield number, where, _record(names, fields, where)


def _counted(data: bytes, size: Size) -> bytes:
    size.add(len(data))
    return data


def _delimiter(line: str, columns: Collection[str]) -> str:
    """The delimiter that yields most of the wanted columns, then most columns."""

    def worth(delimiter: str) -> tuple[int, int]:
        names = [name.strip(' "\r\n') for name in line.split(delimiter)]
        return len({*names} & {*columns}), len(names)

    return max(DELIMITERS, key=worth)


def _record(names: list[str], fields: list[str], where: str) -> Row | EscadaError:
    if len(fields) != len(names):
        what = f"{len(fields)} fields where {len(names)} columns are named"
        return EscadaError(what, where=where, fix=_QUOTE)
    try:
        _check_utf8(fields, where)
    except EscadaError as error:
        return error
    return dict(zip(names, fields, strict=True))


def _check_utf8(fields: list[str], where: str) -> None:
    for field in fields:
        if not field.isascii():
            decode(field.encode("utf-8", "surrogateescape"), Path(where), 0)


def _parquet_rows(path: Path, columns: Collection[str] | None, required: Sequence[str]) -> _Checked:
    import pyarrow.parquet as parquet
    from pyarrow import ArrowException  # pyright: ignore[reportUnknownVariableType]

    number = 0
    try:
        with readable(path) as raw, parquet.ParquetFile(raw) as file:
            present = cast(list[str], file.schema_arrow.names)
            _check_columns(present, required, path)
            tops = {name.partition(".")[0] for name in columns or ()}
            wanted = [name for name in present if columns is None or name in {*columns, *tops}]
            for batch in _batches(file, wanted, path):
                values = {name: _values(batch.column(name)) for name in wanted}
                for i in range(batch.num_rows):
                    number += 1
                    where = f"{printable(path)}, row {number}"
                    try:
                        row = {name: _decoded(values[name][i], name, where) for name in wanted}
                    except EscadaError as error:
                        row = error
                    yield number, where, row
    except UnicodeDecodeError as error:
        raise EscadaError(f"not UTF-8 after row {number}: {error}", where=path) from error
    except (ArrowException, OSError) as error:  # pyright: ignore[reportUnknownVariableType]
        fix = "download or write it again"
        raise EscadaError(
            f"not a Parquet file, or corrupted: {error}", where=path, fix=fix
        ) from error


def _batches(file: Any, wanted: Sequence[str], path: Path) -> Iterator[Any]:
    """The row groups in batches of bounded size, as far as the file's footer is true."""
    for group in range(file.metadata.num_row_groups):
        about = file.metadata.row_group(group)
        columns = [about.column(i) for i in range(about.num_columns)]
        columns = [one for one in columns if one.path_in_schema.partition(".")[0] in wanted]
        size = sum(one.total_uncompressed_size for one in columns)
        packed = sum(one.total_compressed_size for one in columns)
        if size > max(SMALL_BYTES, RATIO * packed):
            what = f"{packed:,} bytes that unpack to {size:,}, more than {RATIO} times as many"
            raise EscadaError(what, where=path, fix="write the file again with less compression")
        rows = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, size)))
        yield from file.iter_batches(rows, row_groups=[group], columns=wanted)


def _values(column: Any) -> list[Any]:
    """A column's values; strings as bytes, since their UTF-8 is not checked yet."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        column = column.cast(pyarrow.large_binary())
    elif types.is_temporal(kind) or types.is_decimal(kind):
        column = column.cast(pyarrow.string())  # Python's own types cannot hold all of them
    return cast(list[Any], column.to_pylist())


def _decoded(value: object, column: str, where: str) -> object:
    if not isinstance(value, bytes):
        return value
    Size(where, f"{column!r}").add(len(value))
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EscadaError(
            f"{column!r} is not UTF-8 at byte {error.start} (0x{value[error.start]:02x})",
            where=where,
            fix="write the column as UTF-8 text",
        ) from error
