"""Tokens on disk: the training split as one long stream, memory-mapped and checksummed.

The stream is `BOS text EOS BOS text EOS ...`, stored in shards of little-endian uint16, or uint32
for a vocabulary above 65,536 ids:

    manifest.json            sizes, hashes, tokenizer and corpus
    document_starts.npy      int64, position of each document's BOS
    train-00000.bin  train-00001.bin ...

A stream is circular: reading past its end continues at its start. The folder is written atomically,
and each file is checked against its SHA-256 before use. A manifest made by others is not believed:
names are those above, sizes must agree, and no id may be outside the vocabulary.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from escada.errors import EscadaError
from escada.files import (
    content_hash,
    new_directory,
    read_json,
    sha256_file,
    verifies_checksums,
    write_json,
)
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
DOCUMENT_STARTS = "document_starts.npy"

CHUNK_CHARACTERS = 2_000_000
"""Text encoded at once; bounds the memory used."""

Width = Literal["<u2", "<u4"]
Shard = NDArray[np.uint16] | NDArray[np.uint32]
ProgressCallback = Callable[[int, int], None]
"""Called at intervals with the documents and tokens written so far."""


class StartsFile(BaseModel):
    """Entry for the documents' start positions."""

    file: Literal["document_starts.npy"] = DOCUMENT_STARTS
    bytes: int
    sha256: str


class ShardFile(BaseModel):
    """Entry for one shard of the stream."""

    file: str = Field(pattern=r"^train-[0-9]{5,}\.bin$")
    tokens: int = Field(default=0, ge=0)
    sha256: str = ""


