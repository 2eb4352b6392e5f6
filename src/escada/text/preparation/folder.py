"""The folder of a prepared corpus: whose it is, and how one corpus takes another's place there."""

from __future__ import annotations

import shutil
from pathlib import Path

from escada.choices import SPLITS
from escada.errors import EscadaError
from escada.files import disk_errors, fsync_directory, read_json
from escada.text.corpus import MANIFEST
from escada.text.manifest import KIND

FRESH = ".fresh"
"""Where the new corpus is made."""
_OWN_FILES = frozenset({MANIFEST, "tokens", *(f"{split}.parquet" for split in SPLITS)})


def is_made(folder: Path, key: str) -> bool:
    """Whether the folder holds the corpus with this key; raises if it holds something else."""
    if not folder.exists() or (folder / FRESH / MANIFEST).exists():
        return False
    if not folder.is_dir():
        raise EscadaError("not a folder", where=folder, fix="choose another --out")
    found = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    manifest = read_json(folder / MANIFEST) if MANIFEST in found else {}
    if found and (manifest.get("kind") != KIND or not found <= _OWN_FILES):
        raise EscadaError(
            "the folder holds something else than a prepared corpus; nothing was overwritten",
            where=folder,
            fix="choose another --out, or empty it",
        )
    return manifest.get("key") == key


def finish_exchange(folder: Path) -> None:
    """Move a complete fresh corpus into place, or finish a move that was interrupted: the manifest
    is removed first and moved last, so a half-moved corpus has none."""
    fresh = folder / FRESH
    if not (fresh / MANIFEST).exists():
        return
    with disk_errors(folder):
        (folder / MANIFEST).unlink(missing_ok=True)
        if (folder / "tokens").exists():
            shutil.rmtree(folder / "tokens")
        for name in (*(f"{split}.parquet" for split in SPLITS), MANIFEST):
            if (fresh / name).exists():
                (fresh / name).replace(folder / name)
        fsync_directory(folder)
        shutil.rmtree(fresh)
