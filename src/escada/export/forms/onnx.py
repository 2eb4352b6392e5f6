"""Export to an ONNX graph, for ONNX Runtime and others.

    export(run, Path("v4-onnx"))

    model.onnx  config.json                        the graph and a description of its inputs
    tokenizer.json  tokenizer_config.json          as in the folder for transformers
    README.md  escada.json

    Transformer    ids (B, T)                      -> logits (B, T, V)
    recurrent      ids (B, T), state (2, L, B, H)  -> logits (B, T, V), next_state (2, L, B, H)
    modern         ids (B, T), last_ids (B, N), taps (M, B, K, D), h (L, B, D)
                                                   -> logits (B, T, V), next_last_ids, …

B and T are dynamic. A Transformer's T is at most its context, and there is no cache. A recurrent
state is h, then c (zero for a GRU); a modern one is that of `remote.network_escada`. config.json
has the shape and the first value of each part of a state.

torch's older exporter is used: the newer one (torch 2.13, onnxscript 0.7.2) fixes the length to
that of the example where one LSTM follows another.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from escada.errors import EscadaError
from escada.export.card import expected_text, export_card
from escada.export.remote.network_escada import NO_ID, Mixer, ModernNetwork, recurrence
from escada.export.target import export_folder
from escada.export.tokenizer import write_tokenizer
from escada.extensions import needed
from escada.files import read_json, write_json, write_text
from escada.models import modern, recurrent, transformer
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Which
from escada.runs.run import Run
from escada.typed_json import JsonObject, parse

SCHEMA_VERSION = 2
TOLERANCE = 5e-4
"""ONNX Runtime approximates the gate functions of LSTMs."""
GRAPH = "model.onnx"
OPSET = 18
_USING = """\
```python
import json

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.encode_special_tokens = True  # "<s>" in a text is three characters
config = json.load(open("config.json"))
graph = onnxruntime.InferenceSession("model.onnx")
ids = np.array([tokenizer.encode("Era uma vez").ids])
{read}
```

{what} {text}
"""
_READ_FROM_START = """\
logits, = graph.run(None, {"ids": ids})"""
_READ_FROM_STATE = """\
inputs = {"ids": ids}
for part in config["state"]:  # as it is before the first token; null: the number of texts
    shape = [len(ids) if size is None else size for size in part["shape"]]
    inputs[part["name"]] = np.full(shape, part["first"], part["dtype"])
logits, *state = graph.run(None, inputs)"""


class StateInput(JsonObject):
    """A part of the state, an input of the graph and, as `next_NAME`, an output.

    Attributes:
        shape: None stands for the number of rows.
        first: what all of it is before the first token.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: Literal["float32", "int64"] = "float32"
    first: int = 0

    def fresh(self, rows: int) -> NDArray[Any]:
        """The state of so many rows before their first token."""
        shape = [rows if size is None else size for size in self.shape]
        return np.full(shape, self.first, self.dtype)


