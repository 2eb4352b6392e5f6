"""The mixture of network and counts: its parts are what they say, in training and elsewhere."""

import copy
import math

import numpy as np
import pytest
import torch

from escada.errors import EscadaError
from escada.models import modern_counts
from escada.models.contract import build_model
from escada.models.ngrams import kneser_ney, leave_group_out
from escada.models.ngrams.counting import count_ngrams
from escada.models.ngrams.kneser_ney import KneserNey
from escada.runs.checkpoint import load_weights, weights_of

V, BOS, EOS, K = 11, 0, 1, 4


@pytest.fixture(scope="module")
def text():
    draw = np.random.default_rng(0)
    documents = [
        np.concatenate([[BOS], draw.choice([2, 2, 2, 3, 4, 5, 6, 7], draw.integers(1, 30)), [EOS]])
        for _ in range(40)
    ]
    lengths = [len(document) for document in documents]
    return np.concatenate(documents).astype(np.int64), np.repeat(np.arange(40) % 4, lengths)


def config(**values):
    sizes = {"d_model": 8, "d_ff": 16, "n_layers": 1, "table_rows": 64, "count_tokens": K}
    return modern_counts.Config(
        kind="modern_counts", document_start_id=BOS, **{**sizes, "gate_width": 4, **values}
    )


def new_model(text, seed=0, **values):
    model = build_model(config(**values), V, seed=seed)
    model.read_training_text(*text)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.manual_seed(1))
    return model.eval()


@pytest.fixture(scope="module")
def model(text):
    return new_model(text)


@pytest.fixture(scope="module")
def ids_BT():
    draw = np.random.default_rng(5)
    ids = torch.from_numpy(draw.integers(0, V, (3, 20)))
    ids[:, 0] = BOS
    ids[1, 9] = BOS
    return ids


def only(model, gate):
    """The model with everything on one gate."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for matrix in (model.gate, model.counts_out):
            matrix.weight.zero_()
        model.gate.bias.fill_(-100.0)
        model.gate.bias[gate] = 100.0
    return model


def test_the_mixture_is_a_distribution(model, ids_BT):
    with torch.no_grad():
        assert model(ids_BT).exp().sum(-1).sub(1).abs().max() < 1e-5


def test_the_last_gate_is_the_networks(model, ids_BT):
    with torch.no_grad():
        expected = model.parts()["network"](ids_BT).log_softmax(-1)
        torch.testing.assert_close(only(model, -1)(ids_BT), expected, rtol=1e-4, atol=1e-4)


def test_the_gate_of_the_longest_ngrams_is_kneser_neys(model, text, ids_BT):
    levels = count_ngrams(text[0], V, BOS, K)
    expected = KneserNey(levels, BOS, K)(ids_BT)
    with torch.no_grad():
        torch.testing.assert_close(only(model, K - 1)(ids_BT), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.parts()["counts"](ids_BT), expected)


def test_the_first_gate_is_that_of_single_tokens(model, text, ids_BT):
    single_V = kneser_ney.single_tokens(count_ngrams(text[0], V, BOS, K)[0], BOS)
    with torch.no_grad():
        found = only(model, 0)(ids_BT).exp()
    torch.testing.assert_close(
        found[2, 7].double(), torch.from_numpy(single_V), rtol=1e-4, atol=1e-6
    )


def test_training_charges_a_window_as_if_its_group_had_not_been_counted(text, monkeypatch):
    ids_N, groups_N = text
    fixed = np.array([0.0, 0.5, 0.9, 1.3])  # the one thing that stays that of the whole text
    for module in (kneser_ney, leave_group_out):
        monkeypatch.setattr(module, "discounts", lambda counts_E: fixed)
    others = groups_N != 2
    whole = new_model(text, network_share=0)
    unaware = new_model((ids_N[others], groups_N[others]))
    starts = np.flatnonzero((ids_N == BOS) & (groups_N == 2))
    for start in starts[:5]:
        length = int(np.flatnonzero(ids_N[start:] == EOS)[0]) + 1
        window_BT = torch.from_numpy(ids_N[None, start : start + length])
        with torch.no_grad():
            found = whole.training_nats(window_BT, torch.tensor([start]))
            p = unaware(window_BT[:, :-1])
        expected = -p.gather(2, window_BT[:, 1:, None])[..., 0]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_window_over_the_end_of_the_text_goes_on_at_its_start(model, text):
    ids_N, _ = text
    n = len(ids_N)
    over = torch.from_numpy(np.concatenate([ids_N[-5:], ids_N[:5]]))[None]
    with torch.no_grad():
        found = model.training_nats(over, torch.tensor([n - 5]))
        alone = model.training_nats(torch.from_numpy(ids_N[None, :5]), torch.tensor([0]))
    torch.testing.assert_close(found[:, 5:], alone, rtol=1e-4, atol=1e-4)


def test_counts_travel_with_the_weights(model, ids_BT):
    other = build_model(config(), V, seed=7).eval()
    with torch.no_grad():
        other(ids_BT)  # tables of its own, which must not stay
        load_weights(other, weights_of(model), "here")
        assert torch.equal(other(ids_BT), model(ids_BT))


def test_weights_of_another_order_are_refused(model):
    other = build_model(config(count_tokens=K + 1), V, seed=0)
    with pytest.raises(EscadaError, match="another shape"):
        load_weights(other, weights_of(model), "here")


def test_reading_on_is_reading_at_once(model, ids_BT):
    state = model.fresh_state(3)
    parts = [model.advance(ids_BT[:, a:b], state) for a, b in ((0, 1), (1, 9), (9, 11), (11, 20))]
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(parts, 1), model(ids_BT), rtol=1e-4, atol=1e-4)


def test_before_a_text_is_read_nothing_is_known_of_counts(ids_BT):
    model = build_model(config(), V, seed=0)
    nats_BT = model.training_nats(ids_BT, torch.zeros(3, dtype=torch.int64))
    assert nats_BT.shape == (3, 19)
    assert math.isclose(nats_BT.mean().item(), math.log(V), rel_tol=1e-5)
