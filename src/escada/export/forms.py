"""The forms by name, as the command line has them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from escada.errors import EscadaError, nearest
from escada.export.gguf_file import Numbers
from escada.runs.checkpoint import Which
from escada.runs.run import Run

FORMS = ("transformers", "gguf", "onnx")


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
        The form as `escada.export.checks` knows it: `transformers`, `onnx`, `gguf-f32`, `gguf-f16`.

    Raises:
        EscadaError: an unknown name, or what the form's own function raises.
    """
    for name, value, known in (
        ("form", to, FORMS),
        ("checkpoint", which, ("best", "last")),
        ("--numbers", numbers, ("f32", "f16")),
    ):
        if value not in known:
            raise EscadaError(f"unknown {name} {value!r}", fix=nearest(value, known))
    if numbers != "f32" and to != "gguf":
        raise EscadaError(f"--numbers {numbers} is for gguf", fix="leave it out")
    chosen = cast(Which, which)
    if to == "gguf":
        from escada.export.gguf_file import export_gguf

        export_gguf(run, out, which=chosen, numbers=cast(Numbers, numbers), overwrite=overwrite)
        return f"gguf-{numbers}"
    if to == "onnx":
        from escada.export.onnx_file import export_onnx

        export_onnx(run, out, which=chosen, overwrite=overwrite)
    else:
        from escada.export.hub import export_hub

        export_hub(run, out, which=chosen, overwrite=overwrite)
    return to
