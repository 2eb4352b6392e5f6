"""Costs are reckoned with the defaults, whatever the person who runs the tests has set."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A configuration folder without a cost.toml; returns where that would be."""
    monkeypatch.delenv("ESCADA_COST", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "escada" / "cost.toml"
