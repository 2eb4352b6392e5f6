"""No way of reading data in this package runs code that the data holds (see SECURITY.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import escada

ROOT = Path(escada.__file__).parent
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle", "yaml"}
CALLS = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "torch.hub.load"}
NEEDED = {"torch.load": ("weights_only", "True")}
"""Calls that must say this."""
FORBIDDEN = {"shell", "allow_pickle", "trust_remote_code"}
"""Arguments that may only be False."""


def forbidden(arguments: dict[str, str]) -> list[str]:
    found = ((name, value) for name, value in arguments.items() if name in FORBIDDEN)
    return [f"{name}={value}" for name, value in found if value != "False"]


def found_in(source: str) -> Iterator[str]:
    """What in a module would run code from data, with its line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                bad = [name.name for name in names if name.name.partition(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)):
                bad = [module] if module.partition(".")[0] in MODULES else []
            case ast.Call(func=func, keywords=keywords):
                name = ast.unparse(func)
                given = {word.arg: ast.unparse(word.value) for word in keywords if word.arg}
                bad = [name] if name in CALLS else []
                if name in NEEDED and given.get(NEEDED[name][0]) != NEEDED[name][1]:
                    bad.append(name)
                bad += forbidden(given)
            case ast.Dict(keys=keys, values=values):  # options for a call
                items = [(key, value) for key, value in zip(keys, values, strict=True) if key]
                bad = forbidden({ast.unparse(k).strip("'"): ast.unparse(v) for k, v in items})
            case _:
                bad = []
        yield from (f"{each} in line {node.lineno}" for each in bad)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import os, marshal as m",
        "from yaml import load",
        "eval('1')",
        "x = exec(code)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trusted)",
        "subprocess.run(line, shell=True)",
        "os.system(line)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "options = {'trust_remote_code': own_code}",
    ],
)
def test_the_guard_sees_it(line):
    assert list(found_in(line))


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "np.load(path)",
        "model.eval()",
        "subprocess.run([program], shell=False)",
        "import json",
    ],
)
def test_the_guard_lets_pass_what_is_safe(line):
    assert not list(found_in(line))


OUR_OWN = {
    # An export is checked by loading it; the code that runs is escada's, written a moment before.
    "escada/export/forms/transformers.py",
    # A preparation on a cluster pickles its own work for its own tasks, as datatrove does.
    "escada/text/preparation/cluster/block.py",
}


def test_nothing_in_the_package_runs_code_from_data():
    files = sorted(ROOT.rglob("*.py"))
    assert len(files) > 200
    found = {
        str(file.relative_to(ROOT.parent)): bad
        for file in files
        if (bad := list(found_in(file.read_text(encoding="utf-8"))))
    }
    assert set(found) == OUR_OWN, found
