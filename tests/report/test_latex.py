"""The LaTeX of a climb: its numbers are those of ladder.json, and a real TeX sets it."""

import csv
import re
import shutil
import subprocess

import pytest

from escada.errors import EscadaError
from escada.files import read_json
from escada.report.writers.latex import write_latex

ENGINES = ("pdflatex", "lualatex")
DECIMAL = {"en": (".", ","), "pt": (",", ".")}


@pytest.fixture(scope="module", params=["en", "pt"])
def written(request, paid, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    write_latex(paid, out, request.param)
    return request.param, out, read_json(paid / "ladder.json")


def rows_of(path):
    """Cells of a tabular's rows as plain text; comments are left out."""
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line[:1] != "%"]
    body = "\n".join(lines).split("\\midrule\n", 1)[1].split("\\bottomrule")[0]
    for row in body.replace("\\midrule\n", "").replace("\\addlinespace\n", "").split(" \\\\\n"):
        if row:
            yield [shown(cell) for cell in re.split(r"(?<!\\) & ", row)]


def shown(cell):
    """What a reader sees of a cell, powers of ten as in Python."""
    cell = re.sub(r"\\textbf\{(.*)\}", r"\1", cell)
    cell = re.sub(r"\\,\\ensuremath\{\\times\}\\,10\\textsuperscript\{(\d+)\}", r"e\1", cell)
    cell = cell.replace("\\ensuremath{-}", "-").replace("\\textendash{}", "")
    return re.sub(r"\\([&%_])", r"\1", cell.replace("\\,", " "))


def number(text, code):
    decimal, thousands = DECIMAL[code]
    return float(text.replace(thousands, "").replace(decimal, ".").split(" ")[0])


def ends(text, code):
    return [number(end, code) for end in text.strip("[]").split("; " if code == "pt" else ", ")]


def test_every_number_of_the_ladder_is_that_of_ladder_json(written):
    code, out, ladder = written
    rows = list(rows_of(out / "tables" / "ladder.tex"))
    assert [row[0] for row in rows] == [rung["name"] for rung in ladder["rungs"]]
    for row, rung in zip(rows, ladder["rungs"], strict=True):
        _, _, parameters, bits, interval, tokens, time, flops, money = row
        unit = {"k": 1e3, "M": 1e6}[parameters.split(" ")[1]]
        assert number(parameters, code) == pytest.approx(rung["parameters"] / unit, abs=0.5)
        assert number(flops, code) == pytest.approx(rung["training_flops"], rel=0.05)
        if rung["bits_per_byte"] is None:
            assert (bits, interval, money) == ("", "", "")
            continue
        assert number(bits, code) == round(rung["bits_per_byte"], 3)
        assert ends(interval, code) == [round(end, 3) for end in rung["ci95"]]
        assert number(tokens, code) == round(rung["training_tokens"] / 1e6, 1)
        assert time == "1 min 00 s"
        paid = rung["cost"]["brl" if code == "pt" else "usd"]
        assert number(money, code) == pytest.approx(paid, abs=0.005)


def test_every_control_and_comparison_is_that_of_ladder_json(written):
    code, out, ladder = written
    controls = sorted(ladder["baselines"], key=lambda baseline: baseline["bits_per_byte"])
    for (_, bits, interval), control in zip(
        rows_of(out / "tables" / "controls.tex"), controls, strict=True
    ):
        assert number(bits, code) == round(control["bits_per_byte"], 3)
        assert ends(interval, code) == [round(end, 3) for end in control["ci95"]]
    steps = ladder["comparisons"]
    assert steps
    for row, step in zip(rows_of(out / "tables" / "comparisons.tex"), steps, strict=True):
        assert row[:2] == [step["a"], step["b"]]
        assert number(row[2], code) == round(step["difference"], 3)
        assert ends(row[3], code) == [round(end, 3) for end in step["ci95"]]
    said = {"en": ("better", "worse", "undecided"), "pt": ("melhor", "pior", "indeciso")}[code]
    verdicts = dict(zip(("better", "worse", "undecided"), said, strict=True))
    found = [row[5] for row in rows_of(out / "tables" / "comparisons.tex")]
    assert found == [verdicts[step["verdict"]] for step in steps]


