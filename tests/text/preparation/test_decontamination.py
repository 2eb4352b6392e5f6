"""No held-out document has a copy, or nearly one, in another split: checked by other means."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from escada.cli import data
from escada.files import write_json
from escada.text.corpus import MANIFEST, Corpus, default_corpus_path
from escada.text.documents import Document
from escada.text.preparation import decontamination, hashes
from escada.text.preparation import near_duplicates as near_module
from escada.text.preparation.decontamination import contaminated
from escada.text.preparation.dedup import comparison_form
from escada.text.preparation.prepare import prepare
from escada.text.preparation.processes import alone, in_processes
from escada.text.preparation.shared_runs import MOST_COPIES

RUN = 100


def shingles(text: str) -> set[str]:
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


def jaccard(one: set[str], two: set[str]) -> float:
    return len(one & two) / len(one | two)


def near_duplicates(
    held_out: Iterable[str], others: Iterable[str], view: Callable[[str], str]
) -> list[tuple[int, int]]:
    """Pairs with a Jaccard similarity above 0.5, by counting the shingles that are shared."""
    sets = [shingles(view(text)) for text in held_out]
    holders: dict[str, list[int]] = defaultdict(list)
    for i, one in enumerate(sets):
        for shingle in one:
            holders[shingle].append(i)
    found: list[tuple[int, int]] = []
    for j, text in enumerate(others):
        shared: dict[int, int] = defaultdict(int)
        other = shingles(view(text))
        for shingle in other:
            for i in holders.get(shingle, ()):
                shared[i] += 1
        for i, n in shared.items():
            if n > 0.5 * (len(sets[i]) + len(other) - n):
                found.append((i, j))
    return found


def shared_runs(
    held_out: Iterable[str], others: Iterable[str], view: Callable[[str], str]
) -> dict[str, tuple[set[int], set[int]]]:
    """Each run of a hundred characters that is on both sides: which texts hold it."""
    runs: dict[str, tuple[set[int], set[int]]] = {}
    for i, text in enumerate(map(view, held_out)):
        for start in range(len(text) - RUN + 1):
            runs.setdefault(text[start : start + RUN], (set(), set()))[0].add(i)
    for j, text in enumerate(map(view, others)):
        for start in range(len(text) - RUN + 1):
            if (holders := runs.get(text[start : start + RUN])) is not None:
                holders[1].add(j)
    return {run: holders for run, holders in runs.items() if holders[1]}


VIEWS = (comparison_form, str.casefold)


def by_brute_force(held_out: list[str], others: list[str]) -> list[bool]:
    flags = [False] * len(held_out)
    for view in VIEWS:
        for i, _ in near_duplicates(held_out, others, view):
            flags[i] = True
        for holders, copies in shared_runs(held_out, others, view).values():
            if len(copies) <= MOST_COPIES:
                for i in holders:
                    flags[i] = True
    return flags


def invented(rng: random.Random, n_words: int) -> str:
    """Words that no two texts have in common but by chance."""
    syllables = [rng.choice("bcdfglmnprstv") + rng.choice("aeiouãéê") for _ in range(3 * n_words)]
    words = ["".join(syllables[i : i + 3]) for i in range(0, len(syllables), 3)]
    return " ".join(words).capitalize() + "."


def documents(texts: Iterable[str]) -> list[Document]:
    return [Document(str(i), "s", str(i), text) for i, text in enumerate(texts)]


def stream(texts: list[str], share: tuple[int, int]) -> list[Document]:
    """Documents of these texts, those of a share."""
    rank, world = share
    return documents(texts)[rank::world]


def flags_of(held_out: list[str], others: list[str], workers: int = 1) -> list[bool]:
    with TemporaryDirectory() as scratch:
        run = alone if workers == 1 else in_processes(workers)
        streams = partial(stream, held_out), partial(stream, others)
        return contaminated(*streams, Path(scratch), run).tolist()


# Few words, so that texts share half of their shingles often, and just fail to as often.
text = st.lists(
    st.sampled_from("ana vende pão de ló na praça às 10 horas, e canta".split()), max_size=12
)
texts = st.lists(text.map(" ".join), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(texts, texts)
def test_what_is_found_is_what_brute_force_finds(held_out: list[str], others: list[str]):
    assert flags_of(held_out, others) == by_brute_force(held_out, others)


def test_neither_blocks_nor_batches_matter(monkeypatch: pytest.MonkeyPatch):
    rng = random.Random(0)
    parts = [invented(rng, 6) for _ in range(300)]
    pool = [" ".join(rng.sample(parts, rng.choice([1, 1, 2, 3, 6]))) for _ in range(600)]
    held_out, others = pool[:200], [*pool[170:], "", "a", "é"]
    expected = by_brute_force(held_out, others)
    assert 30 < sum(expected) < 170
    assert flags_of(held_out, others) == expected
    assert flags_of(held_out, others, workers=2) == expected
    monkeypatch.setattr(decontamination, "BLOCK_CHARACTERS", 3000)
    assert flags_of(held_out, others) == expected
    monkeypatch.setattr(hashes, "BATCH_CHARACTERS", 150)  # texts in pieces, too
    monkeypatch.setattr(near_module, "_PAIRS", 10)
    assert flags_of(held_out, others) == expected


def test_a_shared_paragraph_is_found_and_a_form_of_words_is_not():
    rng = random.Random(1)
    long = [invented(rng, 200) for _ in range(60)]
    law = (
        "Todos são iguais perante a lei, sem distinção de qualquer natureza, garantindo-se aos "
        "brasileiros e aos estrangeiros residentes no País a inviolabilidade do direito à vida."
    )
    assert flags_of([long[0] + law, long[1]], [*long[2:], law + long[3]]) == [True, False]
    copies = [law + other for other in long[2 : 2 + MOST_COPIES + 1]]
    assert flags_of([long[0] + law, long[1]], copies[1:]) == [True, False]
    assert flags_of([long[0] + law, long[1]], copies) == [False, False]


def planted(path: Path) -> Path:
    """Texts of which some say again most of an earlier one, and some quote a paragraph of one."""
    rng = random.Random(2)
    texts = [invented(rng, 30) for _ in range(200)]
    for i in range(400):
        words = rng.choice(texts).split()
        if i % 3 == 0:
            texts.append(" ".join(words[: rng.randrange(18, 26)]) + " " + invented(rng, 10))
        elif i % 7 == 0:
            texts.append(invented(rng, 60) + " ".join(words[:20]) + invented(rng, 60))
        else:
            texts.append(invented(rng, 30))
    rows = [{"id": f"n{i}", "source": "notas", "text": text} for i, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def check(corpus: Corpus) -> None:
    split = {
        name: [document.text for document in corpus.documents(name)]
        for name in ("train", "validation", "test")
    }
    for name, others in (
        ("test", split["train"]),
        ("validation", split["train"] + split["test"]),
    ):
        for view in (*VIEWS, str):
            assert near_duplicates(split[name], others, view) == []
        for view in VIEWS:
            for _, copies in shared_runs(split[name], others, view).values():
                assert len(copies) > MOST_COPIES


def test_no_held_out_document_of_a_corpus_has_a_near_duplicate_in_training(tmp_path: Path):
    corpus = prepare(str(planted(tmp_path / "notas.jsonl")), tmp_path / "c")
    across = corpus.manifest.model_dump()["across_splits"]
    for name in ("validation", "test"):
        assert across[name]["removed_documents"] > 0
        assert across[name]["removed_bytes"] > 0
        assert across[name]["kept_copies"] == 0
    check(corpus)


@pytest.mark.slow
def test_no_held_out_document_of_the_default_corpus_has_a_near_duplicate_in_training():
    folder = default_corpus_path("reference")
    if not (folder / MANIFEST).exists():
        pytest.skip("the default corpus is not in the cache")
    check(prepare("default", folder))


def test_a_source_of_copies_only_keeps_them_and_they_are_counted(tmp_path: Path):
    rows = [
        {"source": "modelo", "text": f"A recomendação de hoje é {i * 7919 % 1000:03d}: comprar já"}
        for i in range(60)
    ]
    path = tmp_path / "modelo.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = prepare(str(path), tmp_path / "c")
    for name in ("validation", "test"):
        assert getattr(corpus.manifest.across_splits, name).kept_copies >= 1
        assert corpus.manifest.splits[name].documents >= 1


@pytest.mark.parametrize("kept", [0, 3])
def test_data_verbs_say_what_was_removed_and_what_was_kept_across_splits(kept: int, tmp_path: Path):
    corpus = prepare(str(planted(tmp_path / "notas.jsonl")), tmp_path / "c")
    manifest = corpus.manifest.model_dump(mode="json")
    across = manifest["across_splits"]
    across["test"]["kept_copies"] = kept
    write_json(corpus.path / MANIFEST, manifest)
    said = CliRunner().invoke(data.app, ["stats", str(corpus.path)]).output.replace("\n", " ")
    for split in ("validation", "test"):
        count, size = across[split]["removed_documents"], across[split]["removed_bytes"]
        assert f"{count:,} of {split} ({size:,} bytes)" in said
    assert ("copies kept" in said) == (kept > 0)
    assert ("3 of test" in said.partition("copies kept")[2]) == (kept > 0)
    as_json = CliRunner().invoke(data.app, ["stats", str(corpus.path), "--json"]).output
    assert json.loads(as_json)["across_splits"] == across
    arguments = ["--source", str(tmp_path / "notas.jsonl"), "--out", str(corpus.path)]
    prepared = CliRunner().invoke(data.app, ["prepare", *arguments]).output.replace("\n", " ")
    assert said.partition("held-out")[2].partition(" source ")[0] in prepared


def test_a_corpus_from_before_copies_were_looked_for_says_so(tmp_path: Path):
    corpus = prepare(str(planted(tmp_path / "notas.jsonl")), tmp_path / "c")
    manifest = corpus.manifest.model_dump(mode="json")
    del manifest["across_splits"]
    write_json(corpus.path / MANIFEST, manifest)
    assert "not looked for" in CliRunner().invoke(data.app, ["stats", str(corpus.path)]).output
