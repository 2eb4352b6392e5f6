"""A hash of the code that a result depends on.

    code_hash("escada.evaluation.tasks.cloze", within=("escada.evaluation", "escada.models"))

It covers the named modules and their imports from the package, recursively, restricted to `within`.
Comments, docstrings and blank lines are ignored, and so is a line that ends with `# only tells`: it
changes no figure, as a whole module may (docs/decisions/0030).
"""

from __future__ import annotations

import ast
import importlib.util
import io
import tokenize
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from escada.files import content_hash

ROOT = Path(__file__).parent
PACKAGE = "escada"
ONLY_TELLS = "# only tells"
"""Ends a line of code that decides no result."""


def code_hash(*modules: str, within: Sequence[str], without: Sequence[str] = ()) -> str:
    """Hash the code of `modules` and everything they import.

    Args:
        modules: dotted names, of this package or from elsewhere; always included.
        within: packages or modules; imports are included only if at or below one of these.
        without: packages or modules to exclude.

    Raises:
        ModuleNotFoundError: no such module.
    """

    def counts(name: str) -> bool:
        return _below(name, within) and not _below(name, without)

    waiting, found = list(modules), dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            file = _file(name)
            found[name] = bare_code(file)
            waiting += [other for other in imports_of(file) if counts(other)]
    return content_hash(sorted(found.items()))


@cache
def bare_code(file: Path) -> str:
    """A Python file without comments, docstrings, blank lines and those that only tell; other files
    whole."""
    source = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        return source
    lines: list[str | None] = list(source.splitlines())
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            tells = token.string == ONLY_TELLS
            lines[row - 1] = None if tells else (lines[row - 1] or "")[:column]
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str()), end_lineno=int(end)):
                lines[node.lineno - 1 : end] = [None] * (end - node.lineno + 1)
            case _:
                pass
    return "\n".join(line.rstrip() for line in lines if line and line.strip())


def _below(name: str, parents: Sequence[str]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def _file(module: str) -> Path:
    """The file of a module, without importing the package."""
    if _below(module, (PACKAGE,)) and (own := _own_file(module)):
        return own
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module named {module!r}")
    return Path(spec.origin)


def _own_file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split(".")[1:])
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


@cache
def imports_of(file: Path) -> tuple[str, ...]:
    """Modules of this package imported anywhere in a file, except for type checking."""
    return tuple(_imported(ast.parse(file.read_text(encoding="utf-8"))))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import(names=names):
                yield from (one.name for one in names if _below(one.name, (PACKAGE,)))
            case ast.ImportFrom(module=str(module), names=names) if _below(module, (PACKAGE,)):
                for one in names:
                    whole = f"{module}.{one.name}"
                    yield whole if _own_file(whole) else module
            case _:
                yield from _imported(node)
