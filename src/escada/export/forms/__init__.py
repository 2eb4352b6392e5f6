"""The export forms.

A form is one module, in this folder or importable by dotted name. It defines

    export(run, out, which, overwrite)    write it; with NUMBERS, `numbers` is a fifth parameter
    load(run, path)                       load it with its library: a `checks.Exported`
    TOLERANCE                             maximum logit difference due to rounding
    NUMBERS                               number formats of the matrices, the default first

`out` is a folder or file written atomically, `which` a checkpoint of the run, and `overwrite`
allows replacing an earlier export. Only `export` is required; without `load` and `TOLERANCE` a form
cannot be checked. A model's module lists the forms of this folder that support it (`EXPORTS`), and
may say why another does not (`NOT_EXPORTED`).
"""

from __future__ import annotations

from pathlib import Path

from escada.errors import EscadaError, nearest
from escada.extensions import ExtensionPoint
from escada.runs.checkpoint import Which
from escada.runs.run import Run
from escada.spec import MODELS

FORMS = ExtensionPoint("escada.export.forms", "form", offers=("export",), where="--to")


def export_run(
    run: Run,
    out: Path,
    *,
    to: str,
    which: Which = "best",
    numbers: str = "f32",
    overwrite: bool = False,
) -> None:
    """Export a run in the form `to`.

    Raises:
        EscadaError: an unknown form, one that does not support the model's kind, or an error of the
            form's own function.
    """
    form = FORMS.load(to)
    known: tuple[str, ...] = getattr(form, "NUMBERS", ())
    if known and numbers not in known:
        raise EscadaError(f"unknown --numbers {numbers!r}", fix=nearest(numbers, known))
    if not known and numbers != "f32":
        raise EscadaError(f"--numbers {numbers} is for gguf", fix="leave it out")
    if FORMS.is_ours(to):
        _check_fits(run, to)
    form.export(run, out, which, overwrite, *([numbers] if known else []))


def _check_fits(run: Run, to: str) -> None:
    """Check the `EXPORTS` of the model's module."""
    kind = run.spec.model.kind
    module = MODELS.load(kind)
    exports: tuple[str, ...] = getattr(module, "EXPORTS", ())
    reasons: dict[str, str] = getattr(module, "NOT_EXPORTED", {})
    if to not in exports:
        why = reasons.get(to, f"a {kind} model has no such form")
        what = f"{run.spec.name} cannot be exported to {to}: {why}"
        fix = f"it has: {', '.join(exports)}" if exports else "its kind has none"
        raise EscadaError(what, where=f"model kind {kind}", fix=fix)
