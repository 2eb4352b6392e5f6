"""Files are whole or absent."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.checksums import CHAIN, ROWS, SHA256
from escada.errors import EscadaError
from escada.files import (
    cache_directory,
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


def test_of_two_who_make_one_folder_the_second_is_told(tmp_path):
    """As two trainings of one rung that begin in the same instant do."""
    path, making = tmp_path / "run", ExitStack()
    (making.enter_context(new_directory(path)) / "a").write_text("second")
    path.mkdir()
    (path / "a").write_text("first")
    with pytest.raises(EscadaError, match="another process made this folder"):
        making.close()
    assert (path / "a").read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_full_disk_is_one_line_and_the_old_file_survives(tmp_path):
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    resource = pytest.importorskip("resource")
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


KEYS = (st.text() | st.just(ODD_LINE_ENDS)).filter(lambda key: key not in (SHA256, ROWS, CHAIN))


@given(st.lists(st.dictionaries(KEYS, JSON), min_size=1))
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


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.delenv("ESCADA_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if sys.platform == "linux":
        assert cache_directory() == Path("/home/ana/.cache/escada")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_directory() == tmp_path / "escada"
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path / "mine"))
    assert cache_directory() == tmp_path / "mine"


def test_without_a_home_whoever_needs_a_cache_is_told_of_escada_cache(monkeypatch):
    for name in ("HOME", "ESCADA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user without a name
    with pytest.raises(EscadaError, match="ESCADA_CACHE"):
        cache_directory()


WITHOUT_A_NAME = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
"""As in a container whose user has no name (docker run -u 54321)."""


def escada_without_a_name(arguments: list[str], home: Path | None = None):
    if (
        shutil.which("unshare") is None
        or subprocess.run([*WITHOUT_A_NAME, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("user namespaces are not permitted here")
    unset = {"HOME", "ESCADA_CACHE", "XDG_CACHE_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [*WITHOUT_A_NAME, sys.executable, "-m", "escada", *arguments],
        env=environment | ({"HOME": str(home)} if home else {}),
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_home_and_a_name_documents_are_prepared(tmp_path):
    rows = "".join(f'{{"text": "o gato número {i} subiu {i * 7919}"}}\n' for i in range(60))
    (tmp_path / "gatos.jsonl").write_text(rows)
    source, out = str(tmp_path / "gatos.jsonl"), tmp_path / "c"
    done = escada_without_a_name(["data", "prepare", "--source", source, "--out", str(out)])
    assert done.returncode == 0, done.stderr
    assert (out / "manifest.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "prepare"], "ESCADA_CACHE"),
        (["data", "prepare", "--source", "~/x.jsonl"], "give the whole path"),
    ],
)
def test_without_a_home_what_needs_one_is_one_line(arguments, words, tmp_path):
    done = escada_without_a_name([*arguments, "--out", str(tmp_path / "c")])
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "prepare", "--out", "{home}-out"], "ESCADA_CACHE"),
        (["data", "stats", "{home}/corpus"], "no permission to read or write ({home}"),
    ],
)
def test_a_home_that_may_not_be_entered_is_one_line(arguments, words, tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o000)
    done = escada_without_a_name([word.format(home=home) for word in arguments], home)
    assert done.returncode == 2, done.stderr
    assert words.format(home=home) in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_cache_that_cannot_be_written_names_escada_cache(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path / "file"))
    with pytest.raises(EscadaError, match="ESCADA_CACHE"):
        write_json(cache_directory() / "peaks" / "x.json", {})
