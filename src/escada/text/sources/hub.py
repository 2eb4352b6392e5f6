"""Any data set of the Hugging Face hub, streamed row by row through `datasets`.

    hub:OWNER/NAME  hub:OWNER/NAME:CONFIG  hub:OWNER/NAME:CONFIG@REVISION  hub:FOLDER:CONFIG

The revision (a branch, a tag or a commit; without one, the newest) is resolved to its commit first,
and the rows are read at that commit: the manifest names it, and the corpus is made again when it
changes. A full commit needs no network for that. FOLDER is a copy of a data set's repository on
this machine; its commit is the hash of its files. The data set's card is kept as it was.
"""

from __future__ import annotations

import lzma
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from escada.errors import EscadaError
from escada.extensions import needed
from escada.text.documents import Document
from escada.text.sources.base import Licence, files_identity
from escada.text.sources.intake import Intake, RowKind
from escada.text.sources.streams import printable, printable_values, readable
from escada.text.sources.walk import is_hidden

PREFIX = "hub:"
SPLIT = "train"
ROWS = RowKind(sources=())
"""The source of a row is its data set, unless a column is named: `source` holds anything."""
UNKNOWN = Licence("not stated")

_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WRITTEN = "hub:OWNER/NAME, hub:OWNER/NAME:CONFIG or hub:OWNER/NAME:CONFIG@REVISION"
_OR_FILES = "download its files and give them"
_CARD = "README.md"
_MOST_CARD_BYTES = 200_000
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*\n", re.DOTALL)
_LICENCE = re.compile(r"^license:[ \t]*(\S.*)?\n((?:[ \t]*-[ \t]*\S+[ \t]*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class HubName:
    """A data set as the user wrote it."""

    name: str
    config: str | None = None
    revision: str | None = None

    @classmethod
    def parse(cls, written: str) -> HubName:
        """Read what follows `hub:`.

        Raises:
            EscadaError: it is no name of a data set and no folder.
        """
        if written and Path(written).is_dir():
            return cls(written)
        rest, at, revision = written.partition("@")
        name, colon, config = rest.rpartition(":")
        if not colon:
            name, config = rest, ""
        if not name or not Path(name).is_dir():
            if not _NAME.fullmatch(name) or (at and not revision) or (colon and not config):
                raise EscadaError("no name of a data set", where=PREFIX + written, fix=_WRITTEN)
        elif at:
            fix = "leave out @ and what follows"
            raise EscadaError("a folder has no revision", where=PREFIX + written, fix=fix)
        return cls(name, config or None, revision or None)

    @property
    def folder(self) -> Path | None:
        """The folder of a copy on this machine; None for the hub."""
        path = Path(self.name)
        return path if path.is_dir() else None

    @property
    def source(self) -> str:
        """The `source` of its documents."""
        return printable(self.folder.resolve().name) if self.folder else self.name


@dataclass(frozen=True)
class DataSet:
    """A data set at one commit.

    Attributes:
        commit: None for a folder, which `identity` hashes.
        card: its text; empty if there is none.
        unread_card: why the card could not be read, if it could not.
    """

    name: HubName
    split: str
    commit: str | None
    identity: Mapping[str, object]
    card: str
    unread_card: EscadaError | None = None

    @property
    def licence(self) -> Licence:
        """The licence that its card names."""
        return licence_of(self.card)

    def documents(self, intake: Intake, limit: int | None) -> Iterator[Document]:
        """Stream its documents, at most `limit`.

        Raises:
            EscadaError: it, or its card, cannot be reached or read; no such configuration or split;
                a bad row.
        """
        if self.unread_card is not None:
            raise self.unread_card
        datasets = needed("datasets", "hub", otherwise=_OR_FILES)
        datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # it logs what it raises
        where = self.name.source
        try:
            rows = datasets.load_dataset(
                self.name.name,
                self.name.config,
                split=self.split,
                revision=self.commit,
                streaming=True,
            )
            numbered = ((n, f"{where}, row {n}", row) for n, row in enumerate(rows, start=1))
            yield from islice(intake.documents(numbered, ""), limit)
        except _errors() as error:
            raise _failure(error, where) from error


def open_data_set(name: HubName, split: str | None) -> DataSet:
    """Resolve a data set's revision and read its card.

    Raises:
        EscadaError: no such data set or revision, or no network, which a full commit does not need.
    """
    split = split or SPLIT
    identity = printable_values({"hub": name.source, "config": name.config, "split": split})
    if name.folder is not None:
        files = {
            printable(place): path
            for path in sorted(name.folder.rglob("*"))
            if path.is_file() and not is_hidden(place := path.relative_to(name.folder))
        }
        card = _read_card(files[_CARD]) if _CARD in files else ""
        return DataSet(name, split, None, identity | files_identity(files), card)
    needed("datasets", "hub", otherwise=_OR_FILES)
    hub = needed("huggingface_hub", "hub")
    commit, card, unread_card = name.revision or "", "", None
    is_pinned = _COMMIT.fullmatch(commit) is not None
    try:
        if not is_pinned:
            commit = str(hub.HfApi().dataset_info(name.name, revision=name.revision).sha)
        path = hub.hf_hub_download(name.name, _CARD, repo_type="dataset", revision=commit)
        card = _read_card(Path(path))
    except _errors() as error:
        if not _is_missing(error):
            unread_card = _failure(error, name.name)
            if not is_pinned:  # what was prepared from this commit is found without a network
                raise unread_card from error
    return DataSet(name, split, commit, identity | {"revision": commit}, card, unread_card)


def _read_card(path: Path) -> str:
    with readable(path) as file:
        return file.read(_MOST_CARD_BYTES).decode("utf-8", "replace")


def _is_missing(error: Exception) -> bool:
    """Whether the hub said that there is no such file, and not that it could not be asked."""
    found: Any = needed("huggingface_hub.errors", "hub")
    return isinstance(error, found.EntryNotFoundError) and not isinstance(
        error, found.LocalEntryNotFoundError
    )


def licence_of(card: str) -> Licence:
    """The licence that a card's front matter names."""
    front = _FRONT_MATTER.match(card.replace("\r\n", "\n"))
    found = _LICENCE.search(front[1] + "\n") if front else None
    if found is None:
        return UNKNOWN
    listed = [line.strip(" \t-") for line in found[2].splitlines()]
    name = " and ".join(part.strip("'\"") for part in (found[1] or "", *listed) if part)[:100]
    return Licence(name) if name else UNKNOWN


def _errors() -> tuple[type[Exception], ...]:
    """What `datasets` and the libraries below it raise: of HTTP, and of damaged files."""
    hub: Any = needed("huggingface_hub.errors", "hub")
    datasets: Any = needed("datasets.exceptions", "hub")
    damaged = (EOFError, zlib.error, lzma.LZMAError, datasets.DatasetsError)
    return (OSError, ValueError, RuntimeError, *damaged, *hub.HfHubHTTPError.__bases__)


def _failure(error: Exception, where: str) -> EscadaError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = " ".join(lines[:2])[:300] or type(error).__name__
    kind = type(error).__name__
    fix = "check the name and the network, or give a copy of it: hub:FOLDER"
    if "Config" in reason:
        fix = "add the configuration: hub:OWNER/NAME:CONFIG"
    elif "ad split" in reason or "nknown split" in reason:
        fix = "name one of its splits with --split"
    elif "script" in reason:
        fix = "it holds a program instead of data files: download them and give the files"
    elif "Gated" in kind or "gated" in reason:
        fix = "accept its terms on its page, then: hf auth login"
    elif isinstance(error, EOFError | zlib.error | lzma.LZMAError):
        fix = "one of its files is damaged: download it again"
    elif "Revision" in kind:
        fix = "give a branch, a tag or a commit after @"
    return EscadaError(f"the data set cannot be read: {reason}", where=where, fix=fix)
