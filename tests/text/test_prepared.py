"""The tokens of a corpus: made once, found again, remade on a change, shared by processes."""

import multiprocessing
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from escada.errors import EscadaError
from escada.spec import TokenizerSpec
from escada.text import prepared
from escada.text.documents import Document
from escada.text.prepared import prepare_tokens, tokens_path

CHARACTERS = TokenizerSpec(kind="characters", min_count=1)
BPE = TokenizerSpec(kind="bpe", vocab_size=290)
TEXTS = {
    "train": [f"o gato número {i} subiu a escada\ne a casa caiu" for i in range(30)],
    "validation": ["ção"],
    "test": ["☃"],
}


@dataclass
class SmallCorpus:
    """What prepare_tokens needs of a corpus."""

    path: Path
    hash: str = "corpus"
    texts: dict[str, list[str]] | None = None

    def documents(self, split):
        for number, text in enumerate((self.texts or TEXTS)[split]):
            yield Document(id=str(number), source="s", group=str(number), text=text)


@pytest.fixture
def corpus(tmp_path):
    return SmallCorpus(tmp_path)


@pytest.fixture
def trainings(monkeypatch):
    """The specs that a tokenizer was trained for."""
    seen = []
    real = prepared.train_tokenizer

    def counted(spec, documents):
        seen.append(spec)
        return real(spec, documents)

    monkeypatch.setattr(prepared, "train_tokenizer", counted)
    return seen


@pytest.mark.parametrize("spec", [CHARACTERS, BPE, TokenizerSpec(kind="bytes")])
def test_the_stream_is_the_training_split_in_the_tokenizers_ids(corpus, spec):
    tokenizer, stream = prepare_tokens(corpus, spec)
    assert stream.tokenizer_hash == tokenizer.hash
    assert stream.corpus_hash == corpus.hash
    ends = [*stream.document_starts[1:].tolist(), stream.n_tokens]
    texts = [
        tokenizer.decode(stream.read(start, end - start))
        for start, end in zip(stream.document_starts.tolist(), ends, strict=True)
    ]
    assert texts == TEXTS["train"]


def test_held_out_documents_are_never_read(corpus):
    tokenizer, _ = prepare_tokens(corpus, CHARACTERS)
    assert "☃" not in tokenizer.characters
    assert "ç" not in tokenizer.characters


def test_nothing_is_made_twice(corpus, trainings):
    first = prepare_tokens(corpus, CHARACTERS)
    again = prepare_tokens(corpus, CHARACTERS)
    assert len(trainings) == 1
    assert [part.hash for part in first] == [part.hash for part in again]


def test_another_spec_corpus_or_code_makes_other_tokens(corpus, trainings, monkeypatch):
    prepare_tokens(corpus, CHARACTERS)
    prepare_tokens(corpus, BPE)
    prepare_tokens(SmallCorpus(corpus.path, hash="another"), CHARACTERS)
    monkeypatch.setattr(prepared, "hash_sources", lambda *_: "another code")
    prepare_tokens(corpus, CHARACTERS)
    assert len(trainings) == 4
    assert prepare_tokens(corpus, BPE)[0].vocab_size == 290


def test_a_damaged_shard_names_what_to_remove_and_that_mends_it(corpus, trainings):
    _, stream = prepare_tokens(corpus, CHARACTERS)
    shard = stream.path / "train-00000.bin"
    data = bytearray(shard.read_bytes())
    data[0] ^= 1
    shard.write_bytes(data)
    with pytest.raises(EscadaError, match=f"corrupted shard.*{shard}.*remove {stream.path}"):
        prepare_tokens(corpus, CHARACTERS)
    shutil.rmtree(stream.path)
    assert prepare_tokens(corpus, CHARACTERS)[1].hash == stream.hash
    assert len(trainings) == 2


def test_a_damaged_tokenizer_names_what_to_remove_and_that_mends_it(corpus):
    tokenizer, stream = prepare_tokens(corpus, BPE)
    model = stream.path.parent / "tokenizer/tokenizer.model"
    model.write_bytes(model.read_bytes()[:-1])
    folder = stream.path.parent
    with pytest.raises(EscadaError, match=f"corrupted tokenizer.*{model}.*remove {folder}"):
        prepare_tokens(corpus, BPE)
    shutil.rmtree(folder)
    assert prepare_tokens(corpus, BPE)[0].hash == tokenizer.hash


def test_a_failure_leaves_nothing_half_made(corpus):
    with pytest.raises(EscadaError, match="too large for the corpus"):
        prepare_tokens(corpus, TokenizerSpec(kind="bpe", vocab_size=5000))
    left = [p.name for p in (corpus.path / "tokens").iterdir() if not p.name.endswith(".lock")]
    assert left == []


def test_an_empty_training_split_is_one_clear_error(tmp_path):
    empty = SmallCorpus(tmp_path, texts={"train": []})
    with pytest.raises(EscadaError, match="no documents to tokenise"):
        prepare_tokens(empty, TokenizerSpec(kind="bytes"))
    with pytest.raises(EscadaError, match="no text"):
        prepare_tokens(empty, BPE)


def test_what_a_killed_process_left_behind_is_cleared_away(corpus):
    folder = tokens_path(corpus, CHARACTERS)
    # A process of the same number may have died in the middle, before or after a restart.
    left = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    (left / "tokenizer").mkdir(parents=True)
    prepare_tokens(corpus, CHARACTERS)
    assert not left.exists()


def _prepare_slowly(path, spec, results):
    real = prepared.train_tokenizer
    made = []

    def slow(spec, documents):
        made.append(os.getpid())
        time.sleep(0.3)
        return real(spec, documents)

    prepared.train_tokenizer = slow
    _, stream = prepare_tokens(SmallCorpus(path), spec)
    results.put((len(made), stream.hash))


def test_processes_at_once_make_it_once_and_agree(corpus):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [
        context.Process(target=_prepare_slowly, args=(corpus.path, CHARACTERS, results))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert sum(made for made, _ in found) == 1
    assert len({content for _, content in found}) == 1
