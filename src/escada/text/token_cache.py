"""The tokens of a corpus: a tokenizer trained on its training split, and that split encoded.

    corpus/tokens/<key>/tokenizer/    see escada.text.tokenizers
    corpus/tokens/<key>/train/        see escada.text.shards

If the corpus's folder is not writable, `tokens` is in the cache directory. The key is a hash of the
corpus, the tokenizer's spec and the code that makes tokens: the folder is reused as long as none of
them changes. One process writes it while others wait, and the write is atomic.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from escada.code_hash import code_hash
from escada.errors import EscadaError
from escada.files import cache_directory, content_hash, new_directory
from escada.locks import exclusive
from escada.spec import TOKENIZERS, TokenizerSpec
from escada.text import shards
from escada.text.shards import TokenStream, write_stream
from escada.text.tokenizers import METADATA, Tokenizer, load_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from escada.text.corpus import Corpus

SPLIT = "train"
TOKENS = "tokens"
TOKENIZER = "tokenizer"


def prepare_tokens(
    corpus: Corpus, spec: TokenizerSpec, *, say: Callable[[str], None] | None = None
) -> tuple[Tokenizer, TokenStream]:
    """The tokenizer of a spec for a corpus, and the training split in its tokens.

    Held-out documents are never read. `say` is called with a line if they have to be made.

    Raises:
        EscadaError: the vocabulary does not fit the corpus, there is no text, the disk is full, or
            the cached tokens are damaged.
    """
    folder = tokens_path(corpus, spec)
    if not _is_whole(folder):
        with exclusive(folder.with_name(f".{folder.name}.lock")):
            if not _is_whole(folder):
                _clear(folder)
                if say is not None:
                    say("tokenizing the training text (made once per corpus)")
                with new_directory(folder) as temporary:
                    _make(temporary, corpus, spec)
    try:
        tokenizer = load_tokenizer(folder / TOKENIZER)
    except EscadaError as error:
        remedy = f"remove {folder} and repeat: it is made again"
        raise EscadaError(error.what, where=error.where, fix=remedy) from error
    return tokenizer, TokenStream.open(folder / SPLIT)


def tokens_path(corpus: Corpus, spec: TokenizerSpec) -> Path:
    """The folder for the tokens of a spec; it differs when corpus, spec or code differ.

    Raises:
        EscadaError: the corpus's folder is not writable and there is no cache directory.
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
    tokens = corpus / TOKENS
    return os.access(tokens if tokens.exists() else corpus, os.W_OK | os.X_OK)


def _make(folder: Path, corpus: Corpus, spec: TokenizerSpec) -> None:
    tokenizer = train_tokenizer(spec, _texts(corpus))
    tokenizer.save(folder / TOKENIZER)
    write_stream(folder / SPLIT, _texts(corpus), tokenizer, corpus_hash=corpus.hash)


def _texts(corpus: Corpus) -> Iterator[str]:
    return (document.text for document in corpus.documents(SPLIT))


def _is_whole(folder: Path) -> bool:
    """Whether both parts are there; a user may have removed the damaged one."""
    return (folder / TOKENIZER / METADATA).exists() and (folder / SPLIT / shards.MANIFEST).exists()


def _clear(folder: Path) -> None:
    """Remove an incomplete folder and what killed processes left behind."""
    shutil.rmtree(folder, ignore_errors=True)
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
