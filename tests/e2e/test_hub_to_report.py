"""docs/corpus.md, done as it says: from a data set of the hub to a report."""

import json
import os
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conftest import text
from tests.text import hub_server

from escada.files import read_json
from escada.text.corpus import Corpus
from escada.text.sources.known import KNOWN

pytest.importorskip("datasets")

PAGE = Path(__file__).parents[2] / "docs" / "corpus.md"
SPANISH = "La niña encontró el libro azul en la plaza y llevó la carta de su hermano a casa. " * 4
SMALL = (
    *("train.batch_sequences=4", "train.micro_batch_sequences=4", "train.window_tokens=32"),
    *("model.d_embedding=16", "model.d_hidden=32"),
)


def commands() -> list[list[str]]:
    """The `escada …` of the page's part, continued lines joined."""
    part = PAGE.read_text(encoding="utf-8").split("### From the hub to a report")[1]
    block = re.findall(r"```\n(.*?)```", part, re.DOTALL)[0].replace("\\\n", " ")
    found = [shlex.split(line) for line in block.splitlines() if line.startswith("escada ")]
    assert [words[1] for words in found] == ["data", "data", "data", "climb", "report"]
    return [words[1:] for words in found]


def wikipedia(folder: Path) -> Path:
    """A data set of the columns of Wikipedia's; one page is Spanish, one has personal data."""
    rng = random.Random(20)
    rows = [
        {"id": str(n), "url": f"https://pt.wikipedia.org/wiki/{n}", "title": f"Página {n}"}
        | {"text": text(rng, rng.choice([9, 15, 30]))}
        for n in range(300)
    ]
    rows[40]["text"] = SPANISH
    rows[41]["text"] += " Escreva para ana@exemplo.com.br, CPF 529.982.247-25."
    (folder / "20231101.pt").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "20231101.pt" / "train-0.parquet")
    (folder / "README.md").write_text(
        "---\nlicense:\n- cc-by-sa-3.0\n- gfdl\nconfigs:\n- config_name: 20231101.pt\n"
        "  data_files: 20231101.pt/*\n---\n# Wikipedia\n"
    )
    return folder


@pytest.mark.slow
def test_the_commands_of_the_page_lead_from_the_hub_to_a_report(tmp_path: Path):
    folder, name = wikipedia(tmp_path / "hub"), KNOWN["wikipedia"].hub.name
    said: list[str] = []
    with hub_server.serve(folder, name) as hub:
        environment = os.environ | {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf")}
        environment |= {"HF_TOKEN": "", "ESCADA_CACHE": str(tmp_path / "cache")}
        for words in commands():
            if words[0] == "climb":  # only smaller and shorter
                words[words.index("--budget") + 1] = "4 steps"
                words += ["--device", "cpu", *(part for one in SMALL for part in ("--set", one))]
            done = subprocess.run(
                [sys.executable, "-m", "escada", *words],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, f"{words}: {done.stderr}"
            said.append(done.stdout)

    assert "1,103,446 documents" in said[0]
    printed = " ".join(said[1].split())
    assert "300 read" in printed
    assert "1 by language" in printed
    assert "masked in 1 document, before duplicates: 1 E-MAIL, 1 CPF" in printed
    manifest = Corpus.open(tmp_path / "data" / "wikipedia").manifest
    assert manifest.source_identity["hub"] == name
    assert manifest.source_identity["revision"] == hub.commit
    assert manifest.cards["wikipedia"].endswith("# Wikipedia\n")
    assert manifest.filters.removed["language"].examples[0].id == "40"
    assert manifest.decontamination is not None
    ladder = read_json(tmp_path / "runs" / "wikipedia" / "ladder.json")
    assert [row["status"] for row in ladder["rungs"]] == ["finished"] * 2
    page = (tmp_path / "runs" / "wikipedia" / "report" / "index.html").read_text("utf-8")
    english, portuguese = page.split('<main id="pt-top"')
    assert "Removed by filters" in english
    assert "CC BY-SA 3.0 and GFDL; Wikipedia in Portuguese" in english
    assert "Dados pessoais mascarados" in portuguese
    assert "CC BY-SA 3.0 e GFDL; Wikipédia em português" in portuguese
    assert json.dumps("529.982") not in page
    assert "ana@exemplo" not in page
