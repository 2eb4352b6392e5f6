"""The tokens of a corpus, made once: a tokenizer trained on its training split, and that split
encoded.

    corpus/tokens/<key>/tokenizer/    see escada.text.tokenizers
    corpus/tokens/<key>/train/        see escada.text.shards

Where the corpus's folder cannot be written (a read-only disk, another's folder), `tokens` is in the
cache. The key is a hash of the corpus, the tokenizer's spec and the code that makes tokens: when
nothing changed the folder is reused, when anything did another one is made. One process makes it
while others wait, and it appears whole or not at all.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from escada.code_hash import code_hash
from escada.errors import EscadaError
from escada.files import cache_directory, content_hash, exclusive, new_directory
from escada.spec import TOKENIZERS, TokenizerSpec
from escada.text import shards
from escada.text.shards import ProgressCallback, TokenStream, write_stream
from escada.text.tokenizers import METADATA, Tokenizer, load_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from escada.text.corpus import Corpus

SPLIT = "train"
TOKENS = "tokens"
TOKENIZER = "tokenizer"


def prepare_tokens(
    corpus: Corpus, spec: TokenizerSpec, *, progress: ProgressCallback | None = None
) -> tuple[Tokenizer, TokenStream]:
    """The tokenizer of a spec for a corpus, and the training split in its tokens.

    Held-out documents are never read.

    Args:
        corpus: prepared; the tokens are kept in its folder, or in the cache.
        spec: which tokenizer.
        progress: called with documents and tokens while they are written, if they are.

    Raises:
        EscadaError: the vocabulary does not fit the corpus, there is no text, the disk is full, or
            the tokens that lie there are damaged.
    """
    folder = tokens_path(corpus, spec)
    if not _is_whole(folder):
        with exclusive(folder.with_name(f".{folder.name}.lock")):
            if not _is_whole(folder):
                _clear(folder)
                with new_directory(folder) as temporary:
                    _make(temporary, corpus, spec, progress)
    try:
        tokenizer = load_tokenizer(folder / TOKENIZER)
    except EscadaError as error:
        remedy = f"remove {folder} and repeat: it is made again"
        raise EscadaError(error.what, where=error.where, fix=remedy) from error
    return tokenizer, TokenStream.open(folder / SPLIT)


def tokens_path(corpus: Corpus, spec: TokenizerSpec) -> Path:
    """Where the tokens of a spec are kept; another path when corpus, spec or code differ.

    Raises:
        EscadaError: neither the corpus's folder can be written nor is there a home for a cache.
    """
    key = content_hash(
        {
            "corpus": corpus.hash,
            "tokenizer": spec.model_dump(mode="json"),
            "code": code_hash(
                __name__,
                TOKENIZERS.module_name(spec.kind),
                within=("escada.text.tokenizers", "escada.text.shards"),
            ),
            "sentencepiece": importlib.metadata.version("sentencepiece"),
        }
    )
    folder = corpus.path / TOKENS / key[:16]
    if _is_whole(folder) or _can_be_written(corpus.path):
        return folder
    return cache_directory() / TOKENS / key[:16]


def _can_be_written(corpus: Path) -> bool:
    """Whether tokens can be put into a corpus's folder, as this user and on this disk."""
    tokens = corpus / TOKENS
    return os.access(tokens if tokens.exists() else corpus, os.W_OK | os.X_OK)


def _make(
    folder: Path, corpus: Corpus, spec: TokenizerSpec, progress: ProgressCallback | None
) -> None:
    tokenizer = train_tokenizer(spec, _texts(corpus))
    tokenizer.save(folder / TOKENIZER)
    write_stream(
        folder / SPLIT, _texts(corpus), tokenizer, corpus_hash=corpus.hash, progress=progress
    )


def _texts(corpus: Corpus) -> Iterator[str]:
    return (document.text for document in corpus.documents(SPLIT))


def _is_whole(folder: Path) -> bool:
    """Whether both parts are there; a user may have removed the one that was damaged."""
    return (folder / TOKENIZER / METADATA).exists() and (folder / SPLIT / shards.MANIFEST).exists()


def _clear(folder: Path) -> None:
    """Remove a part without its other half, and what killed processes left behind."""
    shutil.rmtree(folder, ignore_errors=True)
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
