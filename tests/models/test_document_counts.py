"""Counts of the document so far agree with dictionaries that are filled token by token."""

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from escada.models.ngrams.counting import NOT_SEEN
from escada.models.ngrams.document import NO_TOKEN, before_each, successors

V, BOS, LENGTHS = 6, 0, 3


def text(seed, n_tokens=120):
    ids_T = np.random.default_rng(seed).choice([0, 1, 2, 2, 2, 3, 3, 4, 5], n_tokens)
    ids_T[0] = BOS
    return ids_T.astype(np.int64)


def by_hand(ids_T):
    """For each token and length: what had followed the context before in its document."""
    found, followers, document = [], defaultdict(Counter), []
    for token in ids_T.tolist():
        if token == BOS:
            followers, document = defaultdict(Counter), []
        contexts = [tuple(document[-k:]) if len(document) >= k else None for k in (1, 2, 3)]
        found.append([dict(followers[c]) if c else None for c in contexts])
        for context in contexts:
            if context:
                followers[context][token] += 1
        document.append(token)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_every_token_of_a_text_finds_what_stood_before_it(seed):
    ids_T = text(seed)
    contexts = []
    for length in range(1, LENGTHS + 1):
        numbers = np.full(len(ids_T), NOT_SEEN)
        names: dict[tuple[int, ...], int] = {}
        for t in range(length, len(ids_T)):
            context = tuple(ids_T[t - length : t].tolist())
            if BOS not in context[1:] and ids_T[t] != BOS:
                numbers[t] = names.setdefault(context, len(names))
        contexts.append(numbers)
    found = before_each(contexts, ids_T, BOS)
    for t, expected in enumerate(by_hand(ids_T)):
        for k, counts in enumerate(expected):
            counts = counts or {}
            if ids_T[t] != BOS:
                again, seen, kinds = (part[t] for part in found[k])
                assert again == counts.get(int(ids_T[t]), 0)
                assert (seen, kinds) == (sum(counts.values()), len(counts))


@pytest.mark.parametrize("cut", [1, 40, 119])
def test_reading_on_finds_what_stood_before_each_position(cut):
    rows = [text(seed) for seed in range(4)]
    ids_BS = torch.from_numpy(np.stack(rows))
    ids_BS[3, :30] = NO_TOKEN  # a row that began later
    tokens = ids_BS.shape[1] - cut
    found = successors(ids_BS, tokens, LENGTHS, V, BOS)
    for row in range(4):
        ids_T = ids_BS[row][ids_BS[row] != NO_TOKEN].numpy()
        # what follows a position is what is found before the token after it
        next_T = np.append(ids_T[1:], 1)
        expected = by_hand(np.append(ids_T, 1))[1:]
        first = ids_BS.shape[1] - len(ids_T)
        for t in range(max(cut, first), ids_BS.shape[1]):
            if next_T[t - first] == BOS:
                continue
            n = row * tokens + t - cut
            for k, length in enumerate(found):
                counts = expected[t - first][k] or {}
                total, kinds = sum(counts.values()), len(counts)
                assert length.totals_N[n] == total
                rest = kinds / (total + kinds) if total else 1.0
                assert length.rests_N[n] == pytest.approx(rest)
                here = length.places_E // V == n
                given = dict(
                    zip(
                        (length.places_E[here] % V).tolist(),
                        length.probabilities_E[here].tolist(),
                        strict=True,
                    )
                )
                assert given == pytest.approx({w: c / (total + kinds) for w, c in counts.items()})
