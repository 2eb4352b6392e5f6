"""The program on the page of the Python side runs as it stands there, on less text and time."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
LESS = 'budget="4 steps", overrides={"train.validations": 1}'


def word(rng: random.Random) -> str:
    """One of so many that a tokenizer finds thousands of pieces."""
    return "".join(
        rng.choice("bcdfglmnprstv") + rng.choice("aeiou") for _ in range(rng.randint(1, 4))
    )


def test_the_page_in_portuguese_has_the_same_programs_and_rows():
    english = PAGE.read_text(encoding="utf-8")
    portuguese = PAGE.with_name("python.pt-BR.md").read_text(encoding="utf-8")
    for part in (r"```python\n.*?```", r"^\| `[a-z]+(?:\.[a-z]+)?", r"^#+ ", r"^<!-- .* -->"):
        found = [re.findall(part, text, re.DOTALL | re.MULTILINE) for text in (english, portuguese)]
        assert found[0] == found[1] != []


@pytest.mark.slow
def test_the_program_of_the_page_goes_from_text_to_a_compared_ladder(tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in program.splitlines() if line]) <= 12
    assert program.count('budget="60 s"') == 1
    rng = random.Random(0)
    (tmp_path / "textos").mkdir()
    for number in range(60):
        written = " ".join(word(rng) for _ in range(600)) + "."
        (tmp_path / "textos" / f"{number}.txt").write_text(written, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", program.replace('budget="60 s"', LESS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"v4 against v1: (better|worse|undecided), [+-]\d\.\d{4} bits", done.stdout)
    assert (tmp_path / "runs/mine/report/index.html").is_file()
