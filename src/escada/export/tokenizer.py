"""Exports our tokenizers, with the same ids: `tokenizer.json`, and pieces with scores.

For Hugging Face's tokenizers library (`tokenizer.json`) each kind becomes a model with our
vocabulary:

    characters   WordLevel over single characters; UNK for the rest
    bytes        BPE with byte fallback and no merges
    bpe          BPE with byte fallback; all splits of a piece into two pieces are merges
    unigram      Unigram with byte fallback and SentencePiece's scores; "<" is pre-split

These libraries usually write a space as U+2581 and so lose a literal U+2581. Here the vocabulary
has plain spaces, and a literal U+2581 falls back to its three bytes, as in our tokenizers.

SentencePiece merges the best piece first over the whole text. Here text is pre-split before spaces
and line breaks, which no piece crosses, and after 1,000 characters without any, as ours is.

Text must be in the run's profile (`escada.text.cleaning`), which the file cannot express.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from escada.errors import EscadaError
from escada.files import write_json
from escada.text.tokenizers import Tokenizer
from escada.text.tokenizers.bytes import ByteTokenizer
from escada.text.tokenizers.characters import CharacterTokenizer
from escada.text.tokenizers.contract import REPLACEMENT
from escada.text.tokenizers.subwords import BYTE_0_ID, LINE_CHARACTERS, SubwordTokenizer

UNK = "<unk>"
FIRST_PIECE_ID = BYTE_0_ID + 256
"""Ids below it are special tokens, the line break and bytes."""
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_ONE = "[\\s\\S]"
_OPENS = "<"
"""First character of the names of bytes and special tokens."""
_UNK_AS_TEXT = {"type": "Replace", "pattern": {"String": UNK}, "content": REPLACEMENT}
_BYTES_AS_TEXT = {"type": "ByteFallback"}


def write_tokenizer(folder: Path, tokenizer: Tokenizer, context_tokens: int | None) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`; raises as `tokenizer_json`."""
    write_json(folder / "tokenizer.json", tokenizer_json(tokenizer))
    write_json(folder / "tokenizer_config.json", tokenizer_config(tokenizer, context_tokens))


def tokenizer_json(tokenizer: Tokenizer) -> dict[str, object]:
    """The content of `tokenizer.json`.

    Raises:
        EscadaError: the kind or the vocabulary cannot be converted with the same ids.
    """
    bos, eos = _special_names(tokenizer)
    # Also by kind: a custom kind may use one of our classes.
    match tokenizer.kind, tokenizer:
        case "characters", CharacterTokenizer():
            names = [UNK, bos, eos, *tokenizer.characters]
            model = {"type": "WordLevel", "vocab": _numbered(names), "unk_token": UNK}
            cut, decoders = _ONE, [_UNK_AS_TEXT]
        case "bytes", ByteTokenizer():
            model = _bpe([*(f"<0x{byte:02X}>" for byte in range(256)), bos, eos], [])
            cut, decoders = None, [_BYTES_AS_TEXT]
        case "bpe", SubwordTokenizer():
            names, scores = _names_and_scores(tokenizer)
            model = _bpe(names, _merges(names, scores))
            cut, decoders = _part(), [_UNK_AS_TEXT, _BYTES_AS_TEXT]
        case "unigram", SubwordTokenizer():
            model = _unigram(*_names_and_scores(tokenizer))
            cut, decoders = _part(_OPENS), [_UNK_AS_TEXT, _BYTES_AS_TEXT]
        case _:
            raise EscadaError(f"no form of a tokenizer of kind {tokenizer.kind!r} for transformers")
    begin = {"SpecialToken": {"id": bos, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    split = {"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_special(tokenizer.bos_id, bos), _special(tokenizer.eos_id, eos)],
        "normalizer": None,
        "pre_tokenizer": split if cut else None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, first],
            "pair": [begin, first, begin, second],
            "special_tokens": {bos: {"id": bos, "ids": [tokenizer.bos_id], "tokens": [bos]}},
        },
        "decoder": {"type": "Sequence", "decoders": [*decoders, {"type": "Fuse"}]},
        "model": model,
    }


