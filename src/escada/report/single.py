"""The folder of one run, read as a ladder of one rung: a run has a page before any climb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from escada.files import read_json, read_toml
from escada.runs.layout import read_record

RECORD_FILE = "record.json"


def ladder_of_run(folder: Path) -> dict[str, Any]:
    """The facts of one run in the shape of ladder.json; nothing is checked here.

    Raises:
        EscadaError: a file of the run is not JSON or TOML.
    """
    record = read_record(folder / RECORD_FILE)

    def optional(name: str) -> dict[str, Any]:
        return read_json(folder / name) if (folder / name).is_file() else {}

    spec: dict[str, Any] = {}
    if (folder / "spec.toml").is_file():
        spec = read_toml(folder / "spec.toml")
    test = optional("evaluation/test.json")
    about = dict(spec.get("about", {}))
    rung = {
        **record,
        **{key: value for key, value in test.items() if key not in ("key", "tokens_per_second")},
        "run": ".",
        "follows": about.pop("follows", None),
        "about": about or None,
        "validation_bits_per_byte": optional("evaluation/validation.json").get("bits_per_byte"),
        "evaluation_tokens_per_second": test.get("tokens_per_second"),
        "unknown_characters": test.get("unknown", {}),
        "lexicon_share": optional("samples/samples.json").get("lexicon_share"),
        "train_bits_per_byte": optional("evaluation/train-sample.json").get("bits_per_byte"),
        "minimal_pairs": optional("evaluation/pairs.json") or None,
        "cloze": optional("evaluation/cloze.json") or None,
        "guardrails": optional("evaluation/guardrails.json") or None,
        "precision": record.get("precision", {}).get("name"),
        "device": record.get("setup", {}).get("device"),
    }
    return {
        **{key: record.get(key) for key in ("created", "preset", "budget", "seed")},
        "schema_version": record.get("schema_version"),
        "corpus": {
            "hash": record.get("corpus_hash"),
            "profile": test.get("profile"),
            **{key: {"test": test[key]} for key in ("documents", "bytes") if key in test},
        },
        "rungs": [rung],
    }
