"""A run on its ladder: everything that is measured of it, and the row that sums it up.

review(run, corpus, say)                          # makes what is not there yet
row = rung_row(run, corpus, out, comparisons)     # reads what is there
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from escada.cost.sheet import read_sheet
from escada.evaluation.portuguese.agreement import has_pairs
from escada.evaluation.task import (
    TRAIN_SAMPLE,
    measure_run,
    measure_train_sample,
    read_measurement,
    sample_run,
)
from escada.evaluation.tasks import cloze
from escada.evaluation.tasks import minimal_pairs as pairs
from escada.evaluation.tasks.cloze import cloze_run, has_passages
from escada.evaluation.tasks.minimal_pairs import pairs_run
from escada.files import read_json
from escada.guardrails import task as guard
from escada.guardrails.task import guard_run, read_guardrails
from escada.report.writers.card import write_card
from escada.runs.run import Run
from escada.runs.time_budget import budget_seconds
from escada.text.corpus import Corpus


def review(run: Run, corpus: Corpus, say: Callable[[str], None], *, device: str = "auto") -> None:
    """Measure a finished run and let it write; what was done already is not done again."""
    name = run.spec.name
    say(f"{name}: evaluating")
    for split in ("validation", "test"):
        if measure_run(run, corpus, split, device=device):
            say(f"{name}: measured on {split} documents")
    if measure_train_sample(run, corpus, device=device):
        say(f"{name}: measured on a sample of the training documents")
    if sample_run(run, device=device):
        say(f"{name}: samples written")
    if guard_run(run, corpus, device=device):
        say(f"{name}: guardrails: {read_guardrails(run)['verdict']}")
    if has_pairs(corpus) and pairs_run(run, corpus, device=device):
        say(f"{name}: minimal pairs scored")
    if has_passages(corpus) and cloze_run(run, corpus, device=device):
        say(f"{name}: last words guessed")
    write_card(run)


def rung_row(
    run: Run, corpus: Corpus, out: Path, comparisons: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A run's facts, from its folder.

    Args:
        run: reviewed.
        corpus: that it was trained on.
        out: the climb's folder; the path of the run is told from there.
        comparisons: rows of `compare_recipes` for `ladder_pairs`; its first one of a rung that
            follows another is the rung's step.
    """
    test = read_json(run.layout.evaluation("test"))
    validation = read_json(run.layout.evaluation("validation"))
    samples = read_json(run.layout.samples)
    about = run.spec.about
    record = run.record
    return {
        "name": run.spec.name,
        "follows": about.follows,
        "about": about.model_dump(mode="json", exclude={"follows"}),
        "run": run.path.relative_to(out).as_posix(),
        "preset": run.spec.preset,
        **{k: record[k] for k in ("seed", "tokenizer", "corpus_hash", "status", "parameters")},
        "profile": run.spec.text.profile,
        **{k: test[k] for k in ("protocol", "bits_per_byte", "ci95", "perplexity", "accuracy")},
        **{k: test[k] for k in ("groups", "effective_groups", "macro_bits_per_byte", "macro_ci95")},
        **{k: test[k] for k in ("ci95_leaves_out", "ci95_borrowed", "by_source", "sources")},
        "unknown_characters": {
            "train": _unknown_in_training(run, corpus),
            "test": test["unknown"],
        },
        "validation_bits_per_byte": validation["bits_per_byte"],
        "train_bits_per_byte": read_measurement(run, TRAIN_SAMPLE)["bits_per_byte"],
        **{k: record[k] for k in ("training_tokens", "training_flops", "training_seconds")},
        **{k: record[k] for k in ("tokens_per_second", "peak_memory_bytes")},
        "budget_seconds": budget_seconds(run.spec, record),
        "training_bytes": _training_bytes(run),
        "evaluation_tokens_per_second": test["tokens_per_second"],
        "lexicon_share": samples["lexicon_share"],
        "minimal_pairs": _optional(run, pairs.NAME),
        "cloze": _optional(run, cloze.NAME),
        "guardrails": _optional(run, guard.NAME),
        "precision": record["precision"]["name"],
        "device": record["circumstances"]["device"],
        "spec_hash": record["spec_hash"],
        "key": record["key"],
        "cost": _cost(run),
        "beats_previous": _step(run, comparisons),
    }


def _optional(run: Run, name: str) -> dict[str, Any] | None:
    """What a test of the run found; None where the corpus does not allow it."""
    path = run.layout.evaluation(name)
    return read_json(path) if path.exists() else None


_COST = (
    *("hours", "wall_hours", "tokens", "utilisation", "memory_bytes", "host_memory_bytes"),
    *("device_memory_bytes", "kwh", "energy_estimated", "usd", "brl", "money_basis"),
    *("co2_g", "grid", "grid_g_per_kwh", "predicted"),
)


def _cost(run: Run) -> dict[str, Any] | None:
    """The figures of the run's cost sheet; what they are made of stays there."""
    sheet = read_sheet(run.layout.cost)
    return None if sheet is None else {name: sheet.get(name) for name in _COST}


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
    return run.record["training_tokens"] * data["training_bytes"] / data["training_tokens"]


def _step(run: Run, comparisons: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The comparison with the rung that this one follows, or with the nearest below that."""
    for row in comparisons:
        if row["a"] == run.spec.name and run.spec.about.follows is not None:
            kept = ("difference", "ci95", "p_value", "verdict", "scope", "sources_disagree")
            return {"against": row["b"], **{key: row[key] for key in kept}}
    return None
