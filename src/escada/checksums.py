"""Checksums inside the JSON files of runs and climbs, so that damage is never read as a result.

Each file carries the SHA-256 of its own content, so that it is replaced together with it and cannot
disagree with it after a crash:

    an object       "content_sha256" is its last key
    lines           the first line holds "content_sha256" and the number of "rows"
    a growing log   "chain" in each row: the hash of the row and of the chain before it

`escada.files` writes and verifies them; readers never see these three keys, which rows must not
use for anything else. Files without them, of
earlier versions or written by hand, are read unverified. A log cut at its end is noticed by the
number of rows in the checkpoint (`escada.runs.log`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from escada.errors import EscadaError

SHA256, ROWS, CHAIN = "content_sha256", "rows", "chain"
_CHAIN_DIGITS = 16
Table = dict[str, Any]


def content_hash(value: object) -> str:
    """Hexadecimal SHA-256 of a JSON value, independent of key order and whitespace."""
    canonical = json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def sealed(table: Mapping[str, Any]) -> Table:
    """A JSON object with its checksum."""
    return {**table, SHA256: content_hash(table)}


def unsealed(table: Table, where: object, fix: str | None) -> Table:
    """The object without its checksum, which is verified if it has one.

    Raises:
        EscadaError: the content was changed.
    """
    if SHA256 not in table:
        return table
    content = {name: value for name, value in table.items() if name != SHA256}
    if _hash_of_any(content) != table[SHA256]:
        raise _damaged("its content does not match its checksum", where, fix)
    return content


def sealed_rows(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows after a line with their number and checksum."""
    listed = list(rows)
    return [{ROWS: len(listed), SHA256: content_hash(listed)}, *listed]


def chained(rows: Iterable[Mapping[str, Any]], before: str = "") -> list[Table]:
    """Rows of a log with their chain, which goes on from that of the row `before`."""
    found: list[Table] = []
    for row in rows:
        before = _link(row, before)
        found.append({**row, CHAIN: before})
    return found


def unsealed_rows(rows: Sequence[Table], where: object, fix: str | None) -> list[Table]:
    """The rows without checksums, which are verified where there are any.

    Raises:
        EscadaError: rows were changed, removed or added.
    """
    # One of the two keys may be damaged itself.
    if rows and (SHA256 in rows[0] or (ROWS in rows[0] and len(rows[0]) == 2)):
        head, *content = rows
        if len(content) != head.get(ROWS):
            raise _damaged(f"{len(content)} rows of {head.get(ROWS)}", where, fix)
        if _hash_of_any(content) != head.get(SHA256):
            raise _damaged("its rows do not match its checksum", where, fix)
        return content
    if not any(CHAIN in row for row in rows):
        return list(rows)
    found: list[Table] = []
    before = ""
    for number, row in enumerate(rows, start=1):
        content = {name: value for name, value in row.items() if name != CHAIN}
        link = _link(content, before)
        if not link or link != row.get(CHAIN):
            raise _damaged("the row does not match its checksum", f"{where}:{number}", fix)
        found.append(content)
        before = link
    return found


def _link(row: Mapping[str, Any], before: str) -> str:
    return (_hash_of_any([before, row]) or "")[:_CHAIN_DIGITS]


def _hash_of_any(value: object) -> str | None:
    """The hash of JSON read from a file; None where none that escada wrote can hold such a value.

    Those are NaN, lone surrogates and brackets nested too deep.
    """
    try:
        return content_hash(value)
    except (ValueError, RecursionError):
        return None


def _damaged(what: str, where: object, fix: str | None) -> EscadaError:
    return EscadaError(f"damaged: {what}", where=where, fix=fix)
