"""Money and CO2, worked by hand."""

from pathlib import Path

import pytest

from escada.cost.gpus import device
from escada.cost.money import CostSettings, known_grids, load_prices
from escada.errors import EscadaError


def test_an_owned_card_costs_its_electricity():
    # 3 h at 200 W are 0.6 kWh; at 0.20 USD that is 0.12 USD, and at 5 BRL a dollar 0.60 BRL.
    prices = load_prices(["electricity_usd_per_kwh=0.20", "brl_per_usd=5"])
    bill = prices.bill(hours=3, kwh=0.6, device=device("rtx3060-12gb"))
    assert (bill.basis, bill.usd, bill.brl) == (
        "electricity",
        pytest.approx(0.12),
        pytest.approx(0.6),
    )


def test_a_rented_card_costs_its_hours_and_nothing_for_electricity():
    # 2 cards for 1.5 h at 2.00 USD are 6 USD.
    prices = load_prices(["rent_usd_per_hour=2", "brl_per_usd=5"])
    bill = prices.bill(hours=1.5, kwh=99.0, device=device("h100-80gb"), devices=2)
    assert (bill.basis, bill.usd, bill.brl) == ("rent", pytest.approx(6), pytest.approx(30))


def test_electricity_in_reais_is_turned_into_dollars():
    prices = load_prices(["electricity_brl_per_kwh=1.10", "brl_per_usd=5.5"])
    assert prices.electricity_usd_per_kwh.value == pytest.approx(0.2)
    assert prices.bill(hours=1, kwh=2, device=None).brl == pytest.approx(2.2)


def test_a_card_of_a_data_centre_is_rented_and_a_card_of_a_desk_is_owned_unless_said_otherwise():
    assert load_prices().ownership_of(device("h100-80gb")) == "rented"
    assert load_prices().ownership_of(device("rtx4090-24gb")) == "owned"
    assert load_prices(["ownership=rented"]).ownership_of(device("rtx4090-24gb")) == "rented"
    assert load_prices().ownership_of(None) == "owned"


def test_a_rent_that_nobody_published_is_not_made_up():
    bill = load_prices(["ownership=rented"]).bill(hours=1, kwh=1, device=device("rtx3060-12gb"))
    assert bill.usd is None
    assert bill.brl is None


def test_unknown_energy_makes_an_unknown_bill_and_not_a_free_one():
    assert load_prices().bill(hours=1, kwh=None, device=None).usd is None


def test_co2_is_energy_times_the_factor_of_the_grid_that_is_named():
    prices = load_prices(["grid=france"])
    assert prices.co2_g(2.0) == pytest.approx(112)
    assert prices.to_json()["grid"] == "france"
    assert "Ember" in prices.to_json()["grid_g_per_kwh"]["source"]


def test_a_factor_of_ones_own_is_not_given_the_name_of_a_known_grid():
    facts = load_prices(["grid_g_per_kwh=12"]).to_json()
    assert (facts["grid"], facts["grid_g_per_kwh"]["source"]) == ("as the user says", "the user")


def test_the_users_file_goes_before_the_defaults_and_the_command_line_before_the_file(no_settings):
    no_settings.parent.mkdir(parents=True)
    no_settings.write_text('grid = "germany"\nbrl_per_usd = 6.0\nelectricity_brl_per_kwh = 1.2\n')
    prices = load_prices(["electricity_usd_per_kwh=0.5"])
    assert prices.grid_g_per_kwh.value == 381
    assert prices.brl_per_usd.value == 6
    assert prices.electricity_usd_per_kwh.value == 0.5


def test_a_file_that_the_environment_names_must_be_there(monkeypatch, tmp_path):
    monkeypatch.setenv("ESCADA_COST", str(tmp_path / "gone.toml"))
    with pytest.raises(EscadaError, match="ESCADA_COST"):
        load_prices()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("brl_per_us=5", "brl_per_usd"),
        ("brl_per_usd=-5", "greater than 0"),
        ("brl_per_usd=true", "true and false"),
        ("grid=brasil", "did you mean 'brazil'"),
        ("ownership=borrowed", "owned"),
        ("brl_per_usd", "KEY=VALUE"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_clear_line(text, said):
    with pytest.raises(EscadaError, match=said):
        load_prices([text])


def test_two_prices_of_electricity_are_a_contradiction():
    with pytest.raises(EscadaError, match="both"):
        load_prices(["electricity_usd_per_kwh=1", "electricity_brl_per_kwh=1"])


def test_the_document_names_every_setting_and_every_grid():
    text = (Path(__file__).parents[2] / "docs" / "cost.md").read_text(encoding="utf-8")
    names = [*CostSettings.model_fields, *known_grids()]
    assert [name for name in names if f"`{name}`" not in text] == []
