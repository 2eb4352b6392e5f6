"""A small Portuguese corpus of our own making, prepared once for all tests that need one."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run beside one another on two cores
settings.register_profile("no deadline", deadline=None)  # for the same reason
settings.load_profile("no deadline")


@pytest.hookimpl(optionalhook=True)  # other environments have no xdist
def pytest_xdist_auto_num_workers() -> int:
    """A worker more than cores, since tests wait for disks, servers and clocks; four at most."""
    return min(4, (os.cpu_count() or 1) + 1)


SUBJECTS = (
    "a menina|o vizinho|a professora|o carteiro|minha avó|o padeiro|a juíza|um pescador|a médica|"
    "o prefeito|a cantora|o menino|a bibliotecária|o motorista|uma atriz|o jardineiro|a cozinheira"
).split("|")
VERBS = (
    "encontrou|perdeu|vendeu|comprou|guardou|escondeu|descreveu|pintou|esqueceu|levou|trouxe|"
    "consertou|quebrou|mostrou|procurou|emprestou"
).split("|")
OBJECTS = (
    "o livro azul|a chave da porta|um relógio antigo|três maçãs|a carta do irmão|o mapa da cidade|"
    "uma caixa de fósforos|o violão|a bicicleta|dois pães|o guarda-chuva|a fotografia|um peixe|"
    "o caderno de receitas|a lâmpada|um cesto de laranjas"
).split("|")
PLACES = (
    "na praça|em casa|perto do rio|no mercado|à noite|depois da chuva|antes do almoço|na estação|"
    "durante a festa|no sótão|ao amanhecer|em São Paulo|no Recife|na escola|sem pressa"
).split("|")


def sentence(rng: random.Random) -> str:
    parts = [rng.choice(SUBJECTS), rng.choice(VERBS), rng.choice(OBJECTS), rng.choice(PLACES)]
    return " ".join(parts).capitalize() + rng.choice([".", ".", "!", "…"])


def text(rng: random.Random, sentences: int) -> str:
    return "\n".join(
        " ".join(sentence(rng) for _ in range(3)) for _ in range(max(1, sentences // 3))
    )


def write_jsonl(path: Path, documents: int, seed: int = 0) -> Path:
    """`documents` texts of two sources; every fifth shares its group with the one before."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for i in range(documents):
            row = {
                "id": f"d{i}",
                "source": ("contos", "cartas")[i % 2],
                "group": f"g{i - 2 if i % 5 == 4 else i}",
                "text": text(rng, rng.choice([2, 6, 12])),
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


@pytest.fixture(scope="session")
def corpus_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared corpus folder of about 100 kB."""
    from escada.text.preparation.prepare import prepare

    folder = tmp_path_factory.mktemp("corpus")
    source = write_jsonl(folder / "source.jsonl", 240)
    return prepare(str(source), folder / "prepared").path


@pytest.fixture
def corpus(corpus_path: Path):
    from escada.text.corpus import Corpus

    return Corpus.open(corpus_path)
