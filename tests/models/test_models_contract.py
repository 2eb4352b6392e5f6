"""What every model promises, on small models of each form that the rungs use."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from escada.models import modern, recurrent, transformer
from escada.models.contract import LanguageModel, build_model
from escada.spec import ModelConfig, load_spec, rung_names

V = 61
T = 24


def small(kind: str, **changes: object) -> ModelConfig:
    if kind == "recurrent":
        base = {"cell": "lstm", "n_layers": 2, "d_embedding": 12, "d_hidden": 16}
        return recurrent.Config.model_validate({"kind": kind} | base | changes)
    if kind == "modern":
        base = {"d_model": 16, "d_ff": 32, "n_layers": 2, "table_rows": 5}
        return modern.Config.model_validate({"kind": kind} | base | changes)
    base = {"context_tokens": T, "d_model": 16, "n_heads": 2, "d_ff": 32, "n_layers": 2}
    return transformer.Config.model_validate(
        {"kind": kind, "positions": "sinusoidal"} | base | changes
    )


FORMS: dict[str, ModelConfig] = {
    "lstm": small("recurrent", n_layers=1),
    "lstm normed residual": small("recurrent", n_layers=3, layer_norm=True, residual=True),
    "lstm tied": small("recurrent", tie_embeddings=True),
    "lstm tied equal widths": small("recurrent", tie_embeddings=True, d_embedding=16),
    "lstm dropouts": small("recurrent", dropout=0.3, recurrent_dropout=0.3),
    "gru": small("recurrent", cell="gru"),
    "gru normed residual": small("recurrent", cell="gru", layer_norm=True, residual=True),
    "sinusoidal": small("transformer"),
    "learned": small("transformer", positions="learned"),
    "untied": small("transformer", tie_embeddings=False),
    "modern": small("modern", document_start_id=V - 1),
    "modern wider convolution": small("modern", convolution_tokens=5, table_ngrams=[2]),
    "modern bare": small("modern", convolution_tokens=1, table_ngrams=[], value_embedding=False),
    "modern dropouts": small("modern", table_dropout=0.3),
    "transformer dropouts": small("transformer", dropout=0.3, attention_dropout=0.3),
}
every_form = pytest.mark.parametrize("form", FORMS)


def model_of(form: str, seed: int = 0) -> LanguageModel:
    """An fp32 model for inference, away from its start so that no matrix is near zero."""
    model = build_model(FORMS[form], V, seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def random_ids(rows: int, tokens: int, seed: int = 0) -> Tensor:
    return torch.randint(V, (rows, tokens), generator=torch.Generator().manual_seed(seed))


def assert_same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=2e-5)


@every_form
def test_logits_are_one_row_of_the_vocabulary_for_each_token_in_fp32(form: str) -> None:
    logits_BTV = model_of(form)(random_ids(3, T))
    assert logits_BTV.shape == (3, T, V)
    assert logits_BTV.dtype == torch.float32


@every_form
@pytest.mark.parametrize("cuts", [list(range(1, T)), [7], [1, 2, 9, 10], [23]])
def test_reading_in_pieces_gives_the_logits_of_one_pass(form: str, cuts: list[int]) -> None:
    model, ids_BT = model_of(form), random_ids(3, T)
    with torch.no_grad():
        whole_BTV = model(ids_BT)
    state = model.fresh_state(3)
    bounds = [0, *cuts, T]
    pieces = [
        model.advance(ids_BT[:, start:end], state) for start, end in itertools.pairwise(bounds)
    ]
    assert_same(torch.cat(pieces, dim=1), whole_BTV)


@every_form
def test_rows_of_different_lengths_go_on_together(form: str) -> None:
    model, ids_BT = model_of(form), random_ids(3, T)
    lengths = [2, 11, 17]
    states = []
    for row, length in enumerate(lengths):
        state = model.fresh_state(1)
        model.advance(ids_BT[row : row + 1, :length], state)
        states.append(state)
    together = type(states[0]).concatenate(states)
    assert together.batch_size == 3
    for step in range(5):
        next_ids = torch.stack([ids_BT[r, n + step] for r, n in enumerate(lengths)])
        logits_BV = model.advance(next_ids.unsqueeze(1), together)[:, 0]
        with torch.no_grad():
            expected = [
                model(ids_BT[r : r + 1, : n + step + 1])[0, -1] for r, n in enumerate(lengths)
            ]
        assert_same(logits_BV, torch.stack(expected))


@every_form
def test_selected_rows_go_on_apart_from_the_others(form: str) -> None:
    model, ids_BT = model_of(form), random_ids(3, T)
    state = model.fresh_state(3)
    model.advance(ids_BT[:, :9], state)
    rows = torch.tensor([2, 0, 2])
    chosen = state.select(rows)
    assert (chosen.batch_size, state.batch_size) == (3, 3)
    other_ids = random_ids(3, 4, seed=1)
    assert_same(
        model.advance(other_ids, chosen),
        model(torch.cat([ids_BT[rows, :9], other_ids], dim=1)).detach()[:, 9:],
    )
    # The original was not moved by what the copy has read.
    assert_same(model.advance(ids_BT[:, 9:], state), model(ids_BT).detach()[:, 9:])


@every_form
@pytest.mark.parametrize("tokens", [1, 2, T])
def test_the_last_logits_are_those_of_the_whole_pass(form: str, tokens: int) -> None:
    model, ids_BT = model_of(form), random_ids(3, tokens)
    with torch.no_grad():
        assert_same(model.last_logits(ids_BT), model(ids_BT)[:, -1])
        assert_same(LanguageModel.last_logits(model, ids_BT), model(ids_BT)[:, -1])


@every_form
def test_the_last_logits_take_one_row_of_the_output_matrix_a_sequence(form: str) -> None:
    model, rows = model_of(form), []
    output = model.get_submodule("output")
    output.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0].shape[:-1].numel()))
    with torch.no_grad():
        model.last_logits(random_ids(3, T))
    assert rows == [3]


@every_form
def test_rows_of_one_batch_do_not_see_each_other(form: str) -> None:
    model, ids_BT = model_of(form), random_ids(4, T)
    with torch.no_grad():
        alone = torch.cat([model(ids_BT[row : row + 1]) for row in range(4)])
        assert_same(model(ids_BT), alone)


@settings(max_examples=25, deadline=None)
@given(
    form=st.sampled_from(sorted(FORMS)),
    changed=st.integers(0, T - 1),
    shift=st.integers(1, V - 1),
    training=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_changed_token_changes_no_logit_before_it(
    form: str, changed: int, shift: int, training: bool, seed: int
) -> None:
    model = model_of(form, seed).train(training)
    ids_BT = random_ids(2, T, seed)
    other_BT = ids_BT.clone()
    other_BT[:, changed] = (other_BT[:, changed] + shift) % V
    with torch.no_grad():
        torch.manual_seed(seed)  # the same dropout masks
        before_BTV = model(ids_BT)
        torch.manual_seed(seed)
        after_BTV = model(other_BT)
    assert torch.equal(before_BTV[:, :changed], after_BTV[:, :changed])
    assert not torch.equal(before_BTV[:, changed], after_BTV[:, changed])


@every_form
def test_no_gradient_flows_back_from_earlier_logits_to_later_tokens(form: str) -> None:
    model = model_of(form)
    ids_1T = torch.arange(T).unsqueeze(
        0
    )  # each token once, so that its row stands for its position
    model(ids_1T)[0, 10].logsumexp(-1).backward()
    embedding = model.get_submodule("embedding").weight.grad
    assert embedding is not None
    seen = embedding[:T].abs().sum(dim=1) > 0
    if getattr(FORMS[form], "tie_embeddings", False):
        return  # every row also gets the gradient of its logit
    assert seen.tolist() == [True] * 11 + [False] * (T - 11)


@every_form
def test_the_gradient_reaches_every_parameter(form: str) -> None:
    model = model_of(form).train()  # away from its start: behind zeros there is no gradient
    ids_BT = torch.arange(8 * (T + 1)).remainder(V).view(8, T + 1)
    logits_BTV = model(ids_BT[:, :-1])
    torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        gradient = parameter.grad.to_dense()
        assert gradient.isfinite().all(), name
        if gradient.ndim == 2:
            share = (gradient.abs().sum(dim=1) > 0).float().mean()
            assert share == 1, (name, share)
        else:
            assert gradient.abs().sum() > 0, name


@every_form
def test_dropout_acts_in_training_only(form: str) -> None:
    model, ids_BT = model_of(form), random_ids(2, T)
    with torch.no_grad():
        assert torch.equal(model(ids_BT), model(ids_BT))
        evaluated = model(ids_BT)
        model.train()
        has_dropout = "dropouts" in form
        assert torch.equal(model(ids_BT), evaluated) != has_dropout
        assert torch.equal(model(ids_BT), model(ids_BT)) != has_dropout


@every_form
def test_the_seed_alone_decides_the_weights(form: str) -> None:
    torch.manual_seed(1)
    first = build_model(FORMS[form], V, seed=7).state_dict()
    torch.manual_seed(2)
    state_before = torch.random.get_rng_state()
    second = build_model(FORMS[form], V, seed=7).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state_before)
    other = build_model(FORMS[form], V, seed=8).state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    constant = ("positions.weight",)  # sinusoids at first
    matrices = [
        name
        for name in first
        if first[name].ndim == 2 and first[name].any() and name not in constant
    ]
    assert not any(torch.equal(first[name], other[name]) for name in matrices)


@every_form
def test_weights_survive_a_state_dict(form: str) -> None:
    model, ids_BT = model_of(form), random_ids(2, T)
    other = build_model(FORMS[form], V, seed=9).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model(ids_BT), other(ids_BT))


@pytest.mark.parametrize("preset", ["laptop", "full"])
@pytest.mark.parametrize("name", rung_names())
def test_the_first_loss_of_every_rung_is_close_to_that_of_guessing(name: str, preset: str) -> None:
    spec = load_spec(name, preset=preset)
    vocab_size = spec.tokenizer.vocab_size or 200
    model = build_model(spec.model, vocab_size, seed=0).train()
    generator = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(vocab_size, (4, 65), generator=generator)
    torch.manual_seed(0)
    with torch.no_grad():
        logits_BTV = model(ids_BT[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(vocab_size), abs=0.15)


@pytest.mark.parametrize("form", ["lstm normed residual", "gru", "learned"])
def test_training_lowers_the_loss_on_a_repeated_text(form: str) -> None:
    model = build_model(FORMS[form], V, seed=0).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    ids_BT = random_ids(2, T + 1)
    losses = []
    for _ in range(60):
        logits_BTV = model(ids_BT[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
