"""The notebooks: both languages from one source, and every one of them runs from top to bottom."""

import ast
import json
import re

import pytest

build = pytest.importorskip("build", reason="nbformat is of the dev extra: make dev")
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

from tests.notebooks.conftest import ROOT, execute  # noqa: E402

LANGUAGES = sorted(build.SUFFIX)
BOTH = pytest.mark.parametrize("language", LANGUAGES)
EACH = pytest.mark.parametrize("name", build.NAMES)


def code_of(notebook):
    """Cell id → its code without strings, comments and magics: equal in both languages."""

    class WithoutWords(ast.NodeTransformer):
        def visit_JoinedStr(self, node):
            node.values = [part for part in node.values if isinstance(part, ast.FormattedValue)]
            return self.generic_visit(node)

        def visit_Constant(self, node):
            return ast.Constant("") if isinstance(node.value, str) else node

    cells = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            code = re.sub(r"^( *)%.*$", r"\1pass", cell.source, flags=re.MULTILINE)
            cells[cell.id] = ast.dump(WithoutWords().visit(ast.parse(code)))
    return cells


def test_every_source_is_a_notebook():
    sources = {path.stem for path in (ROOT / "notebooks" / "source").glob("*.md")}
    assert sources == {*build.NAMES, "start"}
    written = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert written == {build.path_of(n, lang).name for n in build.NAMES for lang in LANGUAGES}


@EACH
@BOTH
def test_a_notebook_is_what_its_source_says(name, language):
    path = build.path_of(name, language)
    fix = "python notebooks/build.py"
    assert path.read_text(encoding="utf-8") == build.written(name, language), fix


@EACH
@BOTH
def test_a_notebook_is_valid_and_has_no_results_in_it(name, language):
    notebook = json.loads(build.path_of(name, language).read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    for cell in notebook["cells"]:
        assert cell["source"]
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@EACH
def test_both_languages_have_the_same_cells_and_code_but_for_strings(name):
    english, portuguese = (build.notebook(name, language) for language in ("en", "pt"))
    assert [cell.id for cell in english.cells] == [cell.id for cell in portuguese.cells]
    assert code_of(english) == code_of(portuguese)
    asked = [
        sum(cell.source.count(word) for cell in notebook.cells)
        for notebook, word in ((english, "**Question.**"), (portuguese, "**Pergunta.**"))
    ]
    assert asked[0] == asked[1] >= 5


def test_a_difference_of_code_between_the_languages_is_seen():
    notebooks = []
    for code in ("print('a', 1)", "print('b', 1)", "print('b', 2)"):
        notebooks.append(code_of(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])))
    first, second, third = (list(cells.values()) for cells in notebooks)
    assert first == second != third


@EACH
@BOTH
def test_badges_and_the_first_cell_name_the_one_repository(name, language, monkeypatch):
    text = build.written(name, language)
    links = re.findall(r"https://[^)\"\s]*github[^)\"\s]*", text)
    assert len([link for link in links if "colab.research" in link]) == 1
    assert len([link for link in links if "kaggle.com" in link]) == 1
    assert all(build.REPOSITORY in link for link in links)
    monkeypatch.setattr(build, "REPOSITORY", "somebody/something")
    assert "_OWNER_" not in build.written(name, language)


def test_the_teachers_guide_has_a_lesson_of_every_notebook_in_both_languages():
    shapes = []
    for language, suffix in build.SUFFIX.items():
        path = ROOT / "docs" / f"teacher{suffix.replace('.ipynb', '.md')}"
        guide = path.read_text(encoding="utf-8")
        for name in build.NAMES:
            assert f"notebooks/{build.path_of(name, language).name}" in guide
        marks = r"^#+ |^\||^\d\. |^- |^\*\*\w+"
        shapes.append([mark.split("**")[0] for mark in re.findall(marks, guide, re.MULTILINE)])
    assert shapes[0] == shapes[1]
    assert len([line for line in guide.splitlines() if line.startswith("## Aula ")]) == 5


