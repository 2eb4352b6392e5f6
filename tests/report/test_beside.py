"""Published figures of others: with their caveats, in every form, and apart from the rungs."""

import csv
import json
import math
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from escada.cli.report import report
from escada.errors import EscadaError
from escada.report.data import read_climb
from escada.report.findings import find
from escada.report.writers.bundle import write_csv, write_latex, write_markdown
from escada.report.writers.html import write_report

ORIGIN = Path(__file__).parents[2] / "recipes" / "origin.json"
WINDOWS = {
    "schema_version": 2,
    "key": "k",
    "weights": "best",
    "weights_sha256": "0" * 64,
    "protocol": "windows/last",
    **{"window_tokens": 128, "window_stride": 2, "max_windows": 250_000, "windows": 1234},
    **{"windows_available": 1234, "windows_left_out": 3, "targets": 1234, "unknown": 0},
    "sample": None,
    **{"loss": 3.25, "loss_ci95": [3.125, 3.375], "accuracy": 0.25, "accuracy_ci95": None},
    **{"perplexity": math.exp(3.25), "perplexity_ci95": None, "documents": 9, "groups": 9},
    **{"split": "test", "profile": "reference", "corpus_hash": "c", "seconds": 1.0},
    "tokenizer": {"kind": "bpe", "vocab_size": 2048, "hash": "h"},
    "windows_per_second": 1234.0,
}


def keep(folder: Path, *files: Path):
    app = typer.Typer()
    app.command()(report)
    arguments = [part for file in files for part in ("--beside", str(file))]
    out = folder.parent / "t.md"
    result = CliRunner().invoke(app, [str(folder), *arguments, "--markdown", str(out)])
    if result.exception:
        raise result.exception
    return out


def section_of(page: str, language: str) -> str:
    return page.split(f'<section id="{language}-windows"')[1].split("</section>")[0]


@pytest.fixture
def beside(climb):
    """A climb with the origin's figures beside it."""
    folder = climb()
    keep(folder, ORIGIN)
    return folder


@pytest.mark.usefixtures("undrawn")
def test_the_page_says_in_both_languages_that_it_is_another_protocol(beside):
    page = write_report(beside).read_text(encoding="utf-8")
    english, portuguese = section_of(page, "en"), section_of(page, "pt")
    assert "<h3>Figures of others, by another protocol</h3>" in english
    assert "tested against no rung and stand in no ranking" in english
    assert "nothing kept the evaluated documents out of training" in english
    assert "<h3>Números de outros, por outro protocolo</h3>" in portuguese
    assert "os scripts originais: " in portuguese
    assert "nada separava do treino" in portuguese
    assert "the origin" not in portuguese
    assert "300.000 de 160 tokens, passo 4" in portuguese


def test_bits_per_character_are_nats_over_ln_2_and_only_where_they_can_be_known(beside, tmp_path):
    write_csv(beside, tmp_path / "csv")
    with (tmp_path / "csv" / "beside.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert float(rows["v1"]["bits_per_character"]) == pytest.approx(1.5218 / math.log(2))
    assert rows["v4, LSTM, BPE 4.0k"]["bits_per_character"] == ""
    one = {"name": "x", "unit": "token", "perplexity": 16.0, "tokens_per_character": 0.5}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"by": "me", "figures": [one | {"epochs": 3}]}), encoding="utf-8")
    keep(beside, file)
    (published,) = read_climb(beside).beside
    assert published.figures[0].bits_per_character == pytest.approx(4 * 0.5)


def test_every_form_of_the_report_has_the_table(beside, tmp_path):
    write_latex(beside, tmp_path / "tex", "pt")
    assert "pontos" not in (table := (tmp_path / "tex/tables/beside.tex").read_text("utf-8"))
    assert "1,522" in table
    assert "BPE 4.0k" in write_markdown(beside, tmp_path / "a.md", "en").read_text("utf-8")


def test_others_are_in_no_ranking_and_change_no_finding(climb):
    folder = climb()
    before = find(read_climb(folder).ladder)
    text = keep(folder, ORIGIN).read_text("utf-8")
    assert find(read_climb(folder).ladder) == before
    ladder = text.split("## ")[1]
    assert "the origin" not in ladder
    assert len(re.findall(r"the origin", text.split("## Figures of others")[1])) >= 5


def test_the_figures_stay_until_others_are_given(beside, tmp_path):
    assert "the origin" in keep(beside).read_text("utf-8")  # a later report without --beside
    file = tmp_path / "mine.json"
    one = {"name": "x", "unit": "character", "perplexity": 4}
    file.write_text(json.dumps({"by": "my group", "figures": [one]}), encoding="utf-8")
    text = keep(beside, file).read_text("utf-8")
    assert "my group" in text
    assert "the origin" not in text


def test_the_form_on_the_page_of_documentation_is_read(climb, tmp_path):
    page = (ORIGIN.parents[1] / "docs" / "report.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.json").write_text(example, encoding="utf-8")
    assert "whose figures they are" in keep(climb(), tmp_path / "mine.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"loss_nats": None, "perplexity": None}, "neither loss_nats nor perplexity"),
        ({"loss_nats": 2.2, "perplexity": 4.58}, "is the loss in nats?"),
        ({"unit": "word"}, "figures.0.unit"),
        ({"accuracy": 55}, "figures.0.accuracy"),
        ({"loss_nats": -1}, "figures.0.loss_nats"),
        ({"loss_nats": float("nan")}, "figures.0.loss_nats"),
        ({"tokens_per_character": 0.4}, "no meaning for characters"),
    ],
)
def test_a_file_of_another_form_is_one_line_that_names_it(climb, tmp_path, changed, said):
    row = {"name": "v1", "unit": "character", "loss_nats": 1.5} | changed
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"by": "me", "figures": [row]}), encoding="utf-8")
    folder = climb()
    with pytest.raises(EscadaError, match=re.escape(said)) as raised:
        keep(folder, file)
    assert "mine.json" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (folder / "beside.json").exists()


def test_a_missing_file_and_one_in_the_way_are_the_users_errors(climb, tmp_path):
    folder = climb()
    with pytest.raises(EscadaError, match="no such file"):
        keep(folder, tmp_path / "nowhere.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EscadaError, match=r"no ladder\.json here"):
        keep(tmp_path / "empty", ORIGIN)
    assert list((tmp_path / "empty").iterdir()) == []
    (folder / "beside.json").write_text('{"mine": 1}', encoding="utf-8")
    with pytest.raises(EscadaError, match="not written by escada"):
        keep(folder, ORIGIN)
    assert (folder / "beside.json").read_text("utf-8") == '{"mine": 1}'


@pytest.mark.usefixtures("undrawn")
def test_the_rungs_own_windows_stand_above_those_of_others(climb, table):
    folder = climb()
    run = next(rung["run"] for rung in table["rungs"] if rung["name"] == "v5")
    path = folder / run / "evaluation" / "windows-test.json"
    path.parent.mkdir()
    path.write_text(json.dumps(WINDOWS), encoding="utf-8")
    section = section_of(write_report(folder).read_text("utf-8"), "en")
    assert "1,234 of 128 tokens, stride 2<small>windows/last</small>" in section
    assert "3.250<small>[3.125, 3.375]</small>" in section
    assert "Figures of others" not in section
    keep(folder, ORIGIN)
    section = section_of(write_report(folder).read_text("utf-8"), "en")
    assert section.index("3.250") < section.index("Figures of others") < section.index("4.447")


def test_without_windows_there_is_no_such_section(page):
    assert "en-windows" not in page
