"""A complete review, from runs to verdict, in its own folder.

verdict, stop = review_with_endpoint(runs, corpus, out, judge, base_url)
verdict = review_with_reference(runs, corpus, out, reference)

judge/
  journal.jsonl          every call and its result
  panel-3fa9c1d2.json    the entrants, and every text as shown
  verdict.json           the verdict; that of another review is renamed, not overwritten
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from escada.evaluation.task import result_key, ruler_context
from escada.files import content_hash, read_json, write_sealed_json
from escada.judge.answers import endpoint_findings
from escada.judge.budget import CallBudget
from escada.judge.client import JudgeClient, Settings, Stop
from escada.judge.endpoint import Endpoint, Tokens
from escada.judge.journal import Journal, open_journal
from escada.judge.offline_judge import panel_charges, probe_shares, reference_findings
from escada.judge.panel import Panel, gather_panel
from escada.judge.questions import Judge, Question, questions, rubric_version
from escada.judge.verdict import (
    SCHEMA_VERSION,
    Costs,
    Counts,
    Degraded,
    Findings,
    Reason,
    Verdict,
)
from escada.runs.device import resolve_device
from escada.runs.run import Run
from escada.text.corpus import Corpus

VERDICT, JOURNAL = "verdict.json", "journal.jsonl"


def default_folder(runs: Sequence[Run]) -> Path:
    """`judge` in the deepest folder that contains all runs."""
    parents = [run.path.resolve().parent for run in runs]
    return Path(os.path.commonpath(parents)) / "judge"


def review_with_endpoint(
    runs: Sequence[Run],
    corpus: Corpus,
    out: Path,
    judge: Judge,
    base_url: str,
    settings: Settings,
) -> tuple[Verdict | None, Stop]:
    """Ask a model behind an OpenAI-compatible endpoint the questions not answered yet.

    Returns the verdict and why asking ended. After `budget` the verdict says that it is incomplete;
    after `interrupted` there is none. An error keeps the earlier answers.
    """
    endpoint = Endpoint(base_url, judge, timeout_seconds=settings.timeout_seconds)
    with open_journal(out / JOURNAL, endpoint.scrub) as journal:
        panel = gather_panel(
            runs, corpus, prompts=settings.prompts, seed=settings.seed, device=settings.device
        )
        all_questions = questions(panel, judge, settings.seed)
        stop = asyncio.run(JudgeClient(endpoint, journal, settings).ask(all_questions))
        if stop == "interrupted":
            return None, stop
        answered = sum(one.key in journal.answers for one in all_questions)
        unusable = sum(journal.unusable(one.key) for one in all_questions)
        counts = Counts(
            total=len(all_questions),
            answered=answered,
            unusable=unusable,
            pending=len(all_questions) - answered - unusable,
        )
        findings = endpoint_findings(panel, judge, journal, counts, seed=settings.seed)
    judged_by = {
        "kind": "endpoint",
        "model": judge.model,
        "base_url": endpoint.url,
        "max_output_tokens": judge.max_output_tokens,
        "rubric": rubric_version(),
    }
    costs = _costs(all_questions, journal, settings.budget)
    return _keep(out, panel, judged_by, settings.seed, findings, costs), stop


def review_with_reference(
    runs: Sequence[Run],
    corpus: Corpus,
    out: Path,
    reference: Run,
    settings: Settings,
) -> Verdict:
    """Use a run's model as the judge: bits per byte of every text."""
    panel = gather_panel(
        runs, corpus, prompts=settings.prompts, seed=settings.seed, device=settings.device
    )
    key = result_key(reference, "best", __name__, panel=panel.to_json())
    model = reference.load_model("best", resolve_device(settings.device))
    context = ruler_context(reference)
    charges = panel_charges(model, reference.tokenizer, panel, context)
    probes = probe_shares(model, reference.tokenizer, panel, context)
    findings = reference_findings(panel, charges, probes, seed=settings.seed)
    if any(run.path.resolve() == reference.path.resolve() for run in runs):
        text = f"{reference.name} is judged by itself: its own rating says nothing"
        findings.notes.append(Reason(code="judged_by_itself", text=text))
    if reference.corpus_hash != corpus.hash:
        text = "the reference was trained on another corpus and may have read the human texts"
        findings.notes.append(Reason(code="other_corpus", text=text))
    judged_by = {
        "kind": "reference",
        "model": reference.name,
        "base_url": None,
        "result_key": key,
        "rubric": None,
    }
    costs = Costs(calls=0, tokens=Tokens(0, 0), usd=0.0)
    return _keep(out, panel, judged_by, settings.seed, findings, costs)


def _costs(sent: Sequence[Question], journal: Journal, budget: CallBudget) -> Costs:
    """Calls, tokens and refused request parts, over all invocations."""
    keys = {question.key for question in sent}
    calls = [event for event in journal.events if event.key in keys]
    counted = [event.tokens for event in calls if event.tokens]
    tokens = Tokens(sum(one.input for one in counted), sum(one.output for one in counted))
    return Costs(
        calls=len(calls),
        tokens=tokens,
        usd=budget.prices.usd(tokens) if budget.prices else None,
        answers_by_form=Counter(str(event.form) for event in calls if event.answer),
        degraded=[
            Degraded(part=event.part, base_url=event.base_url, reason=event.reason)
            for event in journal.events
            if event.part is not None and event.base_url is not None
        ],
    )


def _keep(
    out: Path,
    panel: Panel,
    judged_by: Mapping[str, object],
    seed: int,
    findings: Findings,
    costs: Costs,
) -> Verdict:
    """Write panel and verdict; an existing verdict of another review is renamed by its key."""
    shown = panel.to_json()
    identity = {name: value for name, value in judged_by.items() if name != "base_url"}
    key = content_hash({"panel": shown, "seed": seed, **identity})
    panel_file = f"panel-{content_hash(shown)[:8]}.json"
    held_out = sum(opening.held_out for opening in panel.openings)
    verdict = Verdict.model_validate(
        {
            "schema_version": SCHEMA_VERSION,
            "key": key,
            **judged_by,
            "corpus_hash": panel.corpus_hash,
            "panel": panel_file,
            "openings": {"prompts": len(panel.openings) - held_out, "held_out": held_out},
            "seed": seed,
            **dict(findings),
            **costs.model_dump(exclude_unset=True),
        }
    )
    write_sealed_json(out / panel_file, shown)
    path = out / VERDICT
    if path.exists() and (before := read_json(path).get("key")) != key:
        path.replace(out / f"verdict-{str(before)[:8]}.json")
    write_sealed_json(path, verdict.to_json())
    return verdict
