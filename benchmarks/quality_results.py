"""What `quality.py` found, as JSON, a table and a picture: peers and escada's runs side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
from pydantic import Field

from escada.errors import EscadaError
from escada.evaluation.ruler import bits_per_byte, read_scores
from escada.evaluation.statistics import Items, estimate
from escada.files import content_hash, read_json, write_json, write_text
from escada.report.figures.palette import light
from escada.runs.environment import Environment, environment
from escada.runs.layout import Layout
from escada.runs.record import read_record
from escada.typed_json import Interval, JsonObject

SCHEMA_VERSION = 1
FAMILIES = {
    "nanogpt_char": ("nanoGPT, CPU recipe", "nanoGPT, receita para CPU"),
    "nanogpt_gpt2": ("nanoGPT, GPT-2 recipe, small", "nanoGPT, receita do GPT-2, menor"),
    "nanochat": ("nanochat (Muon)", "nanochat (Muon)"),
    "transformers": ("GPT-2, transformers' Trainer", "GPT-2, Trainer do transformers"),
    "keras_v3": ("Keras v3, last position", "Keras v3, última posição"),
    "keras_v4": ("Keras v4, last position", "Keras v4, última posição"),
}
"""Peers by family: their names in the two languages of the picture. A rung has its own name."""
WORDS = {
    "en": ("bits per byte", "training FLOP", "training seconds"),
    "pt": ("bits por byte", "FLOP de treino", "segundos de treino"),
}
CHOSEN = "chosen"


class Figure(JsonObject):
    """One training on the held-out documents.

    Attributes:
        family: trials of one family differ in overrides alone; a rung's is its own name.
        budget_flop: what was asked for; `flop` is what whole steps came to.
        threads: that the seconds were taken with.
        chosen: settings that the peer's own recipe does not give, with the reason.
        documents_key: of ids and sizes of the documents: equal for all that are compared.
    """

    name: str
    family: str
    ours: bool
    seed: int
    budget_flop: float
    flop: float
    seconds: float
    threads: int
    steps: int
    tokens: int
    parameters: int
    bits_per_byte: float
    ci95: Interval | None
    protocol: str
    context_tokens: int | None
    documents_key: str
    commit: str | None = None
    facts: Mapping[str, str | int | float] = Field(default_factory=dict)
    settings: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    chosen: Mapping[str, str] = Field(default_factory=dict)


class Results(JsonObject):
    """docs/results/quality.json."""

    schema_version: int = SCHEMA_VERSION
    date: str
    split: str
    machine: Environment
    figures: list[Figure]


def figure_of_peer(folder: Path, split: str, name: str, family: str) -> Figure:
    """Read what a runner wrote.

    Raises:
        EscadaError: not there, or training and scores are of two keys.
    """
    training, scored = read_json(folder / "training.json"), read_json(folder / f"{split}.json")
    if training["key"] != scored["key"]:
        fix = "run `quality.py train` for this peer again"
        raise EscadaError("training and scores are not of one key", where=folder, fix=fix)
    rows = scored["documents"]
    columns = {column: [row[column] for row in rows] for column in rows[0]}
    bits, sizes = np.array(columns["nats"]) / math.log(2), np.array(columns["bytes"])
    sources = training["sources"]
    return Figure(
        name=name,
        family=family,
        ours=False,
        seed=training["seed"],
        budget_flop=training["budget_flop"],
        flop=training["flop"],
        seconds=training["seconds"],
        threads=training["threads"],
        steps=training["steps"],
        tokens=training["tokens"],
        parameters=training["facts"]["parameters"],
        bits_per_byte=float(bits.sum() / sizes.sum()),
        ci95=estimate(Items(columns["source"], columns["group"], bits, sizes)).ci95,
        protocol=scored["protocol"],
        context_tokens=scored["context_tokens"],
        commit=training["commit"],
        facts=training["facts"],
        settings=training["settings"],
        chosen={name: text for name, text in sources.items() if CHOSEN in text},
        documents_key=_documents_key(columns["id"], columns["bytes"]),
    )


def figures_of_runs(paths: Iterable[Path], split: str) -> list[Figure]:
    """Figures of escada's finished runs.

    Raises:
        EscadaError: not a run, not finished, or not evaluated on that split.
    """
    found: list[Figure] = []
    for path in paths:
        record = read_record(Layout(path).record)
        if record.status != "finished":
            raise EscadaError(f"a run that is {record.status}", where=path, fix="finish it first")
        scores = read_scores(Layout(path).document_scores(split))
        flop = record.training_flops or 0.0
        found.append(
            Figure(
                name=record.name,
                family=record.name,
                ours=True,
                seed=record.seed,
                budget_flop=flop,
                flop=flop,
                seconds=record.training_seconds or 0.0,
                threads=record.setup.threads,
                steps=record.step or 0,
                tokens=record.training_tokens or 0,
                parameters=record.parameters or 0,
                bits_per_byte=bits_per_byte(scores),
                ci95=estimate(Items.of(scores)).ci95,
                protocol=scores.protocol,
                context_tokens=scores.context_tokens,
                facts={"precision": record.precision.name, "vocab": record.tokenizer.vocab_size},
                documents_key=_documents_key(scores.ids, scores.bytes.tolist()),
            )
        )
    return found


def _documents_key(ids: Sequence[str], sizes: Sequence[int]) -> str:
    return content_hash(sorted(zip(ids, sizes, strict=True)))


def write_results(path: Path, figures: Sequence[Figure], split: str) -> None:
    """Write PATH, its .md, and the picture in two languages as SVG and PNG.

    Raises:
        EscadaError: figures of different documents.
    """
    keys = {figure.documents_key: figure for figure in figures}
    if len(keys) > 1:
        names = " and ".join(figure.name for figure in keys.values())
        fix = "evaluate both on one prepared corpus"
        raise EscadaError(f"{names} were scored on different documents", where=path, fix=fix)
    ordered = sorted(figures, key=lambda f: (f.ours, f.family, f.flop, f.bits_per_byte))
    results = Results(
        date=time.strftime("%Y-%m-%d"),
        split=split,
        machine=environment(),
        figures=ordered,
    )
    write_json(path, results.model_dump(mode="json"))
    write_text(path.with_suffix(".md"), markdown(results))
    for language in WORDS:
        draw(best_of_family(ordered), language, path.with_name(f"{path.stem}-{language}"))


class Point(NamedTuple):
    """A trial at one budget: means over its seeds."""

    ours: bool
    flop: float
    seconds: float
    bits_per_byte: float


def best_of_family(figures: Sequence[Figure]) -> dict[str, list[Point]]:
    """By family, the best trial at each budget, from the smallest budget on."""
    seeds: dict[tuple[str, float, str], list[Figure]] = {}
    for figure in figures:
        seeds.setdefault((figure.family, _level(figure), figure.name), []).append(figure)
    best: dict[str, dict[float, Point]] = {}
    for (family, level, _), members in seeds.items():
        flop, seconds, bits = (
            fmean(getattr(member, name) for member in members)
            for name in ("flop", "seconds", "bits_per_byte")
        )
        known = best.setdefault(family, {})
        if level not in known or bits < known[level].bits_per_byte:
            known[level] = Point(members[0].ours, flop, seconds, bits)
    return {family: [known[level] for level in sorted(known)] for family, known in best.items()}


def _level(figure: Figure) -> float:
    """The budget to one digit: a run of ours comes to a few steps more or less."""
    return float(f"{figure.budget_flop:.0e}")


def label(family: str, language: str) -> str:
    names = FAMILIES.get(family)
    return family if names is None else names[list(WORDS).index(language)]


def markdown(results: Results) -> str:
    """The table, what had to be chosen for each peer, and versions."""
    machine = results.machine
    lines = [
        f"# Peers at equal compute, {results.date}",
        "",
        f"Bits per byte of whole documents ({results.split} split), by the ruler's protocol, after "
        "training on the same training documents for a budget in FLOP (matrix products, forward "
        "and backward, Muon's included). 95 % intervals are over groups of documents. Seconds are "
        f"of the steps alone, on {machine.cpu}. How it was done: "
        "[benchmarks](../benchmarks.md#peers-at-equal-compute).",
        "",
        "| model | seed | FLOP | seconds | threads | parameters | tokens | bits/byte | 95 % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for f in sorted(results.figures, key=lambda f: (_level(f), f.bits_per_byte)):
        name = f"**{f.name}**" if f.ours else f"{label(f.family, 'en')} (`{f.name}`)"
        interval = "" if f.ci95 is None else f"{f.ci95[0]:.3f}, {f.ci95[1]:.3f}"
        lines.append(
            f"| {name} | {f.seed} | {f.flop:.2e} | {f.seconds:,.0f} | {f.threads} "
            f"| {f.parameters:,} | {f.tokens:,} | {f.bits_per_byte:.3f} | {interval} |"
        )
    lines += ["", "## What was chosen for the peers", ""]
    for f in {f.name: f for f in results.figures if not f.ours}.values():
        lines.append(f"- `{f.name}`" + (f", commit {f.commit[:12]}" if f.commit else "") + ":")
        lines += [
            f"  - `{name}` = {f.settings[name]}: {text.replace(f'{CHOSEN}: ', '')}"
            for name, text in f.chosen.items()
        ]
        versions = ("torch", "transformers", "keras", "tensorflow")
        lines.append("  - " + ", ".join(f"{n} {f.facts[n]}" for n in versions if n in f.facts))
    return "\n".join(lines) + "\n"


def draw(families: dict[str, list[Point]], language: str, path: Path) -> None:
    """Bits per byte against FLOP and against seconds; escada's rungs solid, peers dashed."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    level, flop, seconds = WORDS[language]
    settings = {"svg.hashsalt": "escada", "font.size": 9, "svg.fonttype": "none"}
    with mpl.rc_context(settings):
        figure, panels = pyplot.subplots(1, 2, sharey=True, figsize=(9, 4.2), layout="constrained")
        figure.set_facecolor(light("paper"))
        colours = [light(f"rung-{hue}-{shade}") for shade in (0, 1, 2) for hue in range(4)]
        for panel, axis in zip(panels, (flop, seconds), strict=True):
            panel.set(xscale="log", xlabel=axis, facecolor=light("surface"))
            panel.grid(visible=True, color=light("grid"))
            panel.spines[["top", "right"]].set_visible(False)
            panel.xaxis.set_minor_formatter("")
        panels[1].xaxis.set_major_formatter("{x:g}")
        panels[0].set_ylabel(level)
        for colour, (family, points) in zip(
            colours * len(families), families.items(), strict=False
        ):
            ours = points[0].ours
            style = {"marker": "o", "linestyle": "-"}
            if not ours:
                style = {"marker": "s", "linestyle": "--", "markerfacecolor": "none"}
            heights = [point.bits_per_byte for point in points]
            for panel, x in zip(panels, ("flop", "seconds"), strict=True):
                places = [getattr(point, x) for point in points]
                panel.plot(
                    places, heights, color=colour, markersize=5, label=label(family, language),
                    **style,
                )  # fmt: skip
        panels[1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        if language == "pt":
            panels[0].yaxis.set_major_formatter(lambda y, _: f"{y:g}".replace(".", ","))
        for suffix in (".svg", ".png"):
            figure.savefig(
                path.with_suffix(suffix),
                dpi=160,
                metadata={"Date": None} if suffix == ".svg" else None,
            )
        pyplot.close(figure)