class StreamManifest(BaseModel):
    """manifest.json without its own hash."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    dtype: Width
    n_tokens: int = Field(ge=1)
    n_documents: int = Field(ge=1)
    vocab_size: int = Field(ge=1)
    tokenizer_hash: str
    corpus_hash: str
    document_starts: StartsFile
    shards: list[ShardFile]

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if sum(shard.tokens for shard in self.shards) != self.n_tokens:
            raise ValueError("n_tokens is not the sum of the shards")
        return self

    @property
    def hash(self) -> str:
        """Content hash: equal for the same tokens from the same source."""
        return content_hash(self.model_dump())


class TokenStream:
    """The packed tokens of a split.

    Attributes:
        n_tokens: length of the stream, BOS and EOS included.
        document_starts: positions of each document's BOS, int64, shape (n_documents,).
        vocab_size: upper bound (exclusive) of the ids.
        hash: of the content; see `StreamManifest.hash`.
    """

    def __init__(
        self,
        path: Path,
        manifest: StreamManifest,
        document_starts: NDArray[np.int64],
        shards: list[Shard],
    ) -> None:
        self.path = path
        self.n_tokens = manifest.n_tokens
        self.n_documents = manifest.n_documents
        self.document_starts = document_starts
        self.vocab_size = manifest.vocab_size
        self.tokenizer_hash = manifest.tokenizer_hash
        self.corpus_hash = manifest.corpus_hash
        self.hash = manifest.hash
        self._shards = shards
        self._shard_starts = np.cumsum([0] + [len(shard) for shard in shards])

    @classmethod
    def open(cls, folder: Path, *, verify: bool | None = None) -> Self:
        """Memory-map a stream.

        Args:
            verify: check every SHA-256 (sizes are always checked); None: in one process per
                machine, see `files.verifies_checksums`.

        Raises:
            EscadaError: not a stream, another version, or a file that is missing, truncated or
                corrupted (names it).
        """
        verify = verifies_checksums() if verify is None else verify
        if not (folder / MANIFEST).exists():
            raise EscadaError("no tokens here", where=folder, fix=f"it would hold {MANIFEST}")
        table = read_json(folder / MANIFEST)
        if (version := table.get("schema_version")) != SCHEMA_VERSION:
            raise EscadaError(
                f"tokens of schema version {version}, this escada reads {SCHEMA_VERSION}",
                where=folder,
                fix="remove the folder; it is made again when it is needed",
            )
        expected = table.pop("hash", None)
        try:
            manifest = StreamManifest.model_validate(table)
        except ValidationError as error:
            raise _damaged("corrupted manifest", folder / MANIFEST, folder) from error
        if manifest.hash != expected:
            raise _damaged("corrupted manifest", folder / MANIFEST, folder)
        dtype = np.dtype(manifest.dtype)
        entry = manifest.document_starts
        _check(folder, entry, entry.bytes, verify)
        starts = _read_starts(folder, manifest)
        shards: list[Shard] = []
        for entry in manifest.shards:
            _check(folder, entry, entry.tokens * dtype.itemsize, verify)
            # A plain array over the map: slices of np.memmap's own class cost ten times as much.
            shard = np.asarray(np.memmap(folder / entry.file, dtype=dtype, mode="r"))
            if verify and (highest := int(shard.max(initial=0))) >= manifest.vocab_size:
                what = f"token {highest} is outside the vocabulary of {manifest.vocab_size:,}"
                raise _damaged(what, folder / entry.file, folder)
            shards.append(shard)
        return cls(folder, manifest, starts, shards)

    def read(self, start: int, length: int) -> NDArray[np.int64]:
        """Ids from a position (modulo `n_tokens`), wrapping around the end: int64, (length,)."""
        ids = np.empty(length, dtype=np.int64)
        done, position = 0, start % self.n_tokens
        while done < length:
            shard = int(np.searchsorted(self._shard_starts, position, side="right")) - 1
            offset = position - int(self._shard_starts[shard])
            part = self._shards[shard][offset : offset + length - done]
            ids[done : done + len(part)] = part
            done += len(part)
            position = (position + len(part)) % self.n_tokens
        return ids

    def windows(self, starts_B: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """`read` at many positions in [0, n_tokens), shape (B,): int64, (B, length)."""
        shard_B = np.searchsorted(self._shard_starts, starts_B, side="right") - 1
        offset_B = starts_B - self._shard_starts[shard_B]
        # One slice per row, joined once: twice as fast as a gather, and rows may be in any shard.
        rows: list[Shard | NDArray[np.int64]] = []
        places = zip(shard_B.tolist(), offset_B.tolist(), starts_B.tolist(), strict=True)
        for shard, offset, start in cast(Iterable[tuple[int, int, int]], places):
            row = self._shards[shard][offset : offset + length]
            rows.append(row if len(row) == length else self.read(start, length))
        return np.concatenate(rows, dtype=np.int64).reshape(len(rows), length)


def write_stream(
    folder: Path,
    documents: Iterable[str],
    tokenizer: Tokenizer,
    *,
    corpus_hash: str,
    shard_tokens: int = 2**26,
    progress: ProgressCallback | None = None,
) -> TokenStream:
    """Encode documents and pack them into a new folder, a chunk of text at a time.

    Args:
        folder: must not exist; it appears when all is written.
        shard_tokens: length of every shard but the last.

    Raises:
        EscadaError: no documents, the folder exists, or the disk is full.
    """
    width: Width = "<u2" if tokenizer.vocab_size <= 2**16 else "<u4"
    dtype = np.dtype(width)
    starts: list[NDArray[np.int64]] = []
    n_documents = n_tokens = 0
    with new_directory(folder) as temporary:
        with _ShardWriter(temporary, dtype, shard_tokens) as writer:
            for texts in _chunks(documents):
                ids, lengths = _pack(texts, tokenizer)
                writer.write(ids.astype(dtype))
                starts.append(n_tokens + np.cumsum(lengths) - lengths)
                n_documents += len(texts)
                n_tokens += len(ids)
                if progress is not None:
                    progress(n_documents, n_tokens)
        if not n_documents:
            raise EscadaError("no documents to tokenise", where=folder, fix="prepare more text")
        manifest = StreamManifest(
            dtype=width,
            n_tokens=n_tokens,
            n_documents=n_documents,
            vocab_size=tokenizer.vocab_size,
            tokenizer_hash=tokenizer.hash,
            corpus_hash=corpus_hash,
            document_starts=_write_starts(temporary, np.concatenate(starts)),
            shards=writer.entries,
        )
        write_json(temporary / MANIFEST, {"hash": manifest.hash, **manifest.model_dump()})
    return TokenStream.open(folder, verify=False)


class _ShardWriter:
    """Cuts a stream of ids into files of `shard_tokens` and hashes them while writing."""

    def __init__(self, folder: Path, dtype: np.dtype[Any], shard_tokens: int) -> None:
        self.entries: list[ShardFile] = []
        self._folder, self._dtype, self._shard_tokens = folder, dtype, shard_tokens
        self._file: BinaryIO | None = None
        self._sha256 = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def write(self, ids: NDArray[Any]) -> None:
        while len(ids):
            if self._file is None:
                name = f"train-{len(self.entries):05d}.bin"
                self._file = (self._folder / name).open("wb")
                self._sha256 = hashlib.sha256()
                self.entries.append(ShardFile(file=name))
            entry = self.entries[-1]
            part = ids[: self._shard_tokens - entry.tokens]
            data = part.tobytes()
            self._file.write(data)
            self._sha256.update(data)
            entry.tokens += len(part)
            ids = ids[len(part) :]
            if entry.tokens == self._shard_tokens:
                self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self.entries[-1].sha256 = self._sha256.hexdigest()


def _chunks(documents: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in documents:
        chunk.append(text)
        size += len(text)
        if size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _pack(texts: list[str], tokenizer: Tokenizer) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """`BOS text EOS` of each text in one array, and the length of each with BOS and EOS."""
    bos = np.array([tokenizer.bos_id], dtype=np.int32)
    eos = np.array([tokenizer.eos_id], dtype=np.int32)
    parts: list[NDArray[np.int32]] = []
    encoded = tokenizer.encode_batch(texts)
    for ids in encoded:
        parts += (bos, ids, eos)
    packed = np.concatenate(parts)
    if packed.min() < 0 or packed.max() >= tokenizer.vocab_size:
        raise ValueError("the tokenizer produced an id outside its vocabulary")
    return packed, np.array([len(ids) + 2 for ids in encoded], dtype=np.int64)


def _write_starts(folder: Path, starts: NDArray[np.int64]) -> StartsFile:
    buffer = io.BytesIO()
    np.save(buffer, starts.astype("<i8"), allow_pickle=False)
    data = buffer.getvalue()
    (folder / DOCUMENT_STARTS).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return StartsFile(bytes=len(data), sha256=digest)


def _read_starts(folder: Path, manifest: StreamManifest) -> NDArray[np.int64]:
    path = folder / DOCUMENT_STARTS
    try:
        # Mapped first: a header may promise more than memory holds.
        starts = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise _damaged("not an array of NumPy", path, folder) from error
    shape = (manifest.n_documents,)
    if starts.dtype != np.int64 or starts.shape != shape:
        raise _damaged(f"not int64 positions of shape {shape}", path, folder)
    if starts[0] != 0 or starts[-1] >= manifest.n_tokens or (np.diff(starts) <= 0).any():
        raise _damaged("positions that are not those of documents in order", path, folder)
    return starts.copy()


def _check(folder: Path, entry: StartsFile | ShardFile, n_bytes: int, verify: bool) -> None:
    path = folder / entry.file
    if not path.exists():
        raise _damaged("missing shard", path, folder)
    if (size := path.stat().st_size) != n_bytes:
        raise _damaged(f"truncated shard: {size} bytes instead of {n_bytes}", path, folder)
    if verify and sha256_file(path) != entry.sha256:
        raise _damaged("corrupted shard: content and checksum differ", path, folder)


def _damaged(what: str, path: Path, folder: Path) -> EscadaError:
    return EscadaError(what, where=path, fix=f"remove {folder} and repeat: it is made again")