class FromState(nn.Module):
    """A recurrent model with its state as an input and an output."""

    def __init__(self, model: recurrent.Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V) and the state after the last token, (2, L, B, H)."""
        held = recurrent.RecurrentState(state[0], state[1])
        logits = self.model.advance(ids, held)
        return logits, torch.stack((held.h_LBH, held.c_LBH))


def export(run: Run, out: Path, which: Which = "best", overwrite: bool = False) -> Path:
    """Write the folder and return `out`; see `forms`.

    Raises:
        EscadaError: the kind of model has no graph, there is no checkpoint, a package is not
            installed, or `out` exists.
    """
    needed("onnx", "export")
    model, tokenizer = run.load_model(which), run.tokenizer
    module, state = _module_and_state(model)
    config: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "kind": run.spec.model.kind,
        "vocab_size": model.vocab_size,
        "context_tokens": model.context_tokens,
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "state": [part.model_dump() for part in state],
    }
    read, what = (
        _READ_FROM_START,
        (
            "The graph computes all of a text at each call, and at most "
            f"{model.context_tokens} tokens of it."
        ),
    )
    if state:
        read = _READ_FROM_STATE
        what = "The state that comes back stands for all that was read: give it with the next ids."
    using = _USING.format(read=read, what=what, text=expected_text(run.spec.text.profile))
    with export_folder(out, overwrite, run=run, which=which, form="onnx") as folder:
        _write_graph(module, state, folder / GRAPH)
        write_json(folder / "config.json", config)
        write_tokenizer(folder, tokenizer, model.context_tokens)
        write_text(folder / "README.md", export_card(run, which, "onnx", using))
    return out


class OnnxExport:
    """A folder loaded by ONNX Runtime and the tokenizers library: a `checks.Exported`."""

    def __init__(self, folder: Path) -> None:
        runtime = needed("onnxruntime", "export")
        tokenizers = needed("tokenizers", "export")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session: Any = runtime.InferenceSession(
            folder / GRAPH, options, providers=["CPUExecutionProvider"]
        )
        config = read_json(folder / "config.json")
        self.state = [parse(StateInput, part, folder / "config.json") for part in config["state"]]
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        self.tokenizer: Any = tokenizers.Tokenizer.from_str(text)
        self.tokenizer.encode_special_tokens = True  # "<s>" in a text stays three characters

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without BOS."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        return self.tokenizer.decode(list(ids))

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits after each id, (T, V)."""
        return self.read(np.array([list(ids)], dtype=np.int64))[0][0]

    def read(
        self, ids_BT: NDArray[np.int64], state: Sequence[NDArray[Any]] | None = None
    ) -> tuple[NDArray[np.float32], list[NDArray[Any]]]:
        """Logits (B, T, V) and the next state; state None: that before the first token."""
        if state is None:
            state = [part.fresh(len(ids_BT)) for part in self.state]
        inputs = {part.name: value for part, value in zip(self.state, state, strict=True)}
        logits, *state = self.session.run(None, {"ids": ids_BT, **inputs})
        return logits, state


def load(run: Run, path: Path) -> OnnxExport:
    """Load the folder with ONNX Runtime."""
    return OnnxExport(path)


def _module_and_state(model: LanguageModel) -> tuple[nn.Module, list[StateInput]]:
    """What is written as a graph, and the parts of the state that it reads and returns."""
    if isinstance(model, transformer.Model):
        return model, []
    if isinstance(model, recurrent.Model):
        shape = (2, model.config.n_layers, None, model.config.d_hidden)
        return FromState(model), [StateInput(name="state", shape=shape)]
    if isinstance(model, modern.Model):
        network = ModernNetwork(model.vocab_size, **model.config.shape())
        network.load_state_dict(model.state_dict())
        L, D = model.config.n_layers, model.config.d_model
        taps = (2 * L, None, network.convolution_back, D)
        return network, [
            StateInput(name="last_ids", shape=(None, network.ids_back), dtype="int64", first=NO_ID),
            StateInput(name="taps", shape=taps),
            StateInput(name="h", shape=(L, None, D)),
        ]
    raise EscadaError(
        f"a model of this kind has no ONNX graph: {type(model).__module__}",
        fix="see docs/exports.md for the rungs that have one",
    )


def _write_graph(module: nn.Module, state: Sequence[StateInput], path: Path) -> None:
    """Write the module's graph, including its weights."""
    # Not length 1, for which an LSTM takes another code path.
    ids = torch.zeros(2, 3, dtype=torch.int64)
    names = [part.name for part in state]
    free = {"ids": {0: "batch", 1: "tokens"}, "logits": {0: "batch", 1: "tokens"}}
    for part in state:
        free[part.name] = free[f"next_{part.name}"] = {part.shape.index(None): "batch"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's warnings about its own code
        for part in module.modules():
            if isinstance(part, Mixer):  # its loop stays a loop, for any number of tokens
                part.recurrence = torch.jit.script(recurrence)
        torch.onnx.export(
            module.eval(),
            (ids, *(torch.from_numpy(part.fresh(len(ids))) for part in state)),
            path,
            input_names=["ids", *names],
            output_names=["logits", *(f"next_{name}" for name in names)],
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )
