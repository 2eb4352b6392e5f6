"""The summary at the top of the page: corpus, training and hardware."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from escada.report.data import Climb
from escada.report.i18n import Language
from escada.report.schema import Ladder, RungRow
from escada.runs.environment import Environment

_NAMED_TIMES = 8
"""Up to this many rungs, list each training time; above, only the shortest and the longest."""

_UNBROKEN = "\u00a0"


@dataclass(frozen=True, slots=True)
class Item:
    """A labelled value with less prominent details below it."""

    label: str
    value: str
    details: tuple[str, ...] = ()


def glance(climb: Climb, language: Language) -> tuple[Item, ...]:
    """Corpus, training and hardware of a climb."""
    return (
        _corpus(climb.ladder, language),
        _training(climb.ladder, language),
        _hardware(climb, language),
    )


def _corpus(ladder: Ladder, language: Language) -> Item:
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


def _training(ladder: Ladder, language: Language) -> Item:
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


def _hardware(climb: Climb, language: Language) -> Item:
    """The machine of the climb, or of the first run that says on which it was trained."""
    machines = [climb.ladder.machine, *(run.environment for run in climb.runs.values())]
    machine = next((found for found in machines if found.cpu), climb.ladder.machine)
    names = [_device(machine, rung) for rung in climb.ladder.rungs]
    devices = list(dict.fromkeys(name for name in names if name))
    details: list[str] = []
    if machine.cores:
        key = "glance.core" if machine.cores == 1 else "glance.cores"
        details.append(language.say(key, cores=machine.cores))
    if machine.memory_bytes:
        details.append(language.memory(machine.memory_bytes))
    return Item(
        language.say("glance.hardware"),
        ", ".join(devices) or language.say("glance.unknown"),
        (", ".join(details),) if details else (),
    )


def _device(machine: Environment, rung: RungRow) -> str:
    """The processor or the GPU that trained a rung, without the makers' marks."""
    name = machine.cpu or ""
    if machine.gpus and rung.device != "cpu":
        count = len(machine.gpus)
        name = machine.gpus[0] if count == 1 else f"{count} × {machine.gpus[0]}"
    return re.sub(r"\s*\((?:R|TM)\)", "", name, flags=re.IGNORECASE)
