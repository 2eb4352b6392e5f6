"""`escada judge`: a language model's opinion of runs' samples, and what its controls say of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from escada.cli.shared import options
from escada.errors import EscadaError, counted
from escada.signals import INTERRUPTED
from escada.terminal import LiveProgress, duration, echo, echo_json

if TYPE_CHECKING:
    from escada.judge.budget import CallBudget
    from escada.judge.client import ReviewProgress
    from escada.judge.verdict import Rated, Verdict

PROBES_IN_WORDS = (
    "human text won against its own words shuffled",
    "a text's own continuation won against another document's",
    "human text won against longer shuffled words",
)
"""`shuffled`, `elsewhere` and `longer`."""


def judge(
    runs: options.Runs,
    base_url: Annotated[
        str | None,
        typer.Option(help="An OpenAI-compatible endpoint, such as http://localhost:8000/v1."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The judge's name there.")] = None,
    reference: Annotated[
        Path | None,
        options.other_run("Instead of an endpoint: a run whose model scores each sample."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the review; else `judge` beside the runs.")
    ] = None,
    prompts: Annotated[
        int | None,
        typer.Option(help="Judge this many of the stored samples of each run, not all.", min=1),
    ] = None,
    max_calls: Annotated[
        int | None,
        typer.Option(help="Maximum calls of this invocation, failed ones included.", min=0),
    ] = None,
    max_usd: Annotated[
        float | None,
        typer.Option(help="Maximum cost of this invocation in USD; needs the prices.", min=0),
    ] = None,
    usd_per_million_input_tokens: Annotated[float | None, typer.Option(min=0)] = None,
    usd_per_million_output_tokens: Annotated[float | None, typer.Option(min=0)] = None,
    concurrency: Annotated[int, typer.Option(help="Concurrent calls.", min=1)] = 4,
    timeout: Annotated[float, typer.Option(help="Seconds per call.", min=0.1)] = 120.0,
    first_wait: Annotated[
        float, typer.Option(help="Seconds before a failed call's second try; then doubled.", min=0)
    ] = 1.0,
    max_output_tokens: Annotated[
        int,
        typer.Option(
            help="Maximum tokens per answer; a judge that thinks first needs more.", min=16
        ),
    ] = 400,
    seed: Annotated[
        int, typer.Option(help="Seed of held-out texts, noise, probes and order.", min=0)
    ] = 0,
    data: Annotated[
        Path | None, typer.Option(help="The runs' corpus folder, if it was moved.")
    ] = None,
    device: options.Device = "auto",
    json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """LLM-as-a-judge on runs' samples, with hidden controls that test the judge itself.

    The API key is read from ESCADA_JUDGE_API_KEY or else OPENAI_API_KEY; local servers need none.
    """
    from escada.judge.client import RetryPolicy
    from escada.judge.endpoint import read_address
    from escada.judge.questions import Judge
    from escada.judge.review import (
        Settings,
        default_folder,
        review_with_endpoint,
        review_with_reference,
    )
    from escada.runs.corpus import corpus_of
    from escada.runs.run import open_run

    name = _judge_name(base_url, model, reference)
    if base_url is not None:
        read_address(base_url)  # before anything is opened that takes time
    budget = _budget(
        max_calls, max_usd, usd_per_million_input_tokens, usd_per_million_output_tokens
    )
    opened = [open_run(run) for run in runs]
    folder = out or default_folder(opened)
    corpus = corpus_of(opened[0], data)
    with LiveProgress("judge") as live:

        def show(progress: ReviewProgress) -> None:
            live.update(progress.settled, progress.total, _progress_in_words(progress))

        settings = Settings(
            prompts=prompts,
            seed=seed,
            device=device,
            concurrency=concurrency,
            timeout_seconds=timeout,
            retry_policy=RetryPolicy(first_wait_seconds=first_wait),
            budget=budget,
            progress=show,
            say=live.say,
        )
        if reference is not None:
            found = review_with_reference(opened, corpus, folder, open_run(reference), settings)
            stop = "done"
        else:
            assert base_url is not None
            found, stop = review_with_endpoint(
                opened, corpus, folder, Judge(name, max_output_tokens), base_url, settings
            )
    if stop == "interrupted" or found is None:
        echo(f"Stopped and saved in {folder}. The same command goes on.", err=True)
        raise typer.Exit(INTERRUPTED)
    if stop == "budget":
        echo(f"Stopped by the budget; saved in {folder}. The same command goes on.", err=True)
    if json:
        echo_json(found.to_json())
    else:
        _show(found, folder)


def _judge_name(base_url: str | None, model: str | None, reference: Path | None) -> str:
    """The endpoint's model; empty for a reference."""
    if reference is not None:
        if base_url is not None or model is not None:
            raise EscadaError(
                "--reference needs no endpoint", fix="leave out --base-url and --model"
            )
        return ""
    if base_url is None or model is None:
        raise EscadaError(
            "no judge is named",
            fix="give --base-url and --model, or --reference RUN without an endpoint",
        )
    return model


