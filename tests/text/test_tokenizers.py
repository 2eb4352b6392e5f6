"""Every kind of tokenizer: what it promises, how it is saved, what the user hears when it fails."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.spec import TokenizerSpec
from escada.text.tokenizers import Tokenizer, load_tokenizer, train_tokenizer
from escada.text.tokenizers.bytes import ByteTokenizer
from escada.text.tokenizers.characters import UNICODE_SCALARS, CharacterTokenizer
from escada.text.tokenizers.statistics import tokenizer_statistics

WORDS = "o gato subiu a escada e a menina leu um livro sobre ações coração pão avô à noite".split()
DOCUMENTS = [
    "\n".join(" ".join(WORDS[(i * 7 + j * k) % len(WORDS)] for j in range(9)) for k in range(1, 5))
    for i in range(60)
]
SPECS = {
    "characters": TokenizerSpec(kind="characters"),
    "bytes": TokenizerSpec(kind="bytes"),
    "bpe": TokenizerSpec(kind="bpe", vocab_size=300),
    "unigram": TokenizerSpec(kind="unigram", vocab_size=300),
}
TOKENIZERS = {kind: train_tokenizer(spec, DOCUMENTS) for kind, spec in SPECS.items()}
LOSSLESS = ["bytes", "bpe", "unigram"]

every_kind = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
lossless = pytest.mark.parametrize("kind", LOSSLESS)

unicode_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
"""Any scalar value: controls, private use, unassigned, noncharacters and combining marks too."""
AWKWARD = [
    *("\0", "\r", "\n", "\n\n", "\r\n", "\t", " ", "  ", "\u2028", "\u2029", "\u0085", "\u00a0"),
    *("▁", "▁▁", "▅", " ▁ ", "\ue000", "\U0010ffff", "\ufffe", "\ufffd", "\ufeff", "⁇"),
    *("a\u0301", "\u0301", "🤖", "👩🏽‍🚀", "<s>", "</s>", "<unk>", "<0x0A>", "<0xE2>", "<bos>"),
    *("gato", " escada", "Ação", "ﬁ", "½", "\x1b", "\x7f", "\x80"),
    "escadaria" * 120,  # longer than what SentencePiece is given at a time
]
awkward = st.lists(
    st.sampled_from(AWKWARD) | unicode_text,
    max_size=12,
).map("".join)


@lossless
@given(text=unicode_text | awkward)
@example(text="a▁b ▁ c")
@example(text=" <s>\0\r\u2028<unk> <0x0A>\n\n")
def test_decode_undoes_encode_for_any_unicode_text(kind: str, text: str):
    tokenizer = TOKENIZERS[kind]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@lossless
@given(text=awkward)
def test_special_ids_never_come_from_text(kind: str, text: str):
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer.encode(text).tolist()
    assert tokenizer.bos_id not in ids
    assert tokenizer.eos_id not in ids
    assert 0 not in ids or kind == "bytes"  # SentencePiece's own UNK


@given(text=unicode_text | awkward)
def test_characters_lose_only_what_is_unknown(text: str):
    tokenizer = TOKENIZERS["characters"]
    assert isinstance(tokenizer, CharacterTokenizer)
    expected = "".join(c if c in tokenizer.characters else "\ufffd" for c in text)
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == expected
    unknown = sum(c not in tokenizer.characters for c in text)
    assert int((ids == tokenizer.unk_id).sum()) == unknown


@every_kind
def test_encode_gives_int32_ids_within_the_vocabulary(tokenizer: Tokenizer):
    ids = tokenizer.encode("".join(DOCUMENTS) + " ☃ \0")
    assert ids.dtype == np.int32
    assert ids.min() >= 0
    assert ids.max() < tokenizer.vocab_size
    assert tokenizer.encode("").shape == (0,)


@every_kind
@given(texts=st.lists(awkward, max_size=6))
def test_encode_batch_equals_encode_of_each(tokenizer: Tokenizer, texts: list[str]):
    batch = tokenizer.encode_batch(texts)
    assert [ids.tolist() for ids in batch] == [tokenizer.encode(text).tolist() for text in texts]
    assert all(ids.dtype == np.int32 for ids in batch)


@every_kind
def test_decode_ignores_the_ends_and_marks_unk(tokenizer: Tokenizer):
    ids = [tokenizer.bos_id, *tokenizer.encode(" gato\n").tolist(), tokenizer.eos_id]
    assert tokenizer.decode(ids) == " gato\n"
    assert tokenizer.decode(np.array(ids)) == " gato\n"
    assert tokenizer.decode([]) == ""
    if tokenizer.unk_id is not None:
        assert tokenizer.decode([tokenizer.unk_id, *ids]) == "\ufffd gato\n"


@every_kind
def test_every_id_can_be_decoded_and_shown(tokenizer: Tokenizer):
    shown = [tokenizer.token_text(token) for token in range(tokenizer.vocab_size)]
    assert len(set(shown)) == tokenizer.vocab_size
    assert isinstance(tokenizer.decode(list(range(tokenizer.vocab_size))), str)
    assert [tokenizer.token_text(i) for i in (tokenizer.bos_id, tokenizer.eos_id)] == [
        "<bos>",
        "<eos>",
    ]


@every_kind
@pytest.mark.parametrize("outside", [-1, 10**6])
def test_an_id_outside_the_vocabulary_is_an_error(tokenizer: Tokenizer, outside: int):
    with pytest.raises(IndexError):
        tokenizer.decode([outside])


@every_kind
def test_a_saved_tokenizer_comes_back_equal(tokenizer: Tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer")
    loaded = load_tokenizer(tmp_path / "tokenizer")
    assert isinstance(loaded, Tokenizer)
    assert (loaded.kind, loaded.vocab_size, loaded.hash, loaded.unknown_bits) == (
        tokenizer.kind,
        tokenizer.vocab_size,
        tokenizer.hash,
        tokenizer.unknown_bits,
    )
    text = DOCUMENTS[0] + " ☃▁\n"
    assert loaded.encode(text).tolist() == tokenizer.encode(text).tolist()
    assert json.loads((tmp_path / "tokenizer/tokenizer.json").read_text())["schema_version"] == 1


def test_hashes_differ_between_kinds_and_contents():
    others = [CharacterTokenizer("ab"), CharacterTokenizer("abc")]
    assert len({t.hash for t in [*TOKENIZERS.values(), *others]}) == 6
    assert CharacterTokenizer("ba").hash == CharacterTokenizer("ab").hash


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_a_changed_file_is_refused(kind: str, tmp_path):
    TOKENIZERS[kind].save(tmp_path)
    path = tmp_path / ("tokenizer.json" if kind == "characters" else "tokenizer.model")
    data = path.read_bytes()
    place = data.index("ã".encode())
    path.write_bytes(data[:place] + "õ".encode() + data[place + 2 :])
    with pytest.raises(EscadaError, match=r"corrupted tokenizer.*" + path.name):
        load_tokenizer(tmp_path)


def _remove_model(folder):
    (folder / "tokenizer.model").unlink()


def _other_version(folder):
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 9'))


def _no_metadata(folder):
    (folder / "tokenizer.json").unlink()


def _not_json(folder):
    (folder / "tokenizer.json").write_text("{")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (_remove_model, "file not found.*tokenizer.model"),
        (_other_version, "schema version 9"),
        (_no_metadata, "no tokenizer here"),
        (_not_json, "bad JSON"),
    ],
)
def test_what_cannot_be_loaded_is_one_clear_error(break_it: Callable, message: str, tmp_path):
    TOKENIZERS["bpe"].save(tmp_path)
    break_it(tmp_path)
    with pytest.raises(EscadaError, match=message):
        load_tokenizer(tmp_path)


def test_characters_keep_those_seen_often_enough():
    tokenizer = CharacterTokenizer.train(["aaab", "bbcc", "a🤖🤖🤖"], min_count=3)
    assert tokenizer.characters == "ab🤖"
    assert tokenizer.vocab_size == 6
    assert tokenizer.encode("abc🤖\n").tolist() == [3, 4, 0, 5, 0]


def test_a_text_of_many_blocks_is_looked_up_whole():
    tokenizer = CharacterTokenizer("aã🤖")
    text = "aã🤖x" * 50_001
    ids = tokenizer.encode(text)
    assert ids.reshape(-1, 4).tolist() == [[3, 4, 5, 0]] * 50_001
    assert tokenizer.decode(ids) == text.replace("x", "\ufffd")


def test_unknown_bits_pay_for_the_characters_that_lack():
    tokenizer = CharacterTokenizer("abc")
    assert tokenizer.unknown_bits == math.log2(UNICODE_SCALARS - 3)
    assert UNICODE_SCALARS == 0x110000 - 0x800
    assert ByteTokenizer().unknown_bits == 0


def test_no_text_for_characters_is_an_error():
    with pytest.raises(EscadaError, match="no character occurs at least 3 times"):
        train_tokenizer(SPECS["characters"], ["ab", ""])


def test_byte_ids_are_the_bytes():
    assert ByteTokenizer().encode("é\n").tolist() == [0xC3, 0xA9, 10]
    assert ByteTokenizer().decode([0xC3, 256, 0xA9, 0xC3]) == "é\ufffd"


def test_statistics_agree_with_figures_by_hand():
    tokenizer = CharacterTokenizer("ab ç")
    found = tokenizer_statistics(tokenizer, ["ab ab", "ç", "a☃"])
    assert (found.documents, found.characters, found.words, found.tokens) == (3, 8, 4, 8)
    assert found.bytes == 5 + 2 + 4
    assert found.bytes_per_token == 11 / 8
    assert found.tokens_per_word == 2
    assert found.tokens_per_character == 1
    assert found.unknown_ratio == 1 / 8
    assert found.short_piece_ratio == 7 / 8
    assert found.fallback_ratio == 0
    assert found.p50_tokens == 2


def test_statistics_count_fallback_bytes():
    found = tokenizer_statistics(TOKENIZERS["bpe"], ["☃ gato"])
    tokens = len(TOKENIZERS["bpe"].encode("☃ gato"))
    assert found.fallback_ratio == 3 / tokens
    assert found.unknown_ratio == 0
    assert tokenizer_statistics(TOKENIZERS["bytes"], ["☃ gato"]).fallback_ratio == 0


def test_statistics_of_nothing_are_an_error():
    with pytest.raises(EscadaError, match="no words"):
        tokenizer_statistics(TOKENIZERS["bytes"], [])
