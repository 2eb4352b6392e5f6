"""The cost sheet on the page: measured, estimated, unknown, and beside the plan."""

import json
import re

import pytest

from escada.errors import EscadaError
from escada.report.data import read_costs
from escada.report.writers.html import write_report

pytestmark = pytest.mark.usefixtures("undrawn")

SHEET = {
    "schema_version": 2,
    "tokens": {"unique": 1_000_000, "seen": 4_200_000, "trained": 26_250},
    "hours": 0.5,
    "wall_hours": 0.75,
    "utilisation": 0.427,
    "host_memory_bytes": 512_000_000,
    "device_memory_bytes": None,
    "memory_bytes": 512_000_000,
    "kwh": 0.0251,
    "energy_estimated": True,
    "usd": 1.5,
    "brl": 8.22,
    "money_basis": "electricity",
    "co2_g": 1234.5,
    "grid": "brazil",
    "grid_g_per_kwh": 38.5,
    "predicted": {"hours": 0.25, "memory_bytes": 450_000_000, "micro_batch": 4},
}


def sheet_on_page(folder, sheet, code="en"):
    """The words of the cost sheet's rows, with a space for each tag."""
    run = next(path for path in (folder / "runs").iterdir() if "-v5-" in path.name)
    (run / "cost.json").write_text(json.dumps(sheet), encoding="utf-8")
    page = write_report(folder).read_text(encoding="utf-8")
    body = page.split(f'<main id="{code}-top"')[1].split("</main>")[0]
    title = {"en": "Cost sheet", "pt": "Planilha de custos"}[code]
    if title not in body:
        return None
    rows = body.split(f"<h3>{title}</h3>")[1].split("</table>")[0].split("<tbody>")[1]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", rows)).replace("\u202f", " ").strip()


def test_measured_figures_stand_beside_what_the_plan_had_said(climb):
    words = sheet_on_page(climb(), SHEET)
    assert words.startswith("v5 30 min 00 s plan: 15 min 00 s 45 min 00 s")
    assert "1.0 M 4.2 M" in words
    assert "42.7 %" in words
    assert "512 MB plan: 450 MB –" in words
    assert "25.1 Wh" in words
    assert "R$ 8.22 US$ 1.50" in words
    assert "1.23 kg" in words


def test_the_plans_memory_stands_beside_that_of_the_gpu_where_there_is_one(climb):
    words = sheet_on_page(climb(), SHEET | {"device_memory_bytes": 400_000_000})
    assert "512 MB 400 MB plan: 450 MB" in words


def test_portuguese_writes_the_same_figures_its_own_way(climb):
    words = sheet_on_page(climb(), SHEET, "pt")
    assert "R$ 8,22 US$ 1,50" in words
    assert "25,1 Wh" in words
    assert "plano: 15 min 00 s" in words


def test_what_is_not_known_is_shown_as_such_and_not_as_nothing(climb):
    unknown = dict.fromkeys(("kwh", "usd", "brl", "co2_g", "utilisation", "predicted"))
    words = sheet_on_page(climb(), SHEET | unknown)
    assert "0 Wh" not in words
    assert "estimated" not in words
    assert words.count("–") == 6  # utilisation, the GPU's memory, energy, both moneys and CO2


def test_a_climb_without_sheets_or_with_older_ones_has_no_table(climb):
    assert sheet_on_page(climb(), {"schema_version": 1, "step": 3}) is None


def test_sessions_of_a_training_that_goes_on_are_no_sheet_yet(climb):
    going = {"schema_version": 2, "status": "training", "predicted": None, "sessions": []}
    assert sheet_on_page(climb(), going) is None


def test_a_sheet_with_a_figure_that_cannot_be_one_is_refused(tmp_path):
    path = tmp_path / "cost.json"
    path.write_text(json.dumps(SHEET | {"kwh": "much"}), encoding="utf-8")
    with pytest.raises(EscadaError, match="kwh"):
        read_costs(path)
