"""Training budgets with a unit, and their conversion to optimizer steps.

    Budget.parse("5 min").steps(seconds_per_step=0.2, …)        # 1500
    Warmup.parse("5 %").steps(1500)                              # 75

Rungs are compared under one budget; the number of steps is fixed before the schedule starts.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, PlainSerializer

from escada.errors import EscadaError, decimal_comma, nearest

Unit = Literal["epochs", "steps", "tokens", "seconds", "flop"]

_MULTIPLIERS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
_BUDGET_FORMS = "for example '60 s', '5 min', '3 epochs', '50k steps', '800M tokens', '1e17 flop'"
_UNITS: dict[str, tuple[Unit, float]] = {
    "epoch": ("epochs", 1),
    "epochs": ("epochs", 1),
    "step": ("steps", 1),
    "steps": ("steps", 1),
    "token": ("tokens", 1),
    "tokens": ("tokens", 1),
    "s": ("seconds", 1),
    "sec": ("seconds", 1),
    "seconds": ("seconds", 1),
    "min": ("seconds", 60),
    "minutes": ("seconds", 60),
    "h": ("seconds", 3600),
    "hours": ("seconds", 3600),
    "flop": ("flop", 1),
    "flops": ("flop", 1),
}
_NUMBER = re.compile(r"\s*[0-9]+(?:\.[0-9]+)?\s*[kMGBT]?\s*")
_BUDGET = re.compile(
    r"\s*([0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*([kKMGBT]?)\s*([a-zA-Z]+)\s*"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train, with its unit: `3 epochs`, `50k steps`, `5 min`, `1e17 flop`.

    Only a budget in seconds needs a calibration to be converted to steps.
    """

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Parse a budget.

        Raises:
            EscadaError: no number, an unknown unit, or nothing to train.
        """
        if _NUMBER.fullmatch(text):
            number = text.strip()
            raise EscadaError(
                f"budget {text!r} is not a number with a unit",
                fix=f"do you mean '{number} s', '{number} steps' or '{number} epochs'? "
                + _BUDGET_FORMS,
            )
        match = _BUDGET.fullmatch(text)
        if match is None:
            if re.match(r"\s*-\s*[0-9]", text):
                raise EscadaError(f"budget {text!r} must be positive", fix=_BUDGET_FORMS)
            raise EscadaError(
                f"budget {text!r} is not a number with a unit",
                fix=decimal_comma(text) or _BUDGET_FORMS,
            )
        number, multiplier, unit = match.groups()
        if unit not in _UNITS:
            raise EscadaError(
                f"budget {text!r} has an unknown unit {unit!r}", fix=nearest(unit, _UNITS)
            )
        name, factor = _UNITS[unit]
        amount = float(number) * _MULTIPLIERS[multiplier] * factor
        if amount <= 0:
            raise EscadaError(f"budget {text!r} leaves nothing to train", fix=_BUDGET_FORMS)
        if math.isinf(amount):
            raise EscadaError(f"budget {text!r} has no end", fix=_BUDGET_FORMS)
        return cls(amount, name)

    def steps(
        self,
        *,
        steps_per_epoch: float,
        targets_per_step: int,
        flops_per_step: float,
        seconds_per_step: float | None,
    ) -> int:
        """Optimizer steps in the budget, at least one.

        An epoch trains every token once; only a budget in seconds needs `seconds_per_step`.
        """
        price = {
            "steps": 1.0,
            "epochs": 1 / steps_per_epoch,
            "tokens": targets_per_step,
            "flop": flops_per_step,
            "seconds": seconds_per_step,
        }[self.unit]
        assert price is not None, "a budget in seconds needs the time of a step"
        return max(1, math.ceil(self.amount / price - 1e-9))

    def __str__(self) -> str:
        short = {"seconds": "s"}.get(self.unit, self.unit)
        return f"{self.amount:.15g} {short}"

    @property
    def shown(self) -> str:
        """As one would write it: `3e12 flop`, where `str`, which is hashed, has all the zeros."""
        return f"{self.amount:g} flop".replace("e+", "e") if self.unit == "flop" else str(self)


_Parsed = TypeVar("_Parsed")


def _parsed(value: object, kind: type[_Parsed], parse: Callable[[str], _Parsed]) -> _Parsed:
    """Parse a text field; the spec reader adds key and file to errors."""
    if isinstance(value, kind):
        return value
    try:
        return parse(str(value))
    except EscadaError as error:
        raise ValueError(str(error)) from error


def _budget(value: object) -> Budget:
    return _parsed(value, Budget, Budget.parse)


BudgetField = Annotated[Budget, BeforeValidator(_budget), PlainSerializer(str, return_type=str)]


@dataclass(frozen=True, slots=True)
class Warmup:
    """A part of a training: a number of steps (`2000 steps`) or a share of all (`5 %`).

    Used for the linear warm-up and for the decay at the end.
    """

    amount: float
    unit: Literal["steps", "%"]

    @classmethod
    def parse(cls, text: str) -> Warmup:
        """Parse a percentage below 100 or a number of steps, else raise an EscadaError."""
        if match := re.fullmatch(r"\s*([0-9]{1,2}(?:\.[0-9]+)?)\s*%\s*", text):
            return cls(float(match[1]), "%")
        with contextlib.suppress(EscadaError):
            if (budget := Budget.parse(text)).unit == "steps":
                return cls(budget.amount, "steps")
        raise EscadaError(f"{text!r} is no part of a training", fix="write '5 %' or '2k steps'")

    def steps(self, total_steps: int) -> int:
        """Its steps in a training of `total_steps`."""
        wanted = self.amount if self.unit == "steps" else self.amount / 100 * total_steps
        return min(round(wanted), total_steps)

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit}"


def _warmup(value: object) -> Warmup:
    return _parsed(value, Warmup, Warmup.parse)


WarmupField = Annotated[Warmup, BeforeValidator(_warmup), PlainSerializer(str, return_type=str)]
