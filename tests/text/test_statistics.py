"""What `data stats` counts of a corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.text.made_source import write_source

from escada.text.preparation.prepare import prepare
from escada.text.statistics import DocumentBytes, corpus_statistics


@pytest.fixture
def source(tmp_path: Path) -> str:
    return str(write_source(tmp_path / "fonte.jsonl"))


def test_statistics_count_what_is_there(source: str, tmp_path: Path):
    corpus = prepare(source, tmp_path / "c")
    found = corpus_statistics(corpus).model_dump()
    train = list(corpus.documents("train"))
    part = found["splits"]["train"]
    assert part["documents"] == len(train)
    assert part["words"] == sum(len(d.text.split()) for d in train)
    assert part["characters"] == sum(len(d.text) for d in train)
    assert part["groups"] == len({(d.source, d.group) for d in train})
    assert sum(s["train"]["bytes"] for s in found["by_source"].values()) == part["bytes"]
    characters = Counter("".join(d.text for d in train))
    assert found["characters"]["train_distinct"] == len(characters)
    assert found["characters"]["train_rare"] == sum(n < 3 for n in characters.values())


def test_sizes_of_documents_are_by_nearest_rank():
    assert DocumentBytes.of(range(1, 101)) == DocumentBytes(p50=50, p95=95, p99=99, max=100)
    assert DocumentBytes.of([7]) == DocumentBytes(p50=7, p95=7, p99=7, max=7)
    assert DocumentBytes.of([]).max == 0
