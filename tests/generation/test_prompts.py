"""The default prompts are what they promise, and a file of prompts is read strictly."""

from collections import Counter

import pytest

from escada.errors import EscadaError
from escada.generation.prompts import load_prompts
from escada.text.cleaning import clean


def test_there_are_twenty_prompts_in_five_categories():
    prompts = load_prompts()
    assert len(prompts) == 20
    assert set(Counter(p.category for p in prompts)) == {
        "short",
        "news",
        "legal",
        "technical",
        "literary",
    }


def test_five_prompts_are_longer_than_256_subwords():
    long = [p for p in load_prompts() if p.id.endswith("-long")]
    assert len(long) == 5
    assert all(len(p.text) >= 1300 for p in long)
    assert all(len(p.text) < 400 for p in load_prompts() if p not in long)


def test_the_prompts_are_reference_text():
    for prompt in load_prompts():
        assert clean(prompt.text, "reference") == prompt.text, prompt.id


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no .*prompt"),
        ("[[prompt", "not a TOML"),
        ('[[prompt]]\nid = "a"\ntext = "x"', "prompt 1 needs id, category and text"),
        ('[[prompt]]\nid = "a"\ncategory = "b"\ntext = 3', "prompt 1 needs"),
        ('[[prompt]]\nid = "a"\ncategory = "b"\ntext = ""\n' * 2, "'a' appears twice"),
    ],
)
def test_a_wrong_file_of_prompts_is_an_error_that_says_why(tmp_path, content, message):
    path = tmp_path / "prompts.toml"
    path.write_text(content)
    with pytest.raises(EscadaError, match=message):
        load_prompts(path)


def test_a_missing_file_of_prompts_is_an_error(tmp_path):
    with pytest.raises(EscadaError, match="not found"):
        load_prompts(tmp_path / "none.toml")
