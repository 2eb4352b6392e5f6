"""manifest.json of a prepared corpus: what it was made from, how, and what is in it.

What came into it later has a default, so that corpora of before open.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from escada.text.documents import DocumentCounts
from escada.text.sources import Licence, ReadCounts

KIND = "escada corpus"


class Size(BaseModel):
    """How much of a source is in a split."""

    documents: int
    groups: int
    bytes: int


class SplitFile(Size):
    """A split's file; `content_sha256` is of its documents, whatever the file's encoding."""

    file: str
    sha256: str
    content_sha256: str


class Copies(BaseModel):
    """Documents of a held-out split with a copy in another split.

    Those that are kept belong to sources that would have too few groups without them.
    """

    removed_documents: int
    removed_bytes: int
    kept_copies: int


class AcrossSplits(BaseModel):
    """What was done about copies across splits, and what counts as one."""

    threshold: float
    shingle_characters: int
    run_characters: int
    most_copies: int
    test: Copies
    validation: Copies

    def by_split(self) -> dict[str, Copies]:
        """Validation first."""
        return {"validation": self.validation, "test": self.test}


class Manifest(ReadCounts):
    """See the module; with what the source left out, skipped and renamed.

    Attributes:
        hash: of the profile and of every document of every split.
        key: of everything that the folder's content depends on.
        limit: of documents to read.
        read: documents that were read, and that were left out.
        deduplication: what counts as near.
        across_splits: None where copies were not looked for.
        licences: by source.
        by_source: source, then split.
    """

    schema_version: Literal[1] = 1
    kind: Literal["escada corpus"] = KIND
    hash: str
    key: str
    source: str
    source_identity: dict[str, object] = Field(default_factory=dict)
    profile: str
    limit: int | None = None
    documents: int
    bytes: int
    read: DocumentCounts
    deduplication: dict[str, float] = Field(default_factory=dict)
    across_splits: AcrossSplits | None = None
    licences: dict[str, Licence]
    splits: dict[str, SplitFile]
    by_source: dict[str, dict[str, Size]]
