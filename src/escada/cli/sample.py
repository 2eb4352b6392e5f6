"""`escada sample`: text from a run."""

from __future__ import annotations

from typing import Annotated

import typer

from escada.cli import options


def sample(
    run: options.RunFolder,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="What to continue; may be repeated. Without it, the 20 default prompts."),
    ] = None,
    n: Annotated[int, typer.Option("--n", help="Samples of each prompt.", min=1, max=10_000)] = 1,
    max_tokens: Annotated[
        int, typer.Option(help="Most tokens of a sample.", min=1, max=1_000_000)
    ] = 200,
    temperature: Annotated[float, typer.Option(help="Below 1 sharpens, above 1 flattens.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Keep the k most probable tokens.")] = None,
    top_p: Annotated[
        float, typer.Option(help="Keep the fewest tokens of this probability; 1 keeps all.")
    ] = 0.95,
    min_p: Annotated[
        float | None,
        typer.Option(help="Keep tokens this many times as probable as the best, or more."),
    ] = None,
    repetition_penalty: Annotated[
        float, typer.Option(help="Of tokens already there; 1 is none.")
    ] = 1.0,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always the most probable token.")] = (
        False
    ),
    seed: Annotated[int, typer.Option(help="Same seed, same text.")] = 42,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Let a run write: continuations of prompts, each with its bits per token under the model."""
    import json as json_module
    from dataclasses import asdict

    from escada.generation.decoding import generate
    from escada.generation.prompts import load_prompts
    from escada.generation.samplers import SamplerSettings
    from escada.runs.device import resolve_device
    from escada.runs.run import open_run

    settings = SamplerSettings(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        greedy=greedy,
    )
    opened = open_run(run)
    samples = generate(
        opened.load_model(device=resolve_device(device)),
        opened.tokenizer,
        prompt or [default.text for default in load_prompts()],
        settings,
        max_tokens=max_tokens,
        n=n,
        seed=seed,
        profile=opened.spec.text.profile,
    )
    if json:
        table = {
            "schema_version": 1,
            "run": opened.name,
            "settings": asdict(settings),
            "max_tokens": max_tokens,
            "seed": seed,
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
        typer.echo(json_module.dumps(table, ensure_ascii=False, indent=2))
        return
    for one in samples:
        end = "" if one.finished else "…"
        typer.echo(f"{one.prompt}{typer.style(one.text, bold=True)}{end}")
        typer.echo(f"  [{len(one.ids)} tokens, {one.bits_per_token:.2f} bits a token]\n")
