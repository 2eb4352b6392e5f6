"""Export to an ONNX graph, for ONNX Runtime and others.

    export(run, Path("v4-onnx"))

    model.onnx  config.json                        the graph and a description of its inputs
    tokenizer.json  tokenizer_config.json          as in the folder for transformers
    README.md  escada.json

    Transformer    ids (B, T)                      -> logits (B, T, V)
    recurrent      ids (B, T), state (2, L, B, H)  -> logits (B, T, V), next_state (2, L, B, H)

B and T are dynamic. A Transformer's T is at most its context, and there is no cache. A recurrent
state is h, then c (zero for a GRU); it starts at zero.

torch's older exporter is used: the newer one (torch 2.13, onnxscript 0.7.2) fixes the length to
that of the example where one LSTM follows another.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from escada.errors import EscadaError
from escada.export.card import expected_text, export_card
from escada.export.target import export_folder
from escada.export.tokenizer import write_tokenizer
from escada.extensions import needed
from escada.files import read_json, write_json, write_text
from escada.models import recurrent, transformer
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Which
from escada.runs.run import Run

SCHEMA_VERSION = 1
TOLERANCE = 5e-4
"""ONNX Runtime approximates the gate functions of LSTMs."""
GRAPH = "model.onnx"
OPSET = 17
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
zeros = np.zeros((2, config["state_layers"], 1, config["state_width"]), np.float32)
logits, state = graph.run(None, {"ids": ids, "state": zeros})"""


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
    config: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "kind": run.spec.model.kind,
        "vocab_size": model.vocab_size,
        "context_tokens": model.context_tokens,
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
    }
    read, what = (
        _READ_FROM_START,
        (
            "The graph computes all of a text at each call, and at most "
            f"{model.context_tokens} tokens of it."
        ),
    )
    if isinstance(model, recurrent.Model):
        config |= {"state_layers": model.config.n_layers, "state_width": model.config.d_hidden}
        read = _READ_FROM_STATE
        what = "The state that comes back stands for all that was read: give it with the next ids."
    using = _USING.format(read=read, what=what, text=expected_text(run.spec.text.profile))
    with export_folder(out, overwrite, run=run, which=which, form="onnx") as folder:
        _write_graph(model, folder / GRAPH)
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
        self.config = read_json(folder / "config.json")
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
        return self.read(np.array([list(ids)], dtype=np.int64), None)[0][0]

    def read(
        self, ids_BT: NDArray[np.int64], state: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Logits (B, T, V) and the next state (recurrent models); state None: zeros."""
        inputs: dict[str, NDArray[Any]] = {"ids": ids_BT}
        if self.config["context_tokens"] is None:
            if state is None:
                layers, width = self.config["state_layers"], self.config["state_width"]
                state = np.zeros((2, layers, len(ids_BT), width), dtype=np.float32)
            inputs["state"] = state
        logits, *states = self.session.run(None, inputs)
        return logits, states[0] if states else None


def load(run: Run, path: Path) -> OnnxExport:
    """Load the folder with ONNX Runtime."""
    return OnnxExport(path)


def _write_graph(model: LanguageModel, path: Path) -> None:
    """Write the model's graph, including its weights."""
    # Not length 1, for which an LSTM takes another code path.
    ids = torch.zeros(2, 3, dtype=torch.int64)
    free = {"ids": {0: "batch", 1: "tokens"}, "logits": {0: "batch", 1: "tokens"}}
    if isinstance(model, transformer.Model):
        module, examples, names = model, (ids,), (["ids"], ["logits"])
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
        warnings.simplefilter("ignore")  # torch's warnings about its own code
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
