"""Deprecated module names from before 2026-11-30, so that old scripts and notebooks still import.

    from escada.training.start import start      # warns once: now `escada.training.run`

Only documented modules are listed; they are removed in version 1.0.
"""

from __future__ import annotations

import importlib
import importlib.abc
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "evaluation.baseline_comparison": "ladder.baseline_comparison",
    "evaluation.card": "report.writers.card",
    "evaluation.comparison": "ladder.comparison",
    "evaluation.compressors": "evaluation.baselines.compressors",
    "evaluation.controls": "evaluation.baselines.corpus_controls",
    "evaluation.guardrails": "guardrails",
    "evaluation.guardrails.facts": "guardrails.measures",
    "evaluation.guardrails.guard": "guardrails.task",
    "evaluation.guardrails.judging": "guardrails.verdicts",
    "evaluation.harness": "evaluation.tasks.lm_eval",
    "evaluation.judge": "judge",
    "evaluation.judge.asking": "judge.client",
    "evaluation.judge.reference": "judge.offline_judge",
    "evaluation.judge.reviewing": "judge.review",
    "evaluation.kneser_ney": "models.ngrams.kneser_ney",
    "evaluation.lexicon": "evaluation.portuguese.lexicon",
    "evaluation.measurement": "evaluation.tasks.documents",
    "evaluation.baselines.ngram_counts": "models.ngrams.counting",
    "evaluation.ngram": "models.ngrams.counting",
    "evaluation.portuguese.cloze": "evaluation.tasks.cloze",
    "evaluation.portuguese.continuations": "evaluation.continuations",
    "evaluation.portuguese.pairs": "evaluation.tasks.minimal_pairs",
    "evaluation.pretrained": "evaluation.baselines.pretrained",
    "evaluation.results": "evaluation.task",
    "evaluation.review": "evaluation.task",
    "evaluation.strata": "evaluation.sampling",
    "text.prepared": "text.token_cache",
    "text.sources.mending": "text.sources.detokenize",
    "training.circumstances": "training.setup",
    "training.gradients": "training.step",
    "training.host_memory": "training.memory",
    "training.objective": "training.step",
    "training.start": "training.run",
    "training.validation": "training.loop",
    "cost.devices": "cost.gpus",
    "cost.memory": "cost.peak_memory",
    "cost.peak": "cost.peak_flops",
    "guardrails.language": "text.filters.language",
    "guardrails.limits": "guardrails.guardrail",
    "models.packed": "models.packed_linear",
    "models.saved": "models.activation_memory",
    "report.sections.words": "report.sections.shared",
    "runs.underway": "runs.climb_lock",
    "sections": "toml_tables",
    "text.sources.opening": "text.sources.streams",
    "training.optimizers.several": "training.optimizers.combined",
}
_PACKAGE = __name__.rpartition(".")[0]


def new_name(module: str) -> str | None:
    """The current name of a moved module; None if it was not moved."""
    name = module.removeprefix(f"{_PACKAGE}.")
    if name in MOVED:
        return f"{_PACKAGE}.{MOVED[name]}"
    package, _, rest = name.rpartition(".")
    return f"{_PACKAGE}.{MOVED[package]}.{rest}" if package in MOVED else None


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports modules by their old names, with a warning."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for an old name; None for any other."""
        if not fullname.startswith(f"{_PACKAGE}.") or new_name(fullname) is None:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module under its current name."""
        name = new_name(spec.name)
        assert name is not None
        warnings.warn(f"{spec.name} is {name} now", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(name)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module was executed under its current name."""
        if module.__spec__ is not None and module.__spec__.loader is self:
            module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Put the finder ahead of the others, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
