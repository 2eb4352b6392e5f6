"""Text from a model: prompts in, samples or a stream out.

    samples = generate(model, tokenizer, ["Era uma vez"], SamplerSettings(), n=3,
    profile="reference")

Every prompt becomes a request of a `Batch` (`escada.generation.batch`), which decodes them
together. A row's random stream is decided by seed, prompt and number, so it writes the same alone
and in any batch. What happens when the context is full is told in `escada.generation.decoder`.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from escada.errors import EscadaError
from escada.generation.batch import Batch, Event, Request
from escada.generation.decoder import Decoder, context_start
from escada.generation.samplers import SamplerSettings
from escada.models.contract import LanguageModel
from escada.text.cleaning import clean_prompt
from escada.text.tokenizers import Tokenizer

__all__ = [
    "Decoder",
    "Sample",
    "context_start",
    "generate",
    "random_stream",
    "requests",
    "stream",
]


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
    weights: str = "fp32",
    progress: Callable[[int], None] | None = None,
) -> list[Sample]:
    """Continue each prompt `n` times.

    UNK and BOS are never chosen (see `Batch`).

    Args:
        model: any of the ladder; it is left in the mode that it came in.
        tokenizer: the model's.
        prompts: raw text, cleaned here by the run's profile; an empty one opens a new document.
        settings: of the sampler.
        max_tokens: most tokens that a row writes.
        n: samples of each prompt.
        seed: with the prompt's text and the sample's number, decides a row's random stream.
        profile: of the run's cleaning.
        batch_rows: rows decoded together; when one ends, the next takes its place.
        weights: that the model decodes with: see `with_weights`.
        progress: called after each token with how many there are.

    Returns:
        `n` samples of the first prompt, `n` of the second, and so on.

    Raises:
        EscadaError: max_tokens or n below 1, weights that are not to be had, or a logit that is not
            finite.
    """
    cleaned = [clean_prompt(prompt, profile) for prompt in prompts]
    rows = requests(tokenizer, cleaned, settings, max_tokens=max_tokens, n=n, seed=seed)
    ids: list[list[int]] = [[] for _ in rows]
    nats = [0.0 for _ in rows]
    for count, event in enumerate(_events(model, tokenizer, rows, batch_rows, weights), start=1):
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


def stream(
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
    stop: Sequence[str] = (),
    alternatives: int = 0,
) -> Iterator[Event]:
    """`generate`, token by token as they come.

    Args:
        stop: strings at which a row ends, without them; see `Request`.
        alternatives: how many of the most probable tokens each event names.
        model, tokenizer, prompts, settings, max_tokens, n, seed, profile, batch_rows, weights: as
            for `generate`.

    Yields:
        Events; `request` is the place that the sample has in the list of `generate`, and the texts
        of a row together are the sample's text.

    Raises:
        EscadaError: as `generate`; or an empty stop string, or alternatives below 0.
    """
    cleaned = [clean_prompt(prompt, profile) for prompt in prompts]
    rows = requests(
        tokenizer,
        cleaned,
        settings,
        max_tokens=max_tokens,
        n=n,
        seed=seed,
        stop=stop,
        alternatives=alternatives,
    )
    yield from _events(model, tokenizer, rows, batch_rows, weights)


def _events(
    model: LanguageModel,
    tokenizer: Tokenizer,
    rows: Sequence[Request],
    batch_rows: int,
    weights: str,
) -> Iterator[Event]:
    batch = Batch(model, tokenizer, weights=weights, max_rows=batch_rows)
    for row in rows:
        batch.add(row)
    while batch.rows:
        yield from batch.step()


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
    """`n` requests of each prompt, in the order and with the random streams of `generate`.

    Args:
        prompts: clean text.
        tokenizer, settings, max_tokens, n, seed, stop, alternatives: as for `stream`.

    Raises:
        EscadaError: n below 1, or see `Request`.
    """
    if n < 1:
        raise EscadaError(f"n is {n}", fix="at least 1 is needed")
    return [
        Request(
            [tokenizer.bos_id, *tokenizer.encode(prompt).tolist()],
            settings,
            max_tokens,
            random_stream(seed, prompt, number + n * earlier),
            tuple(stop),
            alternatives,
        )
        for prompt, earlier in zip(prompts, _earlier_occurrences(prompts), strict=True)
        for number in range(n)
    ]


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
