"""Splits by group: none divided, every split there, the same on every machine."""

import random
import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.choices import SPLITS
from escada.errors import EscadaError
from escada.text.preparation.splitting import split_corpus, split_groups

sizes = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 10**6), min_size=3)


@given(sizes)
def test_every_split_of_three_groups_or_more_has_one(group_bytes: dict[str, int]):
    splits = split_groups("s", group_bytes)
    assert set(splits) == set(group_bytes)
    assert set(splits.values()) == set(SPLITS)


@given(sizes, st.randoms())
def test_the_order_of_reading_does_not_matter(group_bytes: dict[str, int], chance):
    items = list(group_bytes.items())
    chance.shuffle(items)
    assert split_groups("s", dict(items)) == split_groups("s", group_bytes)


def test_shares_are_eighty_ten_ten_by_bytes():
    group_bytes = {f"g{i}": 500 + 37 * i % 1000 for i in range(2000)}
    splits = split_groups("s", group_bytes)
    total = sum(group_bytes.values())
    share = {s: sum(group_bytes[g] for g in splits if splits[g] == s) / total for s in SPLITS}
    assert share["train"] == pytest.approx(0.8, abs=0.002)
    assert share["validation"] == pytest.approx(0.1, abs=0.002)


many = st.lists(st.integers(1, 10**6), min_size=15, max_size=60)


@given(many, st.text(max_size=3))
def test_held_out_splits_have_five_groups_from_fifteen_on(sizes: list[int], source: str):
    group_bytes = {f"g{i}": size for i, size in enumerate(sizes)}
    counts = Counter(split_groups(source, group_bytes).values())
    assert counts["validation"] >= 5
    assert counts["test"] >= 5
    assert counts["train"] >= 1


@given(st.lists(st.integers(1, 10**6), min_size=3, max_size=60))
def test_a_held_out_split_is_a_tenth_or_has_no_more_groups_than_it_must(sizes: list[int]):
    group_bytes = {f"g{i}": size for i, size in enumerate(sizes)}
    splits = split_groups("s", group_bytes)
    least = 5 if len(sizes) >= 15 else 2 if len(sizes) >= 10 else 1
    largest = max(size for group, size in group_bytes.items() if splits[group] != "train")
    for split in ("validation", "test"):
        held_out = [group_bytes[g] for g, s in splits.items() if s == split]
        assert sum(held_out) <= 0.1 * sum(sizes) + largest or len(held_out) == least
        assert sum(held_out) <= 0.12 * sum(sizes) or max(held_out) > 0.02 * sum(sizes)


@given(st.lists(st.integers(1, 10**6), min_size=3, max_size=60))
def test_the_largest_group_is_training(sizes: list[int]):
    group_bytes = {f"g{i}": size for i, size in enumerate(sizes)} | {"largest": 10**6 + 1}
    assert split_groups("s", group_bytes)["largest"] == "train"


@given(st.lists(st.integers(100, 1000), min_size=100, max_size=200))
def test_no_group_is_most_of_a_split_where_small_ones_are_many(sizes: list[int]):
    # The small ones are a quarter of the source, each of six large ones is an eighth.
    group_bytes = {f"g{i}": size for i, size in enumerate(sizes)}
    group_bytes |= {f"big{i}": sum(sizes) // 2 for i in range(6)}
    splits = split_groups("s", group_bytes)
    assert {splits[f"big{i}"] for i in range(6)} == {"train"}


def moved_share(before: dict[str, int], after: dict[str, int]) -> float:
    old, new = split_groups("s", before), split_groups("s", after)
    return sum(before[g] for g in before if old[g] != new[g]) / sum(before.values())


@pytest.mark.parametrize("n_groups", [19, 40, 200, 1000])
def test_a_document_more_rarely_moves_a_group(n_groups: int):
    rng = random.Random(n_groups)
    grown: list[float] = []
    new: list[float] = []
    for _ in range(100):
        sizes = {f"{rng.random()}": int(rng.lognormvariate(8, 0.6)) for _ in range(n_groups)}
        document = int(rng.lognormvariate(5, 0.6))
        group = rng.choice(list(sizes))
        grown.append(moved_share(sizes, sizes | {group: sizes[group] + document}))
        new.append(moved_share(sizes, sizes | {"a new group": document}))
    assert statistics.median(grown) == 0
    assert statistics.mean(grown) < 0.02
    assert statistics.mean(new) < (0.06 if n_groups < 20 else 0.02)  # it is the smallest of few


def test_bytes_count_and_not_documents():
    group_bytes = {f"g{i}": 1 for i in range(1000)} | {f"big{i}": 1000 for i in range(20)}
    splits = split_groups("s", group_bytes)
    test_bytes = sum(group_bytes[g] for g in splits if splits[g] == "test")
    assert 1000 <= test_bytes <= 4000


def test_the_split_is_pinned():
    # From sha256sum of "petrogold\0tese-0" and so on, sorted; another answer would move every
    # published test set.
    group_bytes = {f"tese-{i}": 100 for i in range(9)}
    splits = split_groups("petrogold", group_bytes | {"tese-9": 50, "tese-3": 10, "tese-8": 60})
    assert {g for g, s in splits.items() if s == "test"} == {"tese-4", "tese-3"}
    assert {g for g, s in splits.items() if s == "validation"} == {"tese-8", "tese-9"}


def test_sources_are_split_each_on_its_own():
    corpus = {"a": {f"g{i}": 10 for i in range(30)}, "b": {f"g{i}": 10**6 for i in range(30)}}
    splits = split_corpus(corpus)
    for source in corpus:
        assert sum(split == "test" for (name, _), split in splits.items() if name == source) == 5
    tests = [{g for (n, g), s in splits.items() if (n, s) == (name, "test")} for name in corpus]
    assert tests[0] != tests[1]


def test_a_source_of_two_groups_is_all_training():
    splits = split_corpus({"a": {"x": 1, "y": 1}, "b": {str(i): 1 for i in range(3)}})
    assert {split for (source, _), split in splits.items() if source == "a"} == {"train"}


@pytest.mark.parametrize("corpus", [{"a": {"x": 5}}, {"a": {"x": 5, "y": 5}, "b": {"z": 1}}])
def test_a_corpus_too_small_for_three_splits_is_refused(corpus: dict[str, dict[str, int]]):
    with pytest.raises(EscadaError, match="too small to be split in three"):
        split_corpus(corpus)
