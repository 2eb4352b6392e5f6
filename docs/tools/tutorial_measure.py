"""Everything that the tutorial says about one text, measured on the runs of a climb.

    facts = measure(Path("runs/demo"), Corpus.open(Path("data/default")))

The facts are plain JSON. Nothing in them is written by hand: the figures come from the ruler, and
what stands in a console block is what the command printed.

    T  tokens     V  vocabulary
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from escada.evaluation.ruler import read_scores, score_documents
from escada.evaluation.scoring import target_scores, windows_of
from escada.evaluation.task import ruler_context
from escada.files import read_json
from escada.generation.decoding import generate
from escada.generation.inference import exact_inference
from escada.generation.samplers import SamplerSettings
from escada.models.contract import LanguageModel
from escada.runs.run import Run, open_run
from escada.text.cleaning import clean
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

ROOT = Path(__file__).parents[2]
DOCUMENT = "FOLHA_DOC000156"
"""The passage: a held-out news text of Porttinari, CC BY 4.0."""
RUNGS = ("v1", "v4", "v5", "v_final", "v_next")
PROMPT = "Stephen King é, antes de mais nada, um contador de histórias."
SHORT_PROMPT = "Stephen King é"
"""After the whole sentence a rung may end the text at once, and show one token only."""
SEED = 42
DAMAGED = "Os mÃ©dicos\u00a0 chegaram a co\u00adgitar amputac\u0327a\u0303o.\t\r\nTeve 12 lesões."
"""Mojibake, a no-break space, a soft hyphen, letters and their accents apart, a tab, a CR."""
CONSOLE = {
    "pieces-v1": 'escada tokenizer encode --tokenizer runs/demo/v1 --pieces "um contador"',
    "pieces-v4": 'escada tokenizer encode --tokenizer runs/demo/v4 --pieces "um contador"',
    "evaluate-v1": "escada evaluate runs/demo/v1 --text docs/tutorial-passage.jsonl",
    "evaluate-v4": "escada evaluate runs/demo/v4 --text docs/tutorial-passage.jsonl",
    "logprobs": f'escada sample runs/demo/v_next --prompt "{SHORT_PROMPT}" '
    "--greedy --max-tokens 6 --stream --logprobs 3",
    "sample": f'escada sample runs/demo/v_next --prompt "{PROMPT}" \\\n    --max-tokens 60',
    "compare": "escada compare runs/demo/v4 runs/demo/v5",
    "plan": "escada plan v5 --gpu rtx3060-12gb",
}
"""What the reader types, by the name of its block."""
MAX_TOKENS = {"characters": 180, "bpe": 60}
"""So that each rung writes about as much text."""


def passage_of(corpus: Corpus) -> str:
    """The passage as a line of JSONL, for `escada evaluate --text`."""
    [passage] = [d for d in corpus.documents("test") if d.id == DOCUMENT]
    row = {"id": passage.id, "source": passage.source, "text": passage.text}
    return json.dumps(row, ensure_ascii=False) + "\n"


def measure(folder: Path, corpus: Corpus) -> dict[str, Any]:
    """The facts of the tutorial.

    Args:
        folder: of a climb with all of `RUNGS`.
        corpus: that it was trained on.
    """
    ladder = read_json(folder / "ladder.json")
    rows = {row["name"]: row for row in ladder["rungs"]}
    runs = {name: open_run(folder / rows[name]["run"]) for name in RUNGS}
    [passage] = [d for d in corpus.documents("test") if d.id == DOCUMENT]
    if {run.corpus_hash for run in runs.values()} != {corpus.hash}:
        raise SystemExit("the climb was trained on another corpus")
    return {
        "schema_version": 1,
        "passage": {
            "id": passage.id,
            "source": passage.source,
            "text": passage.text,
            "bytes": len(passage.text.encode()),
            "characters": len(passage.text),
            "corpus_hash": corpus.hash,
        },
        "climb": {
            "preset": ladder["preset"],
            "budget": ladder["budget"],
            "created": ladder["created"][:10],
            "machine": ladder["machine"],
        },
        "normaliser": {
            "damaged": DAMAGED,
            "reference": clean(DAMAGED, "reference"),
            "roadmap": clean(passage.text, "roadmap").split("\n")[2],
            "unchanged": clean(passage.text, "reference") == passage.text,
        },
        "rungs": {name: _of_rung(run, rows[name], passage) for name, run in runs.items()},
        "comparisons": [
            _comparison(runs[a], runs[b], ladder, passage)
            for a, b in (("v5", "v4"), ("v_final", "v5"), ("v_next", "v4"))
        ],
        "console": _console(folder),
    }


def _of_rung(run: Run, row: dict[str, Any], passage: Document) -> dict[str, Any]:
    model, tokenizer = run.load_model(), run.tokenizer
    context = ruler_context(run)
    ids = tokenizer.encode(passage.text)
    bits = token_bits(model, tokenizer, passage.text, context)
    scores = score_documents(model, tokenizer, [passage], context_tokens=context)
    ruler_bits = float(scores.nats[0]) / math.log(2)
    if not math.isclose(bits.sum(), ruler_bits, rel_tol=1e-5):
        raise SystemExit(f"{run.name}: {bits.sum()} bits token by token, {ruler_bits} by the ruler")
    lines = [replace(passage, id=str(i), text=t) for i, t in enumerate(passage.text.split("\n"))]
    pieces = [_shown(tokenizer, int(token)) for token in ids]
    [sample] = generate(
        model,
        tokenizer,
        [PROMPT],
        SamplerSettings(),
        max_tokens=MAX_TOKENS[tokenizer.kind],
        seed=SEED,
        profile=run.spec.text.profile,
    )
    return {
        "run": run.name,
        "key": run.record.key,
        "tokenizer": {"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size},
        "protocol": scores.protocol,
        "context_tokens": scores.context_tokens,
        "tokens": int(scores.tokens[0]),
        "bits": ruler_bits,
        "pieces": [[piece, round(float(b), 3)] for piece, b in zip(pieces, bits, strict=False)],
        "end_bits": float(bits[-1]),
        "in_place_bits": _bits_in_place(pieces, bits),
        "alone_bits": sum(
            float(token_bits(model, tokenizer, line.text, context)[:-1].sum()) for line in lines
        ),
        "sample": {"text": sample.text, "tokens": len(sample.ids), "bits": sample.bits_per_token},
        "all_documents": {
            name: row[name]
            for name in (
                "bits_per_byte",
                "ci95",
                "perplexity",
                "parameters",
                "training_seconds",
                "training_flops",
                "training_bytes",
                "tokens_per_second",
                "peak_memory_bytes",
            )
        },
    }


def _shown(tokenizer: Tokenizer, token: int) -> str:
    text = tokenizer.token_text(token)
    return text if isinstance(text, str) else f"<{text.hex()}>"


def _bits_in_place(pieces: Sequence[str], bits_T: np.ndarray) -> float:
    """Bits of the lines' own tokens, without line ends and the end of the document."""
    return sum(float(b) for p, b in zip(pieces, bits_T, strict=False) if p != "\n")


