"""The card of an exported folder: the run's own (`report.writers.card`), for readers of a hub.

Two parts differ. The front matter names transformers and carries the figure in the form that hubs
show (`model-index`), with its interval. "Using it" says how to load the folder.
"""

from __future__ import annotations

import json
import re
from typing import Any

from escada.evaluation.task import weights_hash
from escada.files import read_json
from escada.report.writers.card import MEASURED, card_text
from escada.runs.checkpoint import Which
from escada.runs.run import Run

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_USING = re.compile(r"^## Using it\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def hub_card(run: Run, which: Which, *, native: bool) -> str:
    """README.md of a folder for transformers.

    Args:
        run: whose folder.
        which: of its checkpoints was exported.
        native: whether a class of transformers loads it; otherwise the folder's own code does.
    """
    return _card(run, which, "transformers", _using(run, native))


def _card(run: Run, which: Which, library: str, using: str) -> str:
    card = card_text(run)
    front = _FRONT_MATTER.match(card)
    lines = front[1].splitlines() if front else []
    body = card[front.end() :] if front else card
    kept = [
        f"library_name: {library}" if line.startswith("library_name:") else line for line in lines
    ]
    body = _USING.sub("", body)
    index = "\n".join(model_index(run, which))
    return (
        "---\n"
        + "\n".join(kept)
        + ("\n" + index if index else "")
        + "\n---\n"
        + _placed(body, using)
    )


def onnx_card(run: Run, which: Which, *, state: bool) -> str:
    """README.md of a folder with a graph.

    Args:
        run: whose folder.
        which: of its checkpoints was exported.
        state: whether the graph takes a state and hands on the next one.
    """
    return _card(run, which, "onnx", _using_onnx(run, state))


def model_index(run: Run, which: Which) -> list[str]:
    """The lines of the front matter that carry the figures; none if nothing was measured."""
    data = read_json(run.layout.data) if run.layout.data.exists() else {}
    lines: list[str] = []
    for split in ("test", "validation"):
        found = _current(run, which, split)
        if found is None:
            continue
        value, interval = float(found["bits_per_byte"]), found.get("ci95")
        title = f"bits per byte, {MEASURED[split][0]}"
        if interval:
            title += f", 95 % interval {interval[0]:.4f} to {interval[1]:.4f}"
        lines += [
            "      - task:",
            "          type: text-generation",
            "        dataset:",
            f"          name: {_quoted(_corpus_name(data))}",
            f"          type: {_quoted('escada/' + str(found['corpus_hash'])[:12])}",
            f"          split: {split}",
            "        metrics:",
            "          - type: bits_per_byte",
            f"            value: {value:.4f}",
            f"            name: {_quoted(title)}",
        ]
    if not lines:
        return []
    name = f"{run.spec.name}-{run.spec.preset}"
    return [
        "metrics:",
        "  - bits_per_byte",
        "model-index:",
        f"  - name: {name}",
        "    results:",
        *lines,
    ]


def _corpus_name(data: dict[str, Any]) -> str:
    """The sources by name; a file of the user's is not named by where it lies on his disk."""
    sources = ", ".join(data.get("licences") or {})
    return sources or "not recorded"


def _current(run: Run, which: Which, split: str) -> dict[str, Any] | None:
    """A measurement of the weights that are exported, if there is one."""
    path = run.layout.evaluation(split)
    if not path.exists():
        return None
    found = read_json(path)
    return found if found.get("weights_sha256") == weights_hash(run, which) else None


def _quoted(text: str) -> str:
    """A string of YAML: JSON's are."""
    return json.dumps(text, ensure_ascii=False)


def _placed(body: str, using: str) -> str:
    """The section before the hashes, or at the end."""
    before, hashes, after = body.partition("## Hashes\n")
    return f"{before}{using}\n{hashes}{after}" if hashes else f"{before}\n{using}"


def _using(run: Run, native: bool) -> str:
    trust = "" if native else ", trust_remote_code=True"
    profile = run.spec.text.profile
    window = run.spec.train.window_tokens
    parts = [
        "## Using it",
        "",
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'folder = "."  # where this file lies',
        f"model = AutoModelForCausalLM.from_pretrained(folder{trust})",
        f"tokenizer = AutoTokenizer.from_pretrained(folder{trust})",
        'prompt = tokenizer("Era uma vez", return_tensors="pt")',
        "text = model.generate(**prompt, max_new_tokens=60)",
        "print(tokenizer.decode(text[0], skip_special_tokens=True))",
        "```",
        "",
    ]
    if native:
        parts += [
            "It is a GPT-2 to transformers: no code but the library's own is run. It reads at most "
            f"{run.spec.model.model_dump().get('context_tokens', window)} tokens, prompt and "
            "continuation together.",
        ]
    else:
        parts += [
            "transformers has no class for this model, so the folder brings two small files, "
            "`configuration_escada.py` and `modeling_escada.py`. `trust_remote_code=True` runs "
            "them: read them first. `generate()` carries the model's state from token to token.",
        ]
    begins = "Every text begins with BOS, which the tokenizer puts in front. "
    parts += ["", begins + _expected_text(profile), ""]
    return "\n".join(parts)


def _expected_text(profile: str) -> str:
    """How text must be written for the model, and what writes it so."""
    form = (
        "NFC, single spaces, no control characters, at most one empty line in a row"
        if profile == "reference"
        else "lower case, each number as 0"
    )
    return (
        f"Text is expected as the training text was cleaned (profile `{profile}`): {form}; "
        "`escada.text.cleaning.clean_prompt` does it, and no tokenizer file can carry it."
    )


def _using_onnx(run: Run, state: bool) -> str:
    reads = (
        'zeros = np.zeros((2, facts["state_layers"], 1, facts["state_width"]), np.float32)\n'
        'logits, state = graph.run(None, {"ids": ids, "state": zeros})'
        if state
        else 'logits, = graph.run(None, {"ids": ids})'
    )
    after = (
        "The state that comes back stands for all that was read: give it with the next ids."
        if state
        else "The graph computes all of a text at each call, and at most "
        f"{run.spec.model.model_dump()['context_tokens']} tokens of it."
    )
    return "\n".join(
        [
            "## Using it",
            "",
            "```python",
            "import json",
            "",
            "import numpy as np",
            "import onnxruntime",
            "from tokenizers import Tokenizer",
            "",
            'tokenizer = Tokenizer.from_file("tokenizer.json")',
            'tokenizer.encode_special_tokens = True  # "<s>" in a text is three characters',
            'facts = json.load(open("config.json"))',
            'graph = onnxruntime.InferenceSession("model.onnx")',
            'ids = np.array([tokenizer.encode("Era uma vez").ids])',
            reads,
            "```",
            "",
            f"{after} Every text begins with BOS, which the tokenizer puts in front. "
            + _expected_text(run.spec.text.profile),
            "",
        ]
    )
