"""Crash-safe checkpoints: weights, training state, and an index of the last and the best.

    checkpoints/
      step-00000120/   model.safetensors   training.safetensors   checkpoint.json (hashes, scalars)
      index.json       {"last": "step-00000120", "best": "step-00000100"}

Each folder is written atomically (temporary name, fsync, rename) and counts only once the index,
also replaced atomically, names it. So the index always names complete folders. No pickle: tensors
are safetensors, the rest is JSON.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn

from escada.errors import EscadaError
from escada.files import new_directory, sha256_file, write_sealed_json
from escada.models.contract import LanguageModel
from escada.runs.layout import RESTORE, read_whole
from escada.runs.sharded_tensors import fill, gathered, write_tensors
from escada.typed_json import JsonObject, parse

SCHEMA_VERSION = 1
Which = Literal["last", "best"]
T = TypeVar("T")

_MODEL, _TRAINING, _SCALARS, _INDEX = (
    "model.safetensors",
    "training.safetensors",
    "checkpoint.json",
    "index.json",
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that is needed to resume from a step; its tensors may be sharded, and are whole in files.

    Attributes:
        weights_sha256: of the file that the weights were read from; None before they are written.
        weights: parameters and buffers by name, tied ones once.
        training: tensors of the optimizer and the scaler.
        scalars: of the training, such as seconds and the best loss so far.
    """

    step: int
    spec_hash: str
    weights: Mapping[str, Tensor]
    training: Mapping[str, Tensor]
    scalars: Mapping[str, Any]
    weights_sha256: str | None = None


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, detached, each tied tensor once."""
    kept = set(model.state_dict())
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    return {name: tensor.detach() for name, tensor in named.items() if name in kept}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], where: object) -> None:
    """Copy `weights` into a model of the same shape, which may be sharded.

    Raises:
        EscadaError: names or shapes differ.
    """
    if isinstance(model, LanguageModel):
        model.make_room(weights)
    own = weights_of(model)
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in weights.items()}:
        raise EscadaError("the weights are of a model of another shape", where=where, fix=RESTORE)
    for name, tensor in own.items():
        fill(tensor, weights[name])


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, best: bool) -> None:
    """Write a checkpoint, make it the last (and the best), and delete those that are neither.

    Meanwhile the other processes of a training must `help_to_save` it.

    Raises:
        EscadaError: disk full or not writable; earlier checkpoints are kept.
    """
    index = read_index(folder) if has_checkpoint(folder) else {}
    name = _name(checkpoint.step)
    if name in index.values():
        help_to_save(checkpoint)
    else:
        survivor = index.get("last")
        shutil.rmtree(folder / name, ignore_errors=True)  # written, but never indexed
        consequence = (
            f"checkpoint {survivor} survives" if survivor else "no checkpoint was there yet"
        )
        with new_directory(folder / name, consequence) as new:
            hashes = {
                _MODEL: write_tensors(new / _MODEL, checkpoint.weights),
                _TRAINING: write_tensors(new / _TRAINING, checkpoint.training),
            }
            write_sealed_json(
                new / _SCALARS,
                {
                    "schema_version": SCHEMA_VERSION,
                    "step": checkpoint.step,
                    "spec_hash": checkpoint.spec_hash,
                    "sha256": hashes,
                    "facts": dict(checkpoint.scalars),
                },
            )
    index["last"] = name
    if best or "best" not in index:
        index["best"] = name
    write_sealed_json(folder / _INDEX, {"schema_version": SCHEMA_VERSION, **index})
    kept = set(index.values())
    for other in folder.iterdir():
        ours = other.name.lstrip(".").startswith("step-")
        if ours and other.is_dir() and other.name not in kept:
            shutil.rmtree(other)


def help_to_save(checkpoint: Checkpoint) -> None:
    """Take part in gathering the tensors that another process writes."""
    for tensors in (checkpoint.weights, checkpoint.training):
        for _ in gathered(tensors, keep=False):
            pass


def has_checkpoint(folder: Path) -> bool:
    """Whether any checkpoint was completed."""
    return (folder / _INDEX).exists() or bool(_whole(folder))


def _whole(folder: Path) -> list[str]:
    """The names of the complete checkpoints, by step."""
    return sorted(path.parent.name for path in folder.glob(f"step-*/{_SCALARS}"))


def read_index(folder: Path) -> dict[str, str]:
    """The names of the last and the best checkpoint; there must be one.

    Without an index (lost, or the process died before writing the first one) this is read from the
    checkpoints: the last one records the step of the best.
    """
    if (folder / _INDEX).exists():
        table = read_whole(folder / _INDEX, ("last", "best"))
        named = {which: str(table[which]) for which in ("last", "best")}
        for name in named.values():
            if not re.fullmatch(r"step-[0-9]{8,}", name):
                raise EscadaError(f"{name!r} is no checkpoint", where=folder / _INDEX, fix=RESTORE)
        return named
    names = _whole(folder)
    best = read_whole(folder / names[-1] / _SCALARS, ("facts",))["facts"].get("best_step") or None
    found = {"last": names[-1], "best": _name(best) if best else names[-1]}
    if found["best"] not in names:
        raise EscadaError(
            f"{_INDEX} is gone, and so is the best checkpoint, {found['best']}",
            where=folder,
            fix=RESTORE,
        )
    return found


def _name(step: int) -> str:
    return f"step-{step:08d}"


def checkpoint_path(folder: Path, which: Which) -> Path:
    """The folder of a checkpoint.

    Raises:
        EscadaError: no checkpoint yet, or it is missing.
    """
    if not has_checkpoint(folder):
        raise EscadaError("no checkpoint yet", where=folder, fix="train or resume the run first")
    path = folder / str(read_index(folder)[which])
    if not (path / _SCALARS).is_file():
        raise EscadaError("the checkpoint is missing", where=path, fix=RESTORE)
    return path


def load_checkpoint(
    folder: Path, which: Which, *, spec_hash: str, device: torch.device, training: bool = False
) -> Checkpoint:
    """Read a checkpoint; the training tensors only if `training`.

    If a running training replaces it meanwhile, the replacement is read.

    Raises:
        EscadaError: missing, damaged, or written with another spec.
    """
    load = partial(_load, spec_hash=spec_hash, device=device, training=training)
    return _of_present(folder, which, load)


def last_step(folder: Path) -> int:
    """The step of the last checkpoint; 0 if there is none yet.

    Raises:
        EscadaError: missing or damaged.
    """
    return (
        _of_present(folder, "last", lambda path: _scalars(path).step)
        if has_checkpoint(folder)
        else 0
    )


def weights_sha256(folder: Path, which: Which) -> str:
    """SHA-256 of a checkpoint's weights, as recorded when they were written.

    Raises:
        EscadaError: no checkpoint yet, missing or damaged.
    """
    return _of_present(folder, which, lambda path: _scalars(path).sha256[_MODEL])


def _of_present(folder: Path, which: Which, read: Callable[[Path], T]) -> T:
    """What `read` finds in a checkpoint, or in the one that replaces it meanwhile."""
    while True:
        index = read_index(folder) if has_checkpoint(folder) else {}
        try:
            return read(checkpoint_path(folder, which))
        except (EscadaError, FileNotFoundError):
            if not index or read_index(folder)[which] == index[which]:
                raise


class _Scalars(JsonObject):
    step: int
    spec_hash: str
    sha256: dict[str, str]
    facts: dict[str, Any]

    @field_validator("sha256")
    @classmethod
    def _of_both_files(cls, hashes: dict[str, str]) -> dict[str, str]:
        if missing := {_MODEL, _TRAINING} - set(hashes):
            raise ValueError(f"it has no {min(missing)}")
        return hashes


def _scalars(path: Path) -> _Scalars:
    """checkpoint.json of a checkpoint's folder."""
    file = path / _SCALARS
    return parse(_Scalars, read_whole(file, tuple(_Scalars.model_fields)), file)


