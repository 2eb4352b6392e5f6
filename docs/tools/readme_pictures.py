"""The ladder of a climb for the README: `readme_pictures.py runs/demo`.

Writes `docs/pictures/ladder-LANGUAGE.THEME.svg` and `.png` for both languages, light and dark. The
drawing is the report's own, so it says what the report says.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pictures import theme_files

from escada.choices import CODES
from escada.files import write_bytes, write_text
from escada.report.data import read_ladder
from escada.report.figures.ladder import draw_ladder
from escada.report.findings import find
from escada.report.i18n import Language

PICTURES = Path(__file__).parents[1] / "pictures"


def write_pictures(climb: Path, out: Path) -> list[Path]:
    """Draw the ladder in every language and theme; the paths of the files.

    Raises:
        EscadaError: no ladder there.
    """
    ladder = read_ladder(climb)
    findings = find(ladder)
    written: list[Path] = []
    for code in CODES:
        figure = draw_ladder(ladder, findings, Language.load(code))
        for name, content in theme_files(figure, f"ladder-{code}").items():
            path = out / name
            if isinstance(content, bytes):
                write_bytes(path, content)
            else:
                write_text(path, content)
            written.append(path)
    return written


def main() -> None:
    """Draw the climb named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("climb", type=Path, help="a climb's folder, such as runs/demo")
    parser.add_argument("--out", type=Path, default=PICTURES)
    given = parser.parse_args()
    for path in write_pictures(given.climb, given.out):
        print(path)


if __name__ == "__main__":
    main()
