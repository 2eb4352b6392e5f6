"""A climb in Python: its rungs, their table, comparisons and the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from escada.api.rows import Rows
from escada.api.run import Run
from escada.choices import Code
from escada.errors import EscadaError, nearest

if TYPE_CHECKING:
    from escada.evaluation.task import Interval
    from escada.report.schema import ComparisonRow
    from escada.report.schema import Ladder as LadderFile


class Ladder(Mapping[str, Run]):
    """The rungs of a climb by name, in their order.

        ladder["v4"], ladder.compare("v4", "v_final"), ladder.table().to_pandas()

    A rung with several seeds is its first one here; `seeds` has all.
    """

    def __init__(self, folder: Path, *, device: str = "auto", lang: Code = "en") -> None:
        from escada.report.data import read_ladder

        self.path = folder
        self.results: LadderFile = read_ladder(folder)
        """The content of ladder.json, typed."""
        self._device = device
        self._lang: Code = lang
        self._opened: dict[str, Run] = {}

    def seeds(self, rung: str) -> list[Run]:
        """All runs of a rung, in the order of their seeds.

        Raises:
            EscadaError: the climb has no such rung.
        """
        runs = [row.run for row in self.results.rungs if row.name == rung]
        if not runs:
            raise EscadaError(
                f"no rung {rung!r} in this climb", where=self.path, fix=nearest(rung, list(self))
            )
        return [self._run(run) for run in runs]

    def _run(self, folder: str) -> Run:
        if folder not in self._opened:
            self._opened[folder] = Run.open(self.path / folder, device=self._device)
        return self._opened[folder]

    def __getitem__(self, rung: str) -> Run:
        return self.seeds(rung)[0]

    def __contains__(self, rung: object) -> bool:
        return any(rung == name for name in self)

    def get(self, rung: str, default: Any = None) -> Any:
        """The rung, or the default if the climb has none of this name."""
        return self.seeds(rung)[0] if rung in self else default

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(row.name for row in self.results.rungs))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def table(self) -> Rows:
        """One row per run: bits per byte of the test documents with their interval, and costs."""
        return Rows(
            {
                "rung": row.name,
                "seed": row.seed,
                "bits_per_byte": row.bits_per_byte,
                "ci95_low": None if row.ci95 is None else row.ci95[0],
                "ci95_high": None if row.ci95 is None else row.ci95[1],
                "parameters": row.parameters,
                "training_tokens": row.training_tokens,
                "training_flops": row.training_flops,
                "training_seconds": row.training_seconds,
            }
            for row in self.results.rungs
        )

    def compare(self, a: str, b: str, *, split: str = "test") -> Comparison:
        """Whether rung a is better than rung b, paired by document; over seeds where there are.

        Raises:
            EscadaError: no such rung, or the same one twice.
        """
        from escada.evaluation.task import Subject, complete
        from escada.evaluation.tasks.documents import Documents
        from escada.ladder.comparison import compare_recipes, group
        from escada.runs.corpus import corpus_of

        if a == b:
            raise EscadaError(f"{a} is compared with itself", fix="name two rungs")
        folders = [run.folder for rung in (a, b) for run in self.seeds(rung)]
        for folder in folders:
            complete(Subject(folder, corpus_of(folder), device=self._device), Documents(split))
        first, second = group(folders)
        (row,) = compare_recipes([(first, second)], split=split)
        return Comparison(row)

    def report(self) -> Path:
        """Write the report if anything is newer than it; the path of its page."""
        from escada.report.writers.current import refresh_report

        return refresh_report(self.path)

    def __repr__(self) -> str:
        return f"Ladder({self.path})\n{self.table()!r}"

    def _repr_html_(self) -> str:
        return f"{self.table().to_html()}{self._drawn()}"

    def _drawn(self) -> str:
        """The report's first figure, as SVG."""
        from escada.report.contents import Contents
        from escada.report.data import read_climb
        from escada.report.figures.svg import inline, render_svg
        from escada.report.i18n import Language
        from escada.report.sections import sections_of

        contents = Contents(read_climb(self.path), Language.load(self._lang))
        figures = (f for section in sections_of(contents, ()) for f in section.figures())
        figure = next(figures, None)
        return "" if figure is None else inline(render_svg(figure.draw()), "ladder", figure.alt)


@dataclass(frozen=True, repr=False)
class Comparison:
    """One rung less another, paired by document; negative: the first is better.

    Attributes:
        row: the typed result, by source too, as `escada compare --json` prints it.
    """

    row: ComparisonRow

    @property
    def difference(self) -> float:
        """Bits per byte."""
        return self.row.difference

    @property
    def ci95(self) -> Interval | None:
        """Of the difference."""
        return self.row.ci95

    @property
    def p_value(self) -> float | None:
        """Two-sided."""
        return self.row.p_value

    @property
    def verdict(self) -> str:
        """Of the first rung: `better`, `worse` or `undecided`."""
        return self.row.verdict

    def __repr__(self) -> str:
        row = self.row
        told = f"{row.a} against {row.b}: {row.verdict}, {row.difference:+.4f} bits per byte"
        ends = "" if row.ci95 is None else f" [{row.ci95[0]:+.4f}, {row.ci95[1]:+.4f}]"
        return told + ends + ("" if row.p_value is None else f", p = {row.p_value:.2g}")
