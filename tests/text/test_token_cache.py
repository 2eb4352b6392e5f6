"""The tokens of a corpus: made once, found again, remade on a change, shared by processes."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from escada.errors import EscadaError
from escada.spec import TokenizerSpec
from escada.text import token_cache as prepared
from escada.text.documents import Document
from escada.text.preparation.prepare import prepare
from escada.text.token_cache import prepare_tokens, tokens_path

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
    said = []
    first = prepare_tokens(corpus, CHARACTERS, say=said.append)
    again = prepare_tokens(corpus, CHARACTERS, say=said.append)
    assert len(trainings) == len(said) == 1
    assert [part.hash for part in first] == [part.hash for part in again]


def test_another_spec_corpus_or_code_makes_other_tokens(corpus, trainings, monkeypatch):
    prepare_tokens(corpus, CHARACTERS)
    prepare_tokens(corpus, BPE)
    prepare_tokens(SmallCorpus(corpus.path, hash="another"), CHARACTERS)
    monkeypatch.setattr(prepared, "code_hash", lambda *_, **__: "another code")
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


def test_tokens_of_a_corpus_that_cannot_be_written_go_to_the_cache(
    corpus, trainings, tmp_path, monkeypatch
):
    cache = tmp_path / "cache"
    monkeypatch.setenv("ESCADA_CACHE", str(cache))
    monkeypatch.setattr(prepared, "_can_be_written", lambda _: False)
    _, stream = prepare_tokens(corpus, CHARACTERS)
    assert stream.path.is_relative_to(cache / "tokens")
    assert prepare_tokens(corpus, CHARACTERS)[1].hash == stream.hash
    assert len(trainings) == 1
    assert not (corpus.path / "tokens").exists()


def test_tokens_that_a_read_only_corpus_has_already_are_used_there(
    corpus, trainings, tmp_path, monkeypatch
):
    _, stream = prepare_tokens(corpus, CHARACTERS)
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(prepared, "_can_be_written", lambda _: False)
    monkeypatch.setattr(prepared, "exclusive", None)  # a lock cannot be made there
    assert prepare_tokens(corpus, CHARACTERS)[1].path == stream.path
    assert len(trainings) == 1


READ_ONLY_DISK = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
MOUNT = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"'


def can_mount_read_only(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    command = [*READ_ONLY_DISK, f'{MOUNT} && ! touch "$1"/x', "sh", folder]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_tokens_of_a_corpus_on_a_disk_mounted_read_only_go_to_the_cache(tmp_path):
    disk, cache = tmp_path / "disk", tmp_path / "cache"
    disk.mkdir()
    if not can_mount_read_only(disk):
        pytest.skip("mounting is not permitted here")
    rows = "".join(f'{{"text": "o gato número {i} subiu {i * 7919}"}}\n' for i in range(60))
    (tmp_path / "gatos.jsonl").write_text(rows)
    prepare(str(tmp_path / "gatos.jsonl"), disk / "corpus")
    before = sorted(disk.rglob("*"))
    code = textwrap.dedent(
        """
        import pathlib, sys
        from escada.spec import TokenizerSpec
        from escada.text.corpus import Corpus
        from escada.text.token_cache import prepare_tokens
        corpus = Corpus.open(pathlib.Path(sys.argv[1]) / "corpus")
        for _ in range(2):
            print(prepare_tokens(corpus, TokenizerSpec(kind="bytes"))[1].path)
        """
    )
    command = [*READ_ONLY_DISK, f'{MOUNT} && exec "$2" -c "$3" "$1"', "sh", disk]
    done = subprocess.run(
        [*command, sys.executable, code],
        env=os.environ | {"ESCADA_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = map(Path, done.stdout.splitlines())
    assert first == second
    assert first.is_relative_to(cache / "tokens")
    assert sorted(disk.rglob("*")) == before


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
