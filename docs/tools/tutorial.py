"""Make what the tutorial shows, from the runs of a climb: `tutorial.py [CLIMB] [--data CORPUS]`.

With a climb's folder everything is measured anew and kept in `tutorial.json`; without one, the
pages and pictures are written again from that file. Prose is written by hand in
`docs/tutorial.md` and `docs/tutorial.pt-BR.md`; what lies between `<!-- made: NAME -->` and
`<!-- /made -->` there comes from here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tutorial_blocks import blocks, fill, pictures

HERE = Path(__file__).parent
FACTS = HERE / "tutorial.json"
PAGES = {"en": HERE.parent / "tutorial.md", "pt": HERE.parent / "tutorial.pt-BR.md"}
PICTURES = HERE.parent / "pictures"
PASSAGE = HERE.parent / "tutorial-passage.jsonl"


def main() -> None:
    """Measure if a climb is named, then write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("climb", nargs="?", type=Path, help="a climb's folder, such as runs/demo")
    parser.add_argument("--data", type=Path, help="its corpus; else where its runs found it")
    given = parser.parse_args()
    if given.climb is not None:
        from tutorial_measure import measure, passage_of

        from escada.runs.run import find_runs
        from escada.text.corpus import Corpus

        corpus = Corpus.open(given.data or next(find_runs(given.climb)).data_path)
        PASSAGE.write_text(passage_of(corpus), encoding="utf-8")
        facts = measure(given.climb, corpus)
        FACTS.write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    for code, page in PAGES.items():
        text = page.read_text(encoding="utf-8")
        page.write_text(fill(text, blocks(facts, code)), encoding="utf-8")
        for name, picture in pictures(facts, code).items():
            (PICTURES / name).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
