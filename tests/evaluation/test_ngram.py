"""The n-gram model agrees with a slow one that is written as the formula stands, and is sound."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from escada.evaluation.baselines.byte_ngrams import character_tokenizer
from escada.evaluation.baselines.joint_ngrams import token_stream
from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.models.ngrams import counting as ngram_counts
from escada.models.ngrams.counting import NOT_SEEN, Level
from escada.models.ngrams.kneser_ney import CUSTOMARY_DISCOUNTS, KneserNey, discounts
from escada.text.documents import Document

TEXTS = [
    "a menina viu o carteiro",
    "o carteiro viu a menina na praça",
    "na praça a chuva caiu",
    "a chuva caiu na menina e no carteiro",
    "caiu a noite; o carteiro não viu nada",
    "",
    "a",
]
HELD_OUT = ["o carteiro caiu na chuva", "a", "à noite a menina viu Ω", "xyz"]
TOKENIZER = character_tokenizer(TEXTS)
SIZE, BOS, EOS = TOKENIZER.vocab_size, TOKENIZER.bos_id, TOKENIZER.eos_id


def count_ngrams(tokenizer, texts, longest, **limits):
    ids_T = token_stream(tokenizer, texts).astype(np.int64)
    return ngram_counts.count_ngrams(
        ids_T, tokenizer.vocab_size, tokenizer.bos_id, longest, **limits
    )


def path(text):
    return (BOS, *(int(i) for i in TOKENIZER.encode(text)), EOS)


class Reference:
    """Interpolated modified Kneser-Ney in dictionaries, from Chen & Goodman's page."""

    def __init__(self, texts, order):
        self.order = order
        seen = [Counter() for _ in range(order + 1)]
        before = [defaultdict(set) for _ in range(order + 1)]
        for ids in map(path, texts):
            for n in range(1, order + 1):
                for i in range(len(ids) - n + 1):
                    gram = ids[i : i + n]
                    seen[n][gram] += 1
                    if i:
                        before[n][gram].add(ids[i - 1])
        self.counts = [{} for _ in range(order + 1)]
        for n in range(1, order + 1):
            for gram, times in seen[n].items():
                plain = n == order or gram[0] == BOS
                self.counts[n][gram] = times if plain else len(before[n][gram])
        del self.counts[1][(BOS,)]
        self.discounts = [self._discounts(list(counts.values())) for counts in self.counts]

    @staticmethod
    def _discounts(counts):
        n = Counter(counts)
        if all(n[i] for i in (1, 2, 3, 4)):
            y = n[1] / (n[1] + 2 * n[2])
            found = [1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]]
            if min(found) > 0:
                return found
        return [0.5, 1.0, 1.5]

    def p(self, context, token):
        return self._p(tuple(context)[-(self.order - 1) :], token)

    def _p(self, context, token):
        n = len(context) + 1
        shorter = self._p(context[1:], token) if context else 1 / (SIZE - 1)
        follow = {g: c for g, c in self.counts[n].items() if g[:-1] == context}
        if not follow:
            return shorter
        d1, d2, d3 = self.discounts[n]
        taken = sum(d1 if c == 1 else d2 if c == 2 else d3 for c in follow.values())
        own = follow.get((*context, token), 0)
        own -= 0 if own == 0 else d1 if own == 1 else d2 if own == 2 else d3
        return (own + taken * shorter) / sum(follow.values())


def probabilities(model, ids):
    """After each token of one sequence, float64 (T, V)."""
    return np.exp(model(torch.tensor([ids]))[0].double().numpy())


def kneser_ney(order, texts=TEXTS):
    """Counted further than the order, as when orders are compared."""
    return KneserNey(count_ngrams(TOKENIZER, texts, order + 1), BOS, order)


