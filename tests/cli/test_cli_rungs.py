"""`escada rungs`: what each rung is and what changes, in the reader's language."""

import json

import pytest
from typer.testing import CliRunner

from escada.cli import app
from escada.cli.rungs import language
from escada.models.contract import build_model
from escada.spec import load_spec, rung_names


def run(*arguments: str, **environment: str) -> str:
    result = CliRunner().invoke(app, ["rungs", *arguments], env=environment, catch_exceptions=False)
    return result.stdout


def test_each_rung_says_its_size_and_what_changes_in_both_presets():
    lines = run("--lang", "en").splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert [line.split()[0] for line in heads] == rung_names()
    at = lines.index(next(line for line in lines if line.startswith("v2 ")))
    full, laptop = lines[at + 1 : at + 3]
    assert full.startswith(f"{'':9}full: 1.74 M parameters. From v1 – Model: embedding 64 → 256,")
    assert "dropout 0 → 0.2" in full
    assert laptop.startswith(f"{'':9}laptop: 0.24 M parameters. From v1 – ")
    assert "dropout" not in laptop


def test_the_locale_decides_unless_a_language_is_asked_for():
    portuguese = run(LC_ALL="pt_BR.UTF-8")
    assert "full: 12,22 M de parâmetros. Em relação a v4 – Modelo: Transformer" in portuguese
    assert run("--lang", "pt", LC_ALL="en_US.UTF-8") == portuguese
    assert "parameters" in run("--lang", "en", LC_ALL="pt_BR.UTF-8")


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "en"),
        ({"LANG": "pt_PT"}, "pt"),
        ({"LC_ALL": "", "LANG": "pt_BR.UTF-8"}, "pt"),
        ({"LC_ALL": "C", "LANG": "pt_BR.UTF-8"}, "en"),
        ({"LC_MESSAGES": "de_DE", "LANG": "pt_BR"}, "en"),
    ],
)
def test_one_variable_of_the_locale_overrules_the_next(environment, code):
    assert language(None, environment) == code


def test_json_is_one_object_with_the_parameters_of_the_real_models():
    table = json.loads(run("--json"))
    assert table["schema_version"] == 1
    rows = {row["name"]: row for row in table["rungs"]}
    assert list(rows) == rung_names()
    for name in ("v4", "v_final"):
        spec = load_spec(name, preset="laptop")
        model = build_model(spec.model, spec.tokenizer.vocab_size, seed=0)
        assert rows[name]["parameters"]["laptop"] == model.parameter_count()
        assert rows[name]["title"]["pt"] == spec.about.title.pt
    assert rows["v2"]["changed"]["laptop"][0] == {
        **{"key": "model.d_embedding", "before": 32, "after": 48},
        **{"settings": {}, "former_settings": {}},
    }
    assert rows["v1"]["changed"] == {}
