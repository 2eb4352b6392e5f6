"""The cost sheet: sums worked by hand, and a training that is interrupted and resumed."""

import pytest

from escada.budget import Budget
from escada.cost.energy import Part
from escada.cost.hardware import RecordedHardware
from escada.cost.meter import Session
from escada.cost.money import load_prices
from escada.cost.sheet import COMPARED, account, in_one_line, read_sheet
from escada.errors import EscadaError
from escada.files import read_json, write_json
from escada.runs.catalogue import COST, catalogue
from escada.runs.record import PredictedCost
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.training import run as start_module
from escada.training.loop import Interrupted
from escada.training.run import resume, start

KWH = 3.6e6
OWNED = RecordedHardware("cpu", "a processor", None, count=1, threads=2, processes=1)
RENTED = RecordedHardware("cuda", "T4", "t4-16gb", count=2, threads=2, processes=2)


def part(name, joules, method="watts"):
    return Part(name, method, joules, estimated=method == "watts", basis="so")


def session(device, hours, parts, validation_hours=0.0, notes=()):
    return Session(
        begun="2026-11-30T06:00:00+00:00",
        from_step=0,
        device=device,
        wall_seconds=hours * 3600,
        validation_seconds=validation_hours * 3600,
        host_memory_bytes=1,
        device_memory_bytes=None,
        device_reserved_bytes=None,
        energy=parts,
        notes=list(notes),
    )


def test_sessions_add_up():
    # 1 h with 0.2 kWh and 3 h with 0.3 kWh: 4 h, 0.5 kWh; at 0.2 USD 0.10 USD and at 5 BRL 0.50.
    found = account(
        [
            session(OWNED, 1, [part("cpu", 0.2 * KWH)], 0.1, ["a note"]),
            session(OWNED, 3, [part("cpu", 0.3 * KWH)], 0.2, ["a note"]),
        ],
        load_prices(["electricity_usd_per_kwh=0.2", "brl_per_usd=5", "grid_g_per_kwh=100"]),
    )
    assert found.wall_hours == pytest.approx(4)
    assert found.validation_hours == pytest.approx(0.3)
    assert found.kwh == pytest.approx(0.5)
    assert [(row.part, row.kwh) for row in found.energy] == [("cpu", pytest.approx(0.5))]
    assert found.energy_estimated is True
    assert (found.usd, found.brl) == (pytest.approx(0.1), pytest.approx(0.5))
    assert found.co2_g == pytest.approx(50)
    assert found.money_basis == "electricity"
    assert found.notes == ["a note"]


def test_a_session_on_rented_gpus_costs_their_hours():
    # 2 GPUs for 1.5 h at 0.35 USD
    parts = [part("gpu", KWH, "nvml")]
    found = account([session(RENTED, 1.5, parts)], load_prices())
    assert (found.money_basis, found.usd) == ("rent", pytest.approx(1.05))
    assert found.kwh == pytest.approx(1)
    assert found.energy_estimated is False


def test_sessions_here_and_there_are_billed_each_in_its_way():
    found = account(
        [
            session(OWNED, 1, [part("cpu", 0.5 * KWH)]),
            session(RENTED, 1, [part("gpu", KWH, "nvml")]),
        ],
        load_prices(["electricity_usd_per_kwh=0.2"]),
    )
    assert found.money_basis == "rent and electricity"
    assert found.usd == pytest.approx(0.1 + 0.7)
    prices = [(row["basis"], row["value"]) for row in found.money_prices]
    assert prices == [("electricity", 0.2), ("rent", 0.35)]


def test_an_energy_without_the_gpu_is_unknown_and_so_is_its_co2():
    beside = [part("cpu", 0.5 * KWH, "rapl")]
    found = account([session(RENTED, 1, beside)], load_prices(["ownership=owned"]))
    assert (found.kwh, found.co2_g, found.usd) == (None, None, None)


SIZES = ["model.d_hidden=8", "model.d_embedding=4", "train.batch_sequences=2"]


@pytest.fixture
def spec(monkeypatch, tmp_path):
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path / "cache"))
    overrides = [*SIZES, "train.window_tokens=16", "train.validations=2"]
    return load_spec("v1", preset="laptop", overrides=overrides).with_budget(
        Budget.parse("40 steps")
    )