def tokenizer_config(tokenizer: Tokenizer, context_tokens: int | None) -> dict[str, object]:
    """The content of `tokenizer_config.json`.

    `split_special_tokens` keeps a literal "<s>" as three characters. UNK is not declared, since it
    would then be dropped in decoding, unlike in ours.
    """
    bos, eos = _special_names(tokenizer)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": eos,
        "pad_token": eos,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
        "add_bos_token": True,
        "model_input_names": ["input_ids", "attention_mask"],
        **({"model_max_length": context_tokens} if context_tokens else {}),
    }


def pieces_and_scores(tokenizer: SubwordTokenizer) -> tuple[list[str], list[float]]:
    """By id, in SentencePiece's notation: U+2581 for a space, `<0x41>` for a byte."""
    processor: Any = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    ids = range(tokenizer.vocab_size)
    pieces = [str(processor.id_to_piece(token)) for token in ids]
    return pieces, [float(processor.get_score(token)) for token in ids]


def _special_names(tokenizer: Tokenizer) -> tuple[str, str]:
    """Names of BOS and EOS."""
    return ("<s>", "</s>") if isinstance(tokenizer, SubwordTokenizer) else ("<bos>", "<eos>")


def _special(token: int, name: str) -> dict[str, object]:
    sides = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": token, "content": name, **sides, "special": True}


def _part(apart: str = "") -> str:
    """Regex of a pre-split chunk: as `cut_line`, and also at spaces and around `apart`."""
    inner = f"[^ \\n{_SPACE}{apart}]"
    return f"[ \\n]{inner}{{0,{LINE_CHARACTERS - 1}}}|{inner}{{1,{LINE_CHARACTERS}}}"


def _numbered(names: Sequence[str]) -> dict[str, int]:
    vocabulary = {name: token for token, name in enumerate(names)}
    if len(vocabulary) != len(names):
        raise EscadaError("two tokens have the same name", fix="train the tokenizer again")
    return vocabulary


def _bpe(names: Sequence[str], merges: list[list[str]]) -> dict[str, object]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": True,
        "ignore_merges": False,
        "vocab": _numbered(names),
        "merges": merges,
    }


def _unigram(names: Sequence[str], scores: Sequence[float]) -> dict[str, object]:
    # The Unigram model would match whole names in text, so "<" is pre-split.
    for name in names[FIRST_PIECE_ID:]:
        if _OPENS in name and name != _OPENS:
            raise EscadaError(
                f"the piece {name!r} of a unigram tokenizer cannot be told from a special token",
                fix="train a bpe tokenizer",
            )
    vocabulary = [list(pair) for pair in zip(names, scores, strict=True)]
    return {"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": True}


def _names_and_scores(tokenizer: SubwordTokenizer) -> tuple[list[str], list[float]]:
    """Pieces, with plain spaces, and their scores; pieces must survive the pre-splitting."""
    pieces, scores = pieces_and_scores(tokenizer)
    names = [piece.replace(_SPACE, " ") for piece in pieces]
    for name in names[FIRST_PIECE_ID:]:
        if " " in name[1:] or "\n" in name or UNK in name:
            raise EscadaError(
                f"the piece {name!r} has a space or line break inside", fix="train the tokenizer"
            )
    return names, scores


def _merges(names: Sequence[str], scores: Sequence[float]) -> list[list[str]]:
    """Every split of every piece into two pieces, the best piece first.

    SentencePiece stores no merges: it joins any two neighbours that form a piece.
    """
    pieces = {names[token]: token for token in range(FIRST_PIECE_ID, len(names))}
    ordered = sorted(pieces.items(), key=lambda item: (-scores[item[1]], item[1]))
    return [
        [piece[:cut], piece[cut:]]
        for piece, _ in ordered
        for cut in range(1, len(piece))
        if piece[:cut] in pieces and piece[cut:] in pieces
    ]
