"""The verbs in the order in which a newcomer reads them, each with its line in `escada --help`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

PANELS: dict[str, dict[str, str]] = {
    "Start": {
        "doctor": "Show what this machine has and which rungs fit on it",
        "rungs": "Explain each rung: its size, what it changes, and why",
        "demo": "Climb the ladder on the default corpus, in about eight minutes",
        "climb": "Train and evaluate several rungs, and write the report",
        "sample": "Generate text from prompts",
    },
    "Train": {
        "data": "Prepare a corpus, or describe one",
        "plan": "Estimate memory, hours, energy and cost before a training",
        "train": "Train one rung",
        "resume": "Resume an interrupted training, bit for bit",
        "runs": "List the runs below a folder",
        "scale": "Fit loss against compute, and predict the largest run",
    },
    "Measure": {
        "evaluate": "Bits per byte of held-out documents, or of your file",
        "score": "The bits of each token of a sentence",
        "compare": "Differences between runs, with intervals and p-values",
        "pairs": "Grammar: which of two sentences is more likely",
        "cloze": "The last word of held-out passages",
        "guard": "Whether samples can be trusted as the model's own",
        "judge": "LLM-as-a-judge on samples, with hidden controls",
    },
    "Share": {
        "report": "The page of a climb; its tables as LaTeX, CSV, Parquet",
        "serve": "A playground page and an OpenAI-compatible API",
        "archive": "A climb as one file that others can check, such as at Zenodo",
        "export": "A run for transformers, llama.cpp (GGUF) or ONNX Runtime",
    },
    "Expert": {
        "tokenizer": "Train, use and measure tokenizers",
    },
}
SUMMARIES = {verb: line for panel in PANELS.values() for verb, line in panel.items()}


class PanelGroup(TyperGroup):
    """A group of verbs whose help shows them in panels."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The verbs in the order of the panels."""
        return sorted(self.commands, key=list(SUMMARIES).index)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each panel as a section of its own."""
        for panel, verbs in PANELS.items():
            with formatter.section(panel):
                formatter.write_dl(list(verbs.items()))
