"""What changed between two rungs is derived from their resolved specs."""

import pytest

from escada.errors import EscadaError
from escada.report.changes import (
    KINDS,
    ONLY_FOR,
    Changed,
    changed_in,
    changes,
    settings_of,
    since_package,
)
from escada.report.data import read_ladder
from escada.report.i18n import Language, read_catalogue
from escada.report.schema import Settings
from escada.spec import MODELS, EvaluationSpec, Spec, TrainSpec, load_spec, rung_names
from escada.toml_tables import field_keys

PAIRS = [
    (load_spec(name).about.follows, name) for name in rung_names() if load_spec(name).about.follows
]


def settings(rung, *overrides, preset="laptop"):
    return settings_of(load_spec(rung, preset=preset, overrides=overrides))


def said(before, after, code="en"):
    return Changed("x", None, changes(before, after)).sentence(Language.load(code))


def keys(before, after):
    return [change.key for change in changes(before, after)]


def test_a_changed_size_is_said_with_both_values_in_both_languages():
    before = settings("v2", preset="full")
    after = settings("v2", "model.dropout=0.25", "train.learning_rate=4e-3", preset="full")
    assert said(before, after) == (
        "Model: dropout 0.2 → 0.25. Training: learning rate 0.001 → 0.004."
    )
    assert said(before, after, "pt") == (
        "Modelo: dropout 0,2 → 0,25. Treino: taxa de aprendizado 0,001 → 0,004."
    )


def test_the_same_settings_changed_nothing():
    assert said(settings("v2"), settings("v2")) == "Nothing in tokenizer, model or training."


def test_what_a_preset_leaves_as_it_was_did_not_change():
    def dropouts(preset):
        found = keys(settings("v1", preset=preset), settings("v2", preset=preset))
        return [key for key in found if "dropout" in key]

    assert dropouts("full") == ["model.dropout", "model.recurrent_dropout"]
    assert dropouts("laptop") == []


def test_another_kind_is_one_change_with_the_new_kinds_settings():
    found = {change.key: change for change in changes(settings("v4"), settings("v5"))}
    model = found["model.kind"]
    assert (model.before, model.after) == ("recurrent", "transformer")
    assert model.settings["model.positions"] == "sinusoidal"
    assert model.former_settings["model.cell"] == "lstm"
    assert "model.n_layers" in found, "both kinds have layers"
    assert not {"model.positions", "model.cell", "model.d_hidden"} & found.keys()
    text = said(settings("v4"), settings("v5"))
    assert "Model: Transformer in place of LSTM (context 128, width 96, attention heads 3" in text
    assert "AdamW in place of Adam" in text
    assert "None" not in text


def test_keys_that_a_kind_does_not_read_are_no_changes():
    before = settings("v3", "train.orthogonal_steps=9", "train.decay=10 %")
    assert keys(settings("v3"), before) == []
    assert keys(settings("v3"), settings("v3", "train.min_learning_rate_ratio=0.5")) == [
        "train.min_learning_rate_ratio"
    ]


def test_switches_and_limits_are_said_as_with_and_without():
    plain = settings("v2", "model.layer_norm=false")
    assert said(plain, settings("v2", "model.layer_norm=true")) == "Model: with layer norm."
    assert said(settings("v2", "model.layer_norm=true"), plain) == "Model: without layer norm."
    table = settings("v2").model_dump()
    del table["train"]["clip_norm"]
    free = Settings.model_validate(table)
    assert said(free, settings("v2")) == "Training: with gradient clipping 1."
    assert said(settings("v2"), free) == "Training: without gradient clipping."


def test_a_key_that_an_older_spec_lacks_has_its_default():
    table = settings("v_next_counts").model_dump()
    for name in ("count_tokens", "gate_width"):
        del table["model"][name]
    del table["train"]["validations"]
    assert keys(Settings.model_validate(table), settings("v_next_counts")) == []


def test_how_a_batch_is_cut_for_memory_is_no_change():
    assert keys(settings("v5"), settings("v5", "train.micro_batch_sequences=2")) == []


def test_the_budget_is_said_where_it_differs():
    other = settings("v1", "train.budget=50k steps")
    assert (
        said(settings("v1"), other) == "Training: budget 3.0\u202f×\u202f10¹² FLOP → 50,000 steps."
    )
    assert "50.000 passos" in said(settings("v1"), other, "pt")


def test_settings_of_a_kind_from_outside_are_told_by_their_keys():
    table = settings("v1").model_dump()
    table["model"] = {"kind": "my_model", "cap": 20, "d_embedding": 16}
    mine = Settings.model_validate(table)
    assert said(settings("v1"), mine).startswith(
        "Model: my_model in place of LSTM (model.cap 20), embedding 32 → 16."
    )
    table["model"] = table["model"] | {"cap": 30}
    assert said(mine, Settings.model_validate(table)) == "Model: model.cap 20 → 30."


