"""`escada scale`: what is wrong with budgets, sizes and seeds is one line, before any training."""

import pytest
from typer.testing import CliRunner

from escada.cli import app
from escada.cli.scale import _all_flops, _seeds, _sizes
from escada.errors import EscadaError


def test_budgets_are_sorted_and_the_one_to_predict_comes_last():
    assert _all_flops("1e13 flop, 1e12 flop,3e12 flop", None) == [1e12, 3e12, 1e13]
    assert _all_flops("3e12 flop,1e12 flop", "1e14 flop") == [1e12, 3e12, 1e14]
    assert _all_flops("1e14 flop,1e12 flop", "1e14 flop") == [1e12, 1e14]


@pytest.mark.parametrize(
    ("budgets", "predict", "message"),
    [
        ("1e12 flop,5 min,1e13 flop", None, "'5 min' is not in FLOP"),
        ("1e12 flop,3e12 flop", "3 epochs", "--predict: '3 epochs' is not in FLOP"),
        ("1e12 flop,1e13 flop", "3e12 flop", "below the largest"),
        ("1e12 flop,1e12 flop,1e13 flop", None, "twice"),
        ("1e12,3e12", None, "not a number with a unit"),
    ],
)
def test_budgets_that_no_curve_can_have_are_refused(budgets, predict, message):
    with pytest.raises(EscadaError, match=message):
        _all_flops(budgets, predict)


def test_seeds_are_a_list_or_how_many():
    assert _seeds("0, 1,5") == [0, 1, 5]
    assert _seeds("3") == [0, 1, 2]
    for wrong in ("", "a", "0,0", "0", "-1", "1,,2"):
        with pytest.raises(EscadaError, match="--seeds"):
            _seeds(wrong)


def test_a_size_is_of_one_rung_or_of_all():
    given = ["v5: model.d_model=96  model.d_ff=384", "train.batch_sequences=8"]
    assert _sizes(["v4", "v5"], given) == {
        "v4": ["train.batch_sequences=8"],
        "v5": ["model.d_model=96 model.d_ff=384", "train.batch_sequences=8"],
    }
    assert _sizes(["v4"], []) == {"v4": [""]}
    with pytest.raises(EscadaError, match="'v6'"):
        _sizes(["v5"], ["v6: model.d_model=96"])


def test_two_budgets_are_too_few(corpus_path, tmp_path):
    command = ["scale", "v1", "--budgets", "1e8 flop,2e8 flop", "--data", str(corpus_path)]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, EscadaError)
    assert "too few" in str(result.exception)
    assert not list(tmp_path.glob("out/*"))
