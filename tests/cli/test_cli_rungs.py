"""`escada rungs`: each rung in two lines, in the reader's language."""

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


def test_each_rung_has_two_lines_and_its_size_in_both_presets():
    lines = run("--lang", "en").splitlines()
    assert [line.split()[0] for line in lines[::2]] == rung_names()
    assert len(lines) == 2 * len(rung_names())
    v5 = lines[2 * rung_names().index("v5") + 1]
    assert v5.endswith("Parameters: 12.22 M (full), 0.43 M (laptop).")


def test_the_locale_decides_unless_a_language_is_asked_for():
    portuguese = run(LC_ALL="pt_BR.UTF-8")
    assert "Parâmetros: 12,22 M (full)" in portuguese
    assert run("--lang", "pt", LC_ALL="en_US.UTF-8") == portuguese
    assert "Parameters" in run("--lang", "en", LC_ALL="pt_BR.UTF-8")


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
