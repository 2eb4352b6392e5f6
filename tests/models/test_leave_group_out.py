"""Probabilities with a group left out are those of counts that never saw the group."""

import numpy as np
import pytest

from escada.models.ngrams import kneser_ney, leave_group_out
from escada.models.ngrams.counting import NOT_SEEN, count_ngrams
from escada.models.ngrams.kneser_ney import BOS_PROBABILITY, NgramTable, ngram_rows, single_tokens
from escada.models.ngrams.leave_group_out import left_out

V, BOS, EOS, K = 7, 0, 1, 4


def text(seed, n_documents, n_groups):
    draw = np.random.default_rng(seed)
    documents = [
        np.concatenate([[BOS], draw.choice([2, 2, 2, 3, 3, 4, 5, 6], draw.integers(0, 25)), [EOS]])
        for _ in range(n_documents)
    ]
    group_D = draw.integers(0, n_groups, n_documents)
    group_D[:n_groups] = np.arange(n_groups)
    ids_T = np.concatenate(documents).astype(np.int64)
    return ids_T, np.repeat(group_D, [len(document) for document in documents])


def from_others(ids_T, groups_T, group):
    """Of the group's tokens, by a model that counted the others: p, totals, rests, (N, K) each."""
    levels = count_ngrams(ids_T[groups_T != group], V, BOS, K)
    own_N = ids_T[groups_T == group]
    rows = [r[0] for r in ngram_rows(levels, own_N[None], np.full((1, K), NOT_SEEN))]
    p = single_tokens(levels[0], BOS)[own_N]
    found = [p]
    totals, rests = [], []
    for length in range(2, K + 1):
        table = NgramTable.of(levels, length, longest=length == K)
        contexts = np.concatenate([[NOT_SEEN], rows[length - 2][:-1]])
        contexts[own_N == BOS] = NOT_SEEN
        p = table.interpolate(p, contexts, rows[length - 1])
        found.append(p)
        seen = contexts != NOT_SEEN
        totals.append(np.where(seen, table.totals_C[contexts], 0))
        rests.append(np.where(seen, table.rests_C[contexts], 1))
    return np.stack(found, 1), np.stack(totals, 1), np.stack(rests, 1)


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_asked_of_the_counts_of_the_others(seed, monkeypatch):
    ids_T, groups_T = text(seed, n_documents=30, n_groups=4)
    fixed = np.array([0.0, 0.6, 1.1, 1.4])  # the one thing that stays that of the whole text
    for module in (kneser_ney, leave_group_out):
        monkeypatch.setattr(module, "discounts", lambda counts_E: fixed)
    found = left_out(count_ngrams(ids_T, V, BOS, K), ids_T, groups_T, BOS)
    for group in range(4):
        p_NK, totals_NK, rests_NK = from_others(ids_T, groups_T, group)
        own, real = groups_T == group, ids_T[groups_T == group] != BOS
        np.testing.assert_allclose(found.totals_TK[own][real][:, 1:], totals_NK[real])
        np.testing.assert_allclose(found.rests_TK[own][real][:, 1:], rests_NK[real], rtol=1e-6)
        np.testing.assert_allclose(found.probabilities_TK[own][real], p_NK[real], rtol=1e-5)


def test_bos_keeps_its_vanishing_probability():
    ids_T, groups_T = text(0, n_documents=10, n_groups=3)
    found = left_out(count_ngrams(ids_T, V, BOS, K), ids_T, groups_T, BOS)
    np.testing.assert_allclose(found.probabilities_TK[ids_T == BOS], BOS_PROBABILITY, rtol=1e-6)
