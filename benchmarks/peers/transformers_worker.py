"""transformers' GPT-2 (training steps, generate) and tiktoken.

Runs in the environment that `make bench-env` makes for it. The training loop is the plain one:
forward with labels, backward, clip to 1, AdamW (fused), zero the gradients. Sizes and dropout come
from our spec, so that both sides compute the same model.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import torch
import transformers
from protocol import Job, serve
from transformers import GPT2Config, GPT2LMHeadModel

WARMUP_STEPS = 2
BYTES = 256


def gpt2(model: dict, vocab_size: int, attention: str) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=model["context_tokens"],
        n_embd=model["d_model"],
        n_head=model["n_heads"],
        n_inner=model["d_ff"],
        n_layer=model["n_layers"],
        resid_pdrop=model["dropout"],
        embd_pdrop=model["dropout"],
        attn_pdrop=model["attention_dropout"],
        bos_token_id=1,
        eos_token_id=None,
        attn_implementation=attention,
    )
    return GPT2LMHeadModel(config)


def versions() -> str:
    return f"transformers {transformers.__version__}, torch {torch.__version__}"


def train(
    *,
    model: dict,
    optimizer: dict,
    vocab_size: int,
    window_tokens: int,
    batch_sequences: int,
    precision: str,
    attention: str,
) -> Job:
    network = gpt2(model, vocab_size, attention).train()
    network.config.use_cache = False
    adamw = torch.optim.AdamW(
        network.parameters(),
        lr=optimizer["learning_rate"],
        betas=optimizer["betas"],
        weight_decay=optimizer["weight_decay"],
        fused=True,
    )
    ids_BT = torch.randint(vocab_size, (batch_sequences, window_tokens))
    facts = {
        "peer": versions(),
        "precision": precision,
        "attention": attention,
        "parameters": network.num_parameters(),
    }

    def step() -> dict[str, float]:
        bf16 = precision == "bf16"
        with torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext():
            loss = network(input_ids=ids_BT, labels=ids_BT).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), optimizer["clip_norm"])
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        facts["loss"] = loss.item()
        return {"steps": 1, "tokens": ids_BT.numel()}

    for _ in range(WARMUP_STEPS):
        step()
    return Job(step, facts)


def generate(
    *,
    model: dict,
    vocab_size: int,
    rows: int,
    prompt_tokens: int,
    new_tokens: int,
    precision: str = "fp32",
    sampler: dict,
) -> Job:
    network = gpt2(model, vocab_size, "sdpa").eval()
    if precision == "bf16":
        network = network.to(torch.bfloat16)
    prompts_BT = torch.randint(3, vocab_size, (rows, prompt_tokens))
    facts = {"peer": versions(), "precision": precision, "sampler": sampler}

    @torch.inference_mode()
    def write() -> dict[str, float]:
        out_BT = network.generate(
            prompts_BT,
            attention_mask=torch.ones_like(prompts_BT),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            pad_token_id=0,
            use_cache=True,
            **sampler,
        )
        return {"tokens": (out_BT.shape[1] - prompt_tokens) * rows}

    return Job(write, facts)


def tiktoken_bpe(*, texts_path: str, vocab_size: int, threads: int) -> Job:
    """tiktoken with byte-level merges of the same number, learned by `tokenizers` on our text."""
    import tiktoken
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers

    texts: list[str] = json.loads(Path(texts_path).read_text(encoding="utf-8"))
    trained = tokenizers.Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False
    )
    trained.train_from_iterator(texts, trainer)
    byte_of = _byte_of_letter()
    pieces = sorted(trained.get_vocab().items(), key=lambda piece: piece[1])
    ranks = {bytes(byte_of[letter] for letter in piece): rank for piece, rank in pieces}
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    encoding = tiktoken.Encoding("same", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    n_bytes = sum(len(text.encode()) for text in texts)
    facts = {"peer": f"tiktoken {tiktoken.__version__}", "merges": len(ranks) - BYTES}

    def encode() -> dict[str, float]:
        encoded = encoding.encode_ordinary_batch(texts, num_threads=threads)
        facts["tokens"] = sum(len(ids) for ids in encoded)
        return {"bytes": n_bytes}

    encode()
    return Job(encode, facts)


def _byte_of_letter() -> dict[str, int]:
    """The byte that each letter of the byte-level alphabet stands for (GPT-2's table).

    Printable Latin-1 bytes stand for themselves; the others, in order, for the letters from 256.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(BYTES) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(BYTES + n): byte for n, byte in enumerate(hidden)}


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    serve({"train": train, "generate": generate, "tiktoken": tiktoken_bpe})
