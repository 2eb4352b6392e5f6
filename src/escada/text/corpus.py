"""A prepared corpus: documents split in three, in a folder.

    corpus = Corpus.open(Path("data/default"))
    for document in corpus.documents("train"): ...

The folder holds `train.parquet`, `validation.parquet` and `test.parquet` (columns id, source,
group, text; the text is the reference text) and `manifest.json`: the source and its hash, the
profile, how many documents were removed, the share of each source in each split, licences and
checksums. `escada.text.preparation` makes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from escada.choices import SPLITS
from escada.errors import EscadaError
from escada.files import (
    cache_directory,
    check_tokenizer_sizes,
    read_json,
    sha256_file,
    verifies_checksums,
)
from escada.text import tables
from escada.text.cleaning import check_profile
from escada.text.documents import Document
from escada.text.manifest import Manifest

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Corpus:
    """A prepared folder."""

    path: Path
    manifest: Manifest = field(repr=False)

    @classmethod
    def open(cls, path: Path, *, verify: bool | None = None) -> Corpus:
        """Open a prepared folder.

        Args:
            verify: check the SHA-256 of the splits; None: in one process per machine, see
                `files.verifies_checksums`.

        Raises:
            EscadaError: no corpus there, another version, or a missing or corrupted file.
        """
        verify = verifies_checksums() if verify is None else verify
        if not path.exists():
            raise EscadaError(
                "the corpus folder does not exist, so there is no prepared corpus",
                where=path,
                fix="check the path, or prepare one with: escada data prepare --out DIR",
            )
        if not (path / MANIFEST).is_file():
            raise EscadaError(
                "no prepared corpus in this folder" if path.is_dir() else "no prepared corpus",
                where=path,
                fix=f"prepare it first: escada data prepare --source {path} --out DIR",
            )
        try:
            manifest = Manifest.model_validate(read_json(path / MANIFEST))
        except ValidationError as error:
            fix = "prepare the corpus again in another folder"
            raise EscadaError(
                "not a corpus of this version of escada", where=path / MANIFEST, fix=fix
            ) from error
        corpus = cls(path, manifest)
        for split in SPLITS:
            file, remedy = corpus._file(split), "remove the folder and prepare the corpus again"
            if not file.is_file():
                raise EscadaError("a file of the corpus is missing", where=file, fix=remedy)
            if verify and sha256_file(file) != manifest.splits[split].sha256:
                raise EscadaError("corrupted: another checksum", where=file, fix=remedy)
        for tokenizer in path.glob("tokens/*/tokenizer"):
            check_tokenizer_sizes(tokenizer)
        return corpus

    @property
    def hash(self) -> str:
        """SHA-256 of the profile and of every document of every split."""
        return self.manifest.hash

    @property
    def profile(self) -> str:
        """The cleaning profile of the documents."""
        return self.manifest.profile

    def _file(self, split: str) -> Path:
        if split not in SPLITS:
            raise EscadaError(f"unknown split {split!r}", fix="one of " + ", ".join(SPLITS))
        return self.path / f"{split}.parquet"

    def documents(self, split: str) -> Iterator[Document]:
        """Stream the documents of a split, in order."""
        return tables.read(self._file(split))

    def text_bytes(self, split: str) -> int:
        """UTF-8 bytes of a split's reference text."""
        self._file(split)
        return self.manifest.splits[split].bytes


def default_corpus_path(profile: str) -> Path:
    """Where the prepared default corpus is kept."""
    check_profile(profile)
    return cache_directory() / "corpora" / f"default-{profile}"
