"""docs/roadmap.md: the roadmap's versions, with what was expected and measured of each.

    escada report docs/results/laptop-climb --roadmap docs/roadmap.md

Objectives and expectations come from the rung files, changes from their `full` presets (a rung from
outside: its run), measurements from a ladder.json, outcomes from `objectives.py`. A rung that the
climb did not have is listed without figures.
"""

from __future__ import annotations

from collections.abc import Sequence

from escada.budget import Budget
from escada.report.changes import Changed, changed_in, changes, packaged, settings_of
from escada.report.findings import Findings, find
from escada.report.i18n import NOTHING, Language
from escada.report.objectives import objectives
from escada.report.schema import Ladder, RungRow
from escada.report.tables import Cell, Column, Provenance, Row, Table
from escada.report.writers.markdown_csv import markdown_table, plain
from escada.report.writers.output import MARK
from escada.spec import FULL, About, read_spec_table, rung_names

_STATUS = {"met": "reached", "missed": "not reached", "open": "open", "untested": "not judged"}


_SLIPS = (
    "## Where its arithmetic slips",
    "",
    "The roadmap's own figures, and the right ones for v5 (12.2 M parameters, 64 "
    "windows of 256 tokens per step):",
    "",
    "- Its FLOP formula gives 8.8 × 10⁶. Counted product by product "
    "([planner.md](planner.md)), a token of v5 takes 2.56 × 10⁷ FLOP forward and 7.67 ×"
    " 10⁷ with the backward pass; a step of 16,384 tokens 1.257 × 10¹², not 1.9 × 10¹³.",
    '- "19 TFLOPs per thousand steps": a thousand steps are 1,257 TFLOP.',
    "- 20,000 documents of BrWaC are not 1.3 M tokens. Its paper (Wagner Filho, Wilkens, "
    "Idiart and Villavicencio, LREC 2018, abstract) counts 2.7 billion tokens, by which it "
    "means words, in 3.5 million pages: about 770 a page, so 15.4 M. v4's tokenizer (4,096 "
    "pieces) takes 1.85 of its own tokens per word on the training text of the default "
    "corpus, which makes about 28 M.",
    '- "50k steps ≈ 3 epochs": 50,000 steps read 819 M tokens, which is 29 times '
    "through 28 M tokens.",
)
"""Errors in the roadmap's own arithmetic, derived from v5 and BrWaC."""


def roadmap(ladder: Ladder) -> str:
    """The document, in English Markdown."""
    language, findings = Language.load("en"), find(ladder)
    versions = _versions(ladder)
    versions_table = _versions_table(versions, ladder, language)
    metrics_table = _metrics_table(versions, ladder, findings, language)
    head = [
        f"<!-- {MARK} -->",
        "",
        "# The roadmap, and where it stands",
        "",
        "Generated from a `ladder.json` by `escada report DIR --roadmap FILE`, and so not to be "
        "edited. What a version sets out to do is said in its rung's file; where the roadmap's "
        "names went is in [roadmap-names.md](roadmap-names.md).",
        "",
        "## The versions",
        "",
        markdown_table(versions_table),
        "## Expected and measured",
        "",
        _measured_on(ladder, language),
        "",
        markdown_table(metrics_table),
        plain(language.say("objectives.intro")),
        "",
        plain(language.say("objectives.note")),
        "",
        "The roadmap itself states perplexities on windows of another text; they are no "
        "expectation that a figure here could be held against, and are not repeated.",
        "",
        *_SLIPS,
    ]
    return "\n".join(head) + "\n"


_Version = tuple[str, About, RungRow | None]


def _versions(ladder: Ladder) -> list[_Version]:
    """The package's rungs, with their row if the climb had them, then the climb's other rungs."""
    others = {rung.name: rung for rung in ladder.rungs}
    found: list[_Version] = [
        (name, About.model_validate(read_spec_table(name)[0]["about"]), others.pop(name, None))
        for name in rung_names()
    ]
    return found + [(name, rung.about, rung) for name, rung in others.items() if rung.about]


