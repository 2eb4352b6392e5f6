"""Writes exports atomically, replacing only earlier exports."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Generator
from pathlib import Path

from escada.errors import EscadaError
from escada.files import disk_errors, make_directory, new_directory, read_json, write_json
from escada.runs.checkpoint import Which
from escada.runs.run import Run

SCHEMA_VERSION = 1
MARK = "escada.json"
"""Describes the export, in every exported folder."""


@contextlib.contextmanager
def export_folder(
    path: Path, overwrite: bool, *, run: Run, which: Which, form: str
) -> Generator[Path]:
    """Build a folder, with its `escada.json`, under a temporary name and rename it to `path`.

    Raises:
        EscadaError: `path` exists and `overwrite` is not set, or it is not an export.
    """
    old = None
    if path.exists():
        if not overwrite:
            raise _exists(path)
        if not (path / MARK).is_file() or "exported" not in read_json(path / MARK):
            raise _no_export(path)
        old = path.with_name(f".{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
    staged = path.with_name(f".{path.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        with new_directory(staged) as folder:
            yield folder
            mark = {
                "schema_version": SCHEMA_VERSION,
                "exported": form,
                "run": run.name,
                "key": run.record.key,
                "spec_hash": run.spec.hash,
                "weights": which,
                "weights_sha256": run.weights_sha256(which),
                "tokenizer": run.tokenizer.hash,
                "profile": run.spec.text.profile,
            }
            write_json(folder / MARK, mark)
        if old is not None:
            path.rename(old)
        staged.rename(path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    if old is not None:
        shutil.rmtree(old)


@contextlib.contextmanager
def export_file(path: Path, overwrite: bool, begins: bytes) -> Generator[Path]:
    """A temporary file next to `path`, renamed to it on success.

    Files that do not start with `begins`, the magic bytes of the form, are never replaced.

    Raises:
        EscadaError: `path` exists and `overwrite` is not set, or it is not an export, or the disk
            is full.
    """
    if path.exists():
        if not overwrite:
            raise _exists(path)
        if not path.is_file():
            raise _no_export(path)
        with path.open("rb") as file:
            if file.read(len(begins)) != begins:
                raise _no_export(path)
    make_directory(path.parent)
    temporary = path.with_name(f".{path.name}.tmp")
    with disk_errors(path):
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _no_export(path: Path) -> EscadaError:
    return EscadaError(
        "this is no export, so it is not overwritten", where=path, fix="choose another name"
    )


def _exists(path: Path) -> EscadaError:
    return EscadaError("it exists already", where=path, fix="choose another, or add --overwrite")
