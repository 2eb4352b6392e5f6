"""Executes a notebook in a kernel of its own, with tiny budgets; gives what its cells printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "notebooks"))

TINY = {"ESCADA_NOTEBOOK_BUDGET": "10 steps", "OMP_NUM_THREADS": "1"}
CELL_SECONDS = 500


def printed(cell) -> str:
    """All text that a cell shows: streams and what stands in place of figures and tables."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type != "error":
            parts.append(output.data.get("text/plain", ""))
    return "\n".join(parts)


def execute(
    notebook, folder: Path, environment: Mapping[str, str], kernel: str = "python3"
) -> dict[str, str]:
    """Cell id → what it printed. A cell that fails raises nbclient's CellExecutionError."""
    from jupyter_client.manager import KernelManager
    from nbclient import NotebookClient

    manager = KernelManager(kernel_name=kernel)
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=dict(os.environ) | TINY | dict(environment))
    return {cell.id: printed(cell) for cell in notebook.cells if cell.cell_type == "code"}


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    """A small file of documents, for ESCADA_NOTEBOOK_SOURCE."""
    from tests.conftest import write_jsonl

    return write_jsonl(tmp_path_factory.mktemp("documents") / "documents.jsonl", 120)
