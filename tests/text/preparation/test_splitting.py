"""Splits by group: none divided, every split there, the same on every machine."""

import random
import statistics
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.choices import SPLITS
from escada.errors import EscadaError
from escada.text.documents import group_hash
from escada.text.preparation import splitting
from escada.text.preparation.splitting import parse_held_out, split_documents


def split_groups(source: str, group_bytes: Mapping[str, int], share: float = 0.1) -> dict[str, str]:
    """The split of each group by its name."""
    marks = np.array([group_hash(source, group) for group in group_bytes], dtype=np.uint64)
    sizes = np.array(list(group_bytes.values()), dtype=np.int64)
    found = splitting.split_groups(marks, sizes, share)
    return {group: SPLITS[place] for group, place in zip(group_bytes, found, strict=True)}


def split_corpus(
    corpus: Mapping[str, Mapping[str, int]], most_bytes: int = 10**12
) -> dict[tuple[str, str], str]:
    """The split of documents that are a group each, by source and group."""
    named = [(source, group) for source, groups in corpus.items() for group in groups]
    documents = [(name, group_hash(name, group), corpus[name][group]) for name, group in named]
    found = split_documents(documents, most_bytes).split_N
    return {one: SPLITS[place] for one, place in zip(named, found, strict=True)}


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


def held_out(corpus, splits, split: str, source: str | None = None) -> int:
    """The bytes of a split, of one source or of all."""
    return sum(
        corpus[name][group]
        for (name, group), one in splits.items()
        if one == split and source in (None, name)
    )


@pytest.mark.parametrize("most", [30_000, 100_000])
def test_held_out_splits_have_a_cap_shared_by_the_sources_as_they_are_large(most: int):
    rng = random.Random(most)
    corpus = {
        name: {f"g{i}": rng.randrange(500, 1500) for i in range(n)}
        for name, n in (("a", 4000), ("b", 1000))
    }
    splits = split_corpus(corpus, most)
    for split in ("validation", "test"):
        assert held_out(corpus, splits, split) == pytest.approx(most, abs=1500)
        assert held_out(corpus, splits, split, "a") == pytest.approx(0.8 * most, abs=2500)
    for (name, group), split in splits.items():
        assert split == "train" or corpus[name][group] <= 0.2 * most


def test_a_cap_that_is_not_reached_changes_nothing():
    corpus = {"a": {f"g{i}": 100 + i for i in range(500)}}
    n_bytes = sum(corpus["a"].values())
    assert split_corpus(corpus, n_bytes // 10 + 1) == split_corpus(corpus)
    assert split_corpus(corpus, n_bytes // 20) != split_corpus(corpus)


def test_a_source_of_large_groups_has_enough_of_them_whatever_the_cap():
    splits = split_corpus({"a": {f"g{i}": 10**6 + i for i in range(20)}}, 1000)
    counts = Counter(splits.values())
    assert counts["validation"] == counts["test"] == 5


def test_documents_of_a_group_are_in_its_split_and_their_order_does_not_matter():
    rng = random.Random(3)
    documents = [
        (name, group_hash(name, f"g{i % 37}"), rng.randrange(1, 900))
        for i in range(2000)
        for name in ("a", "b")
    ]
    found = dict(zip(documents, split_documents(documents).split_N.tolist(), strict=True))
    assert len({(source, mark, split) for (source, mark, _), split in found.items()}) == 74
    rng.shuffle(documents)
    assert found == dict(zip(documents, split_documents(documents).split_N.tolist(), strict=True))
    assert split_documents(documents).n_groups == {"a": 37, "b": 37}


@pytest.mark.parametrize(
    ("written", "n_bytes"), [("20MB", 20_000_000), (" 1.5 GB", 1_500_000_000), ("800kb", 800_000)]
)
def test_a_cap_is_a_size_with_a_unit(written: str, n_bytes: int):
    assert parse_held_out(written) == n_bytes


@pytest.mark.parametrize("written", ["20", "20 M", "", "-1MB", "0MB", "0.1B", "10%", "1e400GB"])
def test_what_is_no_size_is_refused(written: str):
    with pytest.raises(EscadaError, match="20MB"):
        parse_held_out(written)
