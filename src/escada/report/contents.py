"""The input of every section of the report: a climb, its findings, and one language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from escada import __version__
from escada.judge.verdict import Judgement
from escada.report.data import Climb, RunFiles
from escada.report.figures.palette import rung_roles
from escada.report.findings import Findings, find
from escada.report.i18n import NOTHING, Language
from escada.report.schema import CostFigures, Ladder, RungRow


@dataclass(frozen=True)
class Contents:
    """A climb and its findings, in one language."""

    climb: Climb
    language: Language

    @property
    def ladder(self) -> Ladder:
        """The rows of ladder.json."""
        return self.climb.ladder

    @property
    def runs(self) -> Mapping[str, RunFiles]:
        """Run folders by rung name."""
        return self.climb.runs

    @property
    def judge(self) -> Judgement | None:
        """The judge's verdict, if one was asked."""
        return self.climb.judge

    @cached_property
    def findings(self) -> Findings:
        """The best rung, the outcome of each step, and other conclusions."""
        return find(self.ladder, self.climb.scale)

    @cached_property
    def roles(self) -> dict[str, str]:
        """The rungs' colours, those that only its scale has included."""
        known = {rung.name for rung in self.ladder.rungs}
        scaled = self.climb.scale.rungs if self.climb.scale else ()
        return rung_roles([*self.ladder.rungs, *(r for r in scaled if r.name not in known)])

    @cached_property
    def sources(self) -> list[str]:
        """The sources of the test documents, in alphabetical order."""
        return sorted({source for rung in self.ladder.rungs for source in rung.by_source})

    def cost(self, rung: RungRow) -> CostFigures | None:
        """A rung's cost sheet, from its run folder if there is one, else from its row."""
        run = self.runs.get(rung.name)
        return run.cost if run else rung.cost

    @property
    def origin(self) -> str:
        """The provenance line: the last note below every table."""
        ladder = self.ladder
        return self.language.say(
            "tables.origin",
            version=__version__,
            created=(ladder.created or NOTHING)[:10],
            preset=ladder.preset or NOTHING,
            budget=self.language.budget(ladder.budget) if ladder.budget else NOTHING,
            corpus=(ladder.corpus.hash or NOTHING)[:12],
        )
