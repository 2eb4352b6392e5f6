"""Text from a model: prompts in, samples out, with the decoding state kept from token to token.

    samples = generate(model, tokenizer, ["Era uma vez"], SamplerSettings(), n=3,
    profile="reference")

Nothing is read twice, with one exception that the policy below names. Rows of a batch may have
prompts of any length: those of one length are read together, then all decode as one batch, and a
row leaves it at EOS. Each row draws from a random stream of its own, so what it writes does not
depend on its batch (beyond the rounding of a matrix product).

**When the context is full** the older half is dropped and decoding goes on from the rest. So the
context of the token after n tokens is `tokens[context_start(n, W):n]`, between W // 2 + 1 and W
tokens once n exceeds W. Dropping changes what every later layer saw, so the kept half is read
again, into a fresh state: once in W - W // 2 tokens. The ruler cuts documents by the same function.

    B  rows     T  tokens     V  vocabulary     W  context_tokens
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from escada.errors import EscadaError
from escada.generation.inference import exact_inference, tokens_at_once, weights_device
from escada.generation.samplers import SamplerSettings, sample
from escada.models.contract import DecodingState, LanguageModel
from escada.text.cleaning import clean_prompt
from escada.text.tokenizers import Tokenizer


def context_start(n_tokens: int, context_tokens: int | None) -> int:
    """Where the context of the next token begins, after `n_tokens` of a text (BOS included).

    0 up to a full context W; beyond it, the older half is dropped as often as needed:
    ceil((n - W) / (W - W // 2)) * (W - W // 2). None, for a model whose state carries any length:
    0.
    """
    if context_tokens is None or n_tokens <= context_tokens:
        return 0
    dropped = context_tokens - context_tokens // 2
    return -(-(n_tokens - context_tokens) // dropped) * dropped


class Decoder:
    """Rows of tokens, the state that holds their contexts, and the logits of each row's next token.

    Args:
        model: in evaluation mode, without gradients (`exact_inference`).
        rows: the tokens to begin with, at least one a row. Equal rows are read once.

    Attributes:
        logits_BV: fp32, on the device of the weights.
    """

    logits_BV: Tensor

    def __init__(self, model: LanguageModel, rows: Sequence[Sequence[int]]) -> None:
        self._model = model
        self._device = weights_device(model)
        self._tokens = [list(row) for row in rows]
        self._state, self.logits_BV = self._read(range(len(rows)))

    def append(self, ids_B: Sequence[int]) -> None:
        """Read one more token a row; where the context is full, begin anew with its newer half."""
        going_on: list[int] = []
        refilled: list[int] = []
        for b, (tokens, token) in enumerate(zip(self._tokens, ids_B, strict=True)):
            start = self._context_start(tokens)
            tokens.append(token)
            (going_on if self._context_start(tokens) == start else refilled).append(b)
        parts: list[tuple[DecodingState, Tensor]] = []
        if going_on:
            state = self._state.select(self._index(going_on)) if refilled else self._state
            ids_B1 = self._index([ids_B[b] for b in going_on])[:, None]
            parts.append((state, self._model.advance(ids_B1, state)[:, -1]))
        if refilled:
            parts.append(self._read(refilled))
        self._state, self.logits_BV = _joined(parts)
        if going_on and refilled:
            self._select(np.argsort(going_on + refilled).tolist())

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only, in this order."""
        self._tokens = [self._tokens[b] for b in rows]
        self._select(rows)

    def _read(self, rows: Sequence[int]) -> tuple[DecodingState, Tensor]:
        """Fresh states with the contexts of rows: equal ones once, those of a length together."""
        contexts = [tuple(self._tokens[b][self._context_start(self._tokens[b]) :]) for b in rows]
        distinct = sorted(set(contexts), key=len)
        parts = [
            self._read_together(list(group)) for _, group in itertools.groupby(distinct, key=len)
        ]
        state, logits_BV = _joined(parts)
        place = {context: b for b, context in enumerate(distinct)}
        index_B = self._index([place[context] for context in contexts])
        return state.select(index_B), logits_BV[index_B]

    def _read_together(self, contexts: Sequence[Sequence[int]]) -> tuple[DecodingState, Tensor]:
        ids_BT = torch.tensor(contexts, dtype=torch.int64, device=self._device)
        state = self._model.fresh_state(len(contexts))
        chunk = max(1, tokens_at_once(self._model.vocab_size) // len(contexts))
        logits_BTV = None
        for first in range(0, ids_BT.shape[1], chunk):
            logits_BTV = self._model.advance(ids_BT[:, first : first + chunk], state)
        assert logits_BTV is not None
        return state, logits_BTV[:, -1].clone()

    def _select(self, rows: Sequence[int]) -> None:
        index_B = self._index(rows)
        self._state, self.logits_BV = self._state.select(index_B), self.logits_BV[index_B]

    def _context_start(self, tokens: Sequence[int]) -> int:
        return context_start(len(tokens), self._model.context_tokens)

    def _index(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)


def _joined(parts: Sequence[tuple[DecodingState, Tensor]]) -> tuple[DecodingState, Tensor]:
    if len(parts) == 1:
        return parts[0]
    states = [state for state, _ in parts]
    return type(states[0]).concatenate(states), torch.cat([logits_BV for _, logits_BV in parts])


@dataclass(frozen=True, slots=True)
class Sample:
    """One continuation of a prompt.

    Attributes:
        prompt: the prompt after cleaning.
        text: what the model wrote after it.
        prompt_tokens: BOS and the prompt's.
        ids: the sampled tokens, EOS included if it came.
        finished: whether EOS came.
        seed: of the random streams.
        bits_per_token: mean of -log2 of the sampled tokens' probabilities under the model itself,
            without temperature, filters or penalty. Near log2 V, the sample is noise to its own
            model.
    """

    prompt: str
    text: str
    prompt_tokens: int
    ids: list[int]
    finished: bool
    seed: int
    bits_per_token: float


def generate(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    settings: SamplerSettings,
    *,
    max_tokens: int = 200,
    n: int = 1,
    seed: int = 42,
    profile: str,
    batch_rows: int = 64,
) -> list[Sample]:
    """Continue each prompt `n` times.

    UNK and BOS are never chosen: UNK stands for no text that could be written out, and BOS only
    ever opens a document, so nothing can follow it inside one.

    Args:
        model: any of the ladder; it is left in the mode that it came in.
        tokenizer: the model's.
        prompts: raw text, cleaned here by the run's profile; an empty one opens a new document.
        settings: of the sampler.
        max_tokens: most tokens that a row writes.
        n: samples of each prompt.
        seed: with the prompt's text and the sample's number, decides a row's random stream.
        profile: of the run's cleaning.
        batch_rows: rows decoded together.

    Returns:
        `n` samples of the first prompt, `n` of the second, and so on.

    Raises:
        EscadaError: max_tokens or n below 1, or a logit that is not finite.
    """
    for key, value in (("max_tokens", max_tokens), ("n", n), ("batch_rows", batch_rows)):
        if value < 1:
            raise EscadaError(f"{key} is {value}", fix="at least 1 is needed")
    cleaned = [clean_prompt(prompt, profile) for prompt in prompts]
    rows = [
        _Row(prompt, [tokenizer.bos_id, *tokenizer.encode(prompt).tolist()], number + n * earlier)
        for prompt, earlier in zip(cleaned, _earlier_occurrences(cleaned), strict=True)
        for number in range(n)
    ]
    samples: list[Sample] = []
    with exact_inference(model):
        for start in range(0, len(rows), batch_rows):
            batch = rows[start : start + batch_rows]
            samples += _generate_batch(model, tokenizer, batch, settings, max_tokens, seed)
    return samples


@dataclass(slots=True)
class _Row:
    """A row before decoding: the prompt, its tokens after BOS, and which sample of it this is."""

    prompt: str
    prompt_ids: list[int]
    number: int


def _earlier_occurrences(prompts: Sequence[str]) -> Iterator[int]:
    """How often each prompt came before: the same prompt twice is sampled anew, not repeated."""
    counts: dict[str, int] = defaultdict(int)
    for prompt in prompts:
        yield counts[prompt]
        counts[prompt] += 1


def random_stream(seed: int, prompt: str, number: int) -> np.random.Generator:
    """The uniform numbers of one row: Philox, keyed by a hash of seed, sample number and prompt."""
    digest = hashlib.sha256(f"{seed}\n{number}\n{prompt}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def _generate_batch(
    model: LanguageModel,
    tokenizer: Tokenizer,
    rows: Sequence[_Row],
    settings: SamplerSettings,
    max_tokens: int,
    seed: int,
) -> list[Sample]:
    uniforms_BT = np.stack(
        [random_stream(seed, row.prompt, row.number).random(max_tokens) for row in rows]
    )
    seen_BV = np.zeros((len(rows), model.vocab_size), dtype=np.bool_)
    for b, row in enumerate(rows):
        seen_BV[b, row.prompt_ids] = True
    banned = [tokenizer.bos_id] + ([] if tokenizer.unk_id is None else [tokenizer.unk_id])
    decoder = Decoder(model, [row.prompt_ids for row in rows])
    written: list[list[int]] = [[] for _ in rows]
    nats_B = np.zeros(len(rows))
    active = np.arange(len(rows))  # the rows that are still in the decoder
    for t in range(max_tokens):
        logits_BV = decoder.logits_BV.float().cpu().numpy().astype(np.float64)
        ids_B = sample(
            logits_BV,
            uniforms_BT[active, t],
            settings,
            seen_BV=seen_BV[active],
            banned=banned,
            where=f"new token {t}",
        )
        nats_B[active] += _nats(logits_BV, ids_B)
        seen_BV[active, ids_B] = True
        for b, token in zip(active.tolist(), ids_B.tolist(), strict=True):
            written[b].append(token)
        kept = np.flatnonzero(ids_B != tokenizer.eos_id)
        if not kept.size or t + 1 == max_tokens:
            break
        if kept.size < active.size:
            active = active[kept]
            decoder.keep(kept.tolist())
        decoder.append(ids_B[kept].tolist())
    return [
        _sample(tokenizer, row, ids, seed, nats)
        for row, ids, nats in zip(rows, written, nats_B.tolist(), strict=True)
    ]


def _sample(tokenizer: Tokenizer, row: _Row, ids: list[int], seed: int, nats: float) -> Sample:
    return Sample(
        prompt=row.prompt,
        text=tokenizer.decode(ids),
        prompt_tokens=len(row.prompt_ids),
        ids=ids,
        finished=ids[-1] == tokenizer.eos_id,
        seed=seed,
        bits_per_token=nats / len(ids) / math.log(2),
    )


def _nats(logits_BV: NDArray[np.float64], ids_B: NDArray[np.int64]) -> NDArray[np.float64]:
    """-log of the probability of each row's token, from all logits of the model."""
    greatest_B = logits_BV.max(axis=1)
    log_sum_B = greatest_B + np.log(np.exp(logits_BV - greatest_B[:, None]).sum(axis=1))
    return log_sum_B - logits_BV[np.arange(len(ids_B)), ids_B]
