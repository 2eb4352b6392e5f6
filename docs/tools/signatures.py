"""The signatures and docstrings of the Python side, as Markdown.

They are read from the source, so nothing of escada (or torch) is imported.
"""

from __future__ import annotations

import functools
from pathlib import Path

import griffe

SHOWN = (
    *("load", "prepare", "train", "climb"),
    *("Ladder", "Comparison", "Run", "Inside", "Surprisal", "Rows"),
)
"""Functions and classes of escada.api, in this order."""
SECTIONS = {
    "en": ("Attributes", "Arguments", "Errors"),
    "pt-BR": ("Atributos", "Argumentos", "Erros"),
}
"""How the parts of a docstring are called on a page."""
PROPERTY = {"en": "property", "pt-BR": "propriedade"}
LINE_CHARACTERS = 100
"""A longer signature has a parameter per line."""


@functools.cache
def reference(source: Path, language: str) -> str:
    """A section for each function and class, and for each method and property.

    Args:
        source: the folder of the package.
        language: of the headings; docstrings are in English.
    """
    api = griffe.load("escada.api", search_paths=[str(source)], docstring_parser="google")
    parts: list[str] = []
    for name in SHOWN:
        found = _class_or_function(api, name)
        parts += described(found, f"escada.{name}" if found.is_function else name, 3, language)
        if found.is_class:
            for member in found.members.values():
                if not member.name.startswith("_") and member.docstring is not None:
                    parts += described(member, f"{name}.{member.name}", 4, language)
    return "\n\n".join(parts)


def _class_or_function(api: griffe.Object | griffe.Alias, name: str) -> griffe.Object:
    homes = [api, *api.modules.values()]
    found = next(home[name] for home in homes if name in home.members)
    return found.final_target if isinstance(found, griffe.Alias) else found


def described(
    found: griffe.Object | griffe.Alias, name: str, level: int, language: str
) -> list[str]:
    """Heading, signature and docstring of one object.

    Args:
        level: of the heading.
    """
    parts = [f"{'#' * level} `{name}` {{#{name}}}"]
    if isinstance(found, griffe.Function):
        parts.append(f"```python\n{signature(found)}\n```")
    elif isinstance(found, griffe.Attribute) and found.annotation is not None:
        parts.append(f"*{PROPERTY[language]}*: `{found.annotation}`")
    for section in found.docstring.parsed if found.docstring else ():
        parts.append(_written(section, language))
    return parts


def signature(function: griffe.Function) -> str:
    """The call as the source has it, without self; long ones on several lines."""
    written: list[str] = []
    starred = False
    for one in function.parameters:
        if one.name in ("self", "cls"):
            continue
        if one.kind is griffe.ParameterKind.keyword_only and not starred:
            written.append("*")
            starred = True
        star = {"variadic keyword": "**", "variadic positional": "*"}.get(str(one.kind.value), "")
        annotated = f"{star}{one.name}" + (f": {one.annotation}" if one.annotation else "")
        default = str(one.default).replace("'", '"')  # as the source quotes
        has_default = one.default is not None and not star
        written.append(f"{annotated} = {default}" if has_default else annotated)
    returned = f" -> {function.returns}" if function.returns else ""
    line = f"{function.name}({', '.join(written)}){returned}"
    if len(line) <= LINE_CHARACTERS:
        return line
    lines = "".join(f"    {one},\n" for one in written)
    return f"{function.name}(\n{lines}){returned}"


def _written(section: griffe.DocstringSection, language: str) -> str:
    attributes, arguments, errors = SECTIONS[language]
    if isinstance(section, griffe.DocstringSectionText):
        return section.value
    if isinstance(section, griffe.DocstringSectionRaises):
        return _list(errors, [(str(one.annotation), one.description) for one in section.value])
    if isinstance(section, griffe.DocstringSectionParameters):
        return _list(arguments, [(one.name, one.description) for one in section.value])
    if isinstance(section, griffe.DocstringSectionAttributes):
        return _list(attributes, [(one.name, one.description) for one in section.value])
    raise NotImplementedError(f"a docstring has a section of kind {section.kind.value}")


def _list(title: str, entries: list[tuple[str, str]]) -> str:
    lines = [f"- `{name}`: {' '.join(text.split())}" for name, text in entries]
    return f"**{title}**\n\n" + "\n".join(lines)
