"""Turns the rows of a source's files into documents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from escada.errors import EscadaError
from escada.text.documents import Document
from escada.text.sources.base import ReadCounts, RowOptions
from escada.text.sources.rows import NAME_THE_COLUMN, NumberedRow, Row, has_column, value_of
from escada.text.sources.streams import Size


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


@dataclass(frozen=True)
class RowKind:
    """Default columns of one kind of rows.

    Attributes:
        text_of: the text of a value; None if it is not text.
        texts: what a text may be, for error messages.
        ids: columns of the id, in order of preference.
        sources: columns of the source, likewise.
        addresses: columns of an address, whose site is the group of a row without one.
    """

    text_of: Callable[[object], str | None] = _string
    texts: str = "a string nor UTF-8 bytes"
    ids: tuple[str, ...] = ("id",)
    sources: tuple[str, ...] = ("source",)
    addresses: tuple[str, ...] = ()


PLAIN = RowKind()
"""Rows of a user's own files."""


@dataclass(frozen=True)
class Intake:
    """Turns the files of one source into documents; `source` and `rows` are the defaults."""

    source: str
    options: RowOptions
    counts: ReadCounts
    rows: RowKind = PLAIN

    @property
    def columns(self) -> list[str]:
        """All columns that may be read."""
        return [
            *self.options.named,
            *self.rows.ids,
            "group",
            *self.rows.sources,
            *self.rows.addresses,
        ]

    def on_bad_row(self, error: EscadaError) -> None:
        """Count a bad row.

        Raises:
            EscadaError: the row's error, unless bad rows are skipped.
        """
        if not self.options.skip_bad_rows:
            raise error
        self.counts.skip_row(error)

    def documents(self, rows: Iterable[NumberedRow], place: str) -> Iterator[Document]:
        """The documents of rows, without the bad ones.

        Args:
            place: prefix of the row number in the id of a row without one.

        Raises:
            EscadaError: a bad row, see `on_bad_row`.
        """
        for number, where, row in rows:
            try:
                document = self.document(row, f"{place}{number}", where)
            except EscadaError as error:
                self.on_bad_row(error)
            else:
                yield document

    def document(self, row: Row, place: str, where: object) -> Document:
        """A row's document.

        Raises:
            EscadaError: the row has no text, or lacks a column that the options name; or it is
                too long.
        """
        options = self.options
        for column in options.named:
            if not has_column(row, column):
                known = ", ".join(map(str, row)) or "none"
                what = f"no {column!r} in the row; its columns: {known}"
                raise EscadaError(what, where=where, fix=NAME_THE_COLUMN)
        text = self.rows.text_of(value := value_of(row, options.text))
        if text is None:
            raise EscadaError(
                f"{options.text!r} is neither {self.rows.texts} but {type(value).__name__}",
                where=where,
                fix="give text in quotes, or add --skip-bad-rows",
            )
        group = _name(row, options.group_column or "group") or ""
        if options.group_column is not None and "://" in group:
            group = host(group) or group
        if not group and (address := _name(row, *self.rows.addresses)):
            group = host(address) or ""
        ids = self.rows.ids if options.id_column is None else (options.id_column,)
        sources = (options.source_column,) if options.source_column else self.rows.sources
        source = _name(row, *sources) or self.source
        found = Document(_name(row, *ids) or place, source, group, text)
        Size(where).add(len(found.id) + len(source) + len(group) + len(text))
        return found


def _name(row: Mapping[str, object], *columns: str) -> str | None:
    """The first non-empty value of some columns, as text."""
    for column in columns:
        value = value_of(row, column)
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            continue
        return str(value).encode("utf-8", "replace").decode("utf-8")
    return None


def host(uri: str) -> str | None:
    """The host of an address, without `www.`."""
    try:
        name = urlsplit(uri if "://" in uri else f"//{uri}").hostname
    except ValueError:
        return None
    return name.removeprefix("www.") if name else None
