"""manifest.json of a prepared corpus: what it was made from, how, and what is in it.

Fields added later have defaults, so that older corpora still open.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from escada.text.documents import DocumentCounts
from escada.text.filters import FilterCounts, Removed
from escada.text.sources import Licence, ReadCounts

KIND = "escada corpus"


class Size(BaseModel):
    """How much of a source is in a split."""

    documents: int
    groups: int
    bytes: int


class SplitFile(Size):
    """A split's file; `content_sha256` hashes its documents, independent of the encoding."""

    file: str = Field(pattern=r"^[a-z]+\.parquet$")  # a manifest of others names no other file
    sha256: str
    content_sha256: str


class Copies(BaseModel):
    """Held-out documents with a copy in another split; kept where groups would be too few."""

    removed_documents: int
    removed_bytes: int
    kept_copies: int


class AcrossSplits(BaseModel):
    """How copies across splits were defined and handled."""

    threshold: float
    shingle_characters: int
    run_characters: int
    most_copies: int
    test: Copies
    validation: Copies

    def by_split(self) -> dict[str, Copies]:
        """Copies by split, validation first."""
        return {"validation": self.validation, "test": self.test}


class Decontamination(BaseModel):
    """Training documents removed since they share a run of words with a protected text.

    Attributes:
        removed: by what is protected; a document counts for the first that it overlaps.
    """

    run_words: int
    least_run_words: int
    most_copies: int
    removed: dict[str, Removed]


class Manifest(ReadCounts):
    """The manifest, including what the source left out, skipped and renamed.

    Attributes:
        hash: of the profile and of every document of every split.
        key: hash of everything the folder's content depends on.
        short: documents left out since they had fewer than `min_characters`.
        filters: what filters removed, with examples, and what was masked.
        held_out_bytes: cap of validation, and of test; None if there was none.
        decontamination: None if nothing was protected.
        across_splits: None if copies were not looked for.
        cards: what the publishers of hub data sets say of them.
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
    min_characters: int = 0
    short: int = 0
    masks_personal_data: bool = False
    filters: FilterCounts = Field(default_factory=FilterCounts)
    documents: int
    bytes: int
    read: DocumentCounts
    deduplication: dict[str, float] = Field(default_factory=dict)
    held_out_bytes: int | None = None
    decontamination: Decontamination | None = None
    across_splits: AcrossSplits | None = None
    licences: dict[str, Licence]
    cards: dict[str, str] = Field(default_factory=dict)
    splits: dict[str, SplitFile]
    by_source: dict[str, dict[str, Size]]
