"""record.json: the records of earlier versions, what is kept of them, and damage."""

import json

import pytest

from escada.errors import EscadaError
from escada.runs.record import read_record

RECORD = {
    "schema_version": 1,
    "key": "a" * 64,
    "name": "v1",
    "preset": "laptop",
    "seed": 0,
    "status": "finished",
    "spec_hash": "b" * 64,
    "corpus_hash": "c" * 64,
    "tokenizer": {"kind": "characters", "vocab_size": 213, "hash": "d" * 64},
    "budget": "60 s",
    "created": "2026-11-30T03:22:39+00:00",
    "dry_run": False,
    "precision": {"name": "fp32", "reason": "auto: no bf16 in hardware"},
    "setup": {
        "device": "cpu",
        "threads": 2,
        "precision": "fp32",
        "micro_batch_sequences": 8,
        "torch": "2.13.0",
        "cpu_capability": "AVX2",
    },
}


@pytest.fixture
def read(tmp_path):
    def read_of(**changes):
        table = {name: value for name, value in (RECORD | changes).items() if value is not ...}
        (tmp_path / "record.json").write_text(json.dumps(table), encoding="utf-8")
        return read_record(tmp_path / "record.json")

    return read_of


def test_a_record_is_written_as_it_was_read(read):
    assert read().to_json() == RECORD


def test_a_key_that_this_version_does_not_know_is_kept(read):
    later = read(weather="dry", setup=RECORD["setup"] | {"node": "a7"})
    assert later.to_json()["weather"] == "dry"
    assert later.to_json()["setup"]["node"] == "a7"


def test_a_record_of_before_is_read_under_the_present_names(read):
    before = read(setup=..., circumstances=RECORD["setup"], model_folder="/home/ana/models")
    assert before.setup.threads == 2
    assert (before.setup.processes, before.setup.compiled) == (1, False)
    assert before.module_folders == ["/home/ana/models"]
    assert read(model_folder=None).module_folders == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": ...}, "damaged: it has no 'key'"),
        ({"setup": {"device": "cpu"}}, "damaged: it has no 'setup.threads'"),
        ({"step": "many"}, "damaged: step: Input should be a valid integer"),
        ({"schema_version": 9}, "schema 9, this escada reads 1"),
    ],
)
def test_a_damaged_record_says_where(read, change, said):
    with pytest.raises(EscadaError, match=said) as error:
        read(**change)
    assert "record.json" in str(error.value)