@pytest.mark.parametrize("order", [2, 3, 4, 6])
def test_every_probability_is_that_of_the_slow_reference(order):
    reference, model = Reference(TEXTS, order), kneser_ney(order)
    for text in (*HELD_OUT[:3], TEXTS[0]):
        ids = path(text)
        found = probabilities(model, ids[:-1])
        for t in range(len(ids) - 1):
            for token in {ids[t + 1], EOS, 0, 5, SIZE - 1}:
                expected = reference.p(ids[: t + 1], token)
                assert found[t, token] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("order", [3, 5])
def test_the_ruler_finds_the_bits_that_the_slow_reference_charges(order):
    reference = Reference(TEXTS, order)
    bits = 0.0
    for text in HELD_OUT:
        ids = path(text)
        bits -= sum(math.log2(reference.p(ids[:t], ids[t])) for t in range(1, len(ids)))
        bits += TOKENIZER.unknown_bits * ids.count(TOKENIZER.unk_id)
    documents = [Document(f"d{i}", "s", f"g{i}", text) for i, text in enumerate(HELD_OUT)]
    scores = score_documents(kneser_ney(order), TOKENIZER, documents)
    assert scores.protocol == "document/carried-state"
    assert scores.unknown.sum() > 3
    n_bytes = sum(len(text.encode()) for text in HELD_OUT)
    assert bits_per_byte(scores) == pytest.approx(bits / n_bytes, rel=1e-6)


@given(st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=40), st.integers(2, 7))
def test_after_anything_it_is_a_distribution_in_which_only_bos_is_impossible(ids, order):
    found = probabilities(kneser_ney(order), ids)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert found[:, BOS].max() < 1e-8
    assert np.delete(found, BOS, axis=1).min() > 1e-7


@given(st.lists(st.text("abc ", max_size=12), max_size=6), st.text("abcd", max_size=8))
def test_any_training_text_gives_a_distribution(texts, context):
    ids = [BOS, *TOKENIZER.encode(context).tolist()]
    found = probabilities(kneser_ney(4, [*texts, "a"]), ids)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert np.delete(found, BOS, axis=1).min() > 0


@given(st.data())
def test_the_state_goes_on_where_it_was_whatever_the_pieces_and_rows(data):
    model = kneser_ney(4)
    n_tokens = data.draw(st.integers(2, 12))
    token = st.integers(0, SIZE - 1)
    row = st.lists(token, min_size=n_tokens, max_size=n_tokens)
    ids_BT = torch.tensor(data.draw(st.lists(row, min_size=2, max_size=3)))
    cut = data.draw(st.integers(1, n_tokens - 1))
    whole = model(ids_BT)
    state = model.fresh_state(len(ids_BT))
    first = model.advance(ids_BT[:, :cut], state)
    assert torch.equal(first, whole[:, :cut])
    turned = torch.arange(len(ids_BT)).flip(0)
    parts = [state.select(turned[:1]), state.select(turned[1:])]
    joined = type(state).concatenate(parts)
    assert joined.batch_size == len(ids_BT)
    assert torch.equal(model.advance(ids_BT[turned, cut:], joined), whole[turned, cut:])
    again = model.advance(ids_BT[:, cut:], state)  # selected rows did not disturb their origin
    assert torch.equal(again, whole[:, cut:])


def test_long_ngrams_over_a_large_vocabulary_are_told_apart():
    """20 tokens of 1,000 would take 199 bits as one number."""
    rng = np.random.default_rng(0)
    letters = [chr(0x4E00 + i) for i in range(1000)]
    common = "".join(rng.choice(letters, 19))
    texts = [first + common + last for first, last in itertools.product("ab", "cd")]
    tokenizer = character_tokenizer(["".join(letters) * 3, "abcd" * 3, *texts])
    levels = count_ngrams(tokenizer, texts, 21)
    for n in (2, 20, 21):
        seen = Counter()
        for text in texts:
            ids = (tokenizer.bos_id, *tokenizer.encode(text).tolist(), tokenizer.eos_id)
            seen.update(ids[i : i + n] for i in range(len(ids) - n + 1))
        assert sorted(levels[n - 1].counts_N.tolist()) == sorted(seen.values())


