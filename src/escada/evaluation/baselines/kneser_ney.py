"""The character Kneser-Ney n-gram baseline.

    model, figures = fit_kneser_ney(tokenizer, training_texts, validation_texts)
    scores = score_documents(model, tokenizer, test_documents)

The order (length of the longest n-gram) is chosen on the validation texts.

    T  tokens of the texts     K  context lengths
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from escada.models.ngrams.counting import NOT_SEEN, Integers, Level, count_ngrams
from escada.models.ngrams.kneser_ney import KneserNey, NgramTable, ngram_rows, single_tokens
from escada.text.tokenizers import Tokenizer

SHORTEST_ORDER, LONGEST_ORDER = 3, 20
"""Range of orders to try."""


def fit_kneser_ney(
    tokenizer: Tokenizer,
    training: Sequence[str],
    validation: Sequence[str],
    *,
    orders: tuple[int, int] = (SHORTEST_ORDER, LONGEST_ORDER),
) -> tuple[KneserNey, dict[int, float]]:
    """Fit models of several orders and return the best on the validation texts.

    `orders` are the first and last to try, both at least 2; fewer are tried where the n-grams would
    not fit into memory (`MOST_NGRAMS`).

    Returns:
        The model, and bits per byte of the validation texts for each order.
    """
    ids_T = token_stream(tokenizer, training)
    levels = count_ngrams(ids_T, tokenizer.vocab_size, tokenizer.bos_id, orders[1])
    tried = range(min(orders[0], len(levels)), len(levels) + 1)
    figures = order_figures(levels, tokenizer, validation, tried)
    best = min(tried, key=figures.__getitem__)
    return KneserNey(levels, tokenizer.bos_id, best), figures


def order_figures(
    levels: Sequence[Level], tokenizer: Tokenizer, texts: Sequence[str], orders: Sequence[int]
) -> dict[int, float]:
    """Bits per byte of texts under the model of each order, in one pass.

    Computes the probability of the actual token only, which is much faster and agrees with the
    ruler (tested). Models of different orders share all shorter lengths but count their longest
    n-grams differently.

    `levels` must reach the largest order; each order is at least 2.
    """
    ids_T = token_stream(tokenizer, texts)
    targets_T = ids_T != tokenizer.bos_id
    longest = max(orders)
    none_yet_BK = np.full((1, longest), NOT_SEEN)
    lengths = ngram_rows(levels[:longest], ids_T[None], none_yet_BK)
    rows_T = next(lengths)[0]
    p_T = single_tokens(levels[0], tokenizer.bos_id)[ids_T]
    unknown = 0 if tokenizer.unk_id is None else int(np.count_nonzero(ids_T == tokenizer.unk_id))
    n_bytes = sum(len(text.encode()) for text in texts)
    figures: dict[int, float] = {}
    for length, (longer_T,) in enumerate(lengths, start=2):
        contexts_T = np.concatenate([[NOT_SEEN], rows_T[:-1]])
        if length in orders:
            top_T = NgramTable.of(levels, length, longest=True).interpolate(
                p_T, contexts_T, longer_T
            )
            bits = -float(np.log(top_T[targets_T]).sum()) / math.log(2)
            figures[length] = (bits + unknown * tokenizer.unknown_bits) / n_bytes
        if length < longest:
            p_T = NgramTable.of(levels, length, longest=False).interpolate(
                p_T, contexts_T, longer_T
            )
        rows_T = longer_T
    return figures


def token_stream(tokenizer: Tokenizer, texts: Sequence[str]) -> Integers:
    """`BOS text EOS` of every text in one array, int64, shape (T,)."""
    ends = np.array([tokenizer.eos_id, tokenizer.bos_id])
    parts = [part for ids in tokenizer.encode_batch(texts) for part in (ids, ends)]
    return np.concatenate([ends[1:], *parts])[:-1].astype(np.int64)