def test_sources_pairs_and_lexicon_are_those_of_ladder_json(written):
    code, out, ladder = written
    measured = [rung for rung in ladder["rungs"] if rung["bits_per_byte"] is not None]
    for row, rung in zip(rows_of(out / "tables" / "sources.tex"), measured, strict=True):
        expected = [round(rung["by_source"][source], 3) for source in sorted(rung["by_source"])]
        assert [number(cell, code) for cell in row[1 : 1 + len(expected)]] == expected
    rows = [row for row in rows_of(out / "tables" / "tests.tex") if row[1]]
    for row, rung in zip(rows, measured, strict=True):
        pairs = rung["minimal_pairs"]
        assert number(row[1], code) == round(100 * pairs["accuracy"], 1)
        assert ends(row[2], code) == [round(100 * end, 1) for end in pairs["ci95"]]
        assert number(row[5], code) == round(100 * rung["lexicon_share"], 1)


def test_every_row_and_figure_names_its_run(written):
    _, out, ladder = written
    for path in (out / "tables" / "ladder.tex", out / "figures" / "ladder.pgf"):
        text = path.read_text(encoding="utf-8")
        for rung in ladder["rungs"]:
            assert f"% {rung['name']}: run {rung['run']}, key {rung['key'][:16]}" in text
    exact = (out / "tables" / "ladder.tex").read_text(encoding="utf-8")
    assert f"bits_per_byte={ladder['rungs'][1]['bits_per_byte']!r}" in exact


def test_the_numbers_of_each_figure_lie_beside_it_whole(written):
    code, out, ladder = written
    with (out / "data" / "ladder.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    for rung in ladder["rungs"]:
        bits = rung["bits_per_byte"]
        assert rows[rung["name"]]["bits_per_byte"] == ("" if bits is None else repr(bits))
        assert rows[rung["name"]]["key"] == rung["key"]
    for name in ("curves-tokens", "curves-seconds", "curves-flops", "frontier-flops"):
        assert (out / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (out / "data" / f"{name}.csv").is_file()
    with (out / "data" / "frontier-money.csv").open(encoding="utf-8", newline="") as file:
        money = list(csv.DictReader(file))
    assert (
        float(money[0]["brl" if code == "pt" else "usd"])
        == (ladder["rungs"][0]["cost"]["brl" if code == "pt" else "usd"])
    )


def test_figures_on_paper_write_numbers_as_their_language_does(written):
    code, out, _ = written
    text = (out / "figures" / "ladder.pgf").read_text(encoding="utf-8")
    assert {"en": "2.254", "pt": "2,254"}[code] in text
    assert {"en": "2,254", "pt": "2.254"}[code] not in text
    assert r"v\_1 \& 50\%" in text


def test_no_tex_is_asked_for_when_writing(paid, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert write_latex(paid, tmp_path / "out", "pt").is_file()


def test_writing_twice_gives_the_same_bytes(paid, tmp_path):
    for name in ("a", "b"):
        write_latex(paid, tmp_path / name, "en")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) > 20
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_a_file_of_somebody_elses_is_not_overwritten(paid, tmp_path):
    mine = tmp_path / "thesis.tex"
    mine.write_text("My thesis.\n", encoding="utf-8")
    with pytest.raises(EscadaError, match=r"did not write.*thesis\.tex"):
        write_latex(paid, tmp_path, "en")
    assert mine.read_text(encoding="utf-8") == "My thesis.\n"


def test_figures_are_as_wide_as_the_text_that_they_are_for(paid, tmp_path):
    for width_cm, inches in ((16.0, 6.3), (12.0, 4.72)):
        write_latex(paid, tmp_path, "en", text_width_cm=width_cm)
        text = (tmp_path / "figures" / "frontier-flops.pgf").read_text(encoding="utf-8")
        width = float(re.search(r"\\pgfqpoint\{([\d.]+)in\}\{[\d.]+in\}\}", text)[1])
        assert width == pytest.approx(inches, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_minimal_document_compiles_and_nothing_stands_out(written, engine):
    code, out, _ = written
    if shutil.which(engine) is None:
        pytest.skip(f"no {engine} on this machine: install TeX Live to compile the document")
    arguments = [engine, "-interaction=nonstopmode", "-halt-on-error", "thesis.tex"]
    for _ in range(2):  # the second time the labels are known
        done = subprocess.run(arguments, cwd=out, capture_output=True, timeout=240)
        log = (out / "thesis.log").read_text(encoding="utf-8", errors="replace")
        assert done.returncode == 0, log[-3000:]
    overfull = [float(found) for found in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert all(points < 1 for points in overfull), overfull
    assert "Missing character" not in log
    assert "undefined" not in log.lower().replace("undefined on input", "")
    if shutil.which("pdftotext"):
        text = subprocess.run(
            ["pdftotext", "-layout", "thesis.pdf", "-"], cwd=out, capture_output=True, check=True
        ).stdout.decode()
        assert {"en": "2.254", "pt": "2,254"}[code] in text
        assert {"en": "Table 2", "pt": "Tabela 2"}[code] in text
        assert "v_1 & 50%" in text
