"""Reference figures of a corpus: n-gram models, compressors, human text and noise.

    controls = read_controls(corpus, path) or make_controls(corpus, path)
    scores = control_scores(path)     # of the n-gram model, to pair with a rung's

Measured once per corpus, on the same documents as the rungs and, for models, by the same ruler.
Next to the file are the sums per document of every baseline that reads documents separately, and
the n-gram models' answers to the minimal pairs.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue

from escada.code_hash import code_hash
from escada.evaluation.baselines.cloze import ClozeBaseline
from escada.evaluation.baselines.measurements import Say, measure
from escada.evaluation.ruler import DocumentScores
from escada.evaluation.task import MAKES_DOCUMENTS, MEASURES
from escada.evaluation.tasks.documents import read_scores, write_scores
from escada.evaluation.tasks.minimal_pairs import PairsResult
from escada.files import content_hash, read_json, write_sealed_json, write_sealed_json_lines
from escada.text.corpus import Corpus
from escada.typed_json import Interval, JsonObject, parse

SCHEMA_VERSION = 2


class BaselineRow(JsonObject):
    """A baseline on the test documents, as in ladder.json; `seconds` includes training.

    `scored_splits` have stored sums per document.
    """

    name: str
    key: str
    bits_per_byte: float
    ci95: Interval | None = None
    protocol: str | None = None
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    seconds: float | None = None
    scored_splits: tuple[str, ...] = ()
    minimal_pairs: PairsResult | None = None


class LexiconShare(JsonObject):
    """Share of words in the lexicon (0 to 1): of human text the ceiling, of noise the floor."""

    lexicon_share: float | None = None


class CorpusControls(JsonObject):
    """Everything that is measured once per corpus."""

    baselines: list[BaselineRow] = Field(default_factory=list[BaselineRow])
    cloze_baselines: list[ClozeBaseline] = Field(default_factory=list[ClozeBaseline])
    human: LexiconShare | None = None
    noise: LexiconShare | None = None

    @property
    def best_baseline(self) -> BaselineRow:
        """The baseline with the fewest bits per byte; there must be one."""
        return min(self.baselines, key=lambda baseline: baseline.bits_per_byte)


def read_controls(corpus: Corpus, path: Path) -> CorpusControls | None:
    """The controls at `path`; None if corpus or code have changed since."""
    if path.exists():
        kept = read_json(path)
        if "controls" in kept and kept.get("key") == _key(corpus) and _is_whole(path, kept):
            return parse(CorpusControls, kept["controls"], path)
    return None


def make_controls(corpus: Corpus, path: Path, say: Say = lambda _: None) -> CorpusControls:
    """Measure the controls and write them to `path`; `say` is called with progress messages."""
    controls, measured = measure(corpus, say)
    for name, baseline in measured.items():
        for split, scores in baseline.scores.items():
            write_scores(document_scores_path(path, name, split), scores)
        if baseline.pairs is not None:
            write_sealed_json_lines(pair_rows_path(path, name), baseline.pairs.rows())
    table = {"schema_version": SCHEMA_VERSION, "key": _key(corpus), "controls": controls}
    write_sealed_json(path, table)
    return CorpusControls.model_validate(controls)


def control_scores(path: Path, key: str = "kneser_ney", split: str = "test") -> DocumentScores:
    """A baseline's sums per document, for a paired comparison with a rung.

    Raises:
        EscadaError: not written yet.
    """
    return read_scores(document_scores_path(path, key, split))


def document_scores_path(path: Path, key: str, split: str) -> Path:
    """Path of a baseline's sums per document, next to `controls.json`."""
    return path.with_name(f"{path.stem}-{key}-{split}-documents.jsonl")


def pair_rows_path(path: Path, key: str) -> Path:
    """Path of a baseline's answers to the minimal pairs, next to `controls.json`."""
    return path.with_name(f"{path.stem}-{key}-pairs.jsonl")


def _is_whole(path: Path, kept: dict[str, Any]) -> bool:
    """Whether the files of its baselines are there."""
    beside: list[Path] = []
    for row in kept["controls"]["baselines"]:
        beside += [document_scores_path(path, row["key"], split) for split in row["scored_splits"]]
        beside += [pair_rows_path(path, row["key"])] if "minimal_pairs" in row else []
    return all(file.exists() for file in beside)


def _key(corpus: Corpus) -> str:
    return content_hash(
        {
            "corpus": corpus.hash,
            "code": code_hash(__name__, within=MEASURES, without=MAKES_DOCUMENTS),
            "versions": {name: metadata.version(name) for name in ("zstandard", "wordfreq")},
        }
    )
