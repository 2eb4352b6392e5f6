"""Views of what is inside a model, over HTTP: what the Python side gives, within limits."""

from __future__ import annotations

import threading

import pytest
from tests.serve.conftest import LETTERS, eventually, loaded_model, running

from escada.inside.look import look
from escada.inside.views import CellsRequest, TreeRequest
from escada.serve.inside_queue import ToShow

TEXT = "Bom dia, Ana."


def see(here, model="v1", **request):
    return here.request("POST", "/escada/inside", {"model": model, "look": request})


@pytest.fixture(scope="module")
def here():
    with running() as service:
        yield service


def test_the_ladder_says_what_can_be_seen_of_each_rung(here):
    rungs = here.request("GET", "/escada/ladder")[2]["rungs"]
    assert {rung["name"]: rung["inside"] for rung in rungs} == {
        "v1": {
            "views": ["cells", "cell_ranking", "neighbours", "embedding_map", "tree", "pair"],
            "layers": 2, "cells": 24, "attention_layers": 0, "heads": 0,
        },
        "v5": {
            "views": ["attention", "head_ranking", "neighbours", "embedding_map", "tree", "pair"],
            "layers": 0, "cells": 0, "attention_layers": 2, "heads": 3,
        },
    }  # fmt: skip


def test_a_view_is_that_of_the_python_side(here):
    status, _, shown = see(here, view="cells", text=TEXT, cells=[{"layer": 0, "cell": 3}])
    assert status == 200
    model = here.service.models["v1"]
    expected = look(
        model.batch.model,
        LETTERS,
        CellsRequest.model_validate({"text": TEXT, "cells": [{"layer": 0, "cell": 3}]}),
        profile="reference",
    )
    assert shown == expected.model_dump(mode="json")


@pytest.mark.parametrize(
    ("model", "request_"),
    [
        ("v1", {"view": "cell_ranking", "property": "line_position", "text": TEXT}),
        ("v5", {"view": "attention", "text": "Bom dia", "head": {"layer": 1, "head": 2}}),
        ("v5", {"view": "head_ranking", "score": "previous_token"}),
        ("v1", {"view": "neighbours", "token": "a"}),
        ("v5", {"view": "embedding_map", "tokens": 50}),
        ("v1", {"view": "tree", "text": "Bom", "depth": 2, "width": 3}),
        ("v5", {"view": "pair", "text": "As casas", "other": "Os casas"}),
    ],
)
def test_every_view_answers(here, model, request_):
    status, _, shown = see(here, model, **request_)
    assert (status, shown["view"]) == (200, request_["view"])


@pytest.mark.parametrize(
    ("model", "request_", "words"),
    [
        ("v1", {"view": "attention", "text": "a", "head": {"layer": 0, "head": 0}}, "no view"),
        ("v5", {"view": "attention", "text": "a", "head": {"layer": 0, "head": 3}}, "no head 3"),
        ("v5", {"view": "attention", "text": "a" * 50, "head": {"layer": 0, "head": 0}}, "reads"),
        ("v1", {"view": "tree", "text": "a" * 2001}, "2000"),
        ("v1", {"view": "tree", "text": "a", "depth": 7}, "6"),
        ("v1", {"view": "cells", "text": "a", "cells": []}, "1 item"),
        ("v1", {"view": "weights"}, "view"),
        ("v1", {"view": "tree", "text": "a", "colour": "red"}, "colour"),
    ],
)
def test_a_request_that_does_not_fit_is_one_line(here, model, request_, words):
    status, _, shown = see(here, model, **request_)
    assert status == 400
    assert words in shown["error"]["message"]
    assert "\n" not in shown["error"]["message"]


def test_an_unknown_model_is_not_found(here):
    assert see(here, "v9", view="tree", text="a")[0] == 404


def test_views_take_turns_with_what_is_written(make):
    scheduler, _ = make()
    told: list[object] = []
    done = threading.Event()

    def receive(deliveries):
        told.extend(deliveries)
        done.set()

    scheduler.start()
    scheduler.submit_view("v1", "a", ToShow(TreeRequest(text="Bom"), "reference"), receive)
    eventually(done.is_set)
    eventually(lambda: scheduler.rows() == {"v1": (0, 0)})
    ((number, event),) = told
    assert number == 0
    assert event.view.nodes


def test_a_view_of_a_client_who_left_is_forgotten(make):
    scheduler, _ = make()
    job = scheduler.submit_view("v1", "a", ToShow(TreeRequest(text="a"), "reference"), list)
    assert scheduler.rows() == {"v1": (0, 1)}
    scheduler.cancel(job)
    assert scheduler.rows() == {"v1": (0, 0)}


def test_a_mixture_shows_its_counts(mixture_model):
    with running({"counts": mixture_model}) as here:
        status, _, shown = see(here, "counts", view="counts", text="Bom dia")
        assert status == 200
        assert shown["tokens"][-1]["token"]["name"] == "<eos>"


@pytest.fixture
def mixture_model():
    from tests.inside.conftest import TEXTS, new_mixture

    from escada.generation.batch import Batch
    from escada.text.tokenizers.characters import CharacterTokenizer

    characters = CharacterTokenizer.train(TEXTS)
    model = loaded_model("counts", tokenizer=characters)
    model.batch = Batch(new_mixture(characters), characters)
    return model
