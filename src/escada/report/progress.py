"""The progress of a running climb."""

from __future__ import annotations

from dataclasses import dataclass

from escada.report.i18n import Language


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a climb.

    Attributes:
        done: number of runs in ladder.json.
        name: of the rung in training, or None between two.
        total_steps: of its training, or None before that is known.
        bits_per_byte: of its last validation.
    """

    done: int
    planned: int
    name: str | None
    step: int = 0
    total_steps: int | None = None
    bits_per_byte: float | None = None

    def sentence(self, language: Language) -> str:
        """One line of progress."""
        say, number = language.say, language.number
        done = say("live.done", done=self.done, planned=self.planned)
        if self.name is None:
            return done
        key = "live.step" if self.total_steps is None else "live.step_of"
        values = {"step": number(self.step), "total": number(self.total_steps)}
        told = say(key, name=self.name, **values)
        if self.bits_per_byte is None:
            return f"{done}; {told}."
        return f"{done}; {told}, {say('live.bits', bits=language.bits(self.bits_per_byte))}."
