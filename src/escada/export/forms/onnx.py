"""A run as an ONNX graph, for ONNX Runtime and whatever else reads the format.

    export_onnx(run, Path("v4-onnx"))

    model.onnx  config.json                        the graph, and what its inputs are
    tokenizer.json  tokenizer_config.json          as in the folder for transformers
    README.md  escada.json

    Transformer    ids (B, T)                      -> logits (B, T, V)
    recurrent      ids (B, T), state (2, L, B, H)  -> logits (B, T, V), next_state (2, L, B, H)

B and T are free; a Transformer's T is at most its context, and it computes all of a text at each
call. A recurrent model goes on from its state: zeros before the first token. h comes first in it,
then c, which a GRU leaves at zero.

torch has two exporters. The newer one (torch 2.13, onnxscript 0.7.2) takes the length of its
example for the length of every text where one LSTM follows another; the older one does not.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from escada.errors import EscadaError
from escada.export.forms.transformers import export_mark
from escada.export.hub_card import onnx_card
from escada.export.hub_tokenizer import hub_tokenizer, hub_tokenizer_config
from escada.export.target import MARK, export_folder, needed
from escada.files import write_json, write_text
from escada.models import recurrent, transformer
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Which
from escada.runs.run import Run

SCHEMA_VERSION = 1
GRAPH = "model.onnx"
OPSET = 17


class FromStart(nn.Module):
    """A Transformer as the graph has it: all of a text at once."""

    def __init__(self, model: transformer.Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (B, T, V)."""
        return self.model(ids)


class FromState(nn.Module):
    """A recurrent model as the graph has it: from a state to the next."""

    def __init__(self, model: recurrent.Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V) and the state after the last token, (2, L, B, H)."""
        held = recurrent.RecurrentState(state[0], state[1])
        logits = self.model.advance(ids, held)
        return logits, torch.stack((held.h_LBH, held.c_LBH))


def export(run: Run, out: Path, which: Which, overwrite: bool) -> None:
    """See `export_onnx`."""
    export_onnx(run, out, which=which, overwrite=overwrite)


def export_onnx(run: Run, out: Path, *, which: Which = "best", overwrite: bool = False) -> Path:
    """Write the folder.

    Args:
        run: with a checkpoint.
        out: the folder; made whole or not at all.
        which: of the run's checkpoints.
        overwrite: replace an older export that lies there.

    Returns:
        `out`.

    Raises:
        EscadaError: a kind of model without a graph, no checkpoint, a package is missing, or
            something lies there.
    """
    needed("onnx", "export")
    model, tokenizer = run.load_model(which), run.tokenizer
    with export_folder(out, overwrite) as folder:
        write_graph(model, folder / GRAPH)
        write_json(folder / "config.json", _facts(model, run))
        write_json(folder / "tokenizer.json", hub_tokenizer(tokenizer))
        write_json(
            folder / "tokenizer_config.json", hub_tokenizer_config(tokenizer, model.context_tokens)
        )
        write_text(folder / "README.md", onnx_card(run, which, state=model.context_tokens is None))
        write_json(folder / MARK, export_mark(run, which, "onnx"))
    return out


def write_graph(model: LanguageModel, path: Path) -> None:
    """The model's graph, with its weights inside.

    Raises:
        EscadaError: a kind of model that has none.
    """
    # No length of 1: a step of one token has its own code in an LSTM.
    ids = torch.zeros(2, 3, dtype=torch.int64)
    free = {"ids": {0: "batch", 1: "tokens"}, "logits": {0: "batch", 1: "tokens"}}
    if isinstance(model, transformer.Model):
        module, examples, names = FromStart(model), (ids,), (["ids"], ["logits"])
    elif isinstance(model, recurrent.Model):
        config = model.config
        state = torch.zeros(2, config.n_layers, len(ids), config.d_hidden)
        module, examples = FromState(model), (ids, state)
        names = (["ids", "state"], ["logits", "next_state"])
        free |= {"state": {2: "batch"}, "next_state": {2: "batch"}}
    else:
        raise EscadaError(
            f"a model of this kind has no ONNX graph: {type(model).__module__}",
            fix="v1 to v_final have one; v_next is not exported yet",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own parts
        torch.onnx.export(
            module.eval(),
            examples,
            path,
            input_names=names[0],
            output_names=names[1],
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )


def _facts(model: LanguageModel, run: Run) -> dict[str, Any]:
    """What a program that runs the graph must know."""
    tokenizer = run.tokenizer
    facts: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": run.spec.model.kind,
        "vocab_size": model.vocab_size,
        "context_tokens": model.context_tokens,
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
    }
    if isinstance(model, recurrent.Model):
        facts["state_layers"], facts["state_width"] = model.config.n_layers, model.config.d_hidden
    return facts
