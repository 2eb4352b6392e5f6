"""tokenizer.json: what stands in it, and that the tokenizers library gives our ids with it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.export.conftest import AWKWARD, needs

from escada.errors import EscadaError
from escada.export.tokenizer import tokenizer_config, tokenizer_json
from escada.text.tokenizers.bytes import ByteTokenizer

KINDS = ("characters", "bytes", "bpe", "unigram")
TEXTS = st.text(st.one_of(st.sampled_from(" \n\t▁aeo.,<s>ã🙂"), st.characters(codec="utf-8")))


def ours(runs, kind):
    return ByteTokenizer() if kind == "bytes" else runs.tokenizer(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_vocabulary_has_our_ids(runs, kind):
    tokenizer = ours(runs, kind)
    vocabulary = tokenizer_json(tokenizer)["model"]["vocab"]
    names = vocabulary if isinstance(vocabulary, dict) else [name for name, _ in vocabulary]
    assert len(names) == tokenizer.vocab_size
    for token, name in enumerate(names):
        text = tokenizer.token_text(token)
        if isinstance(text, bytes):
            assert name == f"<0x{text[0]:02X}>"
        elif text not in ("<unk>", "<bos>", "<eos>"):
            assert name == text


def test_merges_make_pieces_out_of_pieces_the_best_first(runs):
    model = tokenizer_json(runs.tokenizer("bpe"))["model"]
    vocabulary, merges = model["vocab"], model["merges"]
    made = [vocabulary[left + right] for left, right in merges]
    assert made == sorted(made)  # SentencePiece numbers its pieces in the order it made them
    single = [name for name in vocabulary if len(name) == 1]
    # Every piece of several characters can be made; bytes, BOS, EOS and UNK never are.
    assert set(made) | {vocabulary[name] for name in single} == {0, 1, 2} ^ set(
        range(len(vocabulary))
    ) - set(range(4, 260))


def test_bos_and_eos_are_special_and_unk_is_not(runs):
    for kind in KINDS:
        content = tokenizer_json(ours(runs, kind))
        assert [token["id"] for token in content["added_tokens"]] == [
            ours(runs, kind).bos_id,
            ours(runs, kind).eos_id,
        ]
        config = tokenizer_config(ours(runs, kind), 128)
        assert config["split_special_tokens"]
        assert "unk_token" not in config
        assert config["model_max_length"] == 128
    assert "model_max_length" not in tokenizer_config(ours(runs, "bpe"), None)


def test_an_unknown_kind_is_one_clear_line():
    class Other:
        kind = "words"

    with pytest.raises(EscadaError, match="no form of a tokenizer of kind 'words'"):
        tokenizer_json(Other())


def loaded(runs, kind):
    import tokenizers

    theirs = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(ours(runs, kind))))
    theirs.encode_special_tokens = True
    return theirs


def assert_alike(tokenizer, theirs, text):
    ids = tokenizer.encode(text).tolist()
    assert theirs.encode(text, add_special_tokens=False).ids == ids, text
    assert theirs.encode(text).ids == [tokenizer.bos_id, *ids]
    assert theirs.decode(ids) == tokenizer.decode(ids)
    assert theirs.decode([tokenizer.bos_id, *ids, tokenizer.eos_id]) == tokenizer.decode(ids)


@pytest.mark.slow
@needs("tokenizers")
@pytest.mark.parametrize("kind", KINDS)
def test_awkward_texts_have_our_ids(runs, kind):
    theirs = loaded(runs, kind)
    for text in AWKWARD:
        assert_alike(ours(runs, kind), theirs, text)


@pytest.mark.slow
@needs("tokenizers")
@pytest.mark.parametrize("kind", KINDS)
def test_any_text_has_our_ids(runs, kind):
    tokenizer, theirs = ours(runs, kind), loaded(runs, kind)

    @given(TEXTS)
    def check(text):
        assert_alike(tokenizer, theirs, text)

    check()


@pytest.mark.slow
@needs("tokenizers")
@pytest.mark.parametrize("kind", KINDS)
def test_documents_have_our_ids(runs, kind):
    theirs = loaded(runs, kind)
    for document in runs.corpus.documents("train"):
        assert_alike(ours(runs, kind), theirs, document.text)


@pytest.mark.slow
@needs("tokenizers")
def test_unk_decodes_to_the_replacement_character(runs):
    for kind in ("characters", "bpe"):
        tokenizer = ours(runs, kind)
        assert loaded(runs, kind).decode([tokenizer.bos_id, 0, 5, 0]) == tokenizer.decode([0, 5, 0])
