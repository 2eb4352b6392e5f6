"""Splits by group: none divided, every split there, the same on every machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.text.splitting import SPLITS, split_corpus, split_groups

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


def test_bytes_count_and_not_documents():
    group_bytes = {f"g{i}": 1 for i in range(1000)} | {f"big{i}": 1000 for i in range(20)}
    splits = split_groups("s", group_bytes)
    test_bytes = sum(group_bytes[g] for g in splits if splits[g] == "test")
    assert 1000 <= test_bytes <= 4000


def test_the_split_is_pinned():
    # From sha256sum of "petrogold\0tese-0" and so on, sorted; another answer would move every
    # published test set.
    splits = split_groups("petrogold", {f"tese-{i}": 100 for i in range(10)})
    assert [g for g, s in splits.items() if s == "test"] == ["tese-6"]
    assert [g for g, s in splits.items() if s == "validation"] == ["tese-5"]


def test_sources_are_split_each_on_its_own():
    corpus = {"a": {f"g{i}": 10 for i in range(30)}, "b": {f"g{i}": 10**6 for i in range(30)}}
    splits = split_corpus(corpus)
    for source in corpus:
        assert sum(split == "test" for (name, _), split in splits.items() if name == source) == 3
    tests = [{g for (n, g), s in splits.items() if (n, s) == (name, "test")} for name in corpus]
    assert tests[0] != tests[1]


def test_a_source_of_two_groups_is_all_training():
    splits = split_corpus({"a": {"x": 1, "y": 1}, "b": {str(i): 1 for i in range(3)}})
    assert {split for (source, _), split in splits.items() if source == "a"} == {"train"}


@pytest.mark.parametrize("corpus", [{"a": {"x": 5}}, {"a": {"x": 5, "y": 5}, "b": {"z": 1}}])
def test_a_corpus_too_small_for_three_splits_is_refused(corpus: dict[str, dict[str, int]]):
    with pytest.raises(EscadaError, match="too small to be split in three"):
        split_corpus(corpus)
