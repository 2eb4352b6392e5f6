"""Lossless SentencePiece subwords, BPE or unigram.

SentencePiece changes text by default: it normalises, joins spaces, adds one in front, drops
newlines, and writes a space as U+2581, so that a literal U+2581 decodes to a space. Here all of
this is off, a character without a piece falls back to its UTF-8 bytes, and text is cut before it is
encoded:

    line break   a piece of its own, never merged with its neighbours
    U+2581       encoded as its three byte pieces, which decode to the character itself
    long text    cut before a space or line break, which no piece crosses, so the ids do not change;
                 one long string would take more than three times as long

The trainer silently drops lines above 4,192 bytes and lines that contain a character it uses
itself; training lines are cut at those places, so no other character is lost. The number of threads
is fixed because the unigram trainer sums per thread: the same text gives the same model everywhere.

References: Kudo and Richardson 2018 (SentencePiece); Sennrich et al. 2016 (BPE); Kudo 2018
(unigram).
"""

from __future__ import annotations

import hashlib
import io
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.files import content_hash, write_bytes
from escada.spec import TokenizerSpec
from escada.text.tokenizers.contract import REPLACEMENT, Ids, checked_ids, corrupted, write_metadata
from escada.workers import usable_cores

MODEL = "tokenizer.model"
UNK_ID, BOS_ID, EOS_ID, NEWLINE_ID, BYTE_0_ID = 0, 1, 2, 3, 4
"""SentencePiece requires an UNK; with byte fallback it is never produced."""

LINE_CHARACTERS = 1_000
"""Longer lines are cut, for training and encoding."""
PART_CHARACTERS = 250
"""Usual length of the strings to encode: longer strings are slower, shorter ones cost more
calls."""
STRETCH_CHARACTERS = 50_000
"""Work unit of a thread: larger leaves threads idle at the end, smaller makes them wait."""
TRAINING_LINES = 2_000_000
"""Above this the trainer, which holds all lines in memory, gets a fixed uniform sample."""
TRAINING_THREADS = 4

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # U+2581, SentencePiece's form of a space
_SPACE_IDS = [BYTE_0_ID + byte for byte in _SPACE.encode("utf-8")]
_REFUSED_IN_TRAINING = re.compile(f"[\n\0{_SPACE}\N{LOWER FIVE EIGHTHS BLOCK}]")
_QUIET = 2  # errors only
_NO_LIMIT = 1 << 31  # a stretch never ends within a word


