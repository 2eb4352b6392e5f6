"""The table of a climb for the READMEs: `readme_table.py runs/demo`.

Writes the rows between `<!-- figures: ladder -->` and its end in both languages anew, and prints
the rows that `docs/results/demo.md` has. What stands around the rows is written by hand.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from escada.evaluation.baselines.corpus_controls import BaselineRow
from escada.files import write_text
from escada.report.data import read_ladder
from escada.report.schema import Ladder, RungRow

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": ("n-grams (Kneser-Ney)", "xz primed with the training text", "bigram"),
    "README.pt-BR.md": ("n-gramas (Kneser-Ney)", "xz que já leu o texto de treino", "bigrama"),
}
VERDICTS = {
    "README.md": {name: name for name in ("better", "worse", "undecided")},
    "README.pt-BR.md": {"better": "melhor", "worse": "pior", "undecided": "indefinido"},
}
CONTROLS = ("character Kneser-Ney n-grams", "xz after the training text", "character bigram")
BLOCK = re.compile(r"(?<=<!-- figures: ladder -->\n)(.*?)(?=<!-- /figures: ladder -->)", re.DOTALL)


def against_best_baseline(ladder: Ladder) -> dict[str, str]:
    """Rung → the verdict of the paired test against the baseline of fewest bits per byte."""
    best = ladder.best_baseline.key
    return {row.a: row.verdict for row in ladder.baseline_comparisons if row.b == best}


def readme_rows(ladder: Ladder, names: tuple[str, str, str], verdicts: dict[str, str]) -> list[str]:
    """A row for each rung and for three controls."""
    against = against_best_baseline(ladder)
    rows = [
        f"| {rung.name} | {rung.bits_per_byte:.3f} | {_interval(rung)} "
        f"| {verdicts[against[rung.name]]} "
        f"| {rung.parameters / 1e6:.2f} M | {rung.lexicon_share:.0%} "
        f"| {rung.minimal_pairs.accuracy:.0%} |".replace("%", " %")
        for rung in ladder.rungs
    ]
    controls = {row.name: row for row in ladder.baselines}
    for name, control in zip(names, CONTROLS, strict=True):
        row = controls[control]
        pairs = f"{100 * row.minimal_pairs.accuracy:.0f} %" if row.minimal_pairs else ""
        interval = _interval(row) if row.ci95 else ""
        rows.append(f"| {name} | {row.bits_per_byte:.3f} | {interval} | | | | {pairs} |")
    return rows


def result_rows(ladder: Ladder) -> list[str]:
    """A row for each rung, with its comparison and cost."""
    beside = against_best_baseline(ladder)
    steps = {row.a: row for row in reversed(ladder.comparisons)}
    rows: list[str] = []
    for rung in ladder.rungs:
        step = steps.get(rung.name)
        against = "| | | | |"
        if step is not None:
            low, high = step.ci95
            against = (
                f"| {step.b} | {step.difference:+.3f} [{low:+.3f}, {high:+.3f}] "
                f"| {_p_value(step.p_value)} | {step.verdict} |"
            )
        low, high = rung.ci95
        rows.append(
            f"| {rung.name} | {rung.bits_per_byte:.3f} | {low:.3f}, {high:.3f} "
            f"| {rung.train_bits_per_byte:.3f} {against} {beside[rung.name]} "
            f"| {rung.tokens_per_second:,.0f} | {rung.training_flops:.2e} "
            f"| {rung.training_seconds:.0f} |"
        )
    return rows


def _p_value(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _interval(row: RungRow | BaselineRow) -> str:
    low, high = row.ci95
    return f"{low:.3f} – {high:.3f}"


def fill(page: str, rows: list[str], decimal_comma: bool) -> str:
    """The page with these rows in place of those in its block, below the table's head."""
    if decimal_comma:
        rows = [re.sub(r"(\d)\.(\d)", r"\1,\2", row) for row in rows]

    def renew(found: re.Match[str]) -> str:
        lines = found[1].split("\n")
        table = [number for number, line in enumerate(lines) if line.startswith("|")]
        head = lines[: table[0] + 2]
        return "\n".join([*head, *rows, *lines[table[-1] + 1 :]])

    return BLOCK.sub(renew, page)


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("climb", type=Path)
    ladder = read_ladder(parser.parse_args().climb)
    for name, controls in PAGES.items():
        path = ROOT / name
        rows = readme_rows(ladder, controls, VERDICTS[name])
        write_text(path, fill(path.read_text(encoding="utf-8"), rows, "pt-BR" in name))
    print("\n".join(result_rows(ladder)))


if __name__ == "__main__":
    main()
