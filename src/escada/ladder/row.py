"""A run on its ladder: everything that is measured of it, and the row that sums it up.

review(run, corpus, say)                          # makes what is not there yet
row = rung_row(run, corpus, out, comparisons)     # reads what is there
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from escada.cost.sheet import read_sheet
from escada.evaluation.task import Subject, Task, climb_tasks, evaluate, read, read_if_there
from escada.evaluation.tasks.cloze import CLOZE
from escada.evaluation.tasks.documents import TEST, TRAINING, VALIDATION
from escada.evaluation.tasks.minimal_pairs import PAIRS
from escada.evaluation.tasks.samples import SAMPLES
from escada.files import read_json
from escada.guardrails.task import GUARDRAILS
from escada.report.writers.card import write_card
from escada.runs.run import Run
from escada.runs.time_budget import budget_seconds
from escada.text.corpus import Corpus


def review(
    run: Run,
    corpus: Corpus,
    say: Callable[[str], None],
    *,
    device: str = "auto",
    also: Sequence[Task[Any]] = (),
) -> None:
    """Measure a finished run and let it write; what was done already is not done again.

    Args:
        run: finished.
        corpus: that it was trained on.
        say: called with a sentence when something begins or is done.
        device: `auto`, `cpu`, `cuda` …
        also: tasks beside those of every climb, or in place of the one with the same name.
    """
    name = run.spec.name
    say(f"{name}: evaluating")
    tasks = list({task.name: task for task in (*climb_tasks(), *also)}.values())
    evaluate(Subject(run, corpus, device=device), tasks, lambda done: say(f"{name}: {done}"))
    write_card(run)


def rung_row(
    run: Run,
    corpus: Corpus,
    out: Path,
    comparisons: Sequence[Mapping[str, Any]],
    also: Sequence[Task[Any]] = (),
) -> dict[str, Any]:
    """A run's facts, from its folder.

    Args:
        run: reviewed.
        corpus: that it was trained on.
        out: the climb's folder; the path of the run is told from there.
        comparisons: rows of `compare_recipes` for `ladder_pairs`; its first one of a rung that
            follows another is the rung's step.
        also: tasks whose figures stand under `tasks`, by name.
    """
    test = read(run, TEST)
    of_test = test.to_json()
    about = run.spec.about
    record = run.record
    recorded = record.to_json()
    return {
        "name": run.spec.name,
        "follows": about.follows,
        "about": about.model_dump(mode="json", exclude={"follows"}),
        "run": run.path.relative_to(out).as_posix(),
        "preset": run.spec.preset,
        **{k: recorded[k] for k in ("seed", "tokenizer", "corpus_hash", "status", "parameters")},
        "profile": run.spec.text.profile,
        **{k: of_test[k] for k in ("protocol", "bits_per_byte", "ci95", "perplexity", "accuracy")},
        **{k: of_test[k] for k in ("groups", "effective_groups", "by_source", "sources")},
        **{k: of_test[k] for k in ("macro_bits_per_byte", "macro_ci95")},
        **{k: of_test[k] for k in ("ci95_leaves_out", "ci95_borrowed")},
        "unknown_characters": {
            "train": _unknown_in_training(run, corpus),
            "test": test.unknown,
        },
        "validation_bits_per_byte": read(run, VALIDATION).bits_per_byte,
        "train_bits_per_byte": read(run, TRAINING).bits_per_byte,
        **{k: recorded[k] for k in ("training_tokens", "training_flops", "training_seconds")},
        **{k: recorded[k] for k in ("tokens_per_second", "peak_memory_bytes")},
        "budget_seconds": budget_seconds(run.spec, record),
        "training_bytes": _training_bytes(run),
        "evaluation_tokens_per_second": test.tokens_per_second,
        "lexicon_share": read(run, SAMPLES).lexicon_share,
        "minimal_pairs": _optional(run, PAIRS),
        "cloze": _optional(run, CLOZE),
        "guardrails": _optional(run, GUARDRAILS),
        "tasks": {
            task.name: [figure.model_dump(mode="json") for figure in found.figures()]
            for task in also
            if task.name not in (one.name for one in climb_tasks())
            and (found := read_if_there(run, task))
        },
        "precision": record.precision.name,
        "device": record.setup.device,
        "spec_hash": record.spec_hash,
        "key": record.key,
        "cost": _cost(run),
        "beats_previous": _step(run, comparisons),
    }


def _optional(run: Run, task: Task[Any]) -> dict[str, Any] | None:
    """What a task found; None where the corpus does not allow it."""
    found = read_if_there(run, task)
    return None if found is None else found.to_json()


_COST = (
    *("hours", "wall_hours", "tokens", "utilisation", "memory_bytes", "host_memory_bytes"),
    *("device_memory_bytes", "kwh", "energy_estimated", "usd", "brl", "money_basis"),
    *("co2_g", "grid", "grid_g_per_kwh", "predicted"),
)


def _cost(run: Run) -> dict[str, Any] | None:
    """The figures of the run's cost sheet; what they are made of stays there."""
    sheet = read_sheet(run.layout.cost)
    if sheet is None:
        return None
    return sheet.model_dump(mode="json", include=set(_COST))


def _unknown_in_training(run: Run, corpus: Corpus) -> int:
    """Characters of the training split that the run's tokenizer cannot write."""
    tokenizer = run.tokenizer
    if tokenizer.unk_id is None:
        return 0
    texts = [document.text for document in corpus.documents("train")]
    return sum(int((ids == tokenizer.unk_id).sum()) for ids in tokenizer.encode_batch(texts))


def _training_bytes(run: Run) -> float:
    """Reference bytes that the trained targets stand for; repeated ones count again."""
    data = read_json(run.layout.data)
    assert run.record.training_tokens is not None
    return run.record.training_tokens * data["training_bytes"] / data["training_tokens"]


def _step(run: Run, comparisons: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The comparison with the rung that this one follows, or with the nearest below that."""
    for row in comparisons:
        if row["a"] == run.spec.name and run.spec.about.follows is not None:
            kept = ("difference", "ci95", "p_value", "verdict", "scope", "sources_disagree")
            return {"against": row["b"], **{key: row[key] for key in kept}}
    return None
