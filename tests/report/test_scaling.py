"""What the report and the page of a scale say of fits, predictions and crossings."""

import pytest

from escada.errors import EscadaError
from escada.evaluation.scale import Crossing, Scale
from escada.files import write_json
from escada.report.data import read_climb
from escada.report.findings import find
from escada.report.i18n import Language
from escada.report.schema import Ladder
from escada.report.sections.scaling import scale_findings
from escada.report.sentences import crossing_sentence, headline, verdict
from escada.report.writers.bundle import write_csv
from escada.report.writers.html import conclusions, write_report, write_scale

BUDGETS = [1e12, 3e12, 1e13]


def scale_table(**crossing):
    """The content of a scale.json of v2 and v3 that never was; v3 passes v2 at 4e15."""
    names = ("v2", "v3")
    bits = {("v2", flops): 2.5 - 0.1 * i for i, flops in enumerate(BUDGETS)}
    bits |= {("v3", flops): 2.6 - 0.15 * i for i, flops in enumerate(BUDGETS)}
    run = {
        "size": "",
        "parameters": 1_000_000,
        "ci95": None,
        "key": "9" * 64,
        "spec_hash": "5" * 64,
    }
    met = {"passes": "v3", "passed": "v2", "flops": 4e15, "ci95": [2e15, 7e15]}
    return {
        "schema_version": 1,
        "created": "2026-11-30T12:00:00+00:00",
        "preset": "laptop",
        "corpus_hash": "c0ffee" * 10 + "abcd",
        "corpus_source": "default",
        "seeds": [0, 1],
        "budgets": BUDGETS,
        "limit_flops": 1e14,
        "rungs": [
            {
                "name": name,
                "tokenizer": {"kind": "characters", "vocab_size": 112},
                "protocol": "document/carried-state",
            }
            for name in names
        ],
        "runs": [
            run
            | {"rung": rung, "seed": seed, "budget_flops": flops, "training_flops": flops}
            | {"bits_per_byte": value + seed / 100, "run": f"run-{rung}-{flops:g}-{seed}"}
            for (rung, flops), value in bits.items()
            for seed in (0, 1)
        ],
        "best": [
            {
                **{"rung": rung, "budget_flops": flops, "training_flops": flops, "size": ""},
                **{"parameters": 1_000_000, "bits_per_byte": value, "spread": 0.007},
                **{"seeds": 2, "sizes": 1},
            }
            for (rung, flops), value in bits.items()
        ],
        "fits": [
            {
                **{"rung": name, "budgets": 3, "has_floor": False, "floor": 0.5},
                **{"floor_ci95": None, "coefficient": 9.1, "exponent": 0.05},
                "exponent_ci95": [0.04, 0.06],
                "curve": [
                    {"flops": 10**x, "bits_per_byte": 9 - x / 2, "ci95": [8.9 - x / 2, 9.1 - x / 2]}
                    for x in (12, 12.5, 13, 13.5, 14)
                ],
            }
            for name in names
        ],
        "predictions": [
            {
                **{"rung": "v2", "flops": 1e13, "bits_per_byte": 2.277, "ci95": [2.25, 2.31]},
                **{"has_floor": False, "created": "2026-11-30T12:00:00+00:00", "before": True},
                **{"specs": ["5" * 64], "fitted": ["9" * 64], "measured": 2.3},
            }
        ],
        "crossings": [met | crossing],
    }


@pytest.fixture
def scaled(tmp_path):
    """A function that writes such a scale.json, changed as asked, and gives its folder."""

    def write(**changes):
        folder = tmp_path / "scale"
        write_json(folder / "scale.json", scale_table() | changes)
        return folder

    return write


def said(table, scale, code="en"):
    ladder = Ladder.model_validate(table)
    found = find(ladder, scale)
    lines = headline(ladder, found, Language.load(code))
    return ladder, found, [(tone, spaced(text)) for tone, text in lines]


def spaced(text):
    return text.replace("\u202f", " ")


def test_a_rung_that_passes_with_more_compute_is_a_finding_and_no_failure(table):
    scale = Scale.model_validate(scale_table())
    ladder, found, english = said(table, scale)
    (line,) = (text for tone, text in english if tone == "plain" and "passes v2" in text)
    assert line.startswith("Extrapolated beyond the largest budget that was trained, 1.0 × 10¹³")
    assert line.endswith("at 4.0 × 10¹⁵ FLOP (95 % interval 2.0 × 10¹⁵ to 7.0 × 10¹⁵).")
    assert not any("Some rungs do not improve" in text for _, text in english)
    step = next(rung for rung in ladder.rungs if rung.name == "v3")
    assert spaced(verdict(step, found, Language.load("en")).sentence).endswith(line)
    _, _, portuguese = said(table, scale, "pt")
    assert any("v3 ultrapassa v2 com 4,0 × 10¹⁵ FLOP" in text for _, text in portuguese)


