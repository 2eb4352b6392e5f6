"""A review from runs to verdict, in a folder of its own.

verdict, stop = review_with_endpoint(runs, corpus, out, judge, base_url)
verdict = review_with_reference(runs, corpus, out, reference)

judge/
  journal.jsonl          every call and its result
  panel-3fa9c1d2.json    who was compared, and every text as it was shown
  verdict.json           the answer; one of another review is put aside, not overwritten
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from escada.evaluation.task import result_key, ruler_context
from escada.files import content_hash, read_json, write_json
from escada.judge import verdict as verdicts
from escada.judge.budget import CallBudget
from escada.judge.client import JudgeClient, RetryPolicy, ReviewProgress, Stop
from escada.judge.endpoint import Endpoint, Tokens
from escada.judge.journal import Journal, open_journal
from escada.judge.offline_judge import panel_charges, probe_shares, reference_verdict
from escada.judge.panel import Panel, gather_panel
from escada.judge.questions import Judge, Question, questions, rubric_version
from escada.runs.device import resolve_device
from escada.runs.run import Run
from escada.text.corpus import Corpus

VERDICT, JOURNAL = "verdict.json", "journal.jsonl"


@dataclass(frozen=True)
class Settings:
    """How a review is made; none of it decides an answer but `prompts` and `seed`.

    Attributes:
        prompts: stored samples of each run to judge; None: all.
        seed: of held-out openings, noise, the order of questions, and the bootstrap.
        device: for what runs write, and for a reference.
        concurrency: calls at a time.
        timeout_seconds: of a call.
        retry_policy: for calls that fail.
        budget: of this invocation.
        progress: told where the review is.
        say: told what a person should know.
    """

    prompts: int | None = None
    seed: int = 0
    device: str = "auto"
    concurrency: int = 4
    timeout_seconds: float = 120.0
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    budget: CallBudget = field(default_factory=CallBudget)
    progress: Callable[[ReviewProgress], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None


def default_folder(runs: Sequence[Run]) -> Path:
    """`judge` in the closest folder that holds all the runs."""
    parents = [run.path.resolve().parent for run in runs]
    return Path(os.path.commonpath(parents)) / "judge"


def review_with_endpoint(
    runs: Sequence[Run],
    corpus: Corpus,
    out: Path,
    judge: Judge,
    base_url: str,
    settings: Settings | None = None,
) -> tuple[dict[str, Any] | None, Stop]:
    """Ask a model behind an OpenAI-compatible endpoint what has not been asked yet.

    Returns:
        The verdict and why asking ended. After `budget` the verdict says that it is incomplete;
        after `interrupted` there is none.

    Raises:
        EscadaError: what the user can fix; what was answered is kept.
    """
    settings = settings or Settings()
    endpoint = Endpoint.connect(base_url, judge, timeout_seconds=settings.timeout_seconds)
    with open_journal(out / JOURNAL, endpoint.scrub) as journal:
        panel = _panel(runs, corpus, settings)
        asked = questions(panel, judge, settings.seed)
        client = JudgeClient(
            endpoint,
            journal,
            settings.budget,
            settings.retry_policy,
            settings.concurrency,
            settings.progress,
            settings.say,
        )
        stop = asyncio.run(client.ask(asked))
        if stop == "interrupted":
            return None, stop
        found = verdicts.endpoint_verdict(
            panel, judge, journal, _counts(asked, journal), seed=settings.seed
        )
    head = {
        "kind": "endpoint",
        "model": judge.model,
        "base_url": endpoint.address.url,
        "max_output_tokens": judge.max_output_tokens,
        "rubric": rubric_version(),
    }
    costs = _costs(asked, journal, settings.budget)
    return _keep(out, panel, head, found, settings.seed, costs), stop


def review_with_reference(
    runs: Sequence[Run],
    corpus: Corpus,
    out: Path,
    reference: Run,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Let a run's model stand in for a judge: bits per byte of every text.

    Raises:
        EscadaError: what the user can fix.
    """
    settings = settings or Settings()
    panel = _panel(runs, corpus, settings)
    key = result_key(reference, "best", __name__, panel=panel.to_json())
    model = reference.load_model("best", resolve_device(settings.device))
    context = ruler_context(reference)
    charges = panel_charges(model, reference.tokenizer, panel, context)
    probes = probe_shares(model, reference.tokenizer, panel, context)
    found = reference_verdict(panel, charges, probes, seed=settings.seed)
    found["notes"] += _notes(runs, corpus, reference)
    head = {
        "kind": "reference",
        "model": reference.name,
        "base_url": None,
        "result_key": key,
        "rubric": None,
    }
    costs = {"calls": 0, "tokens": {"input": 0, "output": 0}, "usd": 0.0}
    return _keep(out, panel, head, found, settings.seed, costs)


