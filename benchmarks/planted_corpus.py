"""A corpus of any size whose duplicates, leaks and junk are known: `python planted_corpus.py OUT`.

    python benchmarks/planted_corpus.py build/planted.jsonl --bytes 2e9
    python benchmarks/planted_corpus.py measure build/planted.jsonl build/planted --workers 2
    python benchmarks/planted_corpus.py check build/planted.jsonl build/planted

Words follow one another as in the default corpus, one in five as its words are frequent, so that
documents differ but share what Portuguese texts share. What a document is, is in its id:

| id | what it is |
|---|---|
| `new-N` | a text of its own |
| `exact-N` | the text of new-N again |
| `near-N` | new-N with one word in twenty replaced by another |
| `leak-N` | a text of its own, with a paragraph of new-N |
| `personal-N` | a text with a CPF, an e-mail address and a telephone number |
| `junk-N` | one line repeated, or signs |
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from escada.text.corpus import Corpus, default_corpus_path
from escada.text.preparation.prepare import prepare

WORDS_A_DOCUMENT = 700
SITES = 5003
JUMP = 0.2
"""Share of words drawn by frequency alone."""
EDITED = 0.05
PARAGRAPH_WORDS = 60
KINDS = ("exact", "near", "leak", "personal", "junk")
PLANTED = 0.01
"""Share of documents of each kind."""
BATCH = 2000


class Chain:
    """Word bigrams of a corpus, sampled for many documents at once."""

    def __init__(self, texts: Iterator[str]) -> None:
        words = np.array([word for text in texts for word in [*text.split(), ""]])
        self.words, ids = np.unique(words, return_inverse=True)
        order = np.argsort(ids[:-1], kind="stable")
        self.next, self.starts = (
            ids[1:][order],
            np.searchsorted(ids[:-1][order], range(len(self.words))),
        )
        self.count = np.bincount(ids[:-1], minlength=len(self.words))
        self.ids = ids

    def sample(self, n: int, length: int, chance: np.random.Generator) -> NDArray[np.int64]:
        """Word ids, (n, length)."""
        found = np.empty((n, length), dtype=np.int64)
        now = chance.choice(self.ids, n)
        for i in range(length):
            step = self.next[
                self.starts[now] + (chance.random(n) * self.count[now]).astype(np.int64)
            ]
            jump = (chance.random(n) < JUMP) | (self.words[step] == "") | (self.count[step] == 0)
            drawn = chance.choice(self.ids[:-1], n)
            now = np.where(jump, drawn, step)
            now = np.where(self.words[now] == "", self.ids[0], now)
            found[:, i] = now
        return found


def documents(chain: Chain, n_bytes: float, seed: int) -> Iterator[tuple[str, str]]:
    """Id and text until the texts have that many bytes."""
    chance = np.random.default_rng(seed)
    number, held = 0, 0
    while held < n_bytes:
        lengths = np.maximum(
            30, chance.lognormal(np.log(WORDS_A_DOCUMENT * 0.6), 1.0, BATCH)
        ).astype(int)
        lengths = np.minimum(lengths, 20 * WORDS_A_DOCUMENT)
        made: list[list[str]] = []
        for part in np.array_split(np.argsort(lengths), 20):  # of like length together
            ids = chain.sample(len(part), int(lengths[part].max()), chance)
            made += [
                chain.words[row[: lengths[i]]].tolist() for row, i in zip(ids, part, strict=True)
            ]
        chance.shuffle(made)  # type: ignore[arg-type]
        for words in made:
            text = " ".join(words)
            for kind, of, one in [("new", number, text), *_planted(words, chain, number, chance)]:
                held += len(one.encode())
                yield f"{kind}-{of}", one
            number += 1


def _planted(
    words: list[str], chain: Chain, number: int, chance: np.random.Generator
) -> Iterator[tuple[str, int, str]]:
    """What is planted after a document, if anything."""
    for kind in KINDS:
        if chance.random() > PLANTED:
            continue
        others = chain.words[chain.sample(1, len(words), chance)[0]].tolist()
        match kind:
            case "exact":
                text = " ".join(words)
            case "near":
                edited = chance.random(len(words)) < EDITED
                pairs = zip(words, others, edited, strict=True)
                text = " ".join(other if is_edited else word for word, other, is_edited in pairs)
            case "leak":
                middle = len(others) // 2
                parts = [*others[:middle], "\n", *words[:PARAGRAPH_WORDS], "\n", *others[middle:]]
                text = " ".join(parts)
            case "personal":
                personal = f"CPF 529.982.247-25, ana.{number}@exemplo.com.br, (11) 98765-4321"
                text = f"{' '.join(others)} {personal}"
            case _:
                text = (
                    "clique aqui " * 200 + str(number)
                    if chance.random() < 0.5
                    else "#$% " * 300 + str(number)
                )
        yield kind, number, text


def make(out: Path, n_bytes: float, seed: int, data: Path | None) -> None:
    corpus = Corpus.open(data) if data else prepare("default", default_corpus_path("reference"))
    chain = Chain(document.text for document in corpus.documents("train"))
    with out.open("w", encoding="utf-8") as file:
        for i, (identifier, text) in enumerate(documents(chain, n_bytes, seed)):
            row = {"id": identifier, "site": f"site-{i * 7919 % SITES}", "text": text}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def check(made: Path, folder: Path) -> dict[str, object]:
    """What was found of what was planted."""
    kinds, there = Counter[str](), set[str]()
    with made.open(encoding="utf-8") as file:
        for line in file:
            identifier = json.loads(line)["id"]
            kinds[identifier.split("-")[0]] += 1
            there.add(identifier)
    corpus = Corpus.open(folder)
    split_of = {
        d.id: split for split in ("train", "validation", "test") for d in corpus.documents(split)
    }
    kept = Counter(identifier.split("-")[0] for identifier in split_of)
    lost = [one for one in there if one.startswith("new-") and one not in split_of]
    # A held-out text of which a training text quotes a paragraph is rightly removed.
    unrelated = [one for one in lost if one.replace("new-", "leak-") not in there]
    removed_across = corpus.manifest.across_splits
    n_across = (
        sum(c.removed_documents for c in removed_across.by_split().values())
        if removed_across
        else 0
    )
    leaks = [
        identifier
        for identifier, split in split_of.items()
        if identifier.startswith("leak-")
        for origin in [split_of.get("new-" + identifier.split("-")[1])]
        if origin is not None and origin != split
    ]
    return {
        "documents": kinds,
        "kept": kept,
        "exact_found": 1 - kept["exact"] / max(1, kinds["exact"]),
        "near_found": 1 - kept["near"] / max(1, kinds["near"]),
        "new_removed": len(lost),
        "new_removed_without_a_copy": len(unrelated),
        "removed_across_splits": n_across,
        "leaks_across_splits_left": len(leaks),
    }


def measure(made: Path, folder: Path, options: list[str]) -> dict[str, object]:
    """What `escada data prepare` of a made corpus cost: CPU-seconds of all its processes, and the
    memory of the largest one."""
    command = [sys.executable, "-m", "escada", "data", "prepare", "--source", str(made)]
    began = time.monotonic()
    subprocess.run([*command, "--group-column", "site", "--out", str(folder), *options], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    n_bytes = made.stat().st_size
    cpu_seconds = used.ru_utime + used.ru_stime
    return {
        "bytes": n_bytes,
        "wall_seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "cpu_seconds_per_megabyte": round(cpu_seconds / n_bytes * 1e6, 4),
        "peak_megabytes_of_a_process": round(used.ru_maxrss * 1024 / 1e6),
        "load_average": os.getloadavg()[1],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "paths", nargs="+", help="OUT; or: check MADE FOLDER; or: measure MADE FOLDER"
    )
    parser.add_argument("--bytes", type=float, default=2e8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--workers", default="1")
    parser.add_argument("--held-out", default="20MB")
    arguments = parser.parse_args()
    if arguments.paths[0] == "check":
        print(json.dumps(check(Path(arguments.paths[1]), Path(arguments.paths[2])), indent=2))
    elif arguments.paths[0] == "measure":
        options = ["--workers", arguments.workers, "--held-out", arguments.held_out]
        made, folder = Path(arguments.paths[1]), Path(arguments.paths[2])
        print(json.dumps(measure(made, folder, options), indent=2))
    else:
        make(Path(arguments.paths[0]), arguments.bytes, arguments.seed, arguments.data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
