"""`escada export`: a run in the form of another library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from escada.cli.shared import options
from escada.errors import counted
from escada.terminal import echo, echo_json

if TYPE_CHECKING:
    from escada.export.checks import Parity


def export(
    run: options.RunFolder,
    out: Annotated[
        Path, typer.Argument(help="The folder (transformers, onnx) or file (gguf) to write.")
    ],
    to: Annotated[
        str, typer.Option("--to", help="transformers, gguf or onnx, or a module on the path.")
    ],
    which: Annotated[Literal["best", "last"], typer.Option(help="The run's checkpoint.")] = "best",
    numbers: Annotated[
        Literal["f32", "f16"], typer.Option(help="With gguf; f16: files of half the size.")
    ] = "f32",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an older export that lies there.")
    ] = False,
    data: options.RunData = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Load it with its library; compare ids, texts and logits with ours."
        ),
    ] = False,
    json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Write a run for Hugging Face transformers, llama.cpp (GGUF) or ONNX Runtime."""
    from escada.export.checks import check_export, checkable
    from escada.export.forms import export_run
    from escada.runs.corpus import corpus_of
    from escada.runs.run import open_run

    opened = open_run(run)
    if data is not None:
        corpus_of(opened, data)  # which notes the place for the check
    if check:
        checkable(to)
    export_run(opened, out, to=to, which=which, numbers=numbers, overwrite=overwrite)
    found: dict[str, object] = {
        "schema_version": 1,
        "form": f"gguf-{numbers}" if to == "gguf" else to,
        "path": str(out),
        "bytes": sum(file.stat().st_size for file in [out, *out.rglob("*")] if file.is_file()),
    }
    parity = None
    if check:
        parity = check_export(opened, to, out, numbers=numbers, which=which)
        found["check"] = parity.to_json()
    if json:
        echo_json(found)
    else:
        echo(out)
        if parity is not None:
            _show(parity)
        echo(f"next: {_next_step(to, out)}", err=True)
    if parity is not None and not parity.ok:
        raise typer.Exit(1)


def _next_step(to: str, out: Path) -> str:
    """How to use what was written."""
    if to == "gguf":
        return f'llama-cli -m {out} -p "Era uma vez"   (llama.cpp)'
    if to not in ("transformers", "onnx"):
        return f"{out} is in the form that {to} writes"
    if to == "onnx":
        return f"{out / 'README.md'} has the lines for ONNX Runtime"
    own_code = (out / "modeling_escada.py").exists()
    arguments = f"{str(out)!r}" + (", trust_remote_code=True" if own_code else "")
    return (
        f"in Python, transformers.AutoModelForCausalLM.from_pretrained({arguments}) and "
        f"AutoTokenizer.from_pretrained({arguments})"
    )


def _show(parity: Parity) -> None:
    rows = {
        "ids": f"{parity.same_ids:,} of {parity.sentences:,} sentences the same",
        "texts": f"{parity.same_texts:,} of {parity.sentences:,} sentences the same",
        "logits": (
            f"largest difference {parity.largest_difference:.2g} in {parity.tokens:,} tokens of "
            f"{counted(parity.documents, 'document')}; at most {parity.tolerance:g} is allowed"
        ),
        "greedy": f"{parity.same_greedy} of {parity.greedy_prompts} continuations the same",
        "verdict": "the same" if parity.ok else "NOT the same",
    }
    for name, value in rows.items():
        echo(f"{name:8} {value}")
