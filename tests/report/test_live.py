import json

import pytest

from escada.errors import EscadaError
from escada.files import read_json
from escada.report.i18n import Language
from escada.report.live import live_ladder, progress, watch
from escada.report.progress import Progress
from escada.runs.climb_lock import Planned, is_under_way, read_plan, under_way

PLAN = [
    Planned(name="v4", seed=0, key="4" * 64),
    Planned(name="v5", seed=0, key="9" * 64),
]


@pytest.fixture
def in_training(tmp_path, one_run):
    """A climb's folder with one run in it, which is not in any ladder.json yet."""
    folder = tmp_path / "climb"
    folder.mkdir()
    run = one_run.rename(folder / one_run.name)
    record = read_json(run / "record.json")
    record |= {"status": "training", "total_steps": 4000}
    (run / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_a_climb_is_under_way_for_as_long_as_it_is(tmp_path):
    assert not is_under_way(tmp_path)
    with under_way(tmp_path, PLAN):
        assert is_under_way(tmp_path)
        assert read_plan(tmp_path) == PLAN
        with pytest.raises(EscadaError, match="another climb"), under_way(tmp_path, []):
            pass
        assert read_plan(tmp_path) == PLAN
    assert not is_under_way(tmp_path)


def test_a_climb_that_raises_is_under_way_no_longer(tmp_path):
    with pytest.raises(ZeroDivisionError), under_way(tmp_path, PLAN):
        raise ZeroDivisionError
    assert not is_under_way(tmp_path)


def test_a_run_in_training_is_in_the_ladder_before_it_is_reviewed(in_training):
    with under_way(in_training, PLAN):
        ladder = live_ladder(in_training)
    assert ladder is not None
    assert [(rung.name, rung.status) for rung in ladder.rungs] == [("v5", "training")]
    assert ladder.budget == "60 s"


def test_rungs_of_the_ladder_come_first_and_runs_of_no_plan_not_at_all(in_training, table):
    done = next(rung for rung in table["rungs"] if rung["name"] == "v4") | {"key": "4" * 64}
    table["rungs"] = [done]
    (in_training / "ladder.json").write_text(json.dumps(table), encoding="utf-8")
    with under_way(in_training, PLAN):
        ladder = live_ladder(in_training)
        assert [rung.name for rung in ladder.rungs] == ["v4", "v5"]
        assert ladder.corpus.documents == table["corpus"]["documents"]
        assert progress(in_training) == Progress(1, 2, "v5", 1000, 4000, pytest.approx(2.27, 0.1))
    with under_way(in_training, PLAN[:1]):
        assert [rung.name for rung in live_ladder(in_training).rungs] == ["v4"]
        assert progress(in_training) == Progress(1, 1, None)


def test_before_the_first_run_there_is_no_ladder(tmp_path):
    with under_way(tmp_path, PLAN):
        assert live_ladder(tmp_path) is None
        assert progress(tmp_path) == Progress(0, 2, None)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("en", "runs done: 1 of 2; v5: step 1,000 of 4,000, 2.271 bits per byte on validation"),
        ("pt", "treinos concluídos: 1 de 2; v5: passo 1.000 de 4.000, 2,271 bits por byte em"),
    ],
)
def test_progress_is_said_in_both_languages(code, said):
    now = Progress(1, 2, "v5", 1000, 4000, 2.271)
    assert now.sentence(Language.load(code)).startswith(said)
    early = Progress(0, 2, "v5").sentence(Language.load(code))
    assert early.endswith(("v5: step 0.", "v5: passo 0."))


def test_a_folder_without_a_climb_is_the_users_error(tmp_path):
    with pytest.raises(EscadaError, match="no climb is under way here"):
        watch(tmp_path, 1.0, lambda _: None)


def test_watching_a_climb_that_has_ended_writes_its_page_once(climb):
    folder = climb()
    said = []
    page = watch(folder, 1.0, said.append)
    assert page == folder / "report" / "index.html"
    assert said == []
    assert "data-every" not in page.read_text(encoding="utf-8")


def test_ctrl_c_leaves_a_page_that_does_not_load_itself_again(in_training):
    pages = []

    def interrupt(_):
        page = in_training / "report" / "index.html"
        pages.append(page.read_text(encoding="utf-8"))
        raise KeyboardInterrupt

    with under_way(in_training, PLAN), pytest.raises(KeyboardInterrupt):
        watch(in_training, 7.0, interrupt)
    assert 'data-every="7.0"' in pages[0]
    assert '<noscript><meta http-equiv="refresh" content="7"></noscript>' in pages[0]
    assert list((in_training / "report" / "figures").glob("*.png"))  # the last page has them
    assert "data-every" not in (in_training / "report" / "index.html").read_text(encoding="utf-8")
