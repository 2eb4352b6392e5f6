"""A climb that never happened, written as `ladder/climb.py` would: seven rungs, one in training.

v3 fails to beat v2, v4_gru is undecided against v4, v_final is still training and has no metrics,
and the first sample of v1 tries to break out of the page.
"""

import json
import math
import random
from pathlib import Path

import pytest

from escada.spec import table_hash

HOSTILE = '<script>alert("1")</script> & <img src=x onerror=alert(2)> \x07 fim'

TITLES = {
    "v1": ("Character LSTM", "LSTM de caracteres"),
    "v2": ("Wider character LSTM", "LSTM de caracteres mais larga"),
    "v3": ("Stacked LSTM", "LSTM empilhada"),
    "v4": ("Subword LSTM", "LSTM de subpalavras"),
    "v4_gru": ("Subword GRU", "GRU de subpalavras"),
    "v5": ("Small Transformer", "Transformer pequeno"),
    "v_final": ("GPT", "GPT"),
}
ROWS = [
    # name, follows, tokenizer, vocabulary, parameters, bits per byte, verdict, difference, flops/s
    ("v1", None, "characters", 112, 380_000, 2.487, None, 0.0, 9e9),
    ("v2", "v1", "characters", 112, 702_000, 2.421, "better", -0.066, 14e9),
    ("v3", "v2", "characters", 112, 1_090_000, 2.463, "worse", 0.042, 16e9),
    ("v4", "v3", "bpe", 2048, 1_580_000, 2.331, "better", -0.132, 18e9),
    ("v4_gru", "v4", "bpe", 2048, 1_320_000, 2.327, "undecided", -0.004, 17e9),
    ("v5", "v4", "bpe", 2048, 2_170_000, 2.254, "better", -0.077, 31e9),
    ("v_final", "v5", "bpe", 2048, 3_740_000, None, None, 0.0, 33e9),
]
PROMPTS = [
    ("short-1", "short", "Era uma vez"),
    ("news-1", "news", "O ministro da Economia anunciou nesta terça-feira que"),
    ("legal-1", "legal", "Art. 1º Esta lei estabelece"),
    ("technical-1", "technical", "A avaliação de modelos de linguagem depende de"),
    ("literary-1", "literary", "A tarde caía devagar sobre a serra, e ninguém\nna casa"),
    ("long-1", "long", "No princípio do século passado, a cidade crescia para o norte. " * 12),
]
WORDS = (
    "a de que o e do da em um para com não uma os no se na por mais as dos como mas ao ele das "
    "governo cidade mercado casa vida tempo estudo ações vacina tese dia mundo texto escada noite"
).split()


def about(name: str) -> dict:
    en, pt = TITLES[name]
    return {
        "title": {"en": en, "pt": pt},
        "objective": {
            "en": f"See what {en} brings when nothing else changes.",
            "pt": f"Ver o que {pt} traz quando nada mais muda.",
        },
        "changes": {
            "en": "One thing at a time, and the same documents as the rung before it.",
            "pt": "Uma coisa por vez, e os mesmos documentos do degrau anterior.",
        },
        "expected": {"en": "Fewer bits per byte.", "pt": "Menos bits por byte."},
    }


