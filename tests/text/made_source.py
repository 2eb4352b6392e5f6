"""A JSONL file of documents of two sources, in groups of two."""

import json
import random
from pathlib import Path


def sentence(i: int) -> str:
    chance = random.Random(i)
    letters = "abcdefghijlmnopqrstuvxz"
    words = ["".join(chance.choices(letters, k=chance.randrange(2, 9))) for _ in range(30)]
    return " ".join(words).capitalize() + "."


def write_source(path: Path, n: int = 200, *, change: str = "") -> Path:
    rows = [
        {"text": f"  {sentence(i)}\t fim.{change}", "source": "ab"[i % 2], "group": f"g{i // 2}"}
        for i in range(n)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path
