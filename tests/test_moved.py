"""Names of modules of before: the same module, said once, and nothing else found."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from escada.moved import MOVED, new_name


@pytest.mark.parametrize("old", sorted(MOVED))
def test_a_name_of_before_gives_the_module_that_is_there_now(old, monkeypatch):
    name = f"escada.{old}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.warns(DeprecationWarning, match=rf"{name} is escada\.{MOVED[old]} now"):
        module = importlib.import_module(name)
    assert module is importlib.import_module(f"escada.{MOVED[old]}")
    assert module.__name__ == module.__spec__.name == f"escada.{MOVED[old]}"


def test_a_module_below_a_moved_package_is_found_without_a_second_copy():
    code = (
        "from escada.evaluation.judge.questions import read_answer as old\n"
        "from escada.judge.questions import read_answer as new\n"
        "import escada.evaluation.guardrails.texts, sys\n"
        "assert old is new\n"
        "assert sys.modules['escada.evaluation.guardrails.texts'].__name__ == "
        "'escada.guardrails.texts'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_else_is_found():
    assert new_name("escada.evaluation.ruler") is None
    with pytest.raises(ModuleNotFoundError, match=r"escada\.evaluation\.nosuch"):
        importlib.import_module("escada.evaluation.nosuch")
