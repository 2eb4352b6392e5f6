"""The code that travels with an export of v_next: that it computes what escada's own does."""

from __future__ import annotations

import pytest
import torch

from escada.export.remote.network_escada import ModernNetwork
from escada.models import modern

SIZES = {"d_model": 16, "d_ff": 24, "n_layers": 2, "table_rows": 53, "document_start_id": 1}
SHAPES = {
    "v_next": {},
    "no resets": {"document_start_id": None},
    "bare": {"convolution_tokens": 1, "table_ngrams": (), "value_embedding": False},
    "long n-grams": {"table_ngrams": (2, 5)},
}
VOCABULARY = 40


@pytest.fixture(params=SHAPES)
def models(request):
    torch.manual_seed(3)
    config = modern.Config(kind="modern", **(SIZES | SHAPES[request.param]))
    ours = modern.Model(config, VOCABULARY)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    theirs = ModernNetwork(VOCABULARY, **config.shape())
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@torch.no_grad()
def test_it_reads_on_from_its_state_as_ours_does(models):
    ours, theirs = models
    state, after = ours.fresh_state(3), theirs.fresh_state(3)
    for tokens in (1, 2, 50, 7):
        ids = torch.randint(VOCABULARY, (3, tokens))
        logits, *after = theirs(ids, *after)
        torch.testing.assert_close(logits, ours.advance(ids, state), atol=2e-5, rtol=1e-5)
        assert torch.equal(after[0], state.ids_BN)
        torch.testing.assert_close(after[1], state.taps_MBKD, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(after[2], state.h_LBD, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_only_so_many_tokens_of_each_row_are_read(models):
    _, network = models
    ids, lengths = torch.randint(VOCABULARY, (3, 20)), torch.tensor([1, 5, 20])
    _, *before = network(torch.randint(VOCABULARY, (3, 4)), *network.fresh_state(3))
    logits, last_ids, taps, h = network(ids, *before, lengths)
    for row, length in enumerate(lengths.tolist()):
        at = slice(row, row + 1)
        state = before[0][at], before[1][:, at], before[2][:, at]
        alone = network(ids[at, :length], *state)
        torch.testing.assert_close(logits[at, :length], alone[0], atol=2e-5, rtol=1e-5)
        assert torch.equal(last_ids[at], alone[1])
        torch.testing.assert_close(taps[:, at], alone[2], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(h[:, at], alone[3], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_hashes_of_a_large_vocabulary_are_ours():
    from escada.export.remote.network_escada import hashed

    ids = [torch.randint(-1, 2**31, (4, 1000)) for _ in range(3)]
    assert torch.equal(hashed(ids, 131_072), modern.hashed(ids, 131_072))
