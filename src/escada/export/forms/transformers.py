"""Export to a folder for Hugging Face transformers.

    export(run, Path("v_final-hf"))
    AutoModelForCausalLM.from_pretrained("v_final-hf")

    model.safetensors  config.json  generation_config.json    weights and configuration
    tokenizer.json  tokenizer_config.json                     the same ids as ours
    README.md                                                 the run's card, with usage
    escada.json                                               the run and checkpoint exported
    {configuration,modeling,network}_escada.py                code, but for v5 and v_final

v5 and v_final load as transformers' own GPT-2 (`escada.export.gpt2`), v5 with its sinusoidal table
in place of learned positions. v1 to v4 and v_next have no equivalent in transformers; they bring
their own code and need `trust_remote_code=True`.

Writing the folder does not need transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

from escada.errors import EscadaError
from escada.export.card import expected_text, export_card
from escada.export.gpt2 import gpt2_config, gpt2_weights
from escada.export.target import export_folder
from escada.export.tokenizer import write_tokenizer
from escada.extensions import needed
from escada.files import write_bytes, write_json, write_text
from escada.generation.batch import never_chosen
from escada.generation.samplers import SamplerSettings
from escada.models import modern, recurrent, transformer
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Which
from escada.runs.run import Run
from escada.text.tokenizers import Tokenizer

TOLERANCE = 1e-4
REMOTE_FILES = ("configuration_escada.py", "network_escada.py", "modeling_escada.py")
_USING = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # where this file lies
model = AutoModelForCausalLM.from_pretrained(folder{trust})
tokenizer = AutoTokenizer.from_pretrained(folder{trust})
prompt = tokenizer("Era uma vez", return_tensors="pt")
text = model.generate(**prompt, max_new_tokens=60)
print(tokenizer.decode(text[0], skip_special_tokens=True))
```

{what}

{text}
"""
_OWN_CODE = (
    "transformers has no class for this model, so the folder brings three small files, "
    "`configuration_escada.py`, `network_escada.py` and `modeling_escada.py`. "
    "`trust_remote_code=True` runs them: read them first. `generate()` carries the model's state "
    "from token to token."
)
_GPT2 = (
    "It is a GPT-2 to transformers: no code but the library's own is run. It reads at most {} "
    "tokens, prompt and continuation together."
)


def export(run: Run, out: Path, which: Which = "best", overwrite: bool = False) -> Path:
    """Write the folder and return `out`; see `forms`.

    Raises:
        EscadaError: there is no checkpoint, `out` exists, or the kind of model is not supported.
    """
    model, tokenizer = run.load_model(which), run.tokenizer
    config, weights = _config_and_weights(model)
    ids = {"bos_token_id": tokenizer.bos_id, "eos_token_id": tokenizer.eos_id}
    config |= {"vocab_size": model.vocab_size, "dtype": "float32", **ids}
    own_code = "auto_map" in config
    using = _USING.format(
        trust=", trust_remote_code=True" if own_code else "",
        what=_OWN_CODE if own_code else _GPT2.format(model.context_tokens),
        text=expected_text(run.spec.text.profile),
    )
    with export_folder(out, overwrite, run=run, which=which, form="transformers") as folder:
        # Serialised in memory, since safetensors' file writer hides the errno of a full disk.
        write_bytes(folder / "model.safetensors", save(weights, metadata={"format": "pt"}))
        write_json(folder / "config.json", config)
        write_json(folder / "generation_config.json", _generation_config(tokenizer))
        write_tokenizer(folder, tokenizer, model.context_tokens)
        if own_code:
            for name in REMOTE_FILES:
                source = resources.files("escada.export") / "remote" / name
                write_bytes(folder / name, source.read_bytes())
        write_text(folder / "README.md", export_card(run, which, "transformers", using))
    return out


class HubExport:
    """A folder loaded by transformers: a `checks.Exported`."""

    def __init__(self, folder: Path) -> None:
        transformers = needed("transformers", "export")
        own_code = (folder / REMOTE_FILES[-1]).exists()
        options = {"local_files_only": True, "trust_remote_code": own_code}
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, **options)
        self.model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, **options)

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without BOS."""
        # No warning: a sentence that is only encoded may exceed the model's context.
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        return self.tokenizer.decode(list(ids))

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits after each id, (T, V)."""
        with torch.no_grad():
            return self.model(torch.tensor([list(ids)])).logits[0].numpy()


def load(run: Run, path: Path) -> HubExport:
    """Load the folder with transformers."""
    return HubExport(path)


def _config_and_weights(model: LanguageModel) -> tuple[dict[str, object], dict[str, Tensor]]:
    """The model's `config.json`, and its weights under transformers' names."""
    if isinstance(model, transformer.Model):
        weights = gpt2_weights(model)
        if model.config.tie_embeddings:
            del weights["lm_head.weight"]  # transformers ties it again
        return gpt2_config(model), weights
    if isinstance(model, recurrent.Model):
        config, prefix = _recurrent_config(model), ""
    elif isinstance(model, modern.Model):
        config = _own_code("modern") | model.config.shape()
        prefix = "network."
    else:
        raise EscadaError(
            f"a model of this kind has no form for transformers: {type(model).__module__}",
            fix="see docs/exports.md for the rungs that have one",
        )
    return config, {
        prefix + name: parameter.detach().clone().contiguous()
        for name, parameter in model.named_parameters()  # lists tied ones once
    }


def _own_code(kind: str) -> dict[str, object]:
    """The part of `config.json` that names the classes of the folder."""
    name = f"Escada{kind.capitalize()}"
    return {
        "architectures": [f"{name}ForCausalLM"],
        "model_type": f"escada_{kind}",
        "auto_map": {
            "AutoConfig": f"configuration_escada.{name}Config",
            "AutoModelForCausalLM": f"modeling_escada.{name}ForCausalLM",
        },
    }


def _recurrent_config(model: recurrent.Model) -> dict[str, object]:
    names = {"cell", "n_layers", "d_embedding", "d_hidden", "layer_norm", "residual", "dropout"}
    return _own_code("recurrent") | {
        **model.config.model_dump(include=names),
        "tie_word_embeddings": model.config.tie_embeddings,
        "input_scale": model.input_scale,
    }


def _generation_config(tokenizer: Tokenizer) -> dict[str, object]:
    """Sampling defaults of `escada sample`; special tokens are never drawn."""
    settings = SamplerSettings()
    return {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.eos_id,
        "suppress_tokens": sorted(never_chosen(tokenizer)),
        "do_sample": True,
        "temperature": settings.temperature,
        "top_k": 0,
        "top_p": settings.top_p,
    }
