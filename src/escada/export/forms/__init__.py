"""The forms that a run can be exported to.

One file is one form, of this folder or anywhere on the path: `export(run, out, which, overwrite)`
writes it. A model's file says which of this folder's forms its kind has (`EXPORTS`).
"""

from __future__ import annotations

from pathlib import Path

from escada.errors import EscadaError, nearest
from escada.extensions import Place
from escada.runs.run import Run
from escada.spec import MODELS

FORMS = Place("escada.export.forms", "form", offers=("export",), where="--to")


def export_run(
    run: Run,
    out: Path,
    *,
    to: str,
    which: str = "best",
    numbers: str = "f32",
    overwrite: bool = False,
) -> str:
    """Write a run in the form `to`.

    Returns:
        The form as `escada.export.checks` knows it: `transformers`, `onnx`, `gguf-f32`, `gguf-f16`,
        or the name of a module from outside the package.

    Raises:
        EscadaError: an unknown name, a form that the model's kind does not have, or what the form's
            own function raises.
    """
    form = FORMS.load(to)
    for name, value, known in (
        ("checkpoint", which, ("best", "last")),
        ("--numbers", numbers, ("f32", "f16")),
    ):
        if value not in known:
            raise EscadaError(f"unknown {name} {value!r}", fix=nearest(value, known))
    if numbers != "f32" and to != "gguf":
        raise EscadaError(f"--numbers {numbers} is for gguf", fix="leave it out")
    if FORMS.is_ours(to):
        _check_fits(run, to)
    if to == "gguf":
        form.export(run, out, which, overwrite, numbers)
        return f"gguf-{numbers}"
    form.export(run, out, which, overwrite)
    return to


def _check_fits(run: Run, to: str) -> None:
    """Go by what the model's own file states, so that no other model is exported in its name."""
    kind = run.spec.model.kind
    exports: tuple[str, ...] = getattr(MODELS.load(kind), "EXPORTS", ())
    if to not in exports:
        what = f"{run.spec.name} cannot be exported to {to}: a {kind} model has no such form"
        fix = f"it has: {', '.join(exports)}" if exports else "its kind has none"
        raise EscadaError(what, where=f"model kind {kind}", fix=fix)
