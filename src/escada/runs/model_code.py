"""Which code of a model file from elsewhere decides the weights, and which only decodes.

    deciding_code(source)       # what goes into the key of a training

A model file also says how a trained model reads on and writes (`fresh_state`, `advance`, the state
between them, `last_logits`). Correcting that changes no weight, so it must not train the rung
again. What only those methods use is left out, and so are comments and docstrings; everything else
counts, whether it is used or not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

MODEL = "Model"
DECODING = ("fresh_state", "advance", "last_logits")
"""Methods that a training does not call, unless `forward` does."""


def deciding_code(source: str) -> str:
    """The part of a model file that decides the weights, in a canonical form.

    Raises:
        SyntaxError: it is not Python.
    """
    tree = _without_docstrings(ast.parse(source))
    parts = _parts(tree)
    for name in _only_decoding(parts):
        node, body = parts[name]
        body.remove(node)
    return ast.unparse(tree)


_Part = tuple[ast.stmt, list[ast.stmt]]
"""A function, a class or a method of the model, and the list that it stands in."""


def _parts(tree: ast.Module) -> dict[str, _Part]:
    """By name; of two with one name neither is told apart from the rest of the file."""
    bodies = [tree.body]
    bodies += [n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == MODEL]
    found: dict[str, _Part] = {}
    twice: set[str] = {MODEL}
    for body in bodies:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                if node.name in found:
                    twice.add(node.name)
                found[node.name] = (node, body)
    return {name: part for name, part in found.items() if name not in twice}


def _only_decoding(parts: Mapping[str, _Part]) -> set[str]:
    """Names of the parts that decoding reaches and nothing else does."""
    used = {name: _names(node) & parts.keys() for name, (node, _) in parts.items()}
    decoding = _reached([name for name in DECODING if name in parts], used)
    known = {id(node) for node, _ in parts.values()}
    loose = [
        node
        for _, body in parts.values()
        for node in body
        if id(node) not in known and not _is_model(node)
    ]
    roots = set(parts) - decoding
    for node in loose:
        roots |= _names(node) & parts.keys()
    return decoding - _reached(roots, used)


def _is_model(node: ast.stmt) -> bool:
    """The model's own methods are parts, each for itself."""
    return isinstance(node, ast.ClassDef) and node.name == MODEL


def _reached(roots: Iterable[str], used: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += used[name]
    return reached


def _names(tree: ast.AST) -> set[str]:
    """Every name that a piece of code could mean something by."""
    nodes = list(ast.walk(tree))
    return (
        {node.id for node in nodes if isinstance(node, ast.Name)}
        | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        | {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    )


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body[:1]:
                case [ast.Expr(value=ast.Constant(value=str()))]:
                    node.body[:1] = [] if len(node.body) > 1 else [ast.Pass()]
                case _:
                    pass
    return tree
