"""Compressed sizes are of bytes from which the text comes back, and of nothing else."""

import lzma
import random

import pytest
import zstandard

from escada.errors import EscadaError
from escada.evaluation.baselines import compressors
from escada.evaluation.baselines.compressors import (
    END,
    xz_after_training,
    xz_filters,
    xz_stream,
    zstd_dictionary,
    zstd_frames,
    zstd_with_dictionary,
)
from escada.evaluation.ruler import bits_per_byte
from escada.text.documents import Document

WORDS = "casa praça menino vento água chuva noite livro carta ponte rua flor vinho anel".split()


def text(seed, words=60):
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(words)) + "."


TRAINING = [text(seed) for seed in range(60)]
DOCUMENTS = [Document(f"d{i}", "s", f"g{i // 2}", text(1000 + i)) for i in range(8)]
N_BYTES = sum(document.n_bytes for document in DOCUMENTS)


def dictionary():
    samples = [text.encode() for text in TRAINING]
    return zstandard.train_dictionary(4096, samples, k=512, d=8)


def test_the_documents_come_back_from_the_bits_that_xz_is_charged_for():
    found = xz_stream(DOCUMENTS)
    stream = END.join(document.text.encode() for document in DOCUMENTS) + END
    filters = xz_filters(found.settings["dict_size"])
    compressed = lzma.compress(stream, format=lzma.FORMAT_RAW, filters=filters)
    assert found.bits_per_byte == 8 * len(compressed) / N_BYTES
    back = lzma.decompress(compressed, format=lzma.FORMAT_RAW, filters=filters).split(END)
    assert [part.decode() for part in back[:-1]] == [document.text for document in DOCUMENTS]
    assert found.scores is None


def test_the_documents_come_back_from_the_frames_that_zstd_is_charged_for():
    learned = dictionary()
    frames = zstd_frames((document.text for document in DOCUMENTS), learned)
    reader = zstandard.ZstdDecompressor(dict_data=learned, format=zstandard.FORMAT_ZSTD1_MAGICLESS)
    for document, frame in zip(DOCUMENTS, frames, strict=True):
        assert reader.decompressobj().decompress(frame).decode() == document.text


def test_a_frame_has_five_bytes_beside_its_text():
    """Two of the frame's header, three of the block's: an empty document has nothing else."""
    (frame,) = zstd_frames([""], dictionary())
    assert len(frame) == 5


def test_zstd_is_charged_for_the_frame_of_each_document():
    found = zstd_with_dictionary(iter(DOCUMENTS), zstd_dictionary(TRAINING))
    samples = [text.encode() for text in TRAINING]
    learned = zstandard.train_dictionary(2**21, samples, k=512, d=8)
    frames = zstd_frames((document.text for document in DOCUMENTS), learned)
    assert found.bits_per_byte == 8 * sum(map(len, frames)) / N_BYTES
    assert bits_per_byte(found.scores) == pytest.approx(found.bits_per_byte)
    assert found.scores.ids == [document.id for document in DOCUMENTS]
    assert found.settings["dictionary_bytes"] == len(learned.as_bytes())


def test_knowing_the_training_text_helps_every_compressor():
    alone = xz_stream(DOCUMENTS).bits_per_byte
    assert xz_after_training(DOCUMENTS, TRAINING).bits_per_byte < 0.8 * alone
    texts = [document.text for document in DOCUMENTS]
    bare = zstd_frames(texts, zstandard.ZstdCompressionDict(b""))
    learned = zstd_with_dictionary(DOCUMENTS, zstd_dictionary(TRAINING)).bits_per_byte
    assert learned < 0.8 * (8 * sum(map(len, bare)) / N_BYTES)


def test_a_stream_fed_in_pieces_is_the_stream_at_once(monkeypatch):
    at_once = [xz_stream(DOCUMENTS), xz_after_training(DOCUMENTS, TRAINING)]
    monkeypatch.setattr(compressors, "XZ_FED_CHARACTERS", 1)
    assert [xz_stream(DOCUMENTS), xz_after_training(DOCUMENTS, TRAINING)] == at_once


def test_the_window_of_xz_reaches_over_all_of_the_training_text():
    """A document that opens the training text costs next to nothing, however much lies between."""
    noise = random.Random(0)
    filler = "".join(chr(noise.randrange(0x4E00, 0x9000)) for _ in range(200_000))
    document = DOCUMENTS[0]
    found = xz_after_training([document], [document.text, filler])
    assert found.settings["dict_size"] > 600_000
    assert found.bits_per_byte * document.n_bytes / 8 < 30


def test_an_end_of_document_is_charged():
    whole = Document("d", "s", "g", "ab" * 50)
    parts = [Document(f"d{i}", "s", "g", piece) for i, piece in enumerate(("ab" * 25,) * 2)]
    assert xz_stream(parts).bits_per_byte > xz_stream([whole]).bits_per_byte


def test_training_texts_too_few_for_a_dictionary_give_no_figure():
    assert zstd_dictionary(TRAINING[:2]) is None


@pytest.mark.parametrize("compress", [xz_stream, lambda d: zstd_with_dictionary(d, dictionary())])
def test_documents_without_a_byte_are_refused(compress):
    with pytest.raises(EscadaError, match="no text to measure"):
        compress([Document("d", "s", "g", "")])