def read_tensors(path: Path, sha256: str, device: torch.device) -> dict[str, Tensor]:
    """The tensors of a checkpoint's file.

    Raises:
        EscadaError: missing, or not the file of that hash.
    """
    if not path.exists() or sha256_file(path) != sha256:
        raise EscadaError("the checkpoint is damaged: another checksum", where=path, fix=RESTORE)
    try:
        return load_file(path, device=str(device))
    except SafetensorError as error:
        raise EscadaError(f"not a safetensors file: {error}", where=path, fix=RESTORE) from error


def _load(path: Path, *, spec_hash: str, device: torch.device, training: bool) -> Checkpoint:
    scalars = _scalars(path)
    if scalars.spec_hash != spec_hash:
        raise EscadaError(
            "the checkpoint belongs to another spec",
            where=path,
            fix="the spec was changed after the training began; restore it or start a new run",
        )
    loaded: dict[str, dict[str, Tensor]] = {}
    for file in (_MODEL, _TRAINING) if training else (_MODEL,):
        loaded[file] = read_tensors(path / file, scalars.sha256[file], device)
    return Checkpoint(
        step=scalars.step,
        spec_hash=scalars.spec_hash,
        weights=loaded[_MODEL],
        training=loaded.get(_TRAINING, {}),
        scalars=scalars.facts,
        weights_sha256=scalars.sha256[_MODEL],
    )
