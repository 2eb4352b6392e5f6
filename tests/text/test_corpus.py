"""Opening a prepared corpus: what is refused, and what is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.text.made_source import write_source

from escada.choices import SPLITS
from escada.errors import EscadaError
from escada.files import read_json, write_sealed_json
from escada.text.corpus import Corpus, default_corpus_path
from escada.text.preparation.prepare import prepare


@pytest.fixture
def source(tmp_path: Path) -> str:
    return str(write_source(tmp_path / "fonte.jsonl"))


@pytest.mark.parametrize("split", SPLITS)
def test_a_corrupted_file_is_one_clear_error(source: str, tmp_path: Path, split: str):
    corpus = prepare(source, tmp_path / "c")
    file = corpus.path / f"{split}.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(EscadaError, match=rf"corrupted.*{split}\.parquet"):
        Corpus.open(corpus.path)
    file.unlink()
    with pytest.raises(EscadaError, match=rf"missing.*{split}\.parquet"):
        Corpus.open(corpus.path)


def test_a_folder_without_corpus_is_one_clear_error(tmp_path: Path):
    with pytest.raises(EscadaError, match="no prepared corpus"):
        Corpus.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"schema_version": 1}')
    with pytest.raises(EscadaError, match="not a corpus"):
        Corpus.open(tmp_path)


@pytest.mark.parametrize("name", ["../secret.parquet", "/etc/hostname", "test.parquet\n"])
def test_a_manifest_names_files_of_its_folder_only(source: str, tmp_path: Path, name: str):
    manifest = prepare(source, tmp_path / "c").path / "manifest.json"
    table = read_json(manifest)
    table["splits"]["test"]["file"] = name
    write_sealed_json(manifest, table)
    with pytest.raises(EscadaError, match="not a corpus"):
        Corpus.open(tmp_path / "c")


def test_unknown_split_and_profile_are_named(source: str, tmp_path: Path):
    corpus = prepare(source, tmp_path / "c")
    with pytest.raises(EscadaError, match="unknown split 'dev'"):
        corpus.documents("dev")
    with pytest.raises(EscadaError, match="unknown profile"):
        default_corpus_path("nope")


def test_of_the_processes_of_a_machine_the_first_verifies_the_checksums(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    corpus = prepare(source, tmp_path / "c")
    file = corpus.path / "train.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(EscadaError, match="corrupted"):  # set by something else than torchrun
        Corpus.open(corpus.path)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert Corpus.open(corpus.path).hash == corpus.hash
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(EscadaError, match="corrupted"):
        Corpus.open(corpus.path)
