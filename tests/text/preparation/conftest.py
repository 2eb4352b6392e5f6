"""Sources that make several parts."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

WORDS = "casa rio vento livro mar noite pedra caminho festa janela cidade chuva tempo".split()


def words(chance: random.Random, n: int) -> str:
    return " ".join(chance.choice(WORDS) + str(chance.randrange(9999)) for _ in range(n))


def write(path: Path, texts: list[str]) -> Path:
    rows = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts)]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 documents with exact and near-duplicates, and empty ones: 160 kB."""
    chance = random.Random(0)
    texts: list[str] = []
    for i in range(400):
        if i % 20 == 19:
            texts.append(chance.choice([texts[-1], texts[-2] + " fim", " "]))
        else:
            texts.append(words(chance, 60))
    return write(tmp_path_factory.mktemp("source") / "texts.jsonl", texts)


@pytest.fixture(scope="session")
def large_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four parts of the size that users get, one of them shorter."""
    chance = random.Random(1)
    texts = [words(chance, 200) for _ in range(9000)]
    return write(tmp_path_factory.mktemp("large") / "texts.jsonl", texts)
