"""The forms that a run can be exported to.

One file is one form, of this folder or anywhere on the path. It offers

    export(run, out, which, overwrite)    writes it; where there are NUMBERS, they come fifth
    load(run, path)                       reads it with its library: a `checks.Exported`
    TOLERANCE                             the largest difference of a logit that is rounding
    NUMBERS                               what numbers the matrices may have, the usual first

`out` is a folder or a file that appears whole or not at all, `which` of the run's checkpoints is
written, `overwrite` says whether an older export that lies there is replaced. Only `export` must be
there: without `load` and `TOLERANCE` a form cannot be checked. A model's
file says which of this folder's forms its kind has (`EXPORTS`).
"""

from __future__ import annotations

from pathlib import Path

from escada.errors import EscadaError, nearest
from escada.extensions import Place
from escada.runs.checkpoint import Which
from escada.runs.run import Run
from escada.spec import MODELS

FORMS = Place("escada.export.forms", "form", offers=("export",), where="--to")


def export_run(
    run: Run,
    out: Path,
    *,
    to: str,
    which: Which = "best",
    numbers: str = "f32",
    overwrite: bool = False,
) -> None:
    """Write a run in the form `to`.

    Raises:
        EscadaError: an unknown name, a form that the model's kind does not have, or what the form's
            own function raises.
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
    """Go by what the model's own file states, so that no other model is exported in its name."""
    kind = run.spec.model.kind
    exports: tuple[str, ...] = getattr(MODELS.load(kind), "EXPORTS", ())
    if to not in exports:
        what = f"{run.spec.name} cannot be exported to {to}: a {kind} model has no such form"
        fix = f"it has: {', '.join(exports)}" if exports else "its kind has none"
        raise EscadaError(what, where=f"model kind {kind}", fix=fix)
