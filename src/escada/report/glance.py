"""What a newcomer must know first: what was trained, on what, for how long, on which machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from escada.report.data import LadderFacts, RunFacts, RungFacts
from escada.report.i18n import Language

_NAMED_TIMES = 8
"""Rungs whose times are named one by one; of more, the shortest and the longest."""

_UNBROKEN = "\u00a0"


@dataclass(frozen=True, slots=True)
class Item:
    """One entry below the headline: a label, its value, and what is said more quietly below."""

    label: str
    value: str
    details: tuple[str, ...] = ()


def glance(
    ladder: LadderFacts, runs: Mapping[str, RunFacts], language: Language
) -> tuple[Item, ...]:
    """The text, the training and the hardware of a climb."""
    return (
        _corpus(ladder, language),
        _training(ladder, language),
        _hardware(ladder, runs, language),
    )


def _corpus(ladder: LadderFacts, language: Language) -> Item:
    corpus, say = ladder.corpus, language.say
    source = corpus.source or say("glance.unknown")
    name = say("glance.default") if source == "default" else source

    def sizes() -> Iterator[str]:
        documents = corpus.documents
        if documents is not None:
            total = documents if isinstance(documents, int) else sum(documents.values())
            yield say("glance.documents", documents=language.number(total))
        for split in ("train", "test"):
            if split in corpus.bytes:
                yield say(f"glance.{split}_bytes", size=language.memory(corpus.bytes[split]))

    return Item(say("glance.corpus"), name, (", ".join(sizes()),))


def _training(ladder: LadderFacts, language: Language) -> Item:
    say = language.say
    timed = [(rung, rung.training_seconds) for rung in ladder.rungs if rung.training_seconds]
    value = say("glance.no_budget")
    if ladder.budget:
        value = say("glance.budget", budget=language.budget(ladder.budget))
    if not timed:
        return Item(say("glance.training"), value)
    if len(timed) > _NAMED_TIMES:
        least, most = min(s for _, s in timed), max(s for _, s in timed)
        times = say("glance.span", least=language.duration(least), most=language.duration(most))
        return Item(say("glance.training"), value, (times,))
    named = [
        f"{rung.name}: {language.duration(seconds)}".replace(" ", _UNBROKEN)
        for rung, seconds in timed
    ]
    return Item(say("glance.training"), value, (say("glance.took", times=" · ".join(named)),))


def _hardware(ladder: LadderFacts, runs: Mapping[str, RunFacts], language: Language) -> Item:
    """The machine of the climb, or of the first run that says on which it was trained."""
    machines: list[dict[str, Any]] = [ladder.machine, *(run.environment for run in runs.values())]
    machine = next((found for found in machines if found.get("cpu")), ladder.machine)
    names = [_device(machine, rung) for rung in ladder.rungs]
    devices = list(dict.fromkeys(name for name in names if name))
    details: list[str] = []
    cores: object = machine.get("cores")
    if isinstance(cores, int):
        key = "glance.core" if cores == 1 else "glance.cores"
        details.append(language.say(key, cores=cores))
    if machine.get("memory_bytes"):
        details.append(language.memory(machine["memory_bytes"]))
    return Item(
        language.say("glance.hardware"),
        ", ".join(devices) or language.say("glance.unknown"),
        (", ".join(details),) if details else (),
    )


def _device(machine: Mapping[str, Any], rung: RungFacts) -> str:
    """The processor or the GPU that trained a rung, without the makers' marks."""
    gpus = [str(gpu) for gpu in machine.get("gpus") or ()]
    name = gpus[0] if gpus and rung.device != "cpu" else str(machine.get("cpu") or "")
    if len(gpus) > 1 and rung.device != "cpu":
        name = f"{len(gpus)} × {name}"
    return re.sub(r"\s*\((?:R|TM)\)", "", name, flags=re.IGNORECASE)