def test_keys_beyond_32_bits_are_found():
    keys = np.array([7, 3_000_000_000 * 5 + 4, 3_000_000_000 * 40_000 + 2])
    level = Level(keys, np.ones(3, dtype=np.int32), np.zeros(3, dtype=np.int32))
    contexts = np.array([0, 5, 40_000, 5, NOT_SEEN, 40_001])
    found = level.find(contexts, np.array([7, 4, 2, 2, 7, 2]), 3_000_000_000)
    assert found.tolist() == [0, 1, 2, NOT_SEEN, NOT_SEEN, NOT_SEEN]


def test_counts_and_kinds_by_hand():
    """In BOS aba EOS BOS ba EOS: "a" 3 times after 1 kind (b) and BOS, "ba" twice after a, BOS."""
    tokenizer = character_tokenizer(["aba", "ba", "bab"])
    single, pairs, _ = count_ngrams(tokenizer, ["aba", "ba"], 3)
    a, b = tokenizer.encode("ab").tolist()
    assert (single.counts_N[a], single.kinds_N[a]) == (3, 2)
    assert (single.counts_N[b], single.kinds_N[b]) == (2, 2)
    assert (single.counts_N[BOS], single.kinds_N[BOS]) == (2, 0)
    row = pairs.find(np.array([b]), np.array([a]), tokenizer.vocab_size)[0]
    assert (pairs.counts_N[row], pairs.kinds_N[row]) == (2, 2)
    row = pairs.find(np.array([BOS]), np.array([a]), tokenizer.vocab_size)[0]
    assert (pairs.counts_N[row], pairs.kinds_N[row]) == (1, 0)


def test_levels_end_before_they_outgrow_memory():
    sizes = [len(level) for level in count_ngrams(TOKENIZER, TEXTS, 6)]
    levels = count_ngrams(TOKENIZER, TEXTS, 6, most=sum(sizes[:4]))
    assert [len(level) for level in levels] == sizes[:4]
    assert len(count_ngrams(TOKENIZER, TEXTS, 6, most=0)) == 2


def test_discounts_by_hand():
    """n1..n4 = 4, 2, 1, 1: Y = 1/2, so D1 = 1 - 1/2, D2 = 2 - 3/4, D3+ = 3 - 2."""
    counts = np.array([1, 1, 1, 1, 2, 2, 3, 4, 90], dtype=np.int32)
    assert discounts(counts).tolist() == pytest.approx([0, 0.5, 1.25, 1.0])


@pytest.mark.parametrize("counts", [[], [1, 2, 3], [1, 2, *[3] * 9, 4]])
def test_counts_that_say_nothing_take_the_customary_discounts(counts):
    found = discounts(np.array(counts, dtype=np.int32))
    assert found.tolist() == [0, *CUSTOMARY_DISCOUNTS]


def test_it_writes_and_charges_its_samples_as_the_ruler_would():
    model = kneser_ney(5)
    settings = SamplerSettings(temperature=1.0, top_p=None)
    samples = generate(
        model, TOKENIZER, ["a men", "o"], settings, max_tokens=60, n=3, profile="reference"
    )
    finished = [sample for sample in samples if sample.finished]
    assert finished
    for sample in finished:
        document = Document("d", "s", "g", sample.prompt + sample.text)
        (nats,) = score_documents(model, TOKENIZER, [document]).nats
        ids = path(sample.prompt)[:-1]
        given = probabilities(model, ids[:-1])[range(len(ids) - 1), list(ids[1:])]
        own = nats + np.log(given).sum()
        assert sample.bits_per_token * len(sample.ids) == pytest.approx(own / math.log(2), rel=1e-4)


@pytest.mark.parametrize("order", [1, 7])
def test_an_order_that_was_not_counted_is_refused(order):
    with pytest.raises(ValueError, match="order"):
        KneserNey(count_ngrams(TOKENIZER, TEXTS, 6), BOS, order)
