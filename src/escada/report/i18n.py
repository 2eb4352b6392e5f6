"""The report's two languages: message catalogues and number formats.

A catalogue is `messages/<code>.toml`; its tables give dotted keys (`steps.better`), its strings
take `{named}` values. Both languages have the same keys and placeholders (tested).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import cast

from escada.budget import Budget
from escada.choices import Code
from escada.report.schema import TestedBaseline
from escada.spec import Bilingual
from escada.typed_json import Interval

NOTHING = "–"
"""Shown for a value that was not measured."""

_SPACE = "\u202f"  # narrow no-break space, between a number and its unit
_MINUS = "\u2212"
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def read_catalogue(code: Code) -> dict[str, str]:
    """The messages of one language, by dotted key."""
    file = resources.files("escada.report").joinpath("messages").joinpath(f"{code}.toml")
    messages: dict[str, str] = {}

    def flatten(prefix: str, table: Mapping[str, object]) -> None:
        for key, value in table.items():
            if isinstance(value, dict):
                flatten(f"{prefix}{key}.", cast(Mapping[str, object], value))
            else:
                messages[prefix + key] = str(value)

    flatten("", tomllib.loads(file.read_text(encoding="utf-8")))
    return messages


@dataclass(frozen=True)
class Language:
    """One language: translate a message, or format a number."""

    code: Code
    tag: str
    decimal: str
    thousands: str
    separator: str
    messages: Mapping[str, str]

    @classmethod
    def load(cls, code: Code) -> Language:
        """English (`en`) or Brazilian Portuguese (`pt`)."""
        decimal, thousands, separator, tag = {
            "en": (".", ",", ", ", "en"),
            "pt": (",", ".", "; ", "pt-BR"),
        }[code]
        return cls(code, tag, decimal, thousands, separator, read_catalogue(code))

    def say(self, key: str, **values: object) -> str:
        """A message; a missing key or value is a bug and raises KeyError."""
        return self.messages[key].format(**values)

    def pick(self, text: Bilingual) -> str:
        """The sentence in this language."""
        return text.pt if self.code == "pt" else text.en

    def baseline(self, key: str, name: str) -> str:
        """A baseline's name in this language if the catalogue has its key, else its own name."""
        return self.messages.get(f"baseline.{key}", name)

    def baseline_short(self, key: str, name: str) -> str:
        """The short name, for figures and narrow columns."""
        return self.messages.get(f"baseline_short.{key}", name)

    def tested_baseline(self, row: TestedBaseline) -> str:
        """Short name of a baseline in the tests of pairs and last words."""
        if f"cloze.{row.key}" not in self.messages:
            return self.baseline_short(row.key, row.name)
        word = row.cloze.word if row.cloze else None
        return self.say(f"cloze.{row.key}", word=word or "–")

    def names(self, names: Sequence[str]) -> str:
        """`v1, v2 and v3`."""
        if len(names) < 2:
            return "".join(names)
        return f"{', '.join(names[:-1])} {self.messages['and']} {names[-1]}"

    @property
    def currency_sign(self) -> str:
        """Of the currency used in this language."""
        return {"brl": "R$", "usd": "US$"}[self.say("tables.currency")]

    def number(self, value: float | None, digits: int = 0) -> str:
        """A fixed number of decimals, thousands grouped; from 1e9 on, a power of ten."""
        if value is None:
            return NOTHING
        if abs(value) >= 1e9:
            return self.power(value)
        plain = f"{value:,.{digits}f}"
        if float(plain.replace(",", "")) == 0:
            plain = plain.lstrip("-")
        marks = str.maketrans({",": self.thousands, ".": self.decimal, "-": _MINUS})
        return plain.translate(marks)

    def bits(self, value: float | None) -> str:
        """Bits per byte, to three decimals."""
        return self.number(value, 3)

    def interval(self, interval: Interval | None, digits: int = 3) -> str:
        """`[2.38, 2.44]`, `[2,38; 2,44]`."""
        if interval is None:
            return ""
        low, high = (self.number(end, digits) for end in interval)
        return f"[{low}{self.separator}{high}]"

    def signed(self, value: float) -> str:
        """A difference in bits per byte with its sign: `+0.042`."""
        shown = self.number(value, 3)
        return shown if value <= 0 else f"+{shown}"

    def p_value(self, value: float | None) -> str:
        """`0.032`, `< 0.001`."""
        if value is not None and value < 0.001:
            return f"<{_SPACE}{self.number(0.001, 3)}"
        return self.number(value, 3)

    def percents(self, interval: Interval | None) -> str:
        """An interval of shares in percent, without the % sign."""
        if interval is None:
            return ""
        return self.interval((100 * interval[0], 100 * interval[1]), 1)

    def percent(self, share: float | None) -> str:
        """A share from 0 to 1 as a percentage."""
        return NOTHING if share is None else f"{self.number(100 * share, 1)}{_SPACE}%"

    def significant(self, value: float | None) -> str:
        """About three significant digits; a whole number without decimals."""
        if value is None or value == round(value):
            return self.number(value)
        return self.number(value, min(6, max(0, 2 - math.floor(math.log10(abs(value))))))

    def short(self, value: float) -> str:
        """As a spec writes it: `0.004`, `131,072`, `1.0 × 10⁻¹⁰`."""
        if value == round(value):
            return self.number(value)
        written = f"{value:.6g}"
        decimals = len(written.partition(".")[2])
        return self.power(value) if "e" in written else self.number(value, decimals)

    def power(self, value: float | None) -> str:
        """`1.3 × 10¹⁷`."""
        if value is None:
            return NOTHING
        if value == 0:
            return "0"
        mantissa, exponent = f"{value:.1e}".split("e")
        power = str(int(exponent)).translate(_SUPERSCRIPTS)
        return f"{self.number(float(mantissa), 1)}{_SPACE}×{_SPACE}10{power}"

    def compact(self, value: float | None) -> str:
        """`12.2 M`: SI prefixes k, M, G; beyond, a power of ten."""
        if value is None:
            return NOTHING
        for scale, unit in ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")):
            if abs(value) < 999.5 * scale:
                scaled = value / scale
                digits = 0 if not unit or abs(scaled) >= 99.95 else 1
                shown = self.number(scaled, digits)
                return f"{shown}{_SPACE}{unit}" if unit else shown
        return self.power(value)

    def memory(self, size: float | None) -> str:
        """Bytes in decimal units (1 MB is 10⁶ bytes)."""
        if size is None:
            return NOTHING
        units = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
        unit = next((unit for unit, scale in units.items() if size < 1000 * scale), "TB")
        shown = size / units[unit]
        return f"{self.number(shown, 1 if shown < 99.95 else 0)}{_SPACE}{unit}"

    def energy(self, kwh: float | None) -> str:
        """In Wh below 1 kWh."""
        if kwh is None:
            return NOTHING
        amount, unit = (kwh, "kWh") if kwh >= 1 else (1000 * kwh, "Wh")
        return f"{self.significant(amount)}{_SPACE}{unit}"

    def mass(self, grams: float | None) -> str:
        """In grams below 1 kg."""
        if grams is None:
            return NOTHING
        amount, unit = (grams, "g") if grams < 1000 else (grams / 1000, "kg")
        return f"{self.significant(amount)}{_SPACE}{unit}"

    def amount(self, money: float | None) -> str:
        """`1.20`; amounts below 1 with about three significant digits."""
        if money is None or money >= 1 or money == 0:
            return self.number(money, 2)
        return self.significant(money)

    def money(self, amount: float | None, sign: str) -> str:
        """`US$ 1.20`."""
        return NOTHING if amount is None else f"{sign}{_SPACE}{self.amount(amount)}"

    def budget(self, written: str) -> str:
        """A budget in words: `60 s`, `50,000 steps`; `1 época`, `3 épocas`."""
        budget = Budget.parse(written)
        whole = budget.amount == round(budget.amount)
        amount = (
            self.power(budget.amount)
            if budget.unit == "flop"
            else self.number(budget.amount, 0 if whole else 1)
        )
        singular = budget.amount < 2 if self.code == "pt" else budget.amount == 1
        counted = budget.unit in ("epochs", "steps", "tokens")
        unit = budget.unit.removesuffix("s") if counted and singular else budget.unit
        return f"{amount} {self.say(f'budget_unit.{unit}')}"

    def duration(self, seconds: float | None) -> str:
        """`42.0 s`, `1 min 05 s`, `3 h 12 min`, `4 d 03 h`."""
        if seconds is None:
            return NOTHING
        if seconds < 59.95:
            return f"{self.number(seconds, 1)}{_SPACE}s"
        whole = round(seconds)
        units = {1: "s", 60: "min", 3600: "h", 86_400: "d"}
        big, small = (60, 1) if whole < 3600 else (3600, 60) if whole < 86_400 else (86_400, 3600)
        first, rest = divmod(whole, big)
        return f"{self.number(first)}{_SPACE}{units[big]} {rest // small:02d}{_SPACE}{units[small]}"
