"""What the page tells of each rung, from its run's folder; what was not measured is null."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from escada.files import read_json
from escada.runs.run import Run
from escada.serve.limits import STOP_STRINGS, Limits

SCHEMA_VERSION = 1
TEST = "test"


def rung_facts(run: Run, name: str, context_tokens: int | None) -> dict[str, Any]:
    """One rung, as `/escada/ladder` shows it.

    Args:
        run: the rung's.
        name: under which it is served.
        context_tokens: of its model.
    """
    about = run.spec.about.model_dump(mode="json")
    record, path = run.record, run.layout.evaluation(TEST)
    test = read_json(path) if path.exists() else {}
    return {
        "name": name,
        "rung": run.spec.name,
        "preset": run.spec.preset,
        "seed": run.seed,
        **{key: about[key] for key in ("title", "follows")},
        "about": {key: about[key] for key in ("objective", "changes", "expected")},
        "parameters": record.get("parameters"),
        "bits_per_byte": test.get("bits_per_byte"),
        "interval": test.get("ci95"),
        "context_tokens": context_tokens,
        "tokenizer": {key: record["tokenizer"][key] for key in ("kind", "vocab_size")},
        "training_tokens": record.get("training_tokens"),
        "training_seconds": record.get("training_seconds"),
        "hash": record["key"],
        "run": run.name,
    }


def ladder(rungs: Iterable[dict[str, Any]], limits: Limits) -> dict[str, Any]:
    """All of `/escada/ladder`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "rungs": list(rungs),
        "limits": {
            "max_prompt_tokens": limits.max_prompt_tokens,
            "max_tokens": limits.max_tokens,
            "n": limits.max_n,
            "stop": STOP_STRINGS,
        },
    }
