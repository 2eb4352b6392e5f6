"""Even drawing, and even drawing within strata."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from escada.evaluation.sampling import evenly, proportionally


@given(available=st.integers(0, 3000), wanted=st.integers(1, 3000))
def test_even_drawing_is_distinct_ascending_and_spread(available, wanted):
    drawn = evenly(available, wanted).tolist()
    assert len(drawn) == min(available, wanted)
    assert all(0 <= item < available for item in drawn)
    gaps = np.diff(drawn)
    assert (gaps > 0).all()
    if len(gaps):
        assert gaps.max() - gaps.min() <= 1
    if drawn:  # no end of the text is left out for longer than a gap
        assert drawn[0] == 0
        assert available - drawn[-1] <= -(-available // len(drawn))


@given(available=st.integers(0, 500), more=st.integers(0, 500))
def test_all_are_taken_when_there_are_no_more_than_wanted(available, more):
    assert evenly(available, max(1, available + more)).tolist() == list(range(available))


def test_even_drawing_by_hand():
    assert evenly(10, 4).tolist() == [0, 2, 5, 7]


def test_even_drawing_is_exact_for_a_text_of_any_length():
    drawn = evenly(10**13, 300_000)
    assert drawn[-1] == 299_999 * 10**13 // 300_000


@given(strata=st.lists(st.integers(0, 4), min_size=1, max_size=400), share=st.floats(0.01, 1))
def test_a_stratified_sample_gives_each_stratum_its_share_and_weights_restore_it(strata, share):
    strata = np.array(strata)
    wanted = max(1, int(share * len(strata)))
    drawn, weights = proportionally(strata, wanted)
    assert (np.diff(drawn) > 0).all()
    kinds = np.unique(strata)
    assert len(drawn) <= wanted + len(kinds)
    for kind in kinds:
        there, taken = np.sum(strata == kind), np.sum(strata[drawn] == kind)
        assert taken == max(1, wanted * there // len(strata))
        np.testing.assert_allclose(weights[strata[drawn] == kind].sum(), there)


def test_a_small_stratum_among_a_large_one_is_not_lost():
    strata = np.array([0] * 990 + [1] * 10)
    drawn, weights = proportionally(strata, 50)
    assert drawn[-1] == 990
    assert weights[-1] == 10
    assert len(drawn) == 50
