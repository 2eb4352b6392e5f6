"""What changes the hash of some code, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from escada import code_hash as module
from escada.code_hash import bare_code, code_hash

REAL_ROOT, MARK = module.ROOT, f"  {module.ONLY_TELLS}"
CODE = '''"""A story."""

from escada.b import help_with  # a remark
from escada.aside import show

RATE = 3
"""Of something."""


def figure(x: int) -> str:
    """Say it."""
    return help_with(x) + "# no remark"
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """a imports b (and, to show things, aside); b imports deep below a function."""
    root = tmp_path / "escada"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "a.py").write_text(CODE)
    (root / "b.py").write_text(
        "def help_with(x):\n    from escada import deep\n    return deep.f(x)\n"
    )
    (root / "deep.py").write_text("def f(x):\n    return str(x)\n")
    (root / "aside.py").write_text("def show():\n    print(1)\n")
    monkeypatch.setattr(module, "ROOT", root)
    return root


def hash_of(*within: str, without: tuple[str, ...] = ()) -> str:
    bare_code.cache_clear()
    module.imports_of.cache_clear()
    return code_hash("escada.a", within=within or ("escada",), without=without)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A story.", "Another\n\nstory."),
        ("  # a remark", ""),
        ("Of something.", "Of something else."),
        ("    return help_with", "\n    # why\n    return help_with"),
    ],
)
def test_words_change_nothing(package: Path, old: str, new: str):
    before = hash_of()
    edit(package / "a.py", old, new)
    assert hash_of() == before


def test_a_line_that_only_tells_changes_nothing_and_one_that_says_otherwise_does(package: Path):
    before = hash_of()
    edit(package / "a.py", "RATE = 3", "TOLD = 1  # only tells\nRATE = 3")
    assert hash_of() == before
    edit(package / "a.py", "# only tells", "# only tells the rate")
    assert hash_of() != before


def test_the_lines_that_only_tell_are_these():
    """Another one is added with thought: docs/decisions/0030."""
    marked: dict[str, int] = {}
    for file in sorted(REAL_ROOT.rglob("*.py")):
        lines = [line for line in file.read_text("utf-8").splitlines() if line.endswith(MARK)]
        if lines:
            marked[file.relative_to(REAL_ROOT).as_posix()] = len(lines)
    assert marked == {"spec.py": 2, "training/loop.py": 4, "training/run.py": 2}


@pytest.mark.parametrize(("old", "new"), [("RATE = 3", "RATE = 4"), ("# no remark", "# remark")])
def test_code_and_strings_in_it_count(package: Path, old: str, new: str):
    before = hash_of()
    edit(package / "a.py", old, new)
    assert hash_of() != before


def test_what_is_imported_in_turn_counts_wherever_it_is_imported(package: Path):
    before = hash_of()
    edit(package / "deep.py", "str(x)", "repr(x)")
    assert hash_of() != before


@pytest.mark.parametrize(
    ("within", "without"),
    [(("escada",), ("escada.aside",)), (("escada.b", "escada.deep"), ())],
)
def test_what_lies_outside_the_names_does_not(package: Path, within, without):
    before = hash_of(*within, without=without)
    edit(package / "aside.py", "print(1)", "print(2)")
    assert hash_of(*within, without=without) == before
    edit(package / "b.py", "deep.f(x)", "deep.f(x + 1)")
    assert hash_of(*within, without=without) != before


def test_a_module_from_elsewhere_counts_with_what_it_imports_of_the_package(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "my_own.py").write_text("import json\nfrom escada import deep\n")
    monkeypatch.syspath_prepend(tmp_path)

    def hash_of_mine() -> str:
        bare_code.cache_clear()
        return code_hash("my_own", within=("escada",))

    before = hash_of_mine()
    edit(package / "deep.py", "str(x)", "repr(x)")
    after = hash_of_mine()
    edit(tmp_path / "my_own.py", "import json", "import math")
    assert len({before, after, hash_of_mine()}) == 3


def test_a_module_that_is_not_there_is_an_error(package: Path):
    with pytest.raises(ModuleNotFoundError, match="nosuch"):
        code_hash("nosuch", within=("escada",))
