"""A spec says everything, once, and says clearly what is wrong with it."""

import tomllib
from importlib import resources

import pytest
import tomli_w

from escada.budget import Budget
from escada.errors import EscadaError
from escada.spec import (
    load_spec,
    overlay,
    parse_spec,
    read_spec_table,
    rung_names,
    steps_to,
)


@pytest.mark.parametrize("rung", rung_names())
@pytest.mark.parametrize("preset", ["full", "laptop"])
def test_every_rung_loads_and_its_resolved_table_reads_back_to_the_same_hash(rung, preset):
    spec = load_spec(rung, preset=preset)
    again = parse_spec(tomllib.loads(tomli_w.dumps(spec.to_table())), "spec.toml")
    assert again == spec
    assert again.hash == spec.hash


def test_the_rungs_are_in_the_order_of_the_ladder():
    assert rung_names() == [
        "v1",
        "v2",
        "v3",
        "v4",
        "v4_gru",
        "v5",
        "v5b",
        "v6",
        "v_final",
        "v_next",
        "v_next_counts",
    ]


def test_a_rung_stands_behind_the_one_that_it_follows_and_none_is_left_out():
    names = rung_names()
    files = [file.name for file in resources.files("escada.rungs").iterdir()]
    assert sorted(f"{name}.toml" for name in names) == sorted(f for f in files if "toml" in f)
    for name in names:
        below = load_spec(name).about.follows
        assert below is None or names.index(below) < names.index(name)


def test_the_default_climb_is_the_roadmaps_six():
    assert steps_to("v_final") == ["v1", "v2", "v3", "v4", "v5", "v_final"]


def test_full_v5_is_the_roadmaps():
    spec = load_spec("v5")
    config = spec.model
    assert (config.d_model, config.n_heads, config.d_ff, config.n_layers) == (384, 6, 1536, 6)
    assert (spec.train.betas, spec.train.weight_decay) == ((0.9, 0.95), 0.1)
    assert spec.train.batch_sequences == 64
    assert spec.train.micro_batch_sequences == 8
    assert spec.train.budget == Budget(50_000, "steps")
    assert spec.train.warmup.steps(50_000) == 2000


def test_a_rung_need_not_say_what_changes():
    assert load_spec("v2").about.changes is None
    table = load_spec("v2").to_table()
    table["about"]["changes"] = {"en": "Wider.", "pt": "Mais larga."}
    noted = parse_spec(table, "x")
    assert noted.about.changes is not None
    assert noted.hash == load_spec("v2").hash


def test_what_an_objective_is_about_are_keys_of_the_rung():
    table = load_spec("v2").to_table()
    table["about"]["tests"] = ["model.d_hiden"]
    with pytest.raises(EscadaError, match=r"about.tests: unknown key 'model.d_hiden'") as error:
        parse_spec(table, "x")
    assert "model.d_hidden" in str(error.value)


def test_prose_is_not_part_of_the_hash_and_everything_else_is():
    spec = load_spec("v1", preset="laptop")
    table = spec.to_table()
    prose = overlay(table, {"about": {"title": {"en": "another"}}})
    assert parse_spec(prose, "x").hash == spec.hash
    rate = overlay(table, {"train": {"learning_rate": 0.123}})
    assert parse_spec(rate, "x").hash != spec.hash


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.d_hiden=3", "did you mean 'model.d_hidden'"),
        ("train.learning_rat=3", "did you mean 'train.learning_rate'"),
        ("trian.seed=3", "did you mean 'train'"),
        ("model.kind=recurent", "did you mean 'recurrent'"),
        ("train.learning_rate=-1", "train.learning_rate: Input should be greater than 0"),
        ("train.budget=soon", "not a number with a unit"),
        ("tokenizer.vocab_size=4096", "has no meaning for 'characters'"),
        ("learning_rate", "is not KEY=VALUE"),
    ],
)
def test_a_wrong_key_or_value_is_one_line_that_names_it(override, said):
    with pytest.raises(EscadaError) as caught:
        load_spec("v1", overrides=[override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["name", "preset"])
@pytest.mark.parametrize("name", ["x" * 300, "a/b", "", "..", "[b]", "a\nb"])
def test_a_name_that_no_folder_could_have_is_told_before_anything_begins(key, name):
    table = load_spec("v1").to_table() | {key: name}
    with pytest.raises(EscadaError, match=f"{key}: String should") as raised:
        parse_spec(table, "mine.toml")
    assert "\n" not in str(raised.value)


def test_an_unknown_rung_preset_or_file_names_what_is_near():
    with pytest.raises(EscadaError, match="did you mean 'v_final'"):
        load_spec("v_fina")
    with pytest.raises(EscadaError, match="did you mean 'laptop'"):
        load_spec("v1", preset="labtop")
    with pytest.raises(EscadaError, match="spec file not found"):
        load_spec("nowhere.toml")


def test_overrides_lie_over_the_preset_and_the_preset_over_the_file():
    table, _ = read_spec_table("v1")
    full = load_spec("v1")
    assert full.train.batch_sequences == table["train"]["batch_sequences"]
    spec = load_spec("v1", preset="laptop", overrides=["train.batch_sequences=7"])
    assert spec.train.batch_sequences == 7
    assert spec.preset == "laptop"


def test_micro_batches_must_divide_the_batch():
    with pytest.raises(EscadaError, match="not a multiple"):
        load_spec("v5", overrides=["train.micro_batch_sequences=7"])


def test_a_window_longer_than_the_context_is_refused():
    with pytest.raises(EscadaError, match="exceeds"):
        load_spec("v5", overrides=["train.window_tokens=257"])
