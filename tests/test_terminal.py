"""What users wrote is shown as it is: never read as markup, never steering the terminal."""

import io
import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada import terminal
from escada.terminal import LiveProgress, duration

COLUMNS = [("source", "left"), ("bytes", "right")]
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
"""Surrogates included: a file name that is not UTF-8 has them."""


def tty(monkeypatch, encoding="utf-8"):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def written(stream):
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)


def table(capsys, rows, **how):
    terminal.print_table(COLUMNS, rows, **how)
    return capsys.readouterr().out


def test_markup_and_emoji_codes_are_text(capsys):
    name = "[/a] [bold]x[/bold] :smile: [link=file:///x]y[/link]"
    assert name in table(capsys, [(name, 1)], title="[b]t[/b] [/x]")


def test_a_control_sequence_is_shown_and_not_obeyed(capsys):
    out = table(capsys, [("\x1b]0;title\x07\x1b[31mred\x9b2J", 1)])
    assert "\\u001b]0;title\\u0007\\u001b[31mred\\u009b2J" in out
    assert not set("\x1b\x07\x9b") & set(out)


@pytest.mark.parametrize("break_", ["\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029"])
def test_a_line_break_in_a_name_breaks_no_line(capsys, break_):
    assert len(table(capsys, [(f"a{break_}b", 1)]).splitlines()) == 2
    terminal.echo(f"a{break_}b")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_text_that_turns_the_line_around_is_shown_escaped(capsys):
    terminal.echo("file\u202etxt.exe")
    assert capsys.readouterr().out == "file\\u202etxt.exe\n"


def test_a_long_cell_keeps_its_ends_and_a_whole_one_everything(capsys):
    name = "begin" + "x" * 10_000 + "end"
    out = table(capsys, [(name, 7), ("short", 8)])
    assert max(map(len, out.splitlines())) < 200
    assert "begin" in out
    assert "xend" in out
    assert name in table(capsys, [(name, 7)], whole=[0])


@pytest.mark.parametrize("columns", ["1", "40", "300"])
def test_a_row_is_one_line_however_narrow_the_terminal(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    path = "runs/" + "a long folder/" * 20
    out = table(capsys, [(path, 12_345_678), ("b", 2)], whole=[0])
    assert path in out
    assert "12,345,678" in out
    assert len(out.splitlines()) == 3


def test_a_wide_table_is_no_wider_than_it_must_be(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert max(map(len, table(capsys, [("a", 1)]).splitlines())) < 30


def test_an_error_is_one_line_with_its_end(capsys):
    terminal.echo_error("escada: unknown id '" + "x" * 50_000 + "'\n; name another")
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert len(err) < 4000
    assert err.endswith("; name another\n")


def test_a_text_goes_into_a_pipe_as_it_is_and_to_a_terminal_escaped(capsys, monkeypatch):
    text = "one\ttab\r\nand \x1b[31mred\u2028"
    terminal.echo_text(text)
    assert capsys.readouterr().out == text + "\n"
    stream = tty(monkeypatch)
    terminal.echo_text(text)
    assert written(stream) == "one\ttab\\r\nand \\u001b[31mred\\u2028\n"


def test_only_our_own_bold_reaches_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = tty(monkeypatch)
    terminal.echo_styled([("a\x1b[2J", None), ("b\x1b[2J", "bold")], end="…\n")
    assert written(stream) == "a\\u001b[2J\x1b[1mb\\u001b[2J\x1b[0m…\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_json_stays_json_on_a_terminal_of_any_encoding(monkeypatch, encoding):
    stream = tty(monkeypatch, encoding)
    terminal.print_what_can_be_shown()
    value = {"prompt": "São “Paulo” 👋🏽 \udce9 \x9b \n [/a]"}
    terminal.echo_json(value)
    assert json.loads(written(stream)) == value


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@given(text=ANY_TEXT, number=st.integers())
def test_nothing_that_is_printed_raises_and_a_row_stays_a_row(encoding, text, number):
    with pytest.MonkeyPatch.context() as patch:
        stream = tty(patch, encoding)
        patch.setattr(sys, "stderr", stream)
        terminal.print_what_can_be_shown()
        terminal.print_table(COLUMNS, [(text, number), (text, number)])
        terminal.echo(text)
        terminal.echo_styled([(text, None), (text, "bold")])
        LiveProgress("reading").say(text)
        out = written(stream).replace("\x1b[1m", "").replace("\x1b[0m", "")
    lines = out.split("\n")
    texts = 2 * text.count("\n")  # the styled text keeps its own line breaks
    assert len(lines) == 3 + 1 + 1 + texts + 1 + 1
    assert not [c for c in out if c != "\n" and c != "\t" and (c < " " or "\x7f" <= c < "\xa0")]


def test_durations_are_said_as_people_say_them():
    assert [duration(s) for s in (7.4, 90, 3700)] == ["7 s", "1 min 30 s", "1 h 1 min"]


def test_progress_without_a_terminal_is_a_line_now_and_then_and_one_at_the_end(capsys, monkeypatch):
    clock = iter([0.0, 4.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with LiveProgress("judge") as live:
        for done in (1, 2, 3, 4):
            live.update(done, 4, f"{done} of 4")
    assert capsys.readouterr().err.splitlines() == ["judge  2 of 4", "judge  4 of 4"]


def test_a_passing_progress_says_nothing_when_it_has_ended(capsys):
    with LiveProgress("reading", passing=True) as live:
        live.update(4, 4, "4 documents")
    assert capsys.readouterr().err == ""
