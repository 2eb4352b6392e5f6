"""What documents promise: links lead somewhere, examples are read, both READMEs agree."""

import re
from pathlib import Path

import pytest

from escada.spec import load_spec, rung_names

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_every_link_to_a_file_leads_to_one(path):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if not (path.parent / link).exists()]
    assert missing == []


def test_both_readmes_have_the_same_shape():
    english = (ROOT / "README.md").read_text(encoding="utf-8")
    portuguese = (ROOT / "README.pt-BR.md").read_text(encoding="utf-8")
    for part in (r"^#+ ", r"^- ", r"^\|", r"^```", r"^escada (\w+)", r"<!-- figures: \w+ -->"):
        found = [re.findall(part, text, re.MULTILINE) for text in (english, portuguese)]
        assert found[0] == found[1]


def test_the_readme_lists_every_rung_and_no_other():
    english = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(v\w+)` \|", english, re.MULTILINE) == rung_names()


@pytest.mark.parametrize("preset", ["full", "laptop"])
def test_the_example_of_a_new_rung_is_a_spec(preset, tmp_path):
    text = (ROOT / "docs" / "adding-a-rung.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1], encoding="utf-8")
    spec = load_spec(str(path), preset=preset)
    assert (spec.name, spec.about.follows) == ("v4_wide", "v4")


def test_decisions_are_numbered_without_gaps_and_say_their_status():
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(len(decisions)))
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]}: ")
        assert "\nStatus: " in text
