"""Documents in Parquet files: written a row group at a time, read a batch at a time."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from escada.errors import EscadaError
from escada.text.documents import Document, group_hash

COLUMNS = ("id", "source", "group", "text")
Share = tuple[int, int]
"""Every `world`-th row group of a file, from the `rank`-th: (rank, world)."""
WHOLE: Share = 0, 1
_REMEDY = "remove the folder and prepare the corpus again"
_GROUP_BYTES = 8 * 2**20
_GROUP_DOCUMENTS = 8192
"""A row group ends at whichever is reached first, so memory stays small for any document size."""


class Writer:
    """Appends documents to a Parquet file; keeps their hash and how many there are.

    Attributes:
        documents: number by source.
        text_bytes: UTF-8 bytes of text by source.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        self.path = path
        self.documents: Counter[str] = Counter()
        self.text_bytes: Counter[str] = Counter()
        self._marks: dict[str, array[int]] = defaultdict(lambda: array("Q"))
        self._arrow: Any = pa
        self._schema: Any = self._arrow.schema([(name, pa.string()) for name in COLUMNS])
        self._file: Any = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Document] = []
        self._row_bytes = 0
        self._hash = hashlib.sha256()

    def add(self, document: Document) -> None:
        """Append a document."""
        fields = [
            part.encode("utf-8")
            for part in (document.id, document.source, document.group, document.text)
        ]
        for part in fields:
            self._hash.update(len(part).to_bytes(8, "little") + part)
        self.documents[document.source] += 1
        self.text_bytes[document.source] += len(fields[-1])
        self._marks[document.source].append(group_hash(document.source, document.group))
        self._rows.append(document)
        self._row_bytes += len(fields[-1])
        if self._row_bytes >= _GROUP_BYTES or len(self._rows) >= _GROUP_DOCUMENTS:
            self._flush()

    def groups(self, source: str) -> int:
        """The number of groups of a source."""
        return len(np.unique(np.frombuffer(self._marks[source], dtype=np.uint64)))

    @property
    def content_hash(self) -> str:
        """SHA-256 of every field of every document so far, independent of the file's encoding."""
        return self._hash.hexdigest()

    def _flush(self) -> None:
        columns = {name: [getattr(row, name) for row in self._rows] for name in COLUMNS}
        self._file.write_table(self._arrow.table(columns, schema=self._schema))
        self._rows, self._row_bytes = [], 0

    def close(self) -> None:
        """Write the remaining rows and the file's footer."""
        if self._rows:
            self._flush()
        self._file.close()


def read(path: Path, share: Share = WHOLE) -> Iterator[Document]:
    """Stream the documents of a file, or of the row groups of a share.

    Raises:
        EscadaError: missing or corrupted file.
    """
    for batch in _batches(path, COLUMNS, share):
        for row in cast(list[dict[str, str]], batch.to_pylist()):
            yield Document(**row)


def sizes(path: Path) -> Iterator[tuple[str, str, int]]:
    """Source, group and UTF-8 bytes of the text of each document of a file.

    Raises:
        EscadaError: missing or corrupted file.
    """
    import pyarrow.compute as compute

    arrow: Any = compute
    for batch in _batches(path, COLUMNS[1:]):
        n_bytes = arrow.binary_length(batch.column("text")).to_pylist()
        yield from zip(
            batch.column("source").to_pylist(),
            batch.column("group").to_pylist(),
            n_bytes,
            strict=True,
        )


def _batches(path: Path, columns: Sequence[str], share: Share = WHOLE) -> Iterator[Any]:
    import pyarrow.parquet as parquet
    from pyarrow import ArrowInvalid  # pyright: ignore[reportUnknownVariableType]

    rank, world = share
    try:
        with parquet.ParquetFile(path) as file:
            # One group at a time: a batch would go on into the next ones, and long documents have
            # few in a group.
            for group in range(rank, cast(int, file.num_row_groups), world):
                yield from file.iter_batches(1024, row_groups=[group], columns=list(columns))
    except FileNotFoundError as error:
        raise EscadaError("file not found", where=path, fix=_REMEDY) from error
    except (ArrowInvalid, OSError) as error:  # pyright: ignore[reportUnknownVariableType]
        raise EscadaError(f"corrupted Parquet file: {error}", where=path, fix=_REMEDY) from error
