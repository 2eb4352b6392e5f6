"""Extension points: a module in the right folder, or any importable module.

    OFFERS = ("Config", "Model")
    MODELS = ExtensionPoint("escada.models", "model kind", offers=OFFERS, where="model.kind")
    MODELS.load("transformer")      # escada/models/transformer.py
    MODELS.load("my_models.bigram") # beside the spec file, or elsewhere on the path

A module of the package is recognised by the names that it defines (`offers`), without registration;
it takes precedence over one on the path.

Importing a module runs its code. A name that the user gave (an option, a spec file) is imported;
one that is read in the folder of a run or of a tokenizer is refused unless the user gave it too, or
trusts all of them (`--trust-code`): see SECURITY.md.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from escada.errors import EscadaError, nearest

ROOT = Path(__file__).parent


class UntrustedError(EscadaError):
    """A module from outside the package that the user did not name."""


class _Trust:
    """Which modules from outside the package this process may import."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.all: Callable[[str], None] | None = None
        """Called with a note when a module is imported because all are trusted."""

    def check(self, name: str, where: str) -> None:
        if name in self.names:
            return
        if self.all is None:
            raise UntrustedError(
                f"{where} {name!r} is code from outside escada",
                fix="read that code first, then repeat with --trust-code, which runs it",
            )
        self.names.add(name)
        self.all(f"running code from outside escada: {where} {name!r} (--trust-code)")


_TRUST = _Trust()


def trust(*names: str) -> None:
    """Let modules be imported that the user named, whatever file names them later."""
    _TRUST.names.update(names)


def trust_all(note: Callable[[str], None] | None) -> None:
    """Let every module be imported that a folder names, with a note of each; None: no longer."""
    _TRUST.all = note


def trusts_all() -> bool:
    """Whether `trust_all` is on."""
    return _TRUST.all is not None


def trusted() -> tuple[str, ...]:
    """The modules that may be imported, for `trust` in a process of one's own."""
    return tuple(sorted(_TRUST.names))


@dataclass(frozen=True)
class ExtensionPoint:
    """An extension point.

    Attributes:
        package: the package with escada's own modules.
        what: noun for one of them, in errors.
        offers: names that a module must define.
        where: the key or option that selects one.
        page: the docs page with an example.
        in_folders: whether files of runs and tokenizers name such modules, too.
    """

    package: str
    what: str
    offers: tuple[str, ...]
    where: str
    page: str = "docs/extending.md"
    in_folders: bool = False

    def names(self) -> tuple[str, ...]:
        """Names of the modules that come with escada."""
        return _names(self.package, self.offers)

    def is_ours(self, name: str) -> bool:
        """Whether the module comes with escada."""
        return name in self.names()

    def is_there(self, name: str) -> bool:
        """Whether the module exists; only its parent packages are imported."""
        if not all(part.isidentifier() for part in name.split(".")):
            return False
        try:
            return importlib.util.find_spec(self.module_name(name)) is not None
        except ModuleNotFoundError:
            return False

    def module_name(self, name: str) -> str:
        """The dotted name of the module, which is not imported."""
        return f"{self.package}.{name}" if self.is_ours(name) else name

    def load(self, name: str) -> ModuleType:
        """Import the module.

        Raises:
            UntrustedError: it is not the package's, and nobody said that its code may run.
            EscadaError: no such module, not Python, or it lacks one of `offers`.
        """
        if not all(part.isidentifier() for part in name.split(".")):
            raise self._unknown(name)
        if self.in_folders and not self.is_ours(name):
            _TRUST.check(name, self.where)
        try:
            module = importlib.import_module(self.module_name(name))
        except SyntaxError as error:
            raise EscadaError(
                f"the file of the {self.what} is not Python: {error.msg}",
                where=f"{error.filename}:{error.lineno}",
                fix="correct it",
            ) from error
        except ModuleNotFoundError as error:
            if not f"{name}.".startswith(f"{error.name}."):
                raise
            raise self._unknown(name) from error
        for needed in self.offers:
            if not hasattr(module, needed):
                near = nearest(name, self.names())
                raise EscadaError(
                    f"module {self.module_name(name)} offers no {needed}",
                    where=self.where,
                    fix=near if "?" in near else f"{self.page} says what a {self.what} holds",
                )
        return module

    def _unknown(self, name: str) -> EscadaError:
        if "." in name:
            what = f"no module {name!r} for the {self.what}"
            fix = "put it beside the spec file, or its folder on the path: PYTHONPATH=FOLDER"
            return EscadaError(what, where=self.where, fix=f"{fix} escada …")
        fix = nearest(name, self.names())
        fix += "" if "?" in fix else ", or a module on the path: PYTHONPATH=FOLDER escada …"
        return EscadaError(f"unknown {self.what} {name!r}", where=self.where, fix=fix)

    def file(self, name: str) -> Path | None:
        """The file of an external module; None for one that comes with escada."""
        if self.is_ours(name):
            return None
        file = self.load(name).__file__
        return None if file is None else Path(file)

    def folder(self, name: str) -> Path | None:
        """The folder that an external module was imported from; else None."""
        file = self.file(name)
        if file is None:
            return None
        return file.resolve().parents[name.count(".") + (file.name == "__init__.py")]


def needed(name: str, extra: str, otherwise: str = "") -> Any:
    """Import an optional package; the EscadaError if it is missing names its extra."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        fix = f"pip install 'escada[{extra}]'" + (f", or {otherwise}" if otherwise else "")
        raise EscadaError(f"{error.name} is not installed", fix=fix) from error


def add_folder(folder: Path) -> None:
    """Append a folder to the module search path."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@cache
def _names(package: str, offers: tuple[str, ...]) -> tuple[str, ...]:
    """Modules of a package whose source defines all of `offers`, without importing any."""
    folder = ROOT.joinpath(*package.split(".")[1:])
    return tuple(
        file.stem
        for file in sorted(folder.glob("[!_]*.py"))
        if set(offers) <= set(_defined(ast.parse(file.read_text(encoding="utf-8"))))
    )


def _defined(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.ImportFrom(names=names):
                yield from (one.asname or one.name for one in names)
            case ast.Assign(targets=targets):
                yield from (one.id for one in targets if isinstance(one, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case _:
                pass
