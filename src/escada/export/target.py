"""Where an export goes: a folder or a file that appears whole, and replaces only its own kind."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any

from escada.errors import EscadaError
from escada.files import disk_errors, make_directory, new_directory, read_json

MARK = "escada.json"
"""In every folder that this house exports: what it is of."""


@contextlib.contextmanager
def export_folder(path: Path, overwrite: bool) -> Generator[Path]:
    """Build a folder under a temporary name; it appears at `path` whole, or not at all.

    Raises:
        EscadaError: something is there and `overwrite` is not set, or what is there is no export.
    """
    old = None
    if path.exists():
        _check_replaceable(path, overwrite)
        old = path.with_name(f".{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
    staged = path.with_name(f".{path.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        with new_directory(staged) as folder:
            yield folder
        if old is not None:
            path.rename(old)
        staged.rename(path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    if old is not None:
        shutil.rmtree(old)


@contextlib.contextmanager
def export_file(path: Path, overwrite: bool, begins: bytes) -> Generator[Path]:
    """A temporary file beside `path`, which it replaces when all went well.

    Args:
        path: the file.
        overwrite: replace one that lies there.
        begins: how a file of this form begins; no other is replaced.

    Raises:
        EscadaError: something is there and `overwrite` is not set, or what is there is no export,
            or the disk is full.
    """
    if path.exists():
        if not overwrite:
            raise _exists(path)
        if not path.is_file() or not _begins(path, begins):
            raise _no_export(path)
    make_directory(path.parent)
    temporary = path.with_name(f".{path.name}.tmp")
    with disk_errors(path):
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def needed(name: str, extra: str) -> Any:
    """An optional package.

    Raises:
        EscadaError: it is not installed; names the extra that installs it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise EscadaError(
            f"{error.name} is not installed", fix=f"pip install 'escada[{extra}]'"
        ) from error


def _check_replaceable(path: Path, overwrite: bool) -> None:
    if not overwrite:
        raise _exists(path)
    if not path.is_dir() or not (path / MARK).exists() or "exported" not in read_json(path / MARK):
        raise _no_export(path)


def _begins(path: Path, wanted: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(wanted)) == wanted


def _no_export(path: Path) -> EscadaError:
    return EscadaError(
        "this is no export, so it is not overwritten", where=path, fix="choose another name"
    )


def _exists(path: Path) -> EscadaError:
    return EscadaError("it exists already", where=path, fix="choose another, or add --overwrite")