def _panel(runs: Sequence[Run], corpus: Corpus, settings: Settings) -> Panel:
    return gather_panel(
        runs,
        corpus,
        prompts=settings.prompts,
        seed=settings.seed,
        device=settings.device,
    )


def _counts(asked: Sequence[Question], journal: Journal) -> verdicts.Counts:
    return verdicts.Counts(
        total=len(asked),
        answered=sum(question.key in journal.answers for question in asked),
        unusable=sum(journal.unusable(question.key) for question in asked),
    )


def _costs(asked: Sequence[Question], journal: Journal, budget: CallBudget) -> dict[str, Any]:
    """Of all invocations: what the questions took, and what of the requests was refused."""
    keys = {question.key for question in asked}
    calls = [event for event in journal.events if event.get("key") in keys]
    counted = [event["tokens"] for event in calls if event.get("tokens")]
    tokens = Tokens(sum(one["input"] for one in counted), sum(one["output"] for one in counted))
    answers = [event for event in calls if event["event"] == "answer"]
    return {
        "calls": len(calls),
        "tokens": {"input": tokens.input, "output": tokens.output},
        "usd": budget.prices.usd(tokens) if budget.prices else None,
        "answers_by_form": dict(Counter(str(event["form"]) for event in answers)),
        "degraded": [
            {part: event[part] for part in ("part", "base_url", "reason")}
            for event in journal.events
            if event["event"] == "degraded"
        ],
    }


def _notes(runs: Sequence[Run], corpus: Corpus, reference: Run) -> list[dict[str, str]]:
    """What a reader of a reference's verdict must know about this reference."""
    notes: list[dict[str, str]] = []
    if any(run.path.resolve() == reference.path.resolve() for run in runs):
        text = f"{reference.name} is judged by itself: its own rating says nothing"
        notes.append({"code": "judged_by_itself", "text": text})
    if reference.corpus_hash != corpus.hash:
        text = "the reference was trained on another corpus and may have read the human texts"
        notes.append({"code": "other_corpus", "text": text})
    return notes


def _keep(
    out: Path,
    panel: Panel,
    head: dict[str, Any],
    found: dict[str, Any],
    seed: int,
    costs: dict[str, Any],
) -> dict[str, Any]:
    """Write panel and verdict; a verdict of another review is put aside under its key."""
    shown = panel.to_json()
    panel_file = f"panel-{content_hash(shown)[:8]}.json"
    of = {part: head[part] for part in sorted(head) if part != "base_url"}
    key = content_hash({"panel": shown, "seed": seed, **of})
    verdict = {
        "schema_version": verdicts.SCHEMA_VERSION,
        "key": key,
        **head,
        "corpus_hash": panel.corpus_hash,
        "panel": panel_file,
        "openings": {
            "prompts": sum(not opening.held_out for opening in panel.openings),
            "held_out": sum(opening.held_out for opening in panel.openings),
        },
        "seed": seed,
        **found,
        **costs,
    }
    write_json(out / panel_file, shown)
    path = out / VERDICT
    if path.exists() and (before := read_json(path).get("key")) != key:
        path.replace(out / f"verdict-{str(before)[:8]}.json")
    write_json(path, verdict)
    return read_json(path)
