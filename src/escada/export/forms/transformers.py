"""A run as a folder that Hugging Face transformers loads.

    export_hub(run, Path("v_final-hf"))
    AutoModelForCausalLM.from_pretrained("v_final-hf")

    model.safetensors  config.json  generation_config.json    the weights and what they are
    tokenizer.json  tokenizer_config.json                     the same ids as ours
    README.md                                                 the run's card, with how to load this
    escada.json                                               which run and which weights
    configuration_escada.py  modeling_escada.py               recurrent runs only

v5 and v_final are a GPT-2 (`escada.export.gpt2`), so transformers' own class loads them; v5's
sinusoidal table lies where GPT-2's learned positions do. v1 to v4 bring their own code, since
transformers has no recurrent model of this form, and are loaded with `trust_remote_code=True`.

transformers itself is not needed to write the folder.
"""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors.torch import save  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

from escada.errors import EscadaError
from escada.evaluation.task import weights_hash
from escada.export.gpt2 import gpt2_config, gpt2_weights
from escada.export.hub_card import hub_card
from escada.export.hub_tokenizer import hub_tokenizer, hub_tokenizer_config
from escada.export.target import MARK, export_folder
from escada.files import write_bytes, write_json, write_text
from escada.generation.samplers import SamplerSettings
from escada.models import recurrent, transformer
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Which
from escada.runs.run import Run
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 1
REMOTE_FILES = ("configuration_escada.py", "modeling_escada.py")


def export(run: Run, out: Path, which: Which, overwrite: bool) -> None:
    """See `export_hub`."""
    export_hub(run, out, which=which, overwrite=overwrite)


def export_hub(run: Run, out: Path, *, which: Which = "best", overwrite: bool = False) -> Path:
    """Write the folder.

    Args:
        run: with a checkpoint.
        out: the folder; made whole or not at all.
        which: of the run's checkpoints.
        overwrite: replace an older export that lies there.

    Returns:
        `out`.

    Raises:
        EscadaError: no checkpoint, something lies there, or no form for this kind of model.
    """
    model, tokenizer = run.load_model(which), run.tokenizer
    config, weights = hub_model(model, tokenizer)
    with export_folder(out, overwrite) as folder:
        # Serialised in memory first: safetensors' own file writer hides the errno of a full disk.
        write_bytes(folder / "model.safetensors", save(weights, metadata={"format": "pt"}))
        write_json(folder / "config.json", config)
        write_json(folder / "generation_config.json", _generation_config(tokenizer))
        write_json(folder / "tokenizer.json", hub_tokenizer(tokenizer))
        write_json(
            folder / "tokenizer_config.json", hub_tokenizer_config(tokenizer, model.context_tokens)
        )
        if "auto_map" in config:
            copy_remote_files(folder)
        write_text(folder / "README.md", hub_card(run, which, native="auto_map" not in config))
        write_json(folder / MARK, export_mark(run, which, "transformers"))
    return out


def hub_model(
    model: LanguageModel, tokenizer: Tokenizer
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The content of `config.json`, and the weights under transformers' names.

    Raises:
        EscadaError: a kind of model that neither a class of transformers nor ours computes.
    """
    if isinstance(model, transformer.Model):
        config, weights = gpt2_config(model), gpt2_weights(model)
        if model.config.tie_embeddings:
            del weights["lm_head.weight"]  # one matrix in one place; transformers ties it again
    elif isinstance(model, recurrent.Model):
        config, weights = _recurrent_config(model), _recurrent_weights(model)
    else:
        raise EscadaError(
            f"a model of this kind has no form for transformers: {type(model).__module__}",
            fix="v1 to v_final have one; v_next is not exported yet",
        )
    ids = {"bos_token_id": tokenizer.bos_id, "eos_token_id": tokenizer.eos_id}
    return config | {"vocab_size": model.vocab_size, "dtype": "float32", **ids}, weights


def copy_remote_files(folder: Path) -> None:
    """The code that a recurrent export brings along."""
    source = resources.files("escada.export") / "remote"
    for name in REMOTE_FILES:
        with resources.as_file(source / name) as path:
            shutil.copyfile(path, folder / name)


def export_mark(run: Run, which: Which, form: str) -> dict[str, Any]:
    """What an export says of its origin."""
    return {
        "schema_version": SCHEMA_VERSION,
        "exported": form,
        "run": run.name,
        "key": run.record["key"],
        "spec_hash": run.spec.hash,
        "weights": which,
        "weights_sha256": weights_hash(run, which),
        "tokenizer": run.tokenizer.hash,
        "profile": run.spec.text.profile,
    }


def _recurrent_config(model: recurrent.Model) -> dict[str, Any]:
    config = model.config
    return {
        "architectures": ["EscadaRecurrentForCausalLM"],
        "model_type": "escada_recurrent",
        "auto_map": {
            "AutoConfig": "configuration_escada.EscadaRecurrentConfig",
            "AutoModelForCausalLM": "modeling_escada.EscadaRecurrentForCausalLM",
        },
        "cell": config.cell,
        "n_layers": config.n_layers,
        "d_embedding": config.d_embedding,
        "d_hidden": config.d_hidden,
        "layer_norm": config.layer_norm,
        "residual": config.residual,
        "tie_word_embeddings": config.tie_embeddings,
        "input_scale": model.input_scale,
        "dropout": config.dropout,
    }


def _recurrent_weights(model: recurrent.Model) -> dict[str, Tensor]:
    """Ours by name; a tied output matrix is left out."""
    return {
        name: parameter.detach().clone().contiguous()
        for name, parameter in model.named_parameters()  # tied ones once
    }


def _generation_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """Sampling as `escada sample` does it by default: what is no text is never drawn."""
    settings = SamplerSettings()
    never = [tokenizer.bos_id] + ([] if tokenizer.unk_id is None else [tokenizer.unk_id])
    return {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.eos_id,
        "suppress_tokens": sorted(never),
        "do_sample": True,
        "temperature": settings.temperature,
        "top_k": 0,
        "top_p": settings.top_p,
    }
