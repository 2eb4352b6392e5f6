"""Text from a model: prompts in, samples out.

    samples = generate(model, tokenizer, ["Era uma vez"], SamplerSettings(), n=3,
    profile="reference")

    for event in Batch(model, tokenizer).run(requests(tokenizer, prompts, SamplerSettings(),
    max_tokens=200)):        # token by token

Every prompt becomes a request of a `Batch` (`escada.generation.batch`). A row's random stream is
determined by seed, prompt and sample number, so its text is the same in any batch.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from escada.errors import EscadaError
from escada.generation.batch import Batch, Request
from escada.generation.samplers import SamplerSettings
from escada.models.contract import LanguageModel
from escada.text.cleaning import clean_prompt
from escada.text.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Sample:
    """One continuation of a prompt.

    Attributes:
        prompt_tokens: number of tokens of the prompt, BOS included.
        ids: the sampled tokens, including EOS if generated.
        finished: whether EOS was generated.
        bits_per_token: mean of -log2 p of the sampled tokens under the model, without temperature,
            filters or penalty. Near log2 V, the sample is noise to its own model.
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
    weights: str = "fp32",
    progress: Callable[[int], None] | None = None,
) -> list[Sample]:
    """Continue each prompt `n` times.

    Args:
        model: its training mode is restored.
        prompts: raw text, cleaned here by the run's `profile`; an empty prompt opens a document.
        weights: see `with_weights`.
        progress: called after each token with the total number so far.

    Returns:
        `n` samples of the first prompt, `n` of the second, and so on.

    Raises:
        EscadaError: max_tokens or n below 1, unavailable weights, or a logit that is not finite.
    """
    cleaned = [clean_prompt(prompt, profile) for prompt in prompts]
    rows = requests(tokenizer, cleaned, settings, max_tokens=max_tokens, n=n, seed=seed)
    batch = Batch(model, tokenizer, weights=weights, max_rows=batch_rows)
    ids: list[list[int]] = [[] for _ in rows]
    nats = [0.0 for _ in rows]
    for count, event in enumerate(batch.run(rows), start=1):
        ids[event.request].append(event.token)
        nats[event.request] += event.nats
        if progress is not None:
            progress(count)
    return [
        Sample(
            prompt=cleaned[index // n],
            text=tokenizer.decode(ids[index]),
            prompt_tokens=len(row.prompt_ids),
            ids=ids[index],
            finished=ids[index][-1] == tokenizer.eos_id,
            seed=seed,
            bits_per_token=nats[index] / len(ids[index]) / math.log(2),
        )
        for index, row in enumerate(rows)
    ]


def requests(
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    settings: SamplerSettings,
    *,
    max_tokens: int,
    n: int = 1,
    seed: int = 42,
    stop: Sequence[str] = (),
    alternatives: int = 0,
) -> list[Request]:
    """`n` requests per prompt (clean text), with the random streams of `generate`.

    Raises:
        EscadaError: n below 1, or see `Request`.
    """
    if n < 1:
        raise EscadaError(f"n is {n}", fix="at least 1 is needed")
    made: list[Request] = []
    samples: Counter[str] = Counter()  # per prompt, so that a repeated prompt gets new samples
    for prompt in prompts:
        ids = [tokenizer.bos_id, *tokenizer.encode(prompt).tolist()]
        for _ in range(n):
            uniforms = random_stream(seed, prompt, samples[prompt])
            made.append(Request(ids, settings, max_tokens, uniforms, tuple(stop), alternatives))
            samples[prompt] += 1
    return made


def random_stream(seed: int, prompt: str, number: int) -> np.random.Generator:
    """A row's uniform numbers: Philox, keyed by a hash of seed, sample number and prompt."""
    digest = hashlib.sha256(f"{seed}\n{number}\n{prompt}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
