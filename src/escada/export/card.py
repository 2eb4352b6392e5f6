"""The model card of an export: the run's card (`report.writers.card`) adapted for model hubs.

The front matter names the library and has the results as `model-index`; "Using it" shows how to
load the export.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from escada.evaluation.task import read
from escada.evaluation.tasks.documents import TEST, VALIDATION, DocumentsResult
from escada.files import read_json
from escada.report.writers.card import MEASURED, card_text
from escada.runs.checkpoint import Which
from escada.runs.run import Run

_USING, _AFTER_IT = "## Using it\n", "## Hashes\n"
_INDEX = """\
metrics:
  - bits_per_byte
model-index:
  - name: {run.spec.name}-{run.spec.preset}
    results:
"""
_RESULT = """\
      - task:
          type: text-generation
        dataset:
          name: {corpus}
          type: {corpus_hash}
          split: {split}
        metrics:
          - type: bits_per_byte
            value: {value:.4f}
            name: {title}
"""


def export_card(run: Run, which: Which, library: str, using: str) -> str:
    """README.md of an exported folder; `using` is the Markdown of its usage section."""
    _, front, body = card_text(run).split("---\n", 2)
    front = front.replace("library_name: escada", f"library_name: {library}")
    if results := "".join(_RESULT.format(**values) for values in _figures(run, which)):
        front += _INDEX.format(run=run) + results
    # The last occurrences, since a sample may contain the same lines.
    before, _, rest = body.rpartition(_USING)
    after = rest.partition(_AFTER_IT)[2]
    return f"---\n{front}---\n{before}{_USING}\n{using}\n{_AFTER_IT}{after}"


def _figures(run: Run, which: Which) -> Iterator[dict[str, object]]:
    """Results measured with the exported weights."""
    data = read_json(run.layout.data) if run.layout.data.exists() else {}
    # The names of the sources, so that no local path of a user's file is published.
    corpus = ", ".join(data.get("licences") or {}) or "not recorded"
    for task in (TEST, VALIDATION):
        path = task.path(run)
        if not path.exists() or read_json(path).get("weights_sha256") != run.weights_sha256(which):
            continue
        found: DocumentsResult = read(run, task)
        title = f"bits per byte, {MEASURED[task.name][0]}"
        if found.ci95:
            title += f", 95 % interval {found.ci95[0]:.4f} to {found.ci95[1]:.4f}"
        yield {
            "corpus": _quoted(corpus),
            "corpus_hash": _quoted(f"escada/{str(found.corpus_hash)[:12]}"),
            "split": task.name,
            "value": found.bits_per_byte,
            "title": _quoted(title),
        }


def _quoted(text: str) -> str:
    """Quote a YAML string; JSON's quoting is valid."""
    return json.dumps(text, ensure_ascii=False)


def expected_text(profile: str) -> str:
    """How to prepare text for the model."""
    form = (
        "NFC, single spaces, no control characters, at most one empty line in a row"
        if profile == "reference"
        else "lower case, each number as 0"
    )
    return (
        "Every text begins with BOS, which the tokenizer puts in front. Text is expected as the "
        f"training text was cleaned (profile `{profile}`): {form}; "
        "`escada.text.cleaning.clean_prompt` does it, and no tokenizer file can carry it."
    )
