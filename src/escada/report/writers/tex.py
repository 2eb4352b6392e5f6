"""Text and tables as LaTeX that compiles with pdfTeX and LuaTeX.

All data goes through `tex`: TeX's special characters are escaped, Unicode used by the report
(narrow spaces, minus signs, powers of ten) becomes commands, and characters that Latin Modern may
lack are shown as code points, since TeX would drop them silently. Numbers are formatted by
`Language`, so Portuguese tables have decimal commas.
"""

from __future__ import annotations

import re
import unicodedata

from escada.report.tables import Cell, Column, Row, Table, Value

PACKAGES = ("booktabs", "array", "graphicx", "pgf")
"""Packages that tables and figures need."""

_COMMANDS = {
    **{c: "\\" + c for c in "{}$&#%_"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # babel makes " active in Portuguese
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "\u2212": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "≤": r"\ensuremath{\le}",
    "≥": r"\ensuremath{\ge}",
    "≈": r"\ensuremath{\approx}",
    "→": r"\ensuremath{\to}",
    "†": r"\ensuremath{\dagger}",
    "\u202f": r"\,",
    "\u00a0": "~",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "§": r"\S{}",
    "º": r"\textordmasculine{}",
    "ª": r"\textordfeminine{}",
    "°": r"\textdegree{}",
    "·": r"\textperiodcentered{}",
    "«": r"\guillemotleft{}",
    "»": r"\guillemotright{}",
    "\n": " ",
    "\t": " ",
}
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", [*"0123456789", r"\ensuremath{-}"], strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_PIECE = re.compile(
    f"(?P<raised>[{''.join(_RAISED)}]+)|(?P<lowered>[{''.join(_LOWERED)}]+)"
    "|(?P<ligature>[-,](?=[-,]))|(?P<one>.)",
    re.DOTALL,
)


def tex(text: str) -> str:
    """Plain text as LaTeX."""
    return _PIECE.sub(_command, unicodedata.normalize("NFC", text))


def _command(piece: re.Match[str]) -> str:
    found = piece[0]
    match piece.lastgroup:
        case "raised":
            return rf"\textsuperscript{{{''.join(_RAISED[digit] for digit in found)}}}"
        case "lowered":
            return rf"\textsubscript{{{''.join(_LOWERED[digit] for digit in found)}}}"
        case "ligature":
            return f"{found}{{}}"
        case _:
            return _character(found)


def _character(character: str) -> str:
    command = _COMMANDS.get(character)
    if command is not None:
        return command
    if " " <= character <= "~" or "À" <= character <= "ÿ":
        return character
    return f"[U+{ord(character):04X}]"


def comment(text: object) -> str:
    """A one-line comment."""
    return "% " + " ".join(str(text).split()) + "\n"


def table_tex(table: Table, *, mark: str) -> str:
    """A table with at least one row, as a float; each row's sources are in comments above it.

    `mark` is the first line of the file, naming its writer.
    """
    shown = table.places(table.paper)
    columns = [table.columns[i] for i in shown]
    prose = sum(column.width is not None for column in columns) > 1
    lines = [
        comment(mark),
        "\\begin{table}[htbp]\n\\centering\n",
        f"\\caption{{{tex(table.caption)}}}\n\\label{{tab:escada-{table.key}}}\n",
        "\\footnotesize\n",
        f"\\setlength{{\\tabcolsep}}{{{'2.5' if len(columns) > 7 else '4' if prose else '6'}pt}}\n",
        f"\\begin{{tabular}}{{@{{}}{''.join(_alignment(column) for column in columns)}@{{}}}}\n",
        "\\toprule\n",
        " & ".join(_heading(column) for column in columns) + " \\\\\n\\midrule\n",
    ]
    rungs = any(not row.control for row in table.rows)
    for i, row in enumerate(table.rows):
        if rungs and row.control and not table.rows[i - 1].control:
            lines.append("\\midrule\n")
        elif prose and i:
            lines.append("\\addlinespace\n")
        lines += _row(table, row, shown)
    lines.append("\\bottomrule\n\\end{tabular}\n")
    if table.notes:
        notes = " ".join(tex(note) for note in table.notes)
        lines.append("\\par\\smallskip\n\\begin{minipage}{\\linewidth}\\footnotesize\n")
        lines.append(f"{notes}\n\\end{{minipage}}\n")
    lines.append("\\end{table}\n")
    return "".join(lines)


def _alignment(column: Column) -> str:
    if column.width is not None:
        return f">{{\\raggedright\\arraybackslash}}p{{{column.width:g}\\linewidth}}"
    return "r" if column.numeric else "l"


def _heading(column: Column) -> str:
    lines = [tex(line) for line in column.heading.split("\n")]
    if len(lines) == 1:
        return lines[0]
    place, broken = "r" if column.numeric else "l", " \\\\ ".join(lines)
    return f"\\begin{{tabular}}[b]{{@{{}}{place}@{{}}}}{broken}\\end{{tabular}}"


def _row(table: Table, row: Row, shown: list[int]) -> list[str]:
    values = ", ".join(
        f"{column.key}={_exact(cell.value)}"
        for column, cell in ((table.columns[i], row.cells[i]) for i in shown)
        if column.numeric and cell.value is not None
    )
    sources = [comment(f"{row.cells[0].value}: {source}") for source in row.sources]
    exact = [comment(values)] if values else []
    return [*sources, *exact, " & ".join(_cell(row.cells[i]) for i in shown) + " \\\\\n"]


def _exact(value: Value) -> str:
    if isinstance(value, tuple):
        return "[" + " ".join(repr(end) for end in value) + "]"
    return repr(value)


def _cell(cell: Cell) -> str:
    text = tex(cell.text)
    if cell.style == "code":
        return f"\\texttt{{{text}}}"
    return f"\\textbf{{{text}}}" if cell.is_bold else text
