"""Who is compared: equal lengths, hidden controls, and only runs of one corpus."""

import json
import shutil

import pytest

from escada.errors import EscadaError
from escada.evaluation.portuguese.lexicon import lexicon_share
from escada.files import read_json
from escada.judge.panel import (
    HELD_OUT_SAMPLES,
    Entrant,
    Opening,
    Panel,
    PanelText,
    _held_out,
    gather_panel,
)
from escada.runs.run import open_run


@pytest.fixture(scope="module")
def panel(runs, corpus_path):
    from escada.text.corpus import Corpus

    return gather_panel(runs, Corpus.open(corpus_path), prompts=5, device="cpu")


def test_texts_of_an_opening_are_cut_to_the_shortest_that_did_not_end(panel):
    one = Opening("o", "Era", False)
    written = {"x": ("abcdefgh", False), "y": ("abcde", False), "z": ("ab", True)}
    entrants = [
        Entrant(name, "run", name, {"o": PanelText(*what)}) for name, what in written.items()
    ]
    assert Panel([one], entrants, "").texts("o") == {"x": "abcde", "y": "abcde", "z": "ab"}
    for opening in panel.openings:
        shown = panel.texts(opening.id)
        shown_of = [entrant for entrant in panel.entrants if entrant.name in shown]
        ran_on = {len(shown[e.name]) for e in shown_of if not e.continuations[opening.id].ended}
        assert len(ran_on) == 1
        assert max(len(text) for text in shown.values()) in ran_on


def test_human_text_is_how_a_test_document_goes_on_and_is_not_in_training(panel, corpus):
    held_out = [opening for opening in panel.openings if opening.held_out]
    assert len(held_out) == 3
    documents = {document.text: document for document in corpus.documents("test")}
    training = "\n".join(document.text for document in corpus.documents("train"))
    groups = set()
    for opening in held_out:
        whole = opening.text + panel.entrants[-2].continuations[opening.id].text
        groups.add((documents[whole].source, documents[whole].group))
        assert whole not in training
        assert not opening.text.endswith(" ")
        assert whole[len(opening.text)] == " "
    assert len(groups) == 3, "one document of a group"


def test_human_text_is_shown_only_where_a_human_wrote(panel):
    for opening in panel.openings:
        names = set(panel.texts(opening.id))
        assert ("human" in names) == opening.held_out
        assert "noise" in names


def test_noise_is_noise_and_human_text_is_not(panel):
    texts = [panel.texts(opening.id) for opening in panel.openings if opening.held_out]
    assert lexicon_share(shown["noise"] for shown in texts) < 0.2
    assert lexicon_share(shown["human"] for shown in texts) > 0.8


def test_the_default_prompts_are_spread_over_the_categories(panel):
    ids = [opening.id for opening in panel.openings if not opening.held_out]
    assert len(ids) == 5
    assert {name.split("-")[0] for name in ids} == {
        "short",
        "news",
        "legal",
        "technical",
        "literary",
    }


def test_a_seed_chooses_and_the_same_seed_chooses_the_same(runs, corpus, panel):
    again = gather_panel(runs, corpus, prompts=5, device="cpu")
    other = gather_panel(runs, corpus, prompts=5, seed=1, device="cpu")
    assert again.to_json() == panel.to_json()
    assert other.entrants[-1] != panel.entrants[-1], "other noise"


def test_of_documents_that_are_long_enough_a_seed_chooses(tmp_path):
    from escada.text.preparation.prepare import prepare

    source = tmp_path / "long.jsonl"
    rows = [{"text": f"Texto {i}: " + " ".join(f"n{i * j}" for j in range(200))} for i in range(90)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = prepare(str(source), tmp_path / "long")
    first, again, other = (_held_out(corpus, 4, seed)[0] for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert all(len(opening.text) <= 200 for opening in first)


def test_fewer_held_out_openings_are_the_first_of_more(runs, corpus, panel):
    fewer = gather_panel(runs, corpus, prompts=2, device="cpu")
    held_out = [opening for opening in panel.openings if opening.held_out]
    assert [one for one in fewer.openings if one.held_out] == held_out[:1]


def test_what_a_run_wrote_is_kept_in_its_folder_and_not_written_again(runs, corpus, panel):
    gather_panel(runs, corpus, prompts=5, device="cpu")
    path = runs[0].layout.evaluation(HELD_OUT_SAMPLES)
    before = path.stat().st_mtime_ns
    gather_panel(runs, corpus, prompts=5, device="cpu")
    assert path.stat().st_mtime_ns == before
    assert read_json(path)["schema_version"] == 1


def test_two_runs_of_one_rung_are_told_apart_by_their_folders(panel, runs):
    assert [entrant.name for entrant in panel.entrants] == [
        runs[0].name,
        runs[1].name,
        "human",
        "noise",
    ]


def test_a_run_twice_or_of_another_corpus_is_refused(runs, corpus, tmp_path):
    with pytest.raises(EscadaError, match="given twice"):
        gather_panel([runs[0], runs[0]], corpus)
    copy = tmp_path / runs[0].name
    shutil.copytree(runs[0].path, copy)
    with pytest.raises(EscadaError, match="cannot be told apart by their names"):
        gather_panel([runs[0], open_run(copy)], corpus, device="cpu")
    record = read_json(copy / "record.json")
    (copy / "record.json").write_text(json.dumps(record | {"corpus_hash": "other"}))
    with pytest.raises(EscadaError, match="trained on another corpus"):
        gather_panel([open_run(copy)], corpus)


def test_a_corpus_of_crumbs_has_no_human_control(runs, tmp_path):
    from escada.text.preparation.prepare import prepare

    source = tmp_path / "crumbs.jsonl"
    source.write_text("".join(json.dumps({"text": f"n{i}"}) + "\n" for i in range(40)))
    crumbs = prepare(str(source), tmp_path / "crumbs")
    with pytest.raises(EscadaError, match="no test document is long enough"):
        _held_out(crumbs, 3, 0)