def rung(row: tuple) -> dict:
    name, follows, kind, vocabulary, parameters, bits, verdict, difference, flops = row
    measured = bits is not None
    sources = {"danteshots": 0.31, "dantestocks": 0.55, "petrogold": -0.21, "porttinari": 0.04}
    return {
        "name": name,
        "follows": follows,
        "about": about(name),
        "run": f"runs/2026-11-23-{name}-laptop-3fa9c1",
        "preset": "laptop",
        "seed": 0,
        "tokenizer": {"kind": kind, "vocab_size": vocabulary},
        "protocol": "document/half-window"
        if name in ("v5", "v_final")
        else "document/carried-state",
        "profile": "reference",
        "corpus_hash": "c0ffee" * 10 + "abcd",
        "status": "finished" if measured else "training",
        "parameters": parameters,
        "bits_per_byte": bits,
        "ci95": [bits - 0.031, bits + 0.034] if measured else None,
        "perplexity": 2 ** (bits * (1.05 if kind == "characters" else 3.1)) if measured else None,
        "accuracy": 0.48 if kind == "characters" else 0.29,
        "by_source": {s: round(bits + d, 3) for s, d in sources.items()} if measured else {},
        "validation_bits_per_byte": bits + 0.012 if measured else None,
        "train_bits_per_byte": bits - 0.09 if measured else None,
        "training_tokens": 1_234_567 if measured else 0,
        "training_flops": flops * 60,
        "training_seconds": 60.4 if measured else 12.5,
        "training_bytes": 4_300_000,
        "tokens_per_second": 20_576.1,
        "evaluation_tokens_per_second": 61_000.0,
        "peak_memory_bytes": 812_345_678,
        "lexicon_share": {"v1": 0.62, "v2": 0.69, "v3": 0.66}.get(name, 0.871)
        if measured
        else None,
        "unknown_characters": {
            "train": 41 if kind == "characters" else 0,
            "test": 12 if kind == "characters" else 0,
        },
        "precision": "fp32",
        "device": "cpu",
        "spec_hash": "5" * 64,
        "key": "9" * 64,
        "beats_previous": {
            "against": follows,
            "difference": difference,
            "ci95": [difference - 0.011, difference + 0.012],
            "verdict": verdict,
        }
        if verdict
        else None,
    }


def ladder_table() -> dict:
    return {
        "schema_version": 1,
        "created": "2026-11-23T23:14:05+00:00",
        "preset": "laptop",
        "budget": "60 s",
        "seed": 0,
        "corpus": {
            "source": "default",
            "hash": "c0ffee" * 10 + "abcd",
            "profile": "reference",
            "documents": {"train": 9600, "validation": 1201, "test": 1190},
            "bytes": {"train": 3_264_112, "validation": 408_330, "test": 407_919},
            "licences": {"porttinari": "CC BY 4.0", "petrogold": "CC BY-SA 4.0"},
        },
        "baselines": [
            {
                "name": "character bigram",
                "key": "bigram",
                "bits_per_byte": 3.412,
                "ci95": [3.39, 3.44],
                "protocol": "document/carried-state",
            },
            {
                "name": "character unigram",
                "key": "unigram",
                "bits_per_byte": 4.307,
                "ci95": [4.28, 4.33],
                "protocol": "document/carried-state",
            },
        ],
        "comparisons": [
            {
                **{"a": "v5", "b": "v4_gru", "scope": "run", "difference": -0.073},
                **{"relative": -0.031, "ci95": [-0.09, -0.06], "p_value": 0.001},
                **{"significant": True, "verdict": "better"},
            }
        ],
        "baseline_comparisons": [
            {
                **{"a": row[0], "b": key, "difference": row[5] - bits, "p_value": 0.0001},
                "ci95": [row[5] - bits - 0.03, row[5] - bits + 0.03],
                "verdict": "better" if row[5] < bits else "worse",
            }
            for row in ROWS
            for key, bits in (("bigram", 3.412), ("unigram", 4.307))
            if row[5] is not None
        ],
        "human": {"lexicon_share": 0.943},
        "noise": {"lexicon_share": 0.031},
        "machine": {"cpu": "2 cores", "memory_bytes": 8_000_000_000},
        "rungs": [rung(row) for row in ROWS],
    }


def write_run(folder: Path, facts: dict, flops_per_second: float) -> None:
    random_ = random.Random(facts["name"])
    (folder / "samples").mkdir(parents=True)
    rows = []
    for step in range(0, 1001, 100):
        share = step / 1000
        final = facts["bits_per_byte"] + 0.012
        rows.append(
            {
                "kind": "validation",
                "step": step,
                "seconds": 60.4 * share,
                "tokens": 1_234_567 * share,
                "flops": flops_per_second * 60 * share,
                "loss": 2.0,
                "bits_per_byte": final + 4.2 * math.exp(-7 * share) + random_.gauss(0, 0.004),
            }
        )
        rows.append({"kind": "train", "step": step, "loss": 2.0, "gradient_norm": 0.4})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(text + '{"kind": "val', encoding="utf-8")
    samples = [
        {
            "prompt_id": prompt_id,
            "category": category,
            "prompt": prompt,
            "text": " ".join(random_.choices(WORDS, k=45)) + (".\n\n" if k % 2 else " ") + "Fim",
            "finished": k % 3 == 0,
            "tokens": 200,
            "bits_per_token": 3.1 + k / 10,
        }
        for k, (prompt_id, category, prompt) in enumerate(PROMPTS)
    ]
    if facts["name"] == "v1":
        samples[0]["text"] = HOSTILE
    write_json(
        folder / "samples" / "samples.json",
        {
            "schema_version": 1,
            "settings": {"temperature": 0.8, "top_k": None, "top_p": 0.95, "greedy": False},
            "seed": 42,
            "lexicon_share": facts["lexicon_share"],
            "samples": samples,
        },
    )
    write_json(
        folder / "env.json",
        {
            "schema_version": 1,
            "python": "3.11.9",
            "packages": {"torch": "2.13.0", "numpy": "2.3.1"},
            "git": {"commit": "a5e5a9a", "dirty": False},
            "pid": random_.randrange(10_000),
        },
    )


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_climb(folder: Path, table: dict | None = None) -> Path:
    table = table or ladder_table()
    write_json(folder / "ladder.json", table)
    flops = {row[0]: row[-1] for row in ROWS}
    for facts in table["rungs"]:
        if facts["status"] == "finished":
            write_run(folder / facts["run"], facts, flops.get(facts["name"], 1e9))
    return folder


