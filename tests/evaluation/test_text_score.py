"""One text token by token: the ruler's figure in its parts."""

import math

import numpy as np
import pytest

from escada.errors import EscadaError
from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.evaluation.scoring import Reading, bracketed
from escada.evaluation.text_score import byte_ends, completed_texts, score_text
from escada.generation.pieces import PieceTable
from escada.text.documents import Document

TEXTS = [
    "O vento levou o chapéu da menina.",
    "É 😀 só isto:\numa pipa ▁ no céu, coração. " + "E de novo a menina correu. " * 4,
    "ç",
]
KINDS = pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
MODELS = pytest.mark.parametrize("name", ["lstm", "gru", "sinusoidal", "learned"])


def score(model, tokenizer, text, **options):
    return score_text(model, tokenizer, text, profile="reference", **options)


@KINDS
@MODELS
@pytest.mark.parametrize("text", TEXTS)
def test_the_sum_over_tokens_is_the_rulers_figure(tiny, tokenizers, name, kind, text):
    tokenizer = tokenizers[kind]
    model = tiny(name, tokenizer.vocab_size)
    found = score(model, tokenizer, text)
    ruler = score_documents(model, tokenizer, [Document("d", "s", "g", found.text)])
    assert sum(token.bits for token in found.tokens) == pytest.approx(found.bits, rel=1e-12)
    assert found.bits == pytest.approx(float(ruler.nats[0]) / math.log(2), rel=1e-9)
    assert found.bits_per_byte == pytest.approx(bits_per_byte(ruler), rel=1e-9)
    assert len(found.tokens) == ruler.tokens[0]
    assert sum(token.greedy for token in found.tokens) == ruler.correct[0]
    assert (found.unknown, found.bytes) == (ruler.unknown[0], ruler.bytes[0])
    assert (found.protocol, found.context_tokens) == (ruler.protocol, ruler.context_tokens)


@KINDS
@pytest.mark.parametrize("text", TEXTS)
def test_spans_cover_the_bytes_and_texts_the_characters(tiny, tokenizers, kind, text):
    tokenizer = tokenizers[kind]
    found = score(tiny("lstm", tokenizer.vocab_size), tokenizer, text)
    data = found.text.encode()
    assert [t.start_byte for t in found.tokens] == [0, *(t.stop_byte for t in found.tokens[:-1])]
    assert found.tokens[-1].start_byte == found.tokens[-1].stop_byte == len(data)
    assert (found.tokens[-1].name, found.tokens[-1].text) == ("<eos>", "")
    assert "".join(token.text for token in found.tokens) == found.text
    for token in found.tokens[:-1]:
        piece = data[token.start_byte : token.stop_byte]
        assert piece
        if not token.name.startswith("bytes:") and token.name != "<unk>":
            assert piece.decode() == token.name == token.text


def test_a_byte_of_a_character_has_no_text_until_the_character_is_whole(tokenizers):
    tokenizer = tokenizers["bytes"]
    ids = tokenizer.encode("a😀ç").tolist()
    ends = byte_ends(ids, "a😀ç", PieceTable(tokenizer))
    assert ends == [1, 2, 3, 4, 5, 6, 7]
    assert completed_texts("a😀ç", ends) == ["a", "", "", "", "😀", "", "ç"]


def test_an_unknown_character_pays_for_its_name_and_is_never_the_first_choice(tiny, tokenizers):
    tokenizer = tokenizers["characters"]
    found = score(tiny("lstm", tokenizer.vocab_size), tokenizer, "o😀e")
    (unknown,) = [token for token in found.tokens if token.name == "<unk>"]
    assert (unknown.text, unknown.start_byte, unknown.stop_byte) == ("😀", 1, 5)
    assert unknown.bits > tokenizer.unknown_bits > 20
    assert not unknown.greedy
    assert found.unknown == 1


@MODELS
def test_alternatives_are_the_most_probable_and_agree_to_the_bit(tiny, tokenizers, name):
    tokenizer = tokenizers["bpe"]
    found = score(tiny(name, tokenizer.vocab_size), tokenizer, TEXTS[0], alternatives=5)
    met = 0
    for token in found.tokens:
        bits = [other.bits for other in token.alternatives]
        assert len(bits) == 5
        assert bits == sorted(bits)
        assert token.greedy == (token.alternatives[0].id == token.id)
        assert token.bits >= bits[0]
        for other in token.alternatives:
            if other.id == token.id:
                met += 1
                assert other.bits == token.bits
    all_of = score(tiny(name, tokenizer.vocab_size), tokenizer, "O", alternatives=10_000)
    shares = [2**-other.bits for other in all_of.tokens[0].alternatives]
    assert len(shares) == tokenizer.vocab_size
    assert sum(shares) == pytest.approx(1, rel=1e-6)
    assert all(o.id != t.id or o.bits == t.bits for t in all_of.tokens for o in t.alternatives)


@MODELS
def test_a_reading_in_steps_gives_what_one_reading_gives(tiny, tokenizers, name):
    tokenizer = tokenizers["bpe"]
    model = tiny(name, tokenizer.vocab_size)
    sequences = [bracketed(tokenizer.encode(text), tokenizer) for text in TEXTS]
    sequences.append(np.array([tokenizer.bos_id]))  # nothing to charge
    reading = Reading(model, tokenizer, sequences, batch_tokens=8)
    steps = 0
    while reading.step():
        steps += 1
    assert steps > 5
    assert not reading.step()
    at_once = Reading(model, tokenizer, sequences).scores()
    for one, other in zip(reading.scores(), at_once, strict=True):
        np.testing.assert_allclose(one.nats, other.nats, rtol=1e-5)
        assert (one.ids == other.ids).all()
    assert len(reading.scores()[-1].ids) == 0


def test_the_window_may_be_smaller_than_the_models_context(tiny, tokenizers):
    tokenizer = tokenizers["bpe"]
    model = tiny("learned", tokenizer.vocab_size)
    document = Document("d", "s", "g", TEXTS[1].strip())
    for window in (4, 8):
        found = score(model, tokenizer, TEXTS[1], context_tokens=window)
        ruler = score_documents(model, tokenizer, [document], context_tokens=window)
        assert found.context_tokens == window
        assert found.bits_per_byte == pytest.approx(bits_per_byte(ruler), rel=1e-9)


def test_a_text_is_cleaned_as_the_model_reads_it(tiny, tokenizers):
    tokenizer = tokenizers["bpe"]
    model = tiny("lstm", tokenizer.vocab_size)
    assert score(model, tokenizer, "O  vento \u200b") == score(model, tokenizer, "O vento")
    with pytest.raises(EscadaError, match="no text to score"):
        score(model, tokenizer, " \n\u200b ")
