"""Separates the code of an external model file that decides the weights from that for decoding.

    deciding_code(source)       # part of the key of a training

A model file also implements decoding (`fresh_state`, `advance`, the state class, `last_logits`).
Fixing that changes no weight and must not cause retraining, so code used only by those methods is
left out, as are comments and docstrings. All other code counts, used or not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

MODEL = "Model"
DECODING = ("fresh_state", "advance", "last_logits")
"""Methods that training does not call, unless `forward` does."""


def deciding_code(source: str) -> str:
    """The part of a model file that decides the weights, in canonical form.

    Raises:
        SyntaxError: not valid Python.
    """
    tree = _without_docstrings(ast.parse(source))
    parts = _parts(tree)
    for name in _only_decoding(parts):
        node, body = parts[name]
        body.remove(node)
    return ast.unparse(tree)


_Part = tuple[ast.stmt, list[ast.stmt]]
"""A function, a class or a method of the model, and the list of statements it is in."""


def _parts(tree: ast.Module) -> dict[str, _Part]:
    """Parts by name; names defined twice are left out and always count."""
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
    """Names of the parts that only decoding reaches."""
    used = {name: _names(node) & parts.keys() for name, (node, _) in parts.items()}
    decoding = _reached([name for name in DECODING if name in parts], used)
    known = {id(node) for node, _ in parts.values()}
    loose = [  # not the model class, whose methods are parts of their own
        node
        for _, body in parts.values()
        for node in body
        if id(node) not in known and not (isinstance(node, ast.ClassDef) and node.name == MODEL)
    ]
    roots = set(parts) - decoding
    for node in loose:
        roots |= _names(node) & parts.keys()
    return decoding - _reached(roots, used)


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
    """Every name that a piece of code may refer to, strings included."""
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