def test_settings_of_a_tokenizer_from_outside_are_those_that_are_not_defaults():
    table = settings("v1").model_dump()
    table["tokenizer"] = table["tokenizer"] | {"kind": "my_tokenizer"}
    mine = Settings.model_validate(table)
    assert said(settings("v1"), mine) == "Tokenizer: my_tokenizer in place of characters."
    table["tokenizer"] = table["tokenizer"] | {"min_count": 7}
    other = Settings.model_validate(table)
    assert [change.key for change in changes(mine, other)] == ["tokenizer.min_count"]


@pytest.mark.parametrize("preset", ["full", "laptop"])
@pytest.mark.parametrize(("follows", "name"), PAIRS)
def test_every_step_of_the_package_is_said_in_both_languages(follows, name, preset):
    found = changes(settings(follows, preset=preset), settings(name, preset=preset))
    assert found
    tested = load_spec(name).about.tests
    assert tested, "an objective says what it is about"
    assert len(Changed(follows, None, found).untested(tested)) < len(tested)
    for code in ("en", "pt"):
        text = Changed(follows, None, found).sentence(Language.load(code))
        assert not any(f"{table}." in text for table in ("tokenizer", "model", "train"))
        assert "None" not in text


@pytest.mark.parametrize("code", ["en", "pt"])
def test_every_key_of_the_package_has_a_name(code):
    names = read_catalogue(code)
    known = [key for key in field_keys(Spec) if key.startswith(("tokenizer.", "train."))]
    for kind in MODELS.names():
        known += field_keys(MODELS.load(kind).Config, "model.")
    assert [key for key in known if f"changes.name.{key}" not in names] == []
    kinds = {name for place in KINDS.values() for name in place.names()}
    assert {kind for kind in kinds if f"changes.value.{kind}" not in names} == set()


def test_keys_of_some_kinds_are_keys_and_kinds_of_the_package():
    for key, (kind_key, kinds) in ONLY_FOR.items():
        known = TrainSpec if key.startswith("train.") else type(load_spec("v1").tokenizer)
        assert key.partition(".")[2] in known.model_fields
        assert set(kinds) <= set(KINDS[kind_key].names())
    assert EvaluationSpec.model_fields, "how the ruler reads is no change of a rung"


def test_a_rung_of_the_package_stands_in_for_a_run_that_is_not_there():
    changed = since_package(settings("v2", "train.budget=1e13 flop"), "v1", "laptop")
    assert (changed.against, changed.preset) == ("v1", "laptop")
    assert [one.key for one in changed.changes] == [
        "model.d_embedding",
        "model.d_hidden",
        "train.stride_tokens",
    ]
    assert since_package(settings("v2"), "v1", "my_preset") is None
    assert since_package(settings("v2"), "my_rung", "laptop") is None
    assert since_package(settings("v1"), None, "laptop") is None


def test_two_runs_of_a_climb_are_compared_as_they_were_trained(climb, table):
    for rung in table["rungs"]:
        if rung["name"] in ("v1", "v2"):
            spec = settings(rung["name"], "model.d_hidden=40")
            rung["settings"] = spec.model_dump()
    ladder = read_ladder(climb(table))
    v1, v2, v3 = ladder.rungs[:3]
    changed = changed_in(v2, ladder)
    assert "model.d_hidden" not in [change.key for change in changed.changes]
    assert changed.sentence(Language.load("en")).endswith("Parameters 380\u202fk → 702\u202fk.")
    assert changed_in(v1, ladder) is None
    assert changed_in(v3, ladder) is None, "no spec of v3 is there"


def test_ladders_of_before_read_the_specs_of_their_runs(climb, table):
    import tomli_w

    specs = [load_spec(rung["name"], preset="laptop") for rung in table["rungs"][:2]]
    for rung, spec in zip(table["rungs"], specs, strict=False):
        rung["spec_hash"] = spec.hash
    folder = climb(table)
    for rung, spec in zip(table["rungs"], specs, strict=False):
        (folder / rung["run"] / "spec.toml").write_text(tomli_w.dumps(spec.to_table()))
    ladder = read_ladder(folder)
    assert [one.key for one in changed_in(ladder.rungs[1], ladder).changes] == [
        "model.d_embedding",
        "model.d_hidden",
        "train.stride_tokens",
    ]
    spec = specs[0].to_table()
    spec["train"]["clip_norm"] = 7.0
    (folder / table["rungs"][0]["run"] / "spec.toml").write_text(tomli_w.dumps(spec))
    with pytest.raises(EscadaError, match="spec was changed after the training"):
        read_ladder(folder)