@pytest.fixture
def table() -> dict:
    """The content of ladder.json, to be changed by a test."""
    return ladder_table()


@pytest.fixture
def climb(tmp_path: Path):
    """A function that writes the climb (or a changed one) and gives its folder."""
    return lambda changed=None: write_climb(tmp_path / "climb", changed)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """The unchanged climb with its report; not to be changed."""
    from escada.report.writers.html import write_report

    folder = write_climb(tmp_path_factory.mktemp("page"))
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def page(folder) -> str:
    """The page of the unchanged climb."""
    return (folder / "report" / "index.html").read_text(encoding="utf-8")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without figures, whose drawing takes nine tenths of the time: for tests of words."""

    def nothing(figure, page, *_, **_png):
        page.drawn.update({figure.name: "", f"{figure.name}-narrow": ""})
        page.files[figure.name] = []

    monkeypatch.setattr("escada.report.writers.html._draw", nothing)


@pytest.fixture
def one_run(tmp_path: Path) -> Path:
    """The folder of one run, as training, ruler and sampler leave it."""
    facts = next(rung(row) for row in ROWS if row[0] == "v5")
    folder = tmp_path / "2026-11-23-v5-laptop-3fa9c1"
    write_run(folder, facts, 31e9)
    kept = ("name", "preset", "seed", "status", "parameters", "spec_hash", "key")
    costs = ("training_tokens", "training_flops", "training_seconds", "tokens_per_second")
    write_json(
        folder / "record.json",
        {
            "schema_version": 1,
            "budget": "60 s",
            "created": "2026-11-23T23:14:05+00:00",
            "precision": {"name": "fp32", "reason": "no GPU"},
            "dry_run": False,
            "setup": {
                "device": "cpu",
                "threads": 2,
                "precision": "fp32",
                "micro_batch_sequences": 8,
                "torch": "2.13.0",
                "cpu_capability": "AVX2",
            },
            **{key: facts[key] for key in (*kept, *costs, "corpus_hash", "peak_memory_bytes")},
            "spec_hash": table_hash({}),
            "tokenizer": facts["tokenizer"] | {"hash": "3f" * 32},
        },
    )
    measured = ("bits_per_byte", "ci95", "perplexity", "accuracy", "by_source", "protocol")
    test = {key: facts[key] for key in (*measured, "profile", "corpus_hash", "tokenizer")}
    test |= {"documents": 1190, "bytes": 407_919, "unknown": 0, "tokens_per_second": 61_000.0}
    write_json(folder / "evaluation" / "test.json", {"schema_version": 1, "key": "x", **test})
    about = "\n".join(
        f"{key}.{language} = {json.dumps(text, ensure_ascii=False)}"
        for key, texts in facts["about"].items()
        for language, text in texts.items()
    )
    (folder / "spec.toml").write_text(f'[about]\nfollows = "v4"\n{about}\n', encoding="utf-8")
    return folder


SHEET = {
    "tokens": {"unique": 1_000_000, "seen": 4_200_000, "trained": 4_200_000},
    "hours": 0.0167,
    "wall_hours": 0.0202,
    "utilisation": 0.427,
    "memory_bytes": 512_000_000,
    "kwh": 0.0251,
    "energy_estimated": True,
    "usd": 0.2,
    "money_basis": "electricity",
    "co2_g": 0.97,
    "grid": "brazil",
    "grid_g_per_kwh": 38.5,
}


@pytest.fixture(scope="session")
def paid(tmp_path_factory) -> Path:
    """The climb with a cost and pairs for every finished rung; one name is hard for TeX."""
    table = ladder_table()
    for facts in table["rungs"]:
        if facts["status"] == "finished":
            facts["cost"] = SHEET | {"brl": facts["parameters"] / 1e6}
            facts["minimal_pairs"] = {"accuracy": 0.7917, "ci95": [0.771, 0.813], "pairs": 900}
    table["rungs"][0]["name"] = "v_1 & 50%"
    table["rungs"][1]["follows"] = table["rungs"][1]["beats_previous"]["against"] = "v_1 & 50%"
    return write_climb(tmp_path_factory.mktemp("paid"), table)


BASELINES = {
    "kneser_ney": 1.756,
    "xz_train": 2.065,
    "xz": 2.570,
    "zstd_dictionary": 2.708,
    "bigram": 3.478,
    "unigram": 4.565,
    "uniform": 7.531,
}
"""Bits per byte of the baselines of `make demo`: some lie among the rungs."""


def demo_like(table: dict) -> dict:
    """Rungs among their baselines, guardrails with causes, pairs, costs: every wide table."""
    table["baselines"] = [
        {"name": key, "key": key, "bits_per_byte": bits} for key, bits in BASELINES.items()
    ]
    table["rungs"][0]["training_seconds"] = 108.0
    phenomena = ("subject_verb_number", "subject_verb_person", "determiner_noun_number")
    phenomena += ("determiner_noun_gender", "noun_adjective_number", "noun_adjective_gender")
    share = {"accuracy": 0.7917, "ci95": [0.771, 0.813], "pairs": 400}
    guard = {"value": 0.0984, "limit": 0.514}
    for rung in table["rungs"][:6]:
        rung["minimal_pairs"] = share | {
            "by_phenomenon": dict.fromkeys(phenomena, share),
            "by_attractor": {"with": share},
        }
        rung["guardrails"] = {
            "verdict": "fail",
            "guardrails": {
                name: guard | {"direction": "at most", "verdict": "pass"}
                for name in (
                    *("byte_fallback_ratio", "short_piece_ratio", "lexicon_share", "repetition"),
                    *("copied_training_text", "language", "self_likelihood"),
                )
            },
            "causes": [{"cause": "another_writer", "text": "x"}, {"cause": "loop", "text": "y"}],
        }
        rung["cost"] = WIDE_SHEET
        sources = {name: {"difference": -0.1, "ci95": [-0.2, -0.05]} for name in rung["by_source"]}
    names = [rung["name"] for rung in table["rungs"][:6]]
    table["comparisons"] = [
        {
            **{"a": a, "b": b, "scope": "recipe", "difference": -0.1, "relative": -0.04},
            **{"ci95": [-0.2, -0.05], "p_value": 0.0001, "significant": True},
            **{"verdict": "better", "by_source": sources},
            "standard_error": {"documents": 0.004, "seeds": 0.003},
        }
        for a, b in zip(names[1:], names, strict=False)
    ]
    return table


WIDE_SHEET = {
    "tokens": {"unique": 1_000_000, "seen": 4_200_000, "trained": 4_200_000},
    **{"hours": 0.0167, "wall_hours": 0.0202, "utilisation": 0.427, "host_memory_bytes": 5.1e8},
    **{"kwh": 0.0251, "energy_estimated": True, "usd": 0.2, "brl": 1.1, "money_basis": "rent"},
    **{"co2_g": 0.97, "grid": "brazil", "grid_g_per_kwh": 38.5},
    "predicted": {"hours": 0.016, "kwh": 0.02, "usd": 0.1, "brl": 0.6, "memory_bytes": 4.9e8},
}


@pytest.fixture
def baselines() -> dict[str, float]:
    """Keys of baselines and their bits per byte."""
    return BASELINES


@pytest.fixture(scope="session")
def wide(tmp_path_factory) -> Path:
    """A climb that fills every table to its widest."""
    return write_climb(tmp_path_factory.mktemp("wide"), demo_like(ladder_table()))
