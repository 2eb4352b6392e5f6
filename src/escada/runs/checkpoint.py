"""Crash-safe checkpoints: weights, training state, and an index of the last and the best.

    checkpoints/
      step-00000120/   model.safetensors   training.safetensors   checkpoint.json (hashes, scalars)
      index.json       {"last": "step-00000120", "best": "step-00000100"}

Each folder is written atomically (temporary name, fsync, rename) and counts only once the index,
also replaced atomically, names it. So the index always names complete folders. No pickle: tensors
are safetensors, the rest is JSON.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn

from escada.errors import EscadaError
from escada.files import new_directory, sha256_file, write_sealed_json
from escada.models.contract import LanguageModel
from escada.runs.layout import RESTORE, read_whole
from escada.runs.sharded_tensors import fill

SCHEMA_VERSION = 1
Which = Literal["last", "best"]

_MODEL, _TRAINING, _SCALARS, _INDEX = (
    "model.safetensors",
    "training.safetensors",
    "checkpoint.json",
    "index.json",
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that is needed to resume from a step.

    Attributes:
        weights: parameters and buffers by name, tied ones once.
        training: tensors of the optimizer and the scaler.
        scalars: of the training, such as seconds and the best loss so far.
    """

    step: int
    spec_hash: str
    weights: Mapping[str, Tensor]
    training: Mapping[str, Tensor]
    scalars: Mapping[str, Any]


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

    Raises:
        EscadaError: disk full or not writable; earlier checkpoints are kept.
    """
    index = _read_index(folder) if has_checkpoint(folder) else {}
    name = _name(checkpoint.step)
    if name not in index.values():
        survivor = index.get("last")
        shutil.rmtree(folder / name, ignore_errors=True)  # written, but never indexed
        consequence = (
            f"checkpoint {survivor} survives" if survivor else "no checkpoint was there yet"
        )
        with new_directory(folder / name, consequence) as new:
            _write(new / _MODEL, checkpoint.weights)
            _write(new / _TRAINING, checkpoint.training)
            write_sealed_json(
                new / _SCALARS,
                {
                    "schema_version": SCHEMA_VERSION,
                    "step": checkpoint.step,
                    "spec_hash": checkpoint.spec_hash,
                    "sha256": {file: sha256_file(new / file) for file in (_MODEL, _TRAINING)},
                    "facts": dict(checkpoint.scalars),
                },
            )
    index["last"] = name
    if best or "best" not in index:
        index["best"] = name
    write_sealed_json(folder / _INDEX, {"schema_version": SCHEMA_VERSION, **index})
    kept = set(index.values())
    for other in folder.iterdir():
        if other.is_dir() and other.name not in kept:
            shutil.rmtree(other)


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    # Serialised in memory first: safetensors' own file writer hides the errno of a full disk.
    path.write_bytes(save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}))


def has_checkpoint(folder: Path) -> bool:
    """Whether any checkpoint was completed."""
    return (folder / _INDEX).exists() or bool(_whole(folder))


def _whole(folder: Path) -> list[str]:
    """The names of the complete checkpoints, by step."""
    return sorted(path.parent.name for path in folder.glob(f"step-*/{_SCALARS}"))


def _read_index(folder: Path) -> dict[str, str]:
    """Which checkpoint is the last and which the best.

    Without an index (lost, or the process died before writing the first one) this is read from the
    checkpoints: the last one records the step of the best.
    """
    if (folder / _INDEX).exists():
        table = read_whole(folder / _INDEX, ("last", "best"))
        return {which: str(table[which]) for which in ("last", "best")}
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
    path = folder / str(_read_index(folder)[which])
    if not (path / _SCALARS).is_file():
        raise EscadaError("the checkpoint is missing", where=path, fix=RESTORE)
    return path


def load_checkpoint(
    folder: Path, which: Which, *, spec_hash: str, device: torch.device, training: bool = False
) -> Checkpoint:
    """Read a checkpoint; the training tensors only if `training`.

    If a running training replaces it meanwhile, its replacement is read.

    Raises:
        EscadaError: missing, damaged, or written with another spec.
    """
    while True:
        index = _read_index(folder) if has_checkpoint(folder) else {}
        try:
            path = checkpoint_path(folder, which)
            return _load(path, spec_hash=spec_hash, device=device, training=training)
        except (EscadaError, FileNotFoundError):
            if not index or _read_index(folder)[which] == index[which]:
                raise


def _load(path: Path, *, spec_hash: str, device: torch.device, training: bool) -> Checkpoint:
    table = read_whole(path / _SCALARS, ("step", "spec_hash", "sha256", "facts"))
    if table["spec_hash"] != spec_hash:
        raise EscadaError(
            "the checkpoint belongs to another spec",
            where=path,
            fix="the spec was changed after the training began; restore it or start a new run",
        )
    loaded: dict[str, dict[str, Tensor]] = {}
    for file in (_MODEL, _TRAINING) if training else (_MODEL,):
        if not (path / file).exists() or sha256_file(path / file) != table["sha256"][file]:
            raise EscadaError(
                "the checkpoint is damaged: another checksum", where=path / file, fix=RESTORE
            )
        try:
            loaded[file] = load_file(path / file, device=str(device))
        except SafetensorError as error:
            raise EscadaError(
                f"not a safetensors file: {error}", where=path / file, fix=RESTORE
            ) from error
    return Checkpoint(
        step=int(table["step"]),
        spec_hash=str(table["spec_hash"]),
        weights=loaded[_MODEL],
        training=loaded.get(_TRAINING, {}),
        scalars=table["facts"],
    )