def test_the_cells_that_begin_every_notebook_run(source, tmp_path):
    notebook = build.notebook("climb", "pt")
    last = [cell.id for cell in notebook.cells].index("run-documents")
    notebook.cells = notebook.cells[: last + 1]
    shown = execute(notebook, tmp_path, {"ESCADA_NOTEBOOK_SOURCE": str(source)})
    assert shown["run-install"] == ""
    assert shown["run-folder"].strip() == str(tmp_path / "escada-aulas")
    assert re.search(r"^test +[\d,]+ bytes$", shown["run-documents"], re.MULTILINE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Where the notebooks of a language run: as in class, one after the other in the same place."""
    return {language: tmp_path_factory.mktemp(language) for language in LANGUAGES}


@pytest.mark.slow
@BOTH
@EACH
def test_a_notebook_runs_from_top_to_bottom(name, language, source, folders):
    notebook = build.notebook(name, language)
    shown = execute(notebook, folders[language], {"ESCADA_NOTEBOOK_SOURCE": str(source)})
    CHECKS.get(name, lambda shown: None)(shown)


def check_climb(shown):
    for rung in ("v1", "v4", "v5"):
        assert rung in shown["run-table"]
        assert f"--- {rung}" in shown["run-samples"]
    assert shown["run-compare"].count(" against ") == 2
    assert shown["run-killed"].strip().endswith("-9")
    assert "going on with" in shown["run-resume"]
    assert re.search(r"^200 (of|de) 200 ", shown["run-resume"], re.MULTILINE)
    assert shown["run-report"].strip().endswith("index.html")


def check_ruler(shown):
    ours, theirs = map(float, shown["run-several"].split())
    assert ours == pytest.approx(theirs, abs=1e-6)
    ours, theirs = map(float, shown["run-effective"].split())
    assert ours == pytest.approx(theirs, abs=0.01)
    assert shown["run-sign-flip"].startswith("p = ")
    assert "v4 against v1" in shown["run-sign-flip"]


def check_own(shown):
    assert 0.3 < float(shown["run-bound"]) < 0.5
    assert "mine" in shown["run-climb"]
    assert "mine against v2" in shown["run-plot"]
    assert "--- mine" in shown["run-samples"]


def check_inside(shown):
    assert "cells=128" in shown["run-models"]
    assert "heads=3" in shown["run-models"]
    assert shown["run-heads"].count("induction") == 2
    assert len(shown["run-pair"].strip().splitlines()) == 4
    assert "CellsView" in shown["run-trace"]
    assert "TreeView" in shown["run-tree"]


CHECKS = {"climb": check_climb, "ruler": check_ruler, "own": check_own, "inside": check_inside}


@pytest.mark.slow
def test_fp16_on_a_cpu_is_refused_in_one_line(source, tmp_path):
    notebook = build.notebook("climb", "en")
    ids = [cell.id for cell in notebook.cells]
    begin, end = ids.index("run-climb"), ids.index("run-killed")
    del notebook.cells[begin:end]  # a training in the notebook's own process is left
    environment = {
        "ESCADA_NOTEBOOK_SOURCE": str(source),
        "ESCADA_NOTEBOOK_PRECISION": "fp16",
        "CUDA_VISIBLE_DEVICES": "",
    }
    with pytest.raises(nbclient.exceptions.CellExecutionError):
        execute(notebook, tmp_path, environment)
    (failed,) = [cell for cell in notebook.cells if cell.id == "run-resume"]
    (error,) = [output for output in failed.outputs if output.output_type == "error"]
    line = "fp16 training is not supported on cpu (train.precision); use fp32 or auto"
    assert (error.ename, error.evalue) == ("EscadaError", line)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_run_in_a_fresh_environment_like_colabs_and_go_on_in_its_next_session(
    hosted, source, tmp_path
):
    """Takes minutes and a package registry. Drive stays, the session's own folder does not."""
    kernel, variables, drive = hosted
    variables = variables | {"ESCADA_NOTEBOOK_SOURCE": str(source)}

    def session(name, language):
        folder = tmp_path / f"{name}-{language}"
        folder.mkdir()
        notebook = build.notebook(name, language)
        for cell in notebook.cells:
            cell.source = cell.source.replace("/content/drive", str(drive))
        shown = execute(notebook, folder, variables, kernel)
        assert shown["run-folder"].strip() == str(drive / "MyDrive" / "escada-aulas")
        assert list(folder.iterdir()) == []  # all that was made lies in Drive
        return shown

    for name in build.NAMES:
        CHECKS[name](session(name, "pt"))
    again = session("climb", "en")
    assert again["run-climb"].count("already trained") == 3
    assert "going on with" in again["run-resume"]
