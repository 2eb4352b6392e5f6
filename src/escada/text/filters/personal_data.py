"""Masks personal data: e-mail, CNPJ, CPF, telephone and CEP become `[E-MAIL]`, `[CNPJ]`, ….

    mask("CPF 529.982.247-25, fone (11) 98765-4321")
    # ("CPF [CPF], fone [TELEFONE]", Counter({"CPF": 1, "TELEFONE": 1}))

For the LGPD (Lei 13.709/2018, art. 5 I). A CPF or CNPJ counts if its check digits are right, with
or without its signs; a CNPJ may have letters (IN RFB 2.229/2024), then with signs only. A telephone
needs an area code that exists and one sign at least, or the nine digits of a mobile with their
hyphen, or a word that announces it: ten digits alone are also numbers of processes and of items. A
CEP needs its hyphen or its name. Names and street addresses are not found.

The result is stable under both cleaning profiles and under `mask` itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import partial

_START = r"(?<!\w)(?<!\w[.\-/])"
_END = r"(?!\w)(?![.\-/]\w)"
_AREA = r"(?:1[1-9]|2[12478]|3[1-578]|4[1-9]|5[1345]|6[1-9]|7[134579]|8[1-9]|9[1-9])"  # ANATEL
_NUMBER = r"(?:9[ .]?\d{4}|[2-5]\d{3})"
_ANNOUNCED = r"(?:tel(?:efones?)?|fones?|celular|cel|whats(?:app)?|zap|fax|ligue|contatos?)"

_E_MAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_CNPJ = re.compile(
    rf"{_START}(?:[\dA-Z]{{2}}\.[\dA-Z]{{3}}\.[\dA-Z]{{3}} ?/ ?[\dA-Z]{{4}} ?- ?\d\d"
    rf"|\d{{8}}/?\d{{4}}-?\d\d){_END}"
)
_CPF = re.compile(rf"{_START}\d{{3}}[. ]?\d{{3}}[. ]?\d{{3}}(?: ?[-–/] ?)?\d\d{_END}")
_TELEPHONE = re.compile(
    rf"(?<![\w+])(?<!\w[.\-/])(?:"
    rf"(?:\+?55[ .-]?)?\(0?{_AREA}\)[ .-]?{_NUMBER}[ .-]?\d{{4}}"
    rf"|\+55[ .-]?0?{_AREA}[ .-]?{_NUMBER}[ .-]?\d{{4}}"
    rf"|(?:55[ .-])?0?{_AREA}[ .-]{_NUMBER}[ .-]?\d{{4}}"
    rf"|0?{_AREA}{_NUMBER}-\d{{4}}"
    rf"|9[ .]?\d{{4}}-\d{{4}}"
    rf"){_END}"
)
_ANNOUNCED_TELEPHONE = re.compile(
    rf"(?<!\w)({_ANNOUNCED}\.?(?: n[º°o.]*)?\s?:?\s?)(?:0?{_AREA})?{_NUMBER}[ .-]?\d{{4}}{_END}",
    re.IGNORECASE,
)
_CEP = re.compile(rf"{_START}(?:\d{{5}}-\d{{3}}|\d{{2}}\.\d{{3}}-\d{{3}}){_END}")
_NAMED_CEP = re.compile(rf"(?<!\w)(CEP\s?:?\s?)\d{{2}}\.?\d{{3}} ?\d{{3}}{_END}", re.IGNORECASE)


def is_cpf(written: str) -> bool:
    """Whether eleven digits, with or without signs, are a CPF: both check digits are right.

    A check digit is 11 minus the weighted sum modulo 11, or 0 if that is 10 or 11; weights run from
    2 upwards, from the right. Eleven equal digits are none.
    """
    digits = [int(sign) for sign in written if sign.isdigit()]
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    return all(digits[n] == _check_digit(digits[:n], 11) for n in (9, 10))


def is_cnpj(written: str) -> bool:
    """Whether fourteen signs are a CNPJ: as a CPF, with weights 2 to 9 again and again.

    A letter counts as its ASCII code less 48 (A is 17).
    """
    values = [ord(sign) - 48 for sign in written if sign.isalnum()]
    if len(values) != 14 or len(set(values)) == 1:
        return False
    return all(values[n] == _check_digit(values[:n], 9) for n in (12, 13))


def _check_digit(values: list[int], largest_weight: int) -> int:
    weights = (2 + i % (largest_weight - 1) for i in range(len(values)))
    rest = sum(value * weight for value, weight in zip(reversed(values), weights, strict=True)) % 11
    return 0 if rest < 2 else 11 - rest


_RULES: tuple[tuple[str, re.Pattern[str], Callable[[str], bool] | None], ...] = (
    ("E-MAIL", _E_MAIL, None),
    ("CNPJ", _CNPJ, is_cnpj),
    ("CPF", _CPF, is_cpf),
    ("TELEFONE", _TELEPHONE, None),
    ("TELEFONE", _ANNOUNCED_TELEPHONE, None),
    ("CEP", _CEP, None),
    ("CEP", _NAMED_CEP, None),
)
"""In this order: what is left of one may be another. A pattern's first group is kept."""


def mask(text: str) -> tuple[str, Counter[str]]:
    """The text with its personal data masked, and how many of each kind there were."""
    counts: Counter[str] = Counter()
    for kind, pattern, is_one in _RULES:
        text = pattern.sub(partial(_masked, kind, is_one, counts), text)
    return text, counts


def _masked(
    kind: str, is_one: Callable[[str], bool] | None, counts: Counter[str], match: re.Match[str]
) -> str:
    if is_one is not None and not is_one(match[0]):
        return match[0]
    counts[kind] += 1
    return (match[1] if match.re.groups else "") + f"[{kind}]"
