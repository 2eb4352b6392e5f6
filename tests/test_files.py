"""Files are whole or absent."""

import os
import resource
import signal
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.files import (
    content_hash,
    new_directory,
    parse_json,
    read_json,
    read_json_lines,
    write_bytes,
    write_json,
    write_json_lines,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.text(), JSON))
def test_the_hash_does_not_depend_on_the_order_of_keys(value):
    assert content_hash(value) == content_hash(dict(reversed(value.items())))


def test_the_hash_tells_values_apart():
    assert len({content_hash(v) for v in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"})}) == 4


def test_a_folder_that_fails_while_being_built_never_appears(tmp_path):
    def build():
        with new_directory(tmp_path / "whole") as folder:
            (folder / "a").write_text("a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        build()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_never_written_over(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(EscadaError, match="folder exists"), new_directory(tmp_path / "there"):
        pass


def test_a_full_disk_is_one_line_and_the_old_file_survives(tmp_path):
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(EscadaError, match="disk full"):
            write_bytes(path, b"n" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_a_process_killed_while_writing_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"old": True})
    code = textwrap.dedent(
        f"""
        import os, signal, pathlib
        from escada import files
        os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        files.write_json(pathlib.Path({str(path)!r}), {{"new": True}})
        """
    )
    died = subprocess.run([sys.executable, "-c", code], env=os.environ, check=False)
    assert died.returncode == -signal.SIGKILL
    assert read_json(path) == {"old": True}


def test_what_is_not_json_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(EscadaError, match=r"x\.json"):
        read_json(tmp_path / "x.json")
    with pytest.raises(EscadaError, match="file not found"):
        read_json(tmp_path / "y.json")


ODD_LINE_ENDS = "\u2028 \u2029 \u0085 \x0b \x0c \x1c \x1d \x1e \r \r\n \n"


@given(st.lists(st.dictionaries(st.text() | st.just(ODD_LINE_ENDS), JSON)))
def test_json_lines_are_read_as_they_were_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    write_json_lines(path, rows)
    assert read_json_lines(path) == rows


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    assert read_json_lines(path, unfinished=True) == [{"a": 1}]
    with pytest.raises(EscadaError, match=r"rows\.jsonl:2"):
        read_json_lines(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "at character 2"),
        ("7" * 5000, "4,300 digits"),
        ("[" * 100_000 + "]" * 100_000, "nested too deep"),
        (b'"\xe3"', "not UTF-8 at byte 1"),
    ],
)
def test_text_that_is_not_json_is_one_line_whatever_it_is(text, why):
    with pytest.raises(EscadaError, match=why):
        parse_json(text, "here")