def _budget(
    max_calls: int | None, max_usd: float | None, input_price: float | None, output: float | None
) -> CallBudget:
    from escada.judge.budget import CallBudget, TokenPrices

    if (input_price is None) != (output is None):
        raise EscadaError("one price of two", fix="give the prices of input and of output tokens")
    prices = None
    if input_price is not None and output is not None:
        prices = TokenPrices(input_price, output)
    return CallBudget(max_calls, max_usd, prices)


def _progress_in_words(progress: ReviewProgress) -> str:
    left = progress.seconds_left
    retries = f", {progress.retries:,} retries" if progress.retries else ""
    ahead = f", {progress.per_second:.2g}/s, {duration(left)} left" if left else ""
    return f"{progress.settled:,}/{progress.total:,} questions{retries}{ahead}"


def _show(found: Verdict, folder: Path) -> None:
    """The verdict for a person: first whether to believe it."""
    with_marks = found.kind == "endpoint"
    who = "judged by" if with_marks else "bits per byte under"
    echo(f"{who} {found.model}: {'reliable' if found.reliable else 'NOT RELIABLE'}")
    for reason in found.reasons:
        echo(f"  - {reason.text}")
    for note in found.notes:
        echo(f"  note: {note.text}")
    echo()
    marks = "relevance  coherence      style" if with_marks else "bits per byte"
    echo(f"{'':12} {'rating [95 %]':>22}  {marks}")
    for row in [*found.ratings, *found.controls.values()]:
        echo(f"{row.name[:12]:12} {_rating(row):>22}  {_marks(row, with_marks)}")
    echo()
    echo("Ratings are on Elo's scale, 0 the mean; marks from 0 to 5. human and noise are controls.")
    swaps, bias = found.swap_contradictions, found.position_bias
    if swaps and bias and swaps.share is not None and swaps.ci95 is not None:
        echo(
            f"Order: {swaps.share:.0%} {_percents(swaps.ci95)} of {swaps.decided:,} "
            "decided pairs without noise contradicted when swapped; the first text was preferred "
            f"in {bias.first_share:.0%} of the decisions."
        )
    probes = (found.probes.shuffled, found.probes.elsewhere, found.probes.longer)
    for probe, text in zip(probes, PROBES_IN_WORDS, strict=True):
        if probe.share is not None and probe.ci95 is not None:
            echo(
                f"Probes: {text} in {probe.share:.0%} {_percents(probe.ci95)} of "
                f"{counted(probe.pairs, 'pair')}"
            )
    questions = found.questions
    usd = "" if found.usd is None or not with_marks else f", {found.usd:.4f} USD"
    echo(
        f"{questions.answered:,} of {questions.total:,} answered, {questions.unusable:,} unusable; "
        f"{counted(found.calls, 'call')}, {found.tokens.input:,} + "
        f"{found.tokens.output:,} tokens{usd}"
    )
    for one in found.degraded:
        echo(f"Without {one.part}, which the server refused.")
    echo(f"Written to {folder}")


def _percents(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.0%}, {interval[1]:.0%}]"


def _rating(row: Rated) -> str:
    if row.rating is None:
        return "-"
    interval = f" [{row.ci95[0]:+.0f}, {row.ci95[1]:+.0f}]" if row.ci95 else ""
    return f"{row.rating:+.0f}{interval}"


def _marks(row: Rated, with_marks: bool) -> str:
    if not with_marks:
        return "-" if row.bits_per_byte is None else f"{row.bits_per_byte.mean:>13.3f}"
    if row.rubric is None:
        return "-"
    marks = (row.rubric.relevance, row.rubric.coherence, row.rubric.style)
    return "  ".join(f"{mark.mean:>9.2f}" if mark else "-" for mark in marks)
