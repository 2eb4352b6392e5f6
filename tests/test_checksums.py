"""Whatever is changed in a sealed file is noticed; what has no checksum is read as it is."""

import random

import pytest

from escada.checksums import chained
from escada.errors import EscadaError
from escada.files import (
    json_line,
    read_json,
    read_json_lines,
    write_json,
    write_json_lines,
    write_sealed_json,
    write_sealed_json_lines,
    write_text,
)

TABLE = {"bits_per_byte": 2.25, "ci95": [2.1, 2.4], "text": "ação\u2028", "none": None, "n": 10**20}
ROWS = [{"id": f"d{i}", "nats": i / 7} for i in range(9)]


def noticed(path, read, was) -> bool:
    """Whether reading a changed file either raises or gives what was written."""
    try:
        return read(path) == was
    except EscadaError:
        return True


def test_a_sealed_object_reads_as_it_was_written(tmp_path):
    write_sealed_json(tmp_path / "a.json", TABLE)
    assert read_json(tmp_path / "a.json") == TABLE


def test_a_changed_digit_of_a_sealed_object_is_refused(tmp_path):
    path = tmp_path / "a.json"
    write_sealed_json(path, TABLE)
    path.write_text(path.read_text().replace("2.25", "2.24"))
    with pytest.raises(EscadaError, match=r"damaged: its content does not match.*a\.json"):
        read_json(path)


@pytest.mark.parametrize("added", ['"x": NaN', '"x": "\\ud800"'])
def test_a_value_that_escada_never_writes_is_refused_in_a_sealed_object(tmp_path, added):
    path = tmp_path / "a.json"
    write_sealed_json(path, TABLE)
    path.write_text(path.read_text().replace('"none": null', added))
    with pytest.raises(EscadaError, match="damaged"):
        read_json(path)


def test_an_object_without_a_checksum_is_read_as_it_is(tmp_path):
    write_json(tmp_path / "a.json", TABLE)
    assert read_json(tmp_path / "a.json") == TABLE


def _sealed(path):
    write_sealed_json_lines(path, ROWS)


def _log(path):
    write_json_lines(path, chained(ROWS))


@pytest.mark.parametrize("write", [_sealed, _log])
def test_lines_read_as_they_were_written_and_no_changed_bit_gives_other_rows(tmp_path, write):
    path = tmp_path / "rows.jsonl"
    write(path)
    assert read_json_lines(path) == ROWS
    whole = path.read_bytes()
    rng = random.Random(0)
    for _ in range(500):
        changed = bytearray(whole)
        changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(changed))
        assert noticed(path, read_json_lines, ROWS), changed.decode(errors="replace")


@pytest.mark.parametrize("write", [_sealed, _log])
def test_removed_doubled_and_swapped_lines_are_refused(tmp_path, write):
    path = tmp_path / "rows.jsonl"
    write(path)
    lines = path.read_text().splitlines(keepends=True)
    swapped = [*lines[:3], lines[4], lines[3], *lines[5:]]
    for changed in (lines[:3] + lines[4:], [*lines[:3], lines[2], *lines[3:]], swapped):
        write_text(path, "".join(changed))
        with pytest.raises(EscadaError, match="damaged"):
            read_json_lines(path)


def test_sealed_lines_cut_at_any_byte_are_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_sealed_json_lines(path, ROWS)
    whole = path.read_bytes()
    for size in range(len(whole) - 1):  # the last line feed alone changes nothing
        path.write_bytes(whole[:size])
        with pytest.raises(EscadaError):
            read_json_lines(path)


def test_a_row_without_a_chain_among_others_is_refused(tmp_path):
    path = tmp_path / "log.jsonl"
    write_text(path, "".join(map(json_line, [*chained(ROWS), {"id": "added"}])))
    with pytest.raises(EscadaError, match=r"log\.jsonl:10"):
        read_json_lines(path)