def test_a_finished_run_has_a_sheet_with_every_figure(spec, corpus_path, tmp_path):
    run = start(spec, Corpus.open(corpus_path), tmp_path / "runs", device="cpu")
    sheet = read_sheet(run.layout.cost)
    assert sheet.status == "finished"
    assert set(COST) <= set(dict(sheet))
    assert set(COMPARED) <= set(dict(sheet))
    assert sheet.tokens.seen == sheet.tokens.trained == 40 * 2 * 16
    assert sheet.tokens.unique <= sheet.tokens.seen
    assert 0 < sheet.utilisation < 1
    assert 0 < sheet.hours + sheet.validation_hours < sheet.wall_hours
    for key in ("training_seconds", "training_flops", "training_tokens", "peak_memory_bytes"):
        assert getattr(sheet, key) == getattr(run.record, key)
    # the assumed watts of one thread or more, over the whole sitting
    assert sheet.kwh >= 0.01 * sheet.wall_hours * 0.99
    (row,) = catalogue(tmp_path / "runs")
    assert row["cost"]["kwh"] == sheet.kwh
    said = in_one_line(sheet)
    assert "kWh (estimated)" in said
    assert "grid: brazil" in said


def test_a_damaged_sheet_says_what_is_wrong_with_it(tmp_path):
    write_json(tmp_path / "cost.json", {"schema_version": 2, "hours": 1.0, "wall_hours": "long"})
    with pytest.raises(EscadaError, match=r"damaged: .*cost\.json"):
        read_sheet(tmp_path / "cost.json")


def test_what_was_predicted_stays_beside_what_was_measured(spec, corpus_path, tmp_path):
    run = stopped_after(spec, corpus_path, tmp_path, checks=20)
    run.update(predicted=PredictedCost(hours=1.5, kwh=0.1))
    resume(run.path)
    assert read_sheet(run.layout.cost).predicted == PredictedCost(hours=1.5, kwh=0.1)


def stopped_after(spec, corpus_path, tmp_path, checks):
    """A run that the user interrupts at a step."""
    calls = []

    class Asked:
        def __init__(self, _world):
            pass

        def __enter__(self):
            return lambda: calls.append(1) or len(calls) >= checks

        def __exit__(self, *_):
            return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start_module, "interruptions", Asked)
        with pytest.raises(Interrupted) as stop:
            start(spec, Corpus.open(corpus_path), tmp_path / "runs", device="cpu")
    return start_module.open_run(stop.value.path)


def test_energy_and_hours_of_an_interrupted_training_add_up(spec, corpus_path, tmp_path):
    run = stopped_after(spec, corpus_path, tmp_path, checks=15)
    first = read_sheet(run.layout.cost)
    assert (first.status, first.step) == ("interrupted", 15)
    assert first.tokens.seen == 15 * 2 * 16
    whole = read_sheet(resume(run.path).layout.cost)
    assert [s.from_step for s in whole.sessions] == [0, 15]
    assert whole.tokens.seen == 40 * 2 * 16
    later = whole.sessions[1]
    assert whole.wall_hours == pytest.approx(first.wall_hours + later.wall_seconds / 3600)
    joules = later.energy[0].joules
    assert whole.kwh == pytest.approx(first.kwh + joules / KWH)


def test_a_killed_session_counts_up_to_its_last_checkpoint(spec, corpus_path, tmp_path):
    run = stopped_after(spec, corpus_path, tmp_path, checks=30)
    ledger = {key: read_json(run.layout.cost)[key] for key in ("schema_version", "sessions")}
    former = {"schema_version": 2, "sittings": ledger["sessions"]}
    write_json(run.layout.cost, former | {"status": "training", "predicted": None})
    assert read_sheet(run.layout.cost) is None  # as after a kill, some versions ago
    whole = read_sheet(resume(run.path).layout.cost)
    assert whole.wall_hours * 3600 > ledger["sessions"][0]["wall_seconds"]
    assert len(whole.sessions) == 2


def test_a_run_begun_by_an_older_version_says_from_where_it_was_metered(
    spec, corpus_path, tmp_path
):
    run = stopped_after(spec, corpus_path, tmp_path, checks=15)
    write_json(run.layout.cost, {"schema_version": 1, "step": 15})
    assert read_sheet(run.layout.cost) is None
    assert read_sheet(resume(run.path).layout.cost).metered_from_step == 15


def test_every_checkpoint_leaves_the_sessions_on_disk(spec, corpus_path, tmp_path, monkeypatch):
    found = []
    save = start_module.Meter.save

    def save_and_look(self):
        save(self)
        found.append(read_json(self._path))

    monkeypatch.setattr(start_module.Meter, "save", save_and_look)
    start(spec, Corpus.open(corpus_path), tmp_path / "runs", device="cpu")
    assert [len(table["sessions"]) for table in found] == [1, 1]
    seconds = [table["sessions"][0]["wall_seconds"] for table in found]
    assert seconds == sorted(seconds)
