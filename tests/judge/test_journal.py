"""The journal: whole lines are never lost, torn ones never read, nothing secret is written."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.judge.journal import MOST_ATTEMPTS, Event, open_journal, whole_lines
from escada.judge.questions import PairAnswer

texts = st.text(max_size=20)


def answer(key, remarks=""):
    given = PairAnswer.model_validate({"observacoes": remarks, "preferencia": "A"})
    return Event(event="answer", key=key, answer=given)


answers = st.lists(st.builds(answer, texts, texts), max_size=5)


def plain(text):
    return text


def written(path, events):
    with open_journal(path, plain) as journal:
        for event in events:
            journal.append(event)
    return path.read_bytes()


@given(answers, st.data())
def test_a_journal_cut_anywhere_reads_as_a_prefix_of_whole_answers(events, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        whole = written(path, events)
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        expected, _ = whole_lines(whole, path)
        n_whole = sum(len(line) - 1 <= cut for line in _line_ends(whole))
        with open_journal(path, plain) as journal:
            kept = [event for event in journal.events if event.event == "answer"]
            assert journal.events[:n_whole] == expected[:n_whole]
            assert kept == events[: max(0, n_whole - 1)]
            journal.append(answer("new"))
        lines = path.read_text().split("\n")
        assert lines[-1] == ""
        assert [json.loads(line) for line in lines[:-1]][-1]["key"] == "new"
        with open_journal(path, plain) as journal:
            assert len(journal.events) == max(1, n_whole) + 1


def _line_ends(data):
    """The bytes up to and with each line end."""
    end = 0
    for line in data.splitlines(keepends=True):
        end += len(line)
        yield data[:end]


def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_changed(tmp_path):
    path = tmp_path / "journal.jsonl"
    data = written(path, [answer(key) for key in "ab"])
    path.write_bytes(data.replace(b'"key": "a"', b'"key": "a'))
    before = path.read_bytes()
    with pytest.raises(EscadaError, match="line 2 is damaged"), open_journal(path, plain):
        pass
    assert path.read_bytes() == before


def test_a_journal_of_another_schema_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "journal", "schema_version": 99}\n')
    with (
        pytest.raises(EscadaError, match="not a journal of this version"),
        open_journal(path, plain),
    ):
        pass


def test_a_line_that_is_no_event_is_named(tmp_path):
    path = tmp_path / "journal.jsonl"
    written(path, [answer("a")])
    with path.open("a") as file:
        file.write('{"event": "answer", "key": "b", "answer": {"preference": "C"}}\n')
    with pytest.raises(EscadaError, match="line 3 is damaged"), open_journal(path, plain):
        pass


def test_a_journal_of_an_earlier_version_opens_and_its_answers_are_found(tmp_path):
    path = tmp_path / "journal.jsonl"
    asked = '"opening": "o", "entrants": ["v1"], "attempt": 1, "seconds": 0.5'
    path.write_text(
        '{"event": "journal", "schema_version": 1}\n'
        f'{{"event": "answer", "key": "a", "kind": "rubric", {asked}, "tokens": null, "form": '
        '"words", "answer": {"remarks": "é", "relevance": 3, "coherence": 0, "style": 5}}\n'
        '{"event": "degraded", "part": "temperature", "base_url": "http://x/v1", "reason": "no"}\n'
    )
    before = path.read_bytes()
    with open_journal(path, plain) as journal:
        assert journal.answers["a"].style == 5
        assert journal.events[-1].part == "temperature"
    assert path.read_bytes() == before


def test_a_question_is_settled_by_an_answer_or_by_enough_replies_that_are_none(tmp_path):
    with open_journal(tmp_path / "j.jsonl", plain) as journal:
        for kind in ("malformed", "refused", "failed"):
            journal.append(Event(event=kind, key="a"))
        assert not journal.settled("a"), "a call that did not get through is no attempt"
        journal.append(Event(event="malformed", key="a"))
        assert journal.attempts["a"] == MOST_ATTEMPTS == 3
        assert journal.unusable("a")
        journal.append(answer("b"))
        assert journal.settled("b")
        assert not journal.unusable("b")
        assert journal.answers["b"].preference == "A"
        assert "a" not in journal.answers


def test_secrets_are_taken_out_of_all_that_a_server_said(tmp_path):
    path = tmp_path / "j.jsonl"
    with open_journal(path, lambda text: text.replace("secret", "-")) as journal:
        journal.append(answer("k", "a secret"))
        journal.append(Event(event="malformed", key="l", reason="no secret", text="secret"))
        assert journal.answers["k"].remarks == "a -"
    assert "secret" not in path.read_text()


def test_half_a_surrogate_pair_in_a_reply_does_not_stop_a_review(tmp_path):
    with open_journal(tmp_path / "j.jsonl", plain) as journal:
        journal.append(Event(event="malformed", key="k", text=json.loads('"\\ud83d x"')))
    with open_journal(tmp_path / "j.jsonl", plain) as journal:
        assert journal.events[-1].text == "? x"
