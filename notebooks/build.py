"""Write the notebooks of both languages from source/*.md: `python notebooks/build.py`.

A source is Markdown:

    <!-- en NAME -->, <!-- pt NAME -->    begin a text cell of one language
    ```python NAME … ```                  a code cell of both; a line that ends in `  # en` or
                                          `  # pt` is in that language only
    {badges}, {install}                   the links that open it elsewhere, what pip installs
    <!-- start -->                        the cells of start.md, which every notebook has

`climb.md` gives climb.ipynb (English) and climb.pt-BR.ipynb.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbformat.notebooknode import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

HERE = Path(__file__).parent
REPOSITORY, BRANCH = "_OWNER_/escada", "main"
"""Where the notebooks are published. `_OWNER_` can be nobody's name on GitHub: put the real one
here and run this file; badges and the first cell follow."""
NAMES = ("climb", "inside", "ruler", "own")
"""The notebooks, in the order of the lessons."""
SUFFIX = {"en": ".ipynb", "pt": ".pt-BR.ipynb"}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
    "accelerator": "GPU",
    "colab": {"gpuType": "T4", "provenance": []},
    "kaggle": {"accelerator": "nvidiaTeslaT4", "isGpuEnabled": True, "isInternetEnabled": True},
}
_CELL = re.compile(
    r"^<!-- (?P<language>en|pt) (?P<text>[a-z0-9-]+) -->\n(?P<prose>.*?)(?=^<!--|^```python |\Z)"
    r"|^```python (?P<name>[a-z0-9-]+)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def path_of(name: str, language: str) -> Path:
    """The notebook that is written."""
    return HERE / (name + SUFFIX[language])


def badges(name: str, language: str) -> str:
    """Links that open the notebook on Colab and Kaggle."""
    path = f"{REPOSITORY}/blob/{BRANCH}/notebooks/{path_of(name, language).name}"
    places = {
        "Colab": (
            "https://colab.research.google.com/assets/colab-badge.svg",
            f"https://colab.research.google.com/github/{path}",
        ),
        "Kaggle": (
            "https://kaggle.com/static/images/open-in-kaggle.svg",
            f"https://kaggle.com/kernels/welcome?src=https://github.com/{path}",
        ),
    }
    return " ".join(f"[![{place}]({image})]({link})" for place, (image, link) in places.items())


def notebook(name: str, language: str) -> NotebookNode:
    """One notebook in one language.

    Raises:
        ValueError: a part of the source is no cell.
    """
    source = (HERE / "source" / f"{name}.md").read_text(encoding="utf-8")
    source = source.replace("<!-- start -->\n", (HERE / "source" / "start.md").read_text("utf-8"))
    if left := _CELL.sub("", source).strip():
        raise ValueError(f"{name}.md: not in a cell: {left[:80]!r}")
    filled = {
        "{badges}": badges(name, language),
        "{install}": f"escada @ git+https://github.com/{REPOSITORY}@{BRANCH}",
    }
    cells: list[NotebookNode] = []
    for found in _CELL.finditer(source):
        if found["language"] not in (None, language):
            continue
        text = found["prose"] or _in_language(found["code"], language)
        for key, value in filled.items():
            text = text.replace(key, value)
        new = new_markdown_cell if found["language"] else new_code_cell
        cells.append(new(text.strip(), id=found["text"] or f"run-{found['name']}"))
    return new_notebook(cells=cells, metadata=METADATA)


def _in_language(code: str, language: str) -> str:
    other = "  # " + ("pt" if language == "en" else "en")
    lines = (line for line in code.splitlines() if not line.endswith(other))
    return "\n".join(line.removesuffix(f"  # {language}") for line in lines)


def written(name: str, language: str) -> str:
    """The content of a notebook's file."""
    return nbformat.writes(notebook(name, language), version=4) + "\n"


def main() -> None:
    """Write all notebooks."""
    for name in NAMES:
        for language in SUFFIX:
            path_of(name, language).write_text(written(name, language), encoding="utf-8")


if __name__ == "__main__":
    main()
