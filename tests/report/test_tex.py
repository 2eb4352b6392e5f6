import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.report.tables import Cell, Column, Provenance, Row, Table
from escada.report.writers.tex import comment, table_tex, tex


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("v4_gru", r"v4\_gru"),
        ("50 % & $5 #1 {x}", r"50 \% \& \$5 \#1 \{x\}"),
        ("a\\b^c~d", r"a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d"),
        ('"', r"\char34{}"),  # babel's Portuguese would read it as a command
        ("\u22120,042", r"\ensuremath{-}0,042"),
        ("1,9\u202f×\u202f10¹²", r"1,9\,\ensuremath{\times}\,10\textsuperscript{12}"),
        ("10⁻³", r"10\textsuperscript{\ensuremath{-}3}"),
        ("CO₂", r"CO\textsubscript{2}"),
        ("a--b", "a-{}-b"),
        ("ação", "ação"),
        ("ac\u0327a\u0303o", "ação"),
        ("two\nlines", "two lines"),
        ("\u6f22 🙂 \x07", "[U+6F22] [U+1F642] [U+0007]"),
    ],
)
def test_text_becomes_tex_that_shows_it(plain, expected):
    assert tex(plain) == expected


@given(st.text())
def test_nothing_in_a_text_can_act_as_a_command(text):
    """What is left when our own commands are taken away has no character that TeX acts on."""
    rest = tex(text)
    for command in (
        *(r"\textbackslash{}", r"\textasciicircum{}", r"\textasciitilde{}", r"\textless{}"),
        *(r"\textgreater{}", r"\textbar{}", r"\char34{}", r"\textquotesingle{}"),
        *(r"\textasciigrave{}", r"\ensuremath{-}", r"\ensuremath{\times}", r"\ensuremath{\le}"),
        *(r"\ensuremath{\ge}", r"\ensuremath{\approx}", r"\ensuremath{\dagger}"),
        *(r"\ensuremath{\to}", r"\textendash{}", r"\textemdash{}"),
        *(r"\ldots{}", r"\textquoteleft{}", r"\textquoteright{}", r"\textquotedblleft{}"),
        *(r"\textquotedblright{}", r"\S{}", r"\textordmasculine{}", r"\textordfeminine{}"),
        *(r"\textdegree{}", r"\textperiodcentered{}", r"\guillemotleft{}", r"\guillemotright{}"),
        *(r"\{", r"\}", r"\$", r"\&", r"\#", r"\%", r"\_", r"\,", "-{}", ",{}"),
        *(r"\textsuperscript{", r"\textsubscript{"),
    ):
        rest = rest.replace(command, "")
    assert "\\" not in rest
    assert not set("{$&#%_^~") & set(rest.replace("~", ""))
    assert "\n" not in rest


def test_a_comment_stays_in_its_line():
    assert comment("a\n\\end{document}\r\nb") == "% a \\end{document} b\n"


def table(rows, columns=2):
    heads = [Column("name", "Name", numeric=False), Column("bits", "Bits\nper byte")][:columns]
    notes, keys = ["A note & more."], [head.key for head in heads]
    return Table("mine", "50 % of it", heads, rows, notes, paper=keys)


def test_each_row_stands_under_its_run_and_its_exact_values():
    source = Provenance("2026-v1", "a" * 64, "b" * 64)
    row = Row([Cell("v_1", "v_1"), Cell("2,107", 2.1072033978225013, "strong")], (source,))
    text = table_tex(table([row]), mark="Written by a test")
    assert text.startswith("% Written by a test\n")
    assert (
        f"% v_1: run 2026-v1, key {'a' * 16}, spec {'b' * 16}\n"
        "% bits=2.1072033978225013\n"
        "v\\_1 & \\textbf{2,107} \\\\\n"
    ) in text
    assert "\\caption{50 \\% of it}" in text
    assert "A note \\& more." in text


def test_controls_are_set_apart_from_rungs():
    rows = [Row([Cell("v1"), Cell("2")]), Row([Cell("xz"), Cell("3")], control=True)]
    text = table_tex(table(rows), mark="m")
    assert "v1 & 2 \\\\\n\\midrule\nxz & 3 \\\\\n\\bottomrule" in text


def test_a_table_with_a_cell_too_few_is_a_bug():
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        table([Row([Cell("v1")])])
