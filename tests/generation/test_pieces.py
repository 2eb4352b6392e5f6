"""Text as it comes is the text as a whole: no half characters, nothing taken back."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.generation.pieces import PieceTable, TextPieces, unfinished_bytes
from escada.text.tokenizers.bytes import ByteTokenizer
from escada.text.tokenizers.characters import CharacterTokenizer
from escada.text.tokenizers.subwords import SubwordTokenizer

LINES = ["a casa da menina não está na rua", "o gato comeu a maçã e o pão da tia"] * 50
SUBWORDS = 280


@functools.cache
def tokenizers():
    return [
        ByteTokenizer(),
        CharacterTokenizer("abcdefgh ãç\n"),
        SubwordTokenizer.train(LINES, kind="bpe", vocab_size=SUBWORDS),
        SubwordTokenizer.train(LINES, kind="unigram", vocab_size=SUBWORDS),
    ]


def pieces_of(tokenizer, ids, stop=()):
    text = TextPieces(PieceTable(tokenizer), stop)
    found = []
    for token in ids:
        found.append(text.push(token))
        if text.stopped:
            return found
    return [*found, text.flush()]


@pytest.mark.parametrize("which", range(4))
@given(data=st.data())
def test_pieces_together_are_what_decode_makes_of_the_tokens(which, data):
    tokenizer = tokenizers()[which]
    special = {tokenizer.bos_id, tokenizer.eos_id}
    written = [token for token in range(tokenizer.vocab_size) if token not in special]
    ids = data.draw(st.lists(st.sampled_from(written), max_size=30))
    if data.draw(st.booleans()):
        ids.append(tokenizer.eos_id)
    assert "".join(pieces_of(tokenizer, ids)) == tokenizer.decode(ids)


@pytest.mark.parametrize("which", [0, 2, 3])
@given(text=st.text(max_size=20))
def test_a_text_comes_in_whole_characters(which, text):
    """Emoji and rare letters are bytes to the subword tokenizers, and all is to the first."""
    tokenizer = tokenizers()[which]
    so_far = ""
    for piece in pieces_of(tokenizer, tokenizer.encode(text).tolist()):
        so_far += piece
        assert text.startswith(so_far)
    assert so_far == text


def test_a_character_of_four_bytes_comes_with_its_last_one():
    found = pieces_of(ByteTokenizer(), list("a🙂b".encode()))
    assert found == ["a", "", "", "", "🙂", "b", ""]


def test_bytes_that_never_become_a_character_do_not_wait_for_ever():
    found = pieces_of(ByteTokenizer(), [0xFF, 0x80, *b"ok", 0xE2, 0x82])
    assert found[:4] == ["\N{REPLACEMENT CHARACTER}"] * 2 + ["o", "k"]
    assert found[4:] == ["", "", "\N{REPLACEMENT CHARACTER}"]


@given(st.text(max_size=8), st.integers(0, 3))
def test_unfinished_bytes_are_those_of_the_last_cut_character(text, cut):
    data = text.encode()
    kept = data[: max(0, len(data) - cut)]
    whole = kept.decode(errors="ignore").encode()
    assert unfinished_bytes(kept) == len(kept) - len(whole)


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_a_text_ends_before_the_first_stop_string_that_is_complete(text, stop):
    found = "".join(pieces_of(ByteTokenizer(), list(text.encode()), stop))
    expected = text
    for end in range(1, len(text) + 1):
        places = [text[:end].find(one) for one in stop if one in text[:end]]
        if places:
            expected = text[: min(places)]
            break
    assert found == expected


def test_text_that_may_begin_a_stop_string_waits():
    found = pieces_of(ByteTokenizer(), list(b"um\nfim\n\nmais"), ["\n\n"])
    assert "".join(found) == "um\nfim"
    assert found[:4] == ["u", "m", "", "\nf"]


def test_what_waited_for_a_stop_string_comes_at_the_end():
    assert pieces_of(ByteTokenizer(), list(b"x\n"), ["\n\n"]) == ["x", "", "\n"]