@pytest.mark.parametrize(
    "crossing",
    [{"flops": None, "ci95": [None, None]}, {"flops": 1e11}, {"passes": "v2", "passed": "v3"}],
)
def test_without_a_crossing_beyond_its_compute_a_rung_that_is_worse_is_said_to_be(table, crossing):
    """Not in the range, at less compute than it had, or the other way round."""
    _, _, english = said(table, Scale.model_validate(scale_table(**crossing)))
    assert ("bad", "Some rungs do not improve on the one before: v3 is worse than v2.") in english


@pytest.mark.parametrize(
    ("crossing", "english"),
    [
        ({"flops": 8e12, "ci95": (5e12, 2e13)}, "at 8.0 × 10¹² FLOP (95 % interval 5.0 × 10¹² to"),
        ({"flops": 8e12, "ci95": None}, "at 8.0 × 10¹² FLOP (no interval: too few runs)."),
        ({"flops": 8e12, "ci95": (5e12, None)}, "from 5.0 × 10¹², without an upper end below"),
        ({"flops": 8e12, "ci95": (None, 9e12)}, "from below 1.0 × 10¹² to 9.0 × 10¹²)."),
        ({"flops": 8e12, "ci95": (None, None)}, "from below 1.0 × 10¹² to above 1.0 × 10¹⁴)."),
        ({"flops": None, "ci95": (None, None)}, "do not cross between 1.0 × 10¹² and 1.0 × 10¹⁴"),
        ({"flops": None, "ci95": (5e13, None)}, "does not exclude a crossing from 5.0 × 10¹³"),
    ],
)
def test_a_crossing_is_one_sentence_whatever_of_its_interval_is_known(crossing, english):
    scale = Scale.model_validate(scale_table())
    one = Crossing(passes="v3", passed="v2", **crossing)
    text = spaced(crossing_sentence(one, scale, Language.load("en")))
    assert english in text
    assert crossing_sentence(one, scale, Language.load("pt")) != text


def test_the_prediction_is_said_with_its_error():
    sentences = [
        text for _, text in scale_findings(Scale.model_validate(scale_table()), Language.load("en"))
    ]
    assert "predicted from the smaller budgets, 95 % interval [2.250, 2.310]" in sentences[0]
    assert sentences[0].endswith("2.300 measured, an error of \u22121.0\u202f%.")


def test_the_report_shows_the_scale_of_its_folder_or_one_that_is_named(climb, scaled, undrawn):
    folder = climb()
    assert "en-scaling" not in write_report(folder).read_text("utf-8")
    named = write_report(folder, scale=scaled()).read_text("utf-8")
    assert 'id="en-scaling"' in named
    assert 'id="pt-scaling"' in named
    assert any("v3 passes v2" in text for text in conclusions(folder, "en", scaled()))
    write_json(folder / "scale.json", scale_table())
    assert write_report(folder).read_text("utf-8") == named


def test_the_scale_of_another_corpus_is_refused(climb, scaled):
    folder = climb()
    with pytest.raises(EscadaError, match="another corpus"):
        read_climb(folder, scale=scaled(corpus_hash="other"))
    with pytest.raises(EscadaError, match=r"no scale\.json"):
        read_climb(folder, scale=folder)


def test_the_scale_of_a_rung_with_other_settings_is_refused(climb, scaled, table):
    table["budget"] = "1e12 flop"
    folder, scale = climb(table), scaled()
    assert read_climb(folder, scale=scale).scale is not None
    table["rungs"][1]["spec_hash"] = "6" * 64
    write_json(folder / "ladder.json", table)
    with pytest.raises(EscadaError, match=f"a {table['rungs'][1]['name']} with other settings"):
        read_climb(folder, scale=scale)
    table["budget"] = "2e12 flop"  # no run of the grid can be compared
    write_json(folder / "ladder.json", table)
    assert read_climb(folder, scale=scale).scale is not None


def test_its_tables_are_csv_too(climb, scaled, tmp_path):
    out = write_csv(climb(), tmp_path / "csv", scale=scaled())
    lines = (out / "scaling.csv").read_text("utf-8").splitlines()
    assert lines[0].startswith("rung,budget_flops,training_flops,size,parameters,bits_per_byte")
    assert len(lines) == 1 + 6


def test_the_page_of_a_scale_has_its_figure_and_tables_in_both_languages(scaled):
    folder = scaled()
    page = write_scale(folder)
    assert page == folder / "scale" / "index.html"
    html = page.read_text("utf-8")
    assert "Fitted curves" in html
    assert "As curvas ajustadas" in html
    figures = {path.name for path in (folder / "scale" / "figures").iterdir()}
    drawn = {f"scaling.{code}.{form}" for code in ("en", "pt") for form in ("svg", "png")}
    assert figures == drawn | {"scaling.csv"}
    assert (folder / "scale" / "scaling_fits.csv").is_file()
    assert write_scale(folder).read_text("utf-8") == html
