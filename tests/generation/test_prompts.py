"""The default prompts are what they promise."""

from collections import Counter

from escada.generation.prompts import load_prompts
from escada.text.cleaning import clean


def test_there_are_twenty_prompts_in_five_categories():
    prompts = load_prompts()
    assert len(prompts) == len({prompt.id for prompt in prompts}) == 20
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
