"""Training documents that share a run of words with a protected text are found and removed."""

import json
import os
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from escada.choices import SPLITS
from escada.cli.data import app
from escada.errors import EscadaError
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.filters import overlap
from escada.text.filters.overlap import MOST_COPIES, overlaps, words_of
from escada.text.preparation.prepare import prepare


def words(n: int, seed: object) -> str:
    rng = random.Random(str(seed))
    return " ".join("".join(rng.choices("abcdefghijlmnopqrstuvxz", k=6)) for _ in range(n))


def documents(*texts: str) -> list[Document]:
    return [Document(str(n), "s", str(n), text) for n, text in enumerate(texts)]


def found(protected: str, *training: str) -> list[int]:
    return sorted(overlaps(documents(protected), lambda: documents(*training)))


SECRET = words(40, "secret")
RUN = SECRET.split()[10:23]


def test_thirteen_words_in_a_row_are_found_whatever_their_case_and_signs():
    before, after = words(30, 1), words(30, 2)
    inside = f"{before} {', '.join(RUN).upper()}! {after}"
    assert found(SECRET, before, inside) == [1]
    assert found(SECRET, f"{before} {' '.join(RUN[:12])} {after}") == []
    assert found(SECRET, " ".join(RUN[:6]) + f" {words(1, 3)} " + " ".join(RUN[7:])) == []


def test_agrees_with_a_comparison_of_sets_of_runs():
    rng = random.Random(5)
    pool = [words(5, n) for n in range(40)]
    texts = [" ".join(rng.choices(pool, k=rng.randrange(1, 30))) for _ in range(60)]
    protected, training = texts[:10], texts[10:]

    def runs(text: str, n: int) -> set[tuple[str, ...]]:
        split = words_of(text)
        return {tuple(split[i : i + n]) for i in range(len(split) - n + 1)}

    by_hand = {}
    for text in protected:
        n = min(13, len(words_of(text)))
        for run in runs(text, n) if n >= 8 else ():
            by_hand[run] = [place for place, other in enumerate(training) if run in runs(other, n)]
    expected = {p for places in by_hand.values() if len(places) <= MOST_COPIES for p in places}
    assert 0 < len(expected) < len(training)
    assert set(overlaps(documents(*protected), lambda: documents(*training))) == expected


def test_a_short_protected_text_counts_as_a_whole_from_eight_words_on():
    eight, seven = words(8, "x"), words(7, "y")
    training = [f"a {eight} b", f"a {' '.join(eight.split()[:7])}", f"a {seven} b"]
    assert found(eight, *training) == [0]
    assert found(seven, *training) == []


def test_what_many_training_documents_contain_is_boilerplate():
    run = " ".join(RUN)
    copies = [f"{words(9, n)} {run} {words(9, -n)}" for n in range(MOST_COPIES)]
    assert found(SECRET, *copies) == list(range(MOST_COPIES))
    assert found(SECRET, *copies, run) == []
    assert found(SECRET, *copies, run, " ".join(SECRET.split()[20:])) == [MOST_COPIES + 1]


def test_a_run_is_named_by_its_first_word_and_its_length():
    training = documents(f"{words(5, 1)} {SECRET}")
    assert overlaps(documents(SECRET), lambda: training) == {0: (5, 13)}


def test_blocks_of_protected_text_change_nothing(monkeypatch: pytest.MonkeyPatch):
    protected = documents(*(words(20, n) for n in range(9)))
    training = [protected[n].text + " fim" for n in (8, 0, 4)] + [words(20, "z")]
    whole = overlaps(protected, lambda: documents(*training))
    monkeypatch.setattr(overlap, "BLOCK_CHARACTERS", 200)
    assert overlaps(protected, lambda: documents(*training)) == whole
    assert sorted(whole) == [0, 1, 2]


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_planted_leaks_leave_training_and_held_out_documents_stay(tmp_path: Path):
    rows = [{"id": f"n{n}", "group": f"n{n}", "text": words(60, n)} for n in range(200)]
    plain = prepare(write(tmp_path / "a.jsonl", rows), tmp_path / "plain")
    held_out = {s: [d.id for d in plain.documents(s)] for s in SPLITS[1:]}
    text_of = {row["id"]: row["text"] for row in rows}
    leaks = {}
    for split, ids in held_out.items():
        for identifier in ids[:4]:
            part = " ".join(text_of[identifier].split()[5:20])
            leaks[f"leak-of-{split}-{identifier}"] = f"{words(40, identifier)} {part} fim"
    # Small groups are held out, and the order is by hash: leaks are made training by their size.
    group = [{"id": i, "group": "big", "text": text} for i, text in leaks.items()]
    group += [{"id": f"big{n}", "group": "big", "text": words(60, f"b{n}")} for n in range(60)]
    question = f"fone 11 98765 4321 {words(20, 'question')}"
    group.append({"id": "asked", "group": "big", "text": f"{words(40, 'q')} {question}"})
    benchmark = write(tmp_path / "perguntas.jsonl", [{"text": question.upper()}])
    arguments = ["prepare", "--source", write(tmp_path / "a.jsonl", rows + group)]
    arguments += ["--out", str(tmp_path / "c")]
    for name in ("validation", "test", benchmark):
        arguments += ["--decontaminate", name]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    corpus = Corpus.open(tmp_path / "c")
    removed = corpus.manifest.decontamination.removed
    train = {d.id for d in corpus.documents("train")}
    now = {s: {d.id for d in corpus.documents(s)} for s in SPLITS[1:]}
    still = [i for i in leaks if i.rpartition("-")[2] in now["validation"] | now["test"]]
    assert len(still) >= 6
    assert not train & {*still, "asked"}
    assert sum(part.documents for part in removed.values()) == len(still) + 1
    assert removed[benchmark].documents == 1
    example = removed[benchmark].examples[0]
    assert (example.id, example.reason) == ("asked", "13 words from word 41 on")
    assert "98765" not in (corpus.path / "manifest.json").read_text()
    assert f"share words with {benchmark}: 1 document" in " ".join(result.stdout.split())
    across = corpus.manifest.across_splits
    assert (across.test.removed_documents, across.validation.removed_documents) == (0, 0)

    before = (corpus.path / "manifest.json").stat().st_mtime_ns
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (corpus.path / "manifest.json").stat().st_mtime_ns == before
    write(Path(benchmark), [{"text": words(20, "other")}])
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert Corpus.open(tmp_path / "c").manifest.decontamination.removed[benchmark].documents == 0


def test_an_unknown_source_to_protect_and_an_empty_training_are_one_clear_line(tmp_path: Path):
    source = write(tmp_path / "a.jsonl", [{"text": words(20, n)} for n in range(9)])
    with pytest.raises(EscadaError, match="source not found"):
        prepare(source, tmp_path / "c", protect=["validaton"])
    with pytest.raises(EscadaError, match="no training document is left"):
        prepare(source, tmp_path / "c", protect=[source])


def test_a_protected_file_whose_name_is_not_utf_8_is_recorded(tmp_path: Path):
    path = tmp_path / os.fsdecode(b"quest\xf5es.jsonl")
    write(path, [{"text": words(20, "q")}])
    source = write(tmp_path / "a.jsonl", [{"text": words(20, n)} for n in range(9)])
    corpus = prepare(source, tmp_path / "c", protect=[str(path)])
    assert list(corpus.manifest.decontamination.removed) == [rf"{tmp_path}/quest\xf5es.jsonl"]
