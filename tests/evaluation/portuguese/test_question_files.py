"""The user's own questions, in the forms that public files have."""

import json

import pytest

from escada.errors import EscadaError
from escada.evaluation.portuguese.question_files import read_cloze, read_pairs


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_pairs_are_cleaned_and_a_row_without_a_group_is_its_own(tmp_path):
    file = jsonl(
        tmp_path / "p.jsonl",
        {"good": "A  menina\u200b lê.", "bad": "As menina lê."},
        {"good": "Ele lê.", "bad": "Ele leem.", "phenomenon": "verb", "group": "g", "extra": 1},
    )
    first, second = read_pairs(file, "reference")
    assert (first.good, first.phenomenon, first.group) == ("A menina lê.", "all", "1")
    assert (second.phenomenon, second.group, second.id) == ("verb", "g", "2")


def test_short_pairs_survive_the_roadmap_profile(tmp_path):
    file = jsonl(tmp_path / "p.jsonl", {"good": "A menina lê.", "bad": "As menina lê."})
    assert read_pairs(file, "roadmap")[0].good == "a menina lê."


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"good": "A menina lê."}, "'good' and 'bad'"),
        ({"good": "A menina lê.", "bad": "A menina  lê."}, "the same"),
        ({"good": "A menina lê.", "bad": "\u200b"}, "empty"),
    ],
)
def test_a_row_that_is_no_pair_is_named(tmp_path, row, said):
    file = jsonl(tmp_path / "p.jsonl", {"good": "a b", "bad": "a c"}, row)
    with pytest.raises(EscadaError, match=said) as caught:
        read_pairs(file, "reference")
    assert "row 2" in str(caught.value)


def test_a_row_that_is_no_object_is_named_by_its_line(tmp_path):
    file = jsonl(tmp_path / "p.jsonl", {"good": "a b", "bad": "a c"}, [1])
    with pytest.raises(EscadaError, match=r"expected a JSON object \(.*p\.jsonl:2\)"):
        read_pairs(file, "reference")


def test_calame_and_lambada_are_known_in_all_their_forms(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        {"id": 7, "sentence": "Choveu três dias e a roupa não", "last_word": "secou"},
        {"id": 8, "sentence": "O carteiro perdeu o chapéu.", "last_word": "chapéu."},
    ]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    (tmp_path / "c.csv").write_text(
        'id,sentence,last_word\n7,"Choveu três dias e a roupa não",secou\n'
        '8,"O carteiro perdeu o chapéu.",chapéu.\n'
    )
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "c.parquet")
    jsonl(tmp_path / "c.jsonl", *rows)
    for name in ("list.json", "c.csv", "c.parquet", "c.jsonl"):
        first, second = read_cloze(tmp_path / name, "reference")
        assert (first.context, first.word, first.id) == (
            "Choveu três dias e a roupa não",
            "secou",
            "7",
        )
        assert (second.context, second.word) == ("O carteiro perdeu o", "chapéu")


def test_a_text_gives_its_last_word(tmp_path):
    file = jsonl(
        tmp_path / "l.jsonl",
        {"text": "“Onde está o chapéu?”, perguntou o carteiro"},
        {"text": "Ela abriu a porta e viu o guarda-chuva.\n"},
    )
    first, second = read_cloze(file, "reference")
    assert (first.context, first.word) == ("“Onde está o chapéu?”, perguntou o", "carteiro")
    assert (second.context, second.word) == ("Ela abriu a porta e viu o", "guarda-chuva")


@pytest.mark.parametrize("row", [{"text": "Custa 30"}, {"text": "só"}, {"sentence": "A menina"}])
def test_a_row_without_a_last_word_is_named(tmp_path, row):
    file = jsonl(tmp_path / "l.jsonl", row)
    with pytest.raises(EscadaError, match=r"no last word.*row 1"):
        read_cloze(file, "reference")


def test_a_file_that_is_missing_or_broken_is_one_clear_error(tmp_path):
    for name in ("no.jsonl", "no.parquet"):
        with pytest.raises(EscadaError, match="not found"):
            read_cloze(tmp_path / name, "reference")
    (tmp_path / "b.jsonl").write_text('{"text": ')
    with pytest.raises(EscadaError, match="bad JSON"):
        read_cloze(tmp_path / "b.jsonl", "reference")
    (tmp_path / "b.parquet").write_bytes(b"no")
    with pytest.raises(EscadaError, match="not a Parquet file"):
        read_cloze(tmp_path / "b.parquet", "reference")
