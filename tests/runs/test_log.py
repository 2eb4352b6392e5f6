"""A log that lost rows is refused, and one of a training that was killed is not."""

import pytest

from escada.checksums import chained
from escada.errors import EscadaError
from escada.files import write_json_lines, write_sealed_json
from escada.runs.layout import Layout
from escada.runs.log import read_log

ROWS = [{"kind": "train", "step": step} for step in range(1, 6)]


@pytest.fixture
def layout(tmp_path) -> Layout:
    """A run with a log of five rows, four of them from before its last checkpoint."""
    found = Layout(tmp_path)
    write_json_lines(found.metrics, chained(ROWS))
    scalars = found.checkpoints / "step-00000004" / "checkpoint.json"
    write_sealed_json(scalars, {"step": 4, "facts": {"logged_rows": 4}})
    return found


def cut(layout: Layout, rows: int, more: str = "") -> None:
    lines = layout.metrics.read_text().splitlines(keepends=True)
    layout.metrics.write_text("".join(lines[:rows]) + more)


def test_a_log_is_read_without_its_chain_and_without_a_line_being_written(layout):
    cut(layout, 5, '{"kind": "tra')
    assert read_log(layout) == ROWS


def test_rows_after_the_last_checkpoint_may_be_missing(layout):
    cut(layout, 4)
    assert read_log(layout) == ROWS[:4]


@pytest.mark.parametrize("rows", [0, 3])
def test_rows_from_before_the_last_checkpoint_may_not(layout, rows):
    cut(layout, rows)
    with pytest.raises(EscadaError, match=f"has {rows} rows, at the last checkpoint it had 4"):
        read_log(layout)


def test_a_log_that_is_gone_is_not_an_empty_one(layout):
    layout.metrics.unlink()
    with pytest.raises(EscadaError, match="damaged: the log has 0 rows"):
        read_log(layout)


def test_a_damaged_checkpoint_is_reported_elsewhere(layout):
    (layout.checkpoints / "step-00000004" / "checkpoint.json").write_text("{}")
    cut(layout, 2)
    assert read_log(layout) == ROWS[:2]


def test_a_checkpoint_that_the_index_does_not_name_counts_no_rows(layout):
    """Killed before the index was written, and resumed from the checkpoint before it."""
    write_sealed_json(
        layout.checkpoints / "index.json", {"last": "step-00000004", "best": "step-00000004"}
    )
    orphan = layout.checkpoints / "step-00000009" / "checkpoint.json"
    write_sealed_json(orphan, {"step": 9, "facts": {"logged_rows": 9}})
    assert read_log(layout) == ROWS
    cut(layout, 3)
    with pytest.raises(EscadaError, match="has 3 rows, at the last checkpoint it had 4"):
        read_log(layout)
