"""Export to a GGUF file, for llama.cpp and programs based on it.

    export(run, Path("v_final.gguf"), numbers="f16")

llama.cpp has a fixed list of architectures. v5 and v_final are exported as GPT-2; LSTM, GRU and
v_next's recurrence are not on the list. Of our tokenizers it supports SentencePiece BPE: pieces,
scores and bytes are stored unchanged, without a space prefix.

Differences of llama.cpp: a literal U+2581 is read as a space, and runs of more than 1,000
characters without a space are not split.

Numbers are `f32`, or `f16` for the matrices; norms, biases and positions stay f32.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.export.gpt2 import gpt2_weights
from escada.export.target import export_file
from escada.export.tokenizer import pieces_and_scores
from escada.extensions import needed
from escada.models import transformer
from escada.runs.checkpoint import Which
from escada.runs.run import Run
from escada.text.tokenizers.subwords import BYTE_0_ID, NEWLINE_ID, UNK_ID, SubwordTokenizer

Numbers = Literal["f32", "f16"]
NUMBERS: tuple[Numbers, ...] = ("f32", "f16")
TOLERANCE = {"f32": 2e-2, "f16": 5e-2}
"""llama.cpp computes GELU with a half-precision lookup table."""

_MAGIC = b"GGUF"
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6
"""Token types of the file format."""
_BLOCK_NAMES = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
"""Names of GPT-2's parts in transformers and in llama.cpp."""


def export(
    run: Run,
    out: Path,
    which: Which = "best",
    overwrite: bool = False,
    numbers: Numbers = "f32",
) -> Path:
    """Write the file and return `out`; see `forms`. `numbers` applies to the matrices.

    Raises:
        EscadaError: llama.cpp lacks the architecture or tokenizer, there is no checkpoint, the
            package gguf is not installed, or `out` exists.
    """
    model, tokenizer = run.load_model(which), run.tokenizer
    if not isinstance(model, transformer.Model):
        raise EscadaError(
            f"a model of this kind has no GGUF file: {type(model).__module__}",
            fix="see docs/exports.md for the rungs that have one",
        )
    if not isinstance(tokenizer, SubwordTokenizer) or tokenizer.kind != "bpe":
        raise EscadaError(
            f"a tokenizer of kind {tokenizer.kind!r} has no form in a GGUF file that gives the "
            "same ids",
            fix="only bpe has; use --to transformers or --to onnx",
        )
    gguf = needed("gguf", "export")
    with export_file(out, overwrite, _MAGIC) as path:
        writer = gguf.GGUFWriter(path, "gpt2")
        _write_model(writer, gguf, run, model, numbers)
        _write_tokenizer(writer, tokenizer)
        for name, value in gguf_tensors(model, numbers).items():
            writer.add_tensor(name, value)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return out


class GgufExport:
    """A file loaded by llama-cpp-python, with keys and values in f32: a `checks.Exported`."""

    def __init__(self, path: Path, context_tokens: int) -> None:
        llama_cpp = needed("llama_cpp", "export")
        f32 = 0  # ggml's type number
        self.llama: Any = llama_cpp.Llama(
            str(path),
            n_ctx=context_tokens,
            logits_all=True,
            verbose=False,
            type_k=f32,
            type_v=f32,
        )

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without BOS."""
        return self.llama.tokenize(text.encode("utf-8"), add_bos=False, special=False)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        return self.llama.detokenize(list(ids)).decode("utf-8", errors="replace")

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits after each id, (T, V)."""
        self.llama.reset()
        self.llama.eval(list(ids))
        return self.llama.scores[: len(ids)].copy()


def load(run: Run, path: Path) -> GgufExport:
    """Load the file with llama-cpp-python."""
    config = run.spec.model
    assert isinstance(config, transformer.Config)
    return GgufExport(path, config.context_tokens)


def gguf_tensors(model: transformer.Model, numbers: Numbers) -> dict[str, NDArray[Any]]:
    """The weights under llama.cpp's names; a matrix is (out, in), as in torch."""
    tensors: dict[str, NDArray[Any]] = {}
    for name, weight in gpt2_weights(model).items():
        if name == "lm_head.weight" and model.config.tie_embeddings:
            continue  # llama.cpp uses the embeddings
        ours = _name(name)
        matrix = weight.ndim == 2 and ours != "position_embd.weight"
        if matrix and ours.startswith("blk."):
            weight = weight.t()  # transformers' GPT-2 stores them transposed
        narrow = matrix and numbers == "f16"
        tensors[ours] = weight.contiguous().to(torch.float16 if narrow else torch.float32).numpy()
    return tensors


def _name(name: str) -> str:
    """Translate a weight's name from transformers to llama.cpp."""
    outer = {
        "transformer.wte.weight": "token_embd.weight",
        "transformer.wpe.weight": "position_embd.weight",
        "transformer.ln_f.weight": "output_norm.weight",
        "transformer.ln_f.bias": "output_norm.bias",
        "lm_head.weight": "output.weight",
    }
    if name in outer:
        return outer[name]
    _, _, layer, part = name.split(".", 3)
    inner, _, kind = part.rpartition(".")
    return f"blk.{layer}.{_BLOCK_NAMES[inner]}.{kind}"


def _write_model(
    writer: Any, gguf: Any, run: Run, model: transformer.Model, numbers: Numbers
) -> None:
    config = model.config
    writer.add_name(f"escada {run.spec.name} ({run.spec.preset})")
    writer.add_description(run.spec.about.title.en)
    writer.add_languages(["pt"])
    writer.add_string("escada.run_key", run.record.key)
    writer.add_string("escada.profile", run.spec.text.profile)
    file_type = gguf.LlamaFileType
    writer.add_file_type(file_type.MOSTLY_F16 if numbers == "f16" else file_type.ALL_F32)
    writer.add_context_length(config.context_tokens)
    writer.add_embedding_length(config.d_model)
    writer.add_feed_forward_length(config.d_ff)
    writer.add_block_count(config.n_layers)
    writer.add_head_count(config.n_heads)
    writer.add_layer_norm_eps(config.norm_epsilon)
    writer.add_vocab_size(model.vocab_size)


def _write_tokenizer(writer: Any, tokenizer: SubwordTokenizer) -> None:
    pieces, scores = pieces_and_scores(tokenizer)
    writer.add_tokenizer_model("llama")  # llama.cpp's name for SentencePiece BPE
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces)
    writer.add_token_scores(scores)
    writer.add_token_types([_type(token) for token in range(len(pieces))])
    writer.add_bos_token_id(tokenizer.bos_id)
    writer.add_eos_token_id(tokenizer.eos_id)
    writer.add_unk_token_id(UNK_ID)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _type(token: int) -> int:
    if token == UNK_ID:
        return _UNKNOWN
    if token < NEWLINE_ID:
        return _CONTROL
    if token == NEWLINE_ID:
        return _USER_DEFINED
    return _BYTE if BYTE_0_ID <= token < BYTE_0_ID + 256 else _NORMAL