class SubwordTokenizer:
    """Subwords as ids: 0 UNK, 1 BOS, 2 EOS, 3 line break, 4-259 bytes, then the pieces.

    Args:
        model: a SentencePiece model made by `train`.
        threads: for `encode_batch`; None: one per core.
    """

    bos_id: int = BOS_ID
    eos_id: int = EOS_ID
    unk_id: int | None = None
    unknown_bits: float = 0.0

    def __init__(
        self, model: bytes, *, kind: Literal["bpe", "unigram"], threads: int | None = None
    ) -> None:
        self.kind = kind
        self.model = model
        self._threads = threads or usable_cores()
        sentencepiece.set_min_log_level(_QUIET)
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.vocab_size = self._processor.get_piece_size()
        if not self._processor.is_byte(BYTE_0_ID) or self._processor.bos_id() != BOS_ID:
            raise ValueError("not a model of escada: bytes and special tokens have other ids")
        self.hash = content_hash(self._content())

    @classmethod
    def train(
        cls,
        documents: Iterable[str],
        *,
        kind: Literal["bpe", "unigram"],
        vocab_size: int,
        character_coverage: float = 0.9995,
    ) -> SubwordTokenizer:
        """Learn exactly `vocab_size` pieces, special tokens and bytes included.

        Args:
            documents: the training texts; held as lines in memory.
            character_coverage: share of the characters that get their own piece.

        Raises:
            EscadaError: no text, or a vocabulary too large or too small for it (says what fits).
        """
        lines = sample_lines(_training_lines(documents), TRAINING_LINES)
        if not lines:
            raise EscadaError(
                "no text to train a tokenizer on", fix="give documents that are not empty"
            )
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=model,
                model_type=kind,
                vocab_size=vocab_size,
                character_coverage=character_coverage,
                byte_fallback=True,
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                user_defined_symbols=["\n"],
                unk_id=UNK_ID,
                bos_id=BOS_ID,
                eos_id=EOS_ID,
                pad_id=-1,
                unk_surface=REPLACEMENT,
                max_sentence_length=4 * LINE_CHARACTERS,
                shuffle_input_sentence=False,
                num_threads=TRAINING_THREADS,
                minloglevel=_QUIET,
            )
        except RuntimeError as error:
            raise _vocabulary_error(str(error), kind, vocab_size) or error from error
        return cls(model.getvalue(), kind=kind)

    @classmethod
    def of_spec(
        cls, spec: TokenizerSpec, kind: Literal["bpe", "unigram"], documents: Iterable[str]
    ) -> SubwordTokenizer:
        """`train` with the settings of a spec.

        Raises:
            EscadaError: what `train` raises, or the spec has no `vocab_size`.
        """
        if spec.vocab_size is None:
            raise EscadaError(f"tokenizer.vocab_size is needed for {kind!r}")
        coverage = spec.character_coverage
        return cls.train(
            documents, kind=kind, vocab_size=spec.vocab_size, character_coverage=coverage
        )

    @classmethod
    def load(cls, folder: Path, content: Mapping[str, Any]) -> SubwordTokenizer:
        """Load the model of a folder whose metadata is `content`.

        Raises:
            EscadaError: the model is missing or does not match the metadata.
        """
        path = folder / MODEL
        try:
            model = path.read_bytes()
        except FileNotFoundError as error:
            raise EscadaError("file not found", where=path, fix="train the tokenizer") from error
        if hashlib.sha256(model).hexdigest() != content["model_sha256"]:
            raise corrupted(path)
        return cls(model, kind=content["kind"])

    def encode(self, text: str) -> Ids:
        """Ids of a text, int32, shape (T,)."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """`encode` of each text; slices of one array.

        The texts are joined by line breaks, encoded together and split at those breaks, since a
        library call costs as much as a few words. Only the library's work runs in parallel: it
        releases the GIL, cutting and joining hold it.
        """
        stretches = cut_line("\n".join(texts), _NO_LIMIT, STRETCH_CHARACTERS)
        if len(stretches) <= 1 or self._threads == 1:
            encoded = [self._encode_stretch(stretch) for stretch in stretches]
        else:
            with ThreadPoolExecutor(min(self._threads, len(stretches))) as pool:
                encoded = list(pool.map(self._encode_stretch, stretches))
        ids = _concatenated(encoded)
        breaks = np.flatnonzero(ids == NEWLINE_ID)
        last = np.cumsum([text.count("\n") + 1 for text in texts[:-1]], dtype=np.int64) - 1
        batch: list[Ids] = []
        begin = 0
        for end in [*breaks[last].tolist(), len(ids)][: len(texts)]:
            batch.append(ids[begin:end])
            begin = end + 1
        return batch

    def _encode_stretch(self, text: str) -> Ids:
        """Ids of a text, in one thread."""
        parts: list[str] = []
        spaces: list[int] = []  # parts that are a literal U+2581
        for number, plain in enumerate(text.split(_SPACE)):
            if number:
                spaces.append(len(parts))
                parts.append("")
            parts += cut_line(plain, LINE_CHARACTERS, PART_CHARACTERS)
        encoded = cast(list[Ids], self._processor.encode(parts, out_type="numpy", num_threads=1))
        for place in spaces:
            encoded[place] = np.array(_SPACE_IDS, dtype=np.int32)
        return _concatenated(encoded)

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """Decode ids. BOS and EOS are dropped; UNK and invalid UTF-8 become U+FFFD."""
        wanted = checked_ids(ids, self.vocab_size).tolist()
        return cast(str, self._processor.decode(wanted)) if wanted else ""

    def token_text(self, token: int) -> str | bytes:
        """A piece as text, a byte piece as bytes, a special id as `<unk>`, `<bos>`, `<eos>`."""
        if token < NEWLINE_ID:
            return ("<unk>", "<bos>", "<eos>")[token]
        if self._processor.is_byte(token):
            return bytes([token - BYTE_0_ID])
        return self._processor.id_to_piece(token).replace(_SPACE, " ")

    def save(self, folder: Path) -> None:
        """Write `tokenizer.model` and `tokenizer.json`, which has its hash."""
        write_bytes(folder / MODEL, self.model)
        write_metadata(folder, self._content())

    def _content(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "vocab_size": self.vocab_size,
            "model_sha256": hashlib.sha256(self.model).hexdigest(),
        }


def _concatenated(encoded: Sequence[Ids]) -> Ids:
    return np.concatenate([np.empty(0, dtype=np.int32), *encoded])


def cut_line(line: str, limit: int, usual: int | None = None) -> list[str]:
    """Cut a line into parts of at most `limit` (2 or more) characters; none for an empty line.

    A part has at most `usual` characters and ends before a space or line break, or with the line. A
    longer word is a part of its own, with the space before it; above `limit` the word is cut every
    `limit - 1` characters. Pieces have a space only at their front and a line break is a piece of
    its own, so except for cut words the parts have the same ids as the whole line.
    """
    return _cutter(limit, usual or limit).findall(line)


@cache
def _cutter(limit: int, usual: int) -> re.Pattern[str]:
    """A regular expression, twice as fast as searching each cut with `str.rfind`."""
    return re.compile(rf"(?s).{{1,{usual}}}(?=[ \n]|\Z)|[ \n]?[^ \n]{{1,{limit - 1}}}")


def sample_lines(lines: Iterable[str], limit: int) -> list[str]:
    """All lines, or a fixed uniform sample of `limit` of them (reservoir sampling, Vitter 1985)."""
    chance = random.Random(0)
    kept: list[str] = []
    for number, line in enumerate(lines):
        if number < limit:
            kept.append(line)
        elif (place := chance.randrange(number + 1)) < limit:
            kept[place] = line
    return kept


def _training_lines(documents: Iterable[str]) -> Iterator[str]:
    for text in documents:
        for line in _REFUSED_IN_TRAINING.split(text):
            yield from cut_line(line, LINE_CHARACTERS)


def _vocabulary_error(message: str, kind: str, vocab_size: int) -> EscadaError | None:
    """The trainer's message about the vocabulary size as an error; None for other messages."""
    where = f"{kind}, vocab_size {vocab_size}"
    if match := re.search(r"too high \(\d+\).*<= (\d+)", message):
        return EscadaError(
            f"vocabulary too large for the corpus: the largest that fits is {match[1]}",
            where=where,
            fix="choose a smaller tokenizer.vocab_size or prepare more text",
        )
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return EscadaError(
            f"vocabulary too small for the characters of the corpus: it needs {match[1]} at least",
            where=where,
            fix="choose a larger tokenizer.vocab_size or a lower tokenizer.character_coverage",
        )
    return None
