"""Keep the published figures of others beside a climb: `escada report DIR --beside FILE`.

They are kept in `DIR/beside.json`, so that every later page and table has them, as it has a judge's
verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from escada.errors import EscadaError
from escada.evaluation.published import Publication, Publications
from escada.files import read_json, write_sealed_json
from escada.report.data import BESIDE_FILE, check, read_beside, read_ladder
from escada.runs.climb_lock import is_under_way


def keep_beside(folder: Path, files: Sequence[Path]) -> None:
    """Check the files and keep them in the folder, in place of those kept before.

    Raises:
        EscadaError: a file is not of that form, `beside.json` is not escada's, or no climb there.
    """
    if not is_under_way(folder):
        read_ladder(folder)
    found: list[Publication] = []
    for file in files:
        if not file.is_file():
            raise EscadaError("no such file", where=file, fix="check the path after --beside")
        found.append(check(Publication, read_json(file), file))
    read_beside(folder)  # a foreign file in its place is an error
    kept = Publications(publications=found)
    write_sealed_json(folder / BESIDE_FILE, kept.model_dump(mode="json", exclude_none=True))
