"""Minimal pairs and cloze items from the user's own files.

| test | columns | known files |
|---|---|---|
| pairs | `good`, `bad` | any |
| cloze | `sentence`, `last_word` | CALAME-PT, one translation of LAMBADA |
| cloze | `text`, ending in the word to predict | the other translations of LAMBADA |

`id` and `group` are optional; without a group, each row is its own. `text.sources.rows` lists the
file formats. Texts are cleaned by the run's profile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from escada.errors import EscadaError
from escada.evaluation.portuguese.agreement import Pair
from escada.evaluation.tasks.cloze import ClozeItem
from escada.text.cleaning import clean_prompt
from escada.text.sources.rows import Row, read_rows
from escada.text.sources.streams import printable

_LAST_WORD = re.compile(r"(?s)(.*\S)\s+[\"'“‘«(\[]*([^\W\d_]+(?:-[^\W\d_]+)*)[\s.,;:!?…\"'”’»)\]]*")
_SIGNS = " .,;:!?…\"'”“’‘»«"


def read_pairs(path: Path, profile: str) -> list[Pair]:
    """Read minimal pairs, cleaned by a profile.

    Raises:
        EscadaError: missing, not such a file, or a pair whose sentences are equal after cleaning.
    """
    return [_pair(row, where, number, profile) for number, where, row in _rows(path)]


def _pair(row: Row, where: str, number: int, profile: str) -> Pair:
    good, bad = row.get("good"), row.get("bad")
    if not isinstance(good, str) or not isinstance(bad, str):
        fix = f"its columns: {', '.join(map(str, row)) or 'none'}"
        raise EscadaError("a pair needs two texts, 'good' and 'bad'", where=where, fix=fix)
    good, bad = clean_prompt(good, profile), clean_prompt(bad, profile)
    if good == bad or not good or not bad:
        raise EscadaError(
            f"the two sentences are the same, or empty, in profile {profile!r}", where=where
        )
    return Pair(
        good=good,
        bad=bad,
        phenomenon=str(row.get("phenomenon") or "all"),
        attractor=row.get("attractor") is True,
        source=str(row.get("source") or "file"),
        group=str(row.get("group") or number),
        id=str(row.get("id") or number),
        split=str(row.get("split") or ""),
        value=str(row.get("value") or ""),
    )


def read_cloze(path: Path, profile: str) -> list[ClozeItem]:
    """Read texts and their last words, cleaned by a profile.

    Raises:
        EscadaError: missing, not such a file, or a row without a last word.
    """
    return [_item(row, where, number, profile) for number, where, row in _rows(path)]


def _item(row: Row, where: str, number: int, profile: str) -> ClozeItem:
    sentence, word, text = row.get("sentence"), row.get("last_word"), row.get("text")
    if isinstance(sentence, str) and isinstance(word, str):
        word = word.strip(_SIGNS)
        context = re.sub(rf"\s{re.escape(word)}\W*$", "", sentence)  # some files include the word
    elif isinstance(text, str) and (match := _LAST_WORD.fullmatch(text)):
        context, word = match[1], match[2]
    else:
        raise EscadaError(
            f"no last word; its columns: {', '.join(map(str, row)) or 'none'}",
            where=where,
            fix="give 'sentence' and 'last_word', or a 'text' that ends in a word",
        )
    context, word = clean_prompt(context, profile), clean_prompt(word, profile)
    if not context or not word:
        raise EscadaError(f"nothing is left after cleaning by {profile!r}", where=where)
    group = str(row.get("group") or number)
    return ClozeItem(context, word, str(row.get("id") or number), group=group)


def _rows(path: Path) -> Iterator[tuple[int, str, Row]]:
    """Each row, with its number and its location for error messages."""
    for number, (_, _, row) in enumerate(read_rows(path), start=1):
        yield number, f"{printable(path)}, row {number}", row
