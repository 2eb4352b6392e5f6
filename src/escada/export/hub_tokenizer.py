"""Our tokenizers as the `tokenizer.json` of Hugging Face's tokenizers library: the same ids.

All kinds become a model of that library whose vocabulary is ours, id by id:

    characters   WordLevel over single characters; UNK for the rest
    bytes        BPE with byte fallback, and nothing to merge
    bpe          BPE with byte fallback; a piece's merges are all its cuts into two pieces
    unigram      Unigram with byte fallback and SentencePiece's scores; "<" stands alone

The libraries usually write a space as U+2581, and so lose a literal U+2581. Ours keeps it, so the
vocabulary here has plain spaces. A literal U+2581 then has no piece and falls back to its three
bytes, which is how ours writes it.

SentencePiece merges the best piece first and cuts the text nowhere; here the text is cut before
every space and line break, where no piece can lie across, and lines without any are cut at 1,000
characters as ours are.

A text is expected as the run's profile writes it (`escada.text.cleaning`): no file can carry that.
"""

from __future__ import annotations

from typing import Any

import sentencepiece

from escada.errors import EscadaError
from escada.text.tokenizers import Tokenizer
from escada.text.tokenizers.bytes import ByteTokenizer
from escada.text.tokenizers.characters import CharacterTokenizer
from escada.text.tokenizers.contract import REPLACEMENT
from escada.text.tokenizers.subwords import BYTE_0_ID, LINE_CHARACTERS, SubwordTokenizer

UNK = "<unk>"
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_ONE = "[\\s\\S]"
_OPENS = "<"
"""How the names of bytes and special tokens begin."""


def _part(apart: str = "") -> str:
    """What is encoded at a time: as `cut_line` cuts, at every space besides, and around `apart`."""
    inner = f"[^ \\n{_SPACE}{apart}]"
    return f"[ \\n]{inner}{{0,{LINE_CHARACTERS - 1}}}|{inner}{{1,{LINE_CHARACTERS}}}"


def hub_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of `tokenizer.json`.

    Raises:
        EscadaError: a kind, or a vocabulary, that cannot be carried over without changing ids.
    """
    if isinstance(tokenizer, CharacterTokenizer):
        model, cut, decoders = _characters(tokenizer), _ONE, [_unk_decoder()]
    elif isinstance(tokenizer, ByteTokenizer):
        model, cut, decoders = _bytes(tokenizer), None, [{"type": "ByteFallback"}]
    elif isinstance(tokenizer, SubwordTokenizer):
        model = _subwords(tokenizer)
        cut = _part() if tokenizer.kind == "bpe" else _part(_OPENS)
        decoders = [_unk_decoder(), {"type": "ByteFallback"}]
    else:
        raise EscadaError(f"no form of a tokenizer of kind {tokenizer.kind!r} for transformers")
    bos, eos = special_tokens(tokenizer)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(tokenizer.bos_id, bos), _added(tokenizer.eos_id, eos)],
        "normalizer": None,
        "pre_tokenizer": cut
        and {
            "type": "Split",
            "pattern": {"Regex": cut},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": _bos_in_front(bos, tokenizer.bos_id),
        "decoder": {"type": "Sequence", "decoders": [*decoders, {"type": "Fuse"}]},
        "model": model,
    }


def hub_tokenizer_config(tokenizer: Tokenizer, context_tokens: int | None) -> dict[str, Any]:
    """The content of `tokenizer_config.json`.

    `split_special_tokens` is what keeps a "<s>" that someone writes three characters. UNK is not
    declared: it would be dropped with BOS and EOS when text is decoded, and ours shows it.
    """
    bos, eos = special_tokens(tokenizer)
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


def special_tokens(tokenizer: Tokenizer) -> tuple[str, str]:
    """The names of BOS and EOS."""
    return ("<s>", "</s>") if isinstance(tokenizer, SubwordTokenizer) else ("<bos>", "<eos>")


def _characters(tokenizer: CharacterTokenizer) -> dict[str, Any]:
    names = (UNK, *special_tokens(tokenizer), *tokenizer.characters)
    return {"type": "WordLevel", "vocab": _numbered(names), "unk_token": UNK}


def _bytes(tokenizer: ByteTokenizer) -> dict[str, Any]:
    names = (*(f"<0x{byte:02X}>" for byte in range(256)), *special_tokens(tokenizer))
    return _bpe(_numbered(names), [])


def _subwords(tokenizer: SubwordTokenizer) -> dict[str, Any]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    names = subword_names(processor)
    if tokenizer.kind == "bpe":
        return _bpe(_numbered(names), _merges(processor, names))
    # To this model every name is text, so it must never see a whole one: "<" is cut out.
    for name in names[BYTE_0_ID + 256 :]:
        if _OPENS in name and name != _OPENS:
            raise EscadaError(
                f"the piece {name!r} of a unigram tokenizer cannot be told from a special token",
                fix="train a bpe tokenizer",
            )
    scores = [float(processor.get_score(token)) for token in range(len(names))]
    return {
        "type": "Unigram",
        "unk_id": 0,
        "vocab": [list(pair) for pair in zip(names, scores, strict=True)],
        "byte_fallback": True,
    }


def subword_names(processor: Any) -> list[str]:
    """The pieces of a SentencePiece model by id, with plain spaces; bytes as `<0x41>`.

    Raises:
        EscadaError: a piece that cutting the text before spaces and line breaks would break.
    """
    names: list[str] = []
    for token in range(processor.get_piece_size()):
        name = str(processor.id_to_piece(token)).replace(_SPACE, " ")
        if token >= BYTE_0_ID + 256 and (" " in name[1:] or "\n" in name or UNK in name):
            raise EscadaError(
                f"the piece {name!r} has a space or line break inside", fix="train the tokenizer"
            )
        names.append(name)
    return names


def _merges(processor: Any, names: list[str]) -> list[list[str]]:
    """Every cut of every piece into two pieces, the best piece first.

    SentencePiece keeps no list of merges: it joins two neighbours whenever they make a piece.
    """
    first = BYTE_0_ID + 256  # before it lie special tokens, the line break and bytes: never merged
    pieces = {names[token]: token for token in range(first, len(names))}
    ordered = sorted(pieces.items(), key=lambda item: (-processor.get_score(item[1]), item[1]))
    return [
        [piece[:cut], piece[cut:]]
        for piece, _ in ordered
        for cut in range(1, len(piece))
        if piece[:cut] in pieces and piece[cut:] in pieces
    ]


def _bpe(vocabulary: dict[str, int], merges: list[list[str]]) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": True,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": merges,
    }


def _numbered(names: tuple[str, ...] | list[str]) -> dict[str, int]:
    vocabulary = {name: token for token, name in enumerate(names)}
    if len(vocabulary) != len(names):
        raise EscadaError("two tokens have the same name", fix="train the tokenizer again")
    return vocabulary


def _unk_decoder() -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": UNK}, "content": REPLACEMENT}


def _added(token: int, name: str) -> dict[str, Any]:
    return {
        "id": token,
        "content": name,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _bos_in_front(bos: str, bos_id: int) -> dict[str, Any]:
    begin = {"SpecialToken": {"id": bos, "type_id": 0}}

    def sequence(name: str) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": 0}}

    return {
        "type": "TemplateProcessing",
        "single": [begin, sequence("A")],
        "pair": [begin, sequence("A"), begin, sequence("B")],
        "special_tokens": {bos: {"id": bos, "ids": [bos_id], "tokens": [bos]}},
    }