@torch.inference_mode()
def token_bits(model: LanguageModel, tokenizer: Tokenizer, text: str, context: int) -> np.ndarray:
    """What each token of a text is charged, EOS last, in bits, shape (T + 1,), by the ruler's rule.

    Unknown characters are not priced here; the sum is checked against the ruler.
    """
    ids = np.array([tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id], dtype=np.int64)
    bits = np.zeros(len(ids) - 1)
    with exact_inference(model):
        if model.context_tokens is None:
            ids_1T = torch.from_numpy(ids)[None]
            logits = model.advance(ids_1T[:, :-1], model.fresh_state(1))
            nats_1T, _ = target_scores(logits, ids_1T[:, 1:])
            bits[:] = nats_1T[0].numpy() / math.log(2)
        else:
            for window in windows_of(len(ids), context):
                part_1T = torch.from_numpy(ids[window.start : window.stop + 1])[None]
                nats_1T, _ = target_scores(model(part_1T[:, :-1]), part_1T[:, 1:])
                first = window.first_target - 1
                charged = nats_1T[0].numpy()[first - window.start :]
                bits[first : window.stop] = charged / math.log(2)
    return bits


def _comparison(a: Run, b: Run, ladder: dict[str, Any], passage: Document) -> dict[str, Any]:
    """`a` against `b` on the passage, on every group of documents, and by the test."""
    of_a, of_b = (read_scores(run.layout.document_scores("test")) for run in (a, b))
    assert of_a.ids == of_b.ids
    nats: dict[str, float] = defaultdict(float)
    size: dict[str, int] = defaultdict(int)
    for i in range(len(of_a)):
        group = f"{of_a.sources[i]}/{of_a.groups[i]}"
        nats[group] += float(of_a.nats[i] - of_b.nats[i])
        size[group] += int(of_a.bytes[i])
    here = of_a.ids.index(passage.id)
    [row] = [
        row for row in ladder["comparisons"] if (row["a"], row["b"]) == (a.spec.name, b.spec.name)
    ]
    return {
        "a": a.spec.name,
        "b": b.spec.name,
        "passage_difference": float(of_a.nats[here] - of_b.nats[here])
        / math.log(2)
        / int(of_a.bytes[here]),
        "groups": sorted(round(nats[g] / math.log(2) / size[g], 4) for g in nats if size[g]),
        **{name: row[name] for name in ("difference", "ci95", "p_value", "verdict", "scope")},
    }


def _console(folder: Path) -> dict[str, dict[str, str]]:
    """Each command and what it prints, run as the reader runs it: from a folder with runs/demo."""
    outputs: dict[str, dict[str, str]] = {}
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "100",
    }
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        (here / "runs").mkdir()
        (here / "runs" / "demo").symlink_to(folder.resolve())
        (here / "docs").symlink_to(ROOT / "docs")
        for name, command in CONSOLE.items():
            print(f"$ {command}", file=sys.stderr)
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=here,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(done.stderr)
            lines = [line.rstrip() for line in done.stdout.strip("\n").split("\n")]
            outputs[name] = {"command": command, "output": "\n".join(lines)}
    return outputs
