"""`escada sample`: text from a run."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from escada.choices import WeightsOption
from escada.cli.shared import options
from escada.errors import EscadaError, counted
from escada.terminal import LiveProgress, echo, echo_json, echo_styled, echo_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from escada.generation.batch import Event
    from escada.text.tokenizers import Tokenizer


def sample(
    run: options.RunFolder,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="What to continue; may be repeated. Without it, the 20 default prompts."),
    ] = None,
    n: Annotated[int, typer.Option("--n", help="Samples of each prompt.", min=1, max=10_000)] = 1,
    max_tokens: Annotated[
        int, typer.Option(help="Maximum tokens per sample.", min=1, max=1_000_000)
    ] = 200,
    temperature: Annotated[
        float, typer.Option(help="Below 1 sharpens, above 1 flattens; 0 is greedy.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(help="Keep the k most probable tokens; 0 is off.")] = 0,
    top_p: Annotated[
        float, typer.Option(help="Nucleus (top-p) sampling threshold; 1 keeps all.")
    ] = 0.95,
    min_p: Annotated[
        float,
        typer.Option(help="Keep tokens at least this share as probable as the best; 0 is off."),
    ] = 0.0,
    repetition_penalty: Annotated[
        float, typer.Option(help="Penalty on repeated tokens; 1 = off.")
    ] = 1.0,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always the most probable token.")] = (
        False
    ),
    seed: Annotated[int, typer.Option(help="Same seed, same text.")] = 42,
    weights: Annotated[
        WeightsOption,
        typer.Option(
            help="Narrower ones for speed (docs/generation.md: the loss); auto: the fastest here."
        ),
    ] = "fp32",
    stream: Annotated[
        bool, typer.Option("--stream", help="Print text as it comes, one sample after the other.")
    ] = False,
    stop: Annotated[
        list[str] | None,
        typer.Option(help="End a sample before this text; may be repeated. With --stream."),
    ] = None,
    logprobs: Annotated[
        int | None,
        typer.Option(
            help="Print each token with its bits and this many alternatives. With --stream.",
            min=0,
            max=100,
        ),
    ] = None,
    device: options.Device = "auto",
    json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Generate text from prompts, each sample with its bits per token under the model."""
    from escada.api.run import Run
    from escada.generation.batch import Batch
    from escada.generation.decoding import requests
    from escada.generation.prompts import load_prompts
    from escada.generation.samplers import settings_as_written
    from escada.generation.weights import choose_weights
    from escada.text.cleaning import clean_prompt

    if stream and json:
        raise EscadaError("--stream and --json exclude one another", fix="leave one of them out")
    if not stream and (stop or logprobs is not None):
        raise EscadaError("--stop and --logprobs are parts of a stream", fix="add --stream")
    settings = settings_as_written(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        greedy=greedy,
    )
    opened = Run.open(run, device=device)
    model = opened.model
    prompts = prompt or [default.text for default in load_prompts()]
    profile = opened.spec.text.profile
    if stream:
        cleaned = [clean_prompt(text, profile) for text in prompts]
        rows = requests(
            opened.tokenizer,
            cleaned,
            settings,
            max_tokens=max_tokens,
            n=n,
            seed=seed,
            stop=stop or (),
            alternatives=logprobs or 0,
        )
        # One row at a time: what is printed comes in order, and the text is that of any batch.
        chosen = choose_weights(weights, model, rows=1)
        events = Batch(model, opened.tokenizer, weights=chosen, max_rows=1).run(rows)
        cleaned = [text for text in cleaned for _ in range(n)]
        _print_stream(events, cleaned, opened.tokenizer, with_tokens=logprobs is not None)
        return
    count = len(prompts) * n
    chosen = choose_weights(weights, model, rows=count)
    if count > 1:
        echo(
            f"writing {count:,} samples together, of at most {counted(max_tokens, 'token')} each "
            "(--stream shows one after the other as it is written)",
            err=True,
        )
    with LiveProgress("writing", passing=True) as live:
        most = count * max_tokens
        samples = opened.sample(
            prompts,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            greedy=greedy,
            seed=seed,
            weights=chosen,
            progress=lambda done: live.update(done, most, f"{done:,} of at most {most:,} tokens"),
        )
    if json:
        table = {
            "schema_version": 1,
            "run": opened.path.name,
            "settings": asdict(settings),
            "max_tokens": max_tokens,
            "seed": seed,
            "weights": chosen,
            "samples": [
                {
                    "prompt": one.prompt,
                    "text": one.text,
                    "finished": one.finished,
                    "prompt_tokens": one.prompt_tokens,
                    "tokens": len(one.ids),
                    "bits_per_token": one.bits_per_token,
                }
                for one in samples
            ],
        }
        echo_json(table)
        return
    for one in samples:
        end = "" if one.finished else "…"
        echo_styled([(one.prompt, None), (one.text, "bold")], end=f"{end}\n")
        echo_text(
            f"  [{counted(len(one.ids), 'token')}, {one.bits_per_token:.2f} bits per token]\n"
        )


def _print_stream(
    events: Iterator[Event], prompts: list[str], tokenizer: Tokenizer, *, with_tokens: bool
) -> None:
    """Each sample's text as it comes, or a line for each of its tokens; then its figures."""
    tokens, nats = 0, 0.0
    for event in events:
        if not tokens:
            echo_text(prompts[event.request], end="\n" if with_tokens else "")
        tokens, nats = tokens + 1, nats + event.nats
        if with_tokens:
            named = [(event.token, event.nats), *event.alternatives]
            echo(
                "  ".join(
                    f"{tokenizer.token_text(token)!r} {cost / math.log(2):.2f}"
                    for token, cost in named
                )
            )
        else:
            echo_styled([(event.text, "bold")], end="")
        if event.finish is not None:
            end = "…" if event.finish == "length" and not with_tokens else ""
            bits = nats / tokens / math.log(2)
            echo_text(f"{end}\n  [{counted(tokens, 'token')}, {bits:.2f} bits per token]\n")
            tokens, nats = 0, 0.0
