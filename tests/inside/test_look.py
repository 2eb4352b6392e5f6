"""What is seen inside a model is what the model computes, and what was planted is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.inside.conftest import TEXTS, gpt, lstm, with_induction_head, with_quote_cell

from escada.errors import EscadaError
from escada.evaluation.text_score import score_text
from escada.inside.cells import cell_values
from escada.inside.heads import attention_layers, attention_weights
from escada.inside.look import look, views_of
from escada.inside.properties import property_of
from escada.inside.reading import read_text
from escada.inside.views import (
    AttentionRequest,
    CellId,
    CellRankingRequest,
    CellsRequest,
    CountsRequest,
    EmbeddingMapRequest,
    HeadId,
    HeadRankingRequest,
    NeighboursRequest,
    PairRequest,
    TreeRequest,
)

TEXT = "Ana disse: “Bom dia”, e saiu (depressa).\nO João, não."


def see(model, tokenizer, request):
    return look(model, tokenizer, request, profile="reference")


# What was planted


@pytest.mark.parametrize("cell", [0, 7, 11])
def test_a_cell_that_knows_quotation_marks_is_ranked_first(characters, cell):
    model = with_quote_cell(characters, 0, cell)
    text = "Ele disse “sim, venho” e “não sei”. Depois, “talvez”. Nada mais."
    ranking = see(model, characters, CellRankingRequest(property="quotation", text=text))
    first, second = ranking.cells[:2]
    assert first.cell == CellId(layer=0, cell=cell)
    assert first.score > 0.99
    assert not first.falls
    assert first.score > second.score
    assert ranking.measure == "auc_distance"
    assert 0 < ranking.tokens_with < ranking.tokens


def test_heads_that_find_the_previous_token_and_what_followed_are_ranked_first(characters):
    class Letters:
        vocab_size, bos_id, eos_id, unk_id = 30, 0, 1, None

    model = with_induction_head(Letters.vocab_size)
    induction = see(model, Letters(), HeadRankingRequest(score="induction")).heads
    assert induction[0].head == HeadId(layer=1, head=1)
    assert induction[0].induction > 0.8 > 4 * induction[1].induction
    previous = see(model, Letters(), HeadRankingRequest(score="previous_token")).heads
    assert previous[0].head == HeadId(layer=0, head=0)
    assert previous[0].previous_token > 0.8 > 4 * previous[1].previous_token


# What is seen is what is computed


@pytest.mark.parametrize("values", [{}, {"layer_norm": True, "residual": True}, {"cell": "gru"}])
def test_cells_are_those_of_a_token_at_a_time(characters, values):
    model = lstm(characters, **values)
    read = read_text(TEXT, characters, "reference")
    with torch.no_grad():
        values_LTH = cell_values(model, read.input(model))
        state = model.fresh_state(1)
        for t, token in enumerate(read.ids):
            model.advance(torch.tensor([[token]]), state)
            gru = values.get("cell") == "gru"
            expected_LH = state.h_LBH[:, 0] if gru else state.c_LBH[:, 0].tanh()
            torch.testing.assert_close(values_LTH[:, t], expected_LH, atol=1e-5, rtol=1e-4)
    asked = CellsRequest(text=TEXT, cells=[CellId(layer=1, cell=2)])
    shown = see(model, characters, asked)
    assert shown.traces[0].values == pytest.approx(values_LTH[1, :, 2].tolist(), abs=1e-4)
    assert "".join(token.text for token in shown.tokens) == TEXT


def test_weights_of_a_head_give_the_output_of_its_layer(characters):
    model = gpt(characters.vocab_size)
    layer = attention_layers(model)[1]
    seen = {}
    layer.qkv.register_forward_hook(lambda _, __, qkv: seen.update(qkv=qkv))
    layer.out.register_forward_hook(lambda _, inputs, __: seen.update(y=inputs[0]))
    ids_BT = torch.randint(0, characters.vocab_size, (2, 20))
    with torch.no_grad():
        weights_BNTS = attention_weights(model, ids_BT)[1]
    v_BTNH = seen["qkv"].view(2, 20, 3, 2, 64)[:, :, 2]
    y_BTNH = torch.einsum("bnts,bsnh->btnh", weights_BNTS, v_BTNH)
    torch.testing.assert_close(y_BTNH.reshape(2, 20, -1), seen["y"], atol=1e-5, rtol=1e-4)
    shown = see(model, characters, AttentionRequest(text=TEXT, head=HeadId(layer=1, head=0)))
    assert [len(row) for row in shown.weights] == list(range(1, len(shown.tokens) + 1))
    assert np.allclose([sum(row) for row in shown.weights], 1, atol=0.01)


def test_counts_and_network_mix_to_what_the_model_says(characters, mixture):
    shown = see(mixture, characters, CountsRequest(text=TEXTS[1], best=3)).tokens
    scored = score_text(mixture, characters, TEXTS[1], profile="reference").tokens
    assert len(shown) == len(scored)
    for one, score in zip(shown, scored, strict=True):
        assert one.token.id == score.id
        assert one.mixture == pytest.approx(2**-score.bits, rel=1e-4)
        mixed = one.network_share * one.network + (1 - one.network_share) * one.counts
        assert one.mixture == pytest.approx(mixed, rel=1e-6)
        assert [guess.probability for guess in one.best_by_counts] == sorted(
            (guess.probability for guess in one.best_by_counts), reverse=True
        )
    assert len({round(one.network_share, 3) for one in shown}) > 3
    read_before = [one.match_tokens for one in shown]
    assert max(read_before) == 3  # n-grams of four tokens
    assert read_before[0] == 1  # after BOS


def test_after_a_context_that_was_never_counted_a_shorter_one_matches(characters, mixture):
    assert "z" in TEXTS[0]
    assert "zz" not in TEXTS[0]
    shown = see(mixture, characters, CountsRequest(text="zzz")).tokens
    assert [one.match_tokens for one in shown][2:] == [1, 1]


def test_a_tree_has_the_most_probable_tokens_and_their_probabilities(characters):
    model = lstm(characters)
    tree = see(model, characters, TreeRequest(text="Bom dia", depth=3, width=2))
    ids = [characters.bos_id, *characters.encode("Bom dia").tolist()]
    roots = [node for node in tree.nodes if node.parent < 0]
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0, -1].softmax(-1).topk(2)
    assert [node.token.id for node in roots] == expected.indices.tolist()
    for place, node in enumerate(tree.nodes):
        way, at = [], place
        while at >= 0:
            way.insert(0, tree.nodes[at].token.id)
            assert tree.nodes[at].parent < at
            at = tree.nodes[at].parent
        with torch.no_grad():
            logits_TV = model(torch.tensor([ids + way]))[0].log_softmax(-1)
        steps = [logits_TV[len(ids) - 1 + i, token] for i, token in enumerate(way)]
        assert node.path_probability == pytest.approx(float(sum(steps).exp()), rel=1e-4)
        assert node.probability == pytest.approx(float(steps[-1].exp()), rel=1e-4)
    assert len(tree.nodes) == 2 + 4 + 8


def test_a_tree_stays_within_its_limit_and_goes_on_when_the_context_is_full(characters):
    model = gpt(characters.vocab_size, context_tokens=8)
    tree = see(model, characters, TreeRequest(text="Bom dia, João", depth=6, width=6))
    assert 100 < len(tree.nodes) <= 200


def test_the_difference_of_a_pair_is_that_of_its_scores(characters):
    model = gpt(characters.vocab_size)
    pair = see(model, characters, PairRequest(text="As casas são boas", other="As casas é boas"))
    bits = [
        score_text(model, characters, text, profile="reference").bits
        for text in ("As casas são boas", "As casas é boas")
    ]
    assert pair.difference_bits == pytest.approx(bits[1] - bits[0], abs=1e-6)
    assert pair.before_bits == pytest.approx(0, abs=1e-4)
    assert pair.first_difference == len("As casas ")
    assert pair.before_bits + pair.at_bits + pair.after_bits == pytest.approx(pair.difference_bits)
    with pytest.raises(EscadaError, match="the same"):
        see(model, characters, PairRequest(text="Bom dia", other="Bom dia"))


def test_neighbours_are_nearest_by_cosine(characters):
    model = lstm(characters)
    a, e, o = characters.encode("aeo").tolist()
    with torch.no_grad():
        model.embedding.weight[e] = 3 * model.embedding.weight[a]
        model.embedding.weight[o] = -model.embedding.weight[a]
    shown = see(model, characters, NeighboursRequest(token="ab", best=50))
    assert shown.token.id == a
    assert shown.rest == ["b"]
    assert (shown.neighbours[0].id, shown.neighbours[0].cosine) == (e, 1.0)
    assert o not in [one.id for one in shown.neighbours[:20]]


def test_a_map_shows_the_plane_of_most_variance(characters):
    model = lstm(characters)
    with torch.no_grad():
        model.embedding.weight[:, 2:] *= 1e-6
    shown = see(model, characters, EmbeddingMapRequest(tokens=30))
    assert len(shown.points) == 30
    assert shown.explained > 0.999
    assert max(abs(value) for point in shown.points for value in (point.x, point.y)) == 1
    assert {"letter", "space"} <= {point.kind for point in shown.points}


# Properties of a text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("quotation", 'a "b" c', "0011000"),
        ("quotation", "“b” «c» d", "110011000"),
        ("quotation", 'a "b\nc', "001100"),
        ("parenthesis", "a (b) c", "0011000"),
        ("after_space", "ab c\nd", "100101"),
        ("in_name", "Eu vi Ana. Ela riu", "000000111000000000"),
        ("line_position", "ab\ncd", "12012"),
        ("word_position", "ab cd", "12012"),
    ],
)
def test_properties_of_characters(name, text, expected, characters):
    read = read_text(text, characters, "reference")
    assert "".join(str(int(value)) for value in property_of(name, read)) == expected


def test_a_property_that_no_token_has_is_one_line(characters):
    with pytest.raises(EscadaError, match="no tokens that differ in 'quotation'"):
        see(lstm(characters), characters, CellRankingRequest(property="quotation", text="abc"))


def test_the_text_that_comes_with_escada_has_every_property(characters):
    model = lstm(characters)
    for name in ("quotation", "parenthesis", "after_space", "in_name", "line_position"):
        ranking = see(model, characters, CellRankingRequest(property=name, best=50))
        assert ranking.tokens_with > 20
        scores = [one.score for one in ranking.cells]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 24


# What a model has


def test_a_model_offers_what_it_has(characters, mixture):
    always = ["neighbours", "embedding_map", "tree", "pair"]
    assert views_of(lstm(characters)).views == ["cells", "cell_ranking", *always]
    assert views_of(gpt(characters.vocab_size)).views == ["attention", "head_ranking", *always]
    assert views_of(mixture).views == ["counts", *always]
    assert views_of(lstm(characters)).cells == 12


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (AttentionRequest(text="a", head=HeadId(layer=0, head=0)), "no view 'attention'"),
        (CellsRequest(text="a", cells=[CellId(layer=2, cell=0)]), "layers are 0 to 1"),
        (CellsRequest(text="a", cells=[CellId(layer=0, cell=12)]), "cells 0 to 11"),
        (NeighboursRequest(token="a", best=3), None),
    ],
)
def test_what_a_model_does_not_have_is_one_line(characters, request_, words):
    if words is None:
        assert len(see(lstm(characters), characters, request_).neighbours) == 3
        return
    with pytest.raises(EscadaError, match=words):
        see(lstm(characters), characters, request_)


def test_a_head_that_is_not_there_and_a_text_too_long_are_one_line(characters):
    model = gpt(characters.vocab_size)
    with pytest.raises(EscadaError, match="heads 0 to 1"):
        see(model, characters, AttentionRequest(text="a", head=HeadId(layer=0, head=2)))
    with pytest.raises(EscadaError, match="reads 64 at once: shorten"):
        see(model, characters, AttentionRequest(text="a" * 64, head=HeadId(layer=0, head=1)))
    wide = gpt(characters.vocab_size, context_tokens=300)
    with pytest.raises(EscadaError, match="up to 256: shorten"):
        see(wide, characters, AttentionRequest(text="a" * 256, head=HeadId(layer=0, head=1)))


def test_every_view_is_shown_in_a_notebook_without_script_or_style_sheet(characters, mixture):
    shown = [
        see(lstm(characters), characters, CellRankingRequest(property="line_position")),
        see(gpt(characters.vocab_size), characters, HeadRankingRequest()),
        see(
            gpt(characters.vocab_size),
            characters,
            AttentionRequest(text="a <b> c", head=HeadId(layer=0, head=1)),
        ),
        see(mixture, characters, CountsRequest(text="a <b> c")),
    ]
    for view in shown:
        html = view._repr_html_()
        assert "<script" not in html
        assert "<style" not in html
        assert "<b>" not in html
        assert "caption" in html or "aria-label" in html
    assert "&lt;" in shown[2]._repr_html_()
    assert "&lt;" in shown[3]._repr_html_()
