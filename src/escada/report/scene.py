"""A climb in one language: all that tables and figures are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from escada import __version__
from escada.report.costs import CostFacts
from escada.report.data import LadderFacts, RunFacts, RungFacts, read_ladder, read_run
from escada.report.findings import Findings, find
from escada.report.i18n import Code, Language


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the tables are made of."""

    ladder: LadderFacts
    runs: Mapping[str, RunFacts]
    findings: Findings
    language: Language

    def cost(self, rung: RungFacts) -> CostFacts | None:
        """A rung's cost sheet, wherever it is."""
        return self.runs[rung.name].cost

    @property
    def origin(self) -> str:
        """Where every table comes from: the note below it."""
        ladder, say = self.ladder, self.language.say
        return say(
            "tables.origin",
            version=__version__,
            created=(ladder.created or "–")[:10],
            preset=ladder.preset or "–",
            budget=self.language.budget(ladder.budget) if ladder.budget else "–",
            corpus=(ladder.corpus.hash or "–")[:12],
        )


def read_scene(folder: Path, code: Code) -> Scene:
    """Everything that tables and figures are made of.

    Raises:
        EscadaError: no ladder there, or a file of it that cannot be read.
    """
    ladder = read_ladder(folder)
    runs = {rung.name: read_run(folder, rung) for rung in ladder.rungs}
    return Scene(ladder, runs, find(ladder), Language.load(code))