def _changed(name: str, about: About, rung: RungRow | None, ladder: Ladder) -> Changed | None:
    """From `full` to `full` for rungs of the package."""
    spec, before = packaged(name, FULL), packaged(about.follows, FULL)
    if spec and before:
        return Changed(before.name, FULL, changes(settings_of(before), settings_of(spec)))
    return changed_in(rung, ladder) if rung else None


def _in_words(changed: Changed | None, about: About, language: Language) -> str:
    """What changed, then the author's note."""
    said = [changed.sentence(language)] if changed else []
    said += [about.changes.en] if about.changes else []
    return " ".join(said) or NOTHING


def _versions_table(versions: Sequence[_Version], ladder: Ladder, language: Language) -> Table:
    changed = [_changed(name, about, rung, ladder) for name, about, rung in versions]
    rows = [
        Row(
            [
                Cell(name, name, "strong"),
                Cell(about.title.en),
                Cell(about.follows or (rung.follows if rung else None) or NOTHING),
                Cell(about.objective.en),
                Cell(_in_words(found, about, language)),
            ]
        )
        for (name, about, rung), found in zip(versions, changed, strict=True)
    ]
    headings = ("Version", "What it is", "Follows", "Objective", "What changes (preset full)")
    columns = [Column(heading.lower(), heading, numeric=False) for heading in headings]
    return Table("versions", "", columns, rows, paper=[column.key for column in columns])


def _metrics_table(
    versions: Sequence[_Version], ladder: Ladder, findings: Findings, language: Language
) -> Table:
    rows: list[Row] = []
    for name, about, rung in versions:
        if rung is None:
            status = "not in this climb"
            cells = [Cell(NOTHING) for _ in range(5)]
        else:
            found = objectives(rung, ladder, findings)
            said = found.sentences(language)
            status = _STATUS[found.outcome] if rung.bits_per_byte is not None else "not measured"
            bits = f"{language.bits(rung.bits_per_byte)} {language.interval(rung.ci95)}".strip()
            cells = [
                Cell(bits, rung.bits_per_byte),
                Cell(said or NOTHING),
                Cell(language.compact(rung.parameters), rung.parameters),
                Cell(language.power(rung.training_flops), rung.training_flops),
                Cell((rung.key or NOTHING)[:12], rung.key, "code"),
            ]
        sources = (Provenance.of(rung),) if rung else ()
        label = Cell(name, name, "strong")
        rows.append(Row([label, Cell(about.expected.en), *cells, Cell(status)], sources))
    columns = [
        Column("version", "Version", numeric=False),
        Column("expected", "Expected", numeric=False),
        Column("bits_per_byte", "Bits per byte, 95 % interval"),
        Column("measured", "Measured", numeric=False),
        Column("parameters", "Parameters"),
        Column("flops", "FLOPs"),
        Column("key", "Run", numeric=False),
        Column("status", "Status", numeric=False),
    ]
    return Table("metrics", "", columns, rows, paper=[column.key for column in columns])


def _measured_on(ladder: Ladder, language: Language) -> str:
    """The climb that the figures are of, in one sentence."""
    corpus, machine = ladder.corpus, ladder.machine
    devices = machine.gpus or [f"{machine.cores or '?'} cores of {machine.cpu}"]
    test_bytes = language.number(corpus.bytes.get("test"))
    shown = Budget.parse(ladder.budget).shown if ladder.budget else NOTHING
    return plain(
        f"Climb of {(ladder.created or NOTHING)[:10]}: preset {ladder.preset}, budget "
        f"{shown} per rung, {', '.join(devices)}. Figures are bits per byte of the "
        f"{test_bytes} bytes of test documents of the corpus {corpus.source} "
        f"({(corpus.hash or NOTHING)[:12]}), with the end of every document charged. They say how "
        "the rungs stand under this budget, not how they would stand under the roadmap's own."
    )
