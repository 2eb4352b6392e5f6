"""The ladder as Parquet: the figures of ladder.json, one row per rung."""

import pyarrow.parquet as parquet
import pytest

from escada.errors import EscadaError
from escada.report.data import read_ladder
from escada.report.writers.parquet import write_parquet


def test_each_rung_is_a_row_with_the_ladder_s_figures(folder, tmp_path):
    table = parquet.read_table(write_parquet(folder, tmp_path / "ladder.parquet"))
    rungs = read_ladder(folder).rungs
    rows = table.to_pylist()
    assert [row["name"] for row in rows] == [rung.name for rung in rungs]
    assert [row["bits_per_byte"] for row in rows] == [rung.bits_per_byte for rung in rungs]
    assert [row["tokenizer.kind"] for row in rows] == [rung.tokenizer.kind for rung in rungs]
    for row, rung in zip(rows, rungs, strict=True):
        assert row["ci95"] == (list(rung.ci95) if rung.ci95 else None)


def test_it_writes_over_its_own_and_over_nothing_else(folder, tmp_path):
    file = write_parquet(folder, tmp_path / "ladder.parquet")
    first = file.read_bytes()
    assert write_parquet(folder, file).read_bytes() == first
    notes = tmp_path / "notes.parquet"
    notes.write_text("mine")
    with pytest.raises(EscadaError, match="something else"):
        write_parquet(folder, notes)
    assert notes.read_text() == "mine"
