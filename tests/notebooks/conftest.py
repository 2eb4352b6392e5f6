"""Executes a notebook in a kernel of its own, with tiny budgets; gives what its cells printed."""

from __future__ import annotations

import json
import os
import subprocess
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

    jupyter = environment.get("JUPYTER_PATH")
    manager = KernelManager(kernel_name=kernel)
    if jupyter:
        manager.kernel_spec_manager.kernel_dirs.insert(0, str(Path(jupyter) / "kernels"))
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute(env=dict(os.environ) | TINY | dict(environment))
    finally:
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)
    return {cell.id: printed(cell) for cell in notebook.cells if cell.cell_type == "code"}


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    """A small file of documents, for ESCADA_NOTEBOOK_SOURCE."""
    from tests.conftest import write_jsonl

    return write_jsonl(tmp_path_factory.mktemp("documents") / "documents.jsonl", 120)


COLAB = '''
"""What a notebook finds of Google Colab: mounting a Drive."""

from pathlib import Path


def mount(path):
    (Path(path) / "MyDrive").mkdir(parents=True, exist_ok=True)
'''


@pytest.fixture(scope="session")
def hosted(tmp_path_factory) -> tuple[str, dict[str, str], Path]:
    """The kernel of an environment like Colab's: kernel, environment variables, place of Drive.

    It has torch and a kernel, and neither escada nor make: the first cell of a notebook installs
    the wheel that was built here.
    """
    home = tmp_path_factory.mktemp("hosted")

    def called(*command: object) -> None:
        done = subprocess.run(list(map(str, command)), cwd=home, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    called(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", home, ROOT)
    (wheel,) = home.glob("escada-*.whl")
    called(sys.executable, "-m", "venv", home / "env")
    python = home / "env" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    called(python, "-m", "pip", "install", "--quiet", "-c", constraints, "torch", "ipykernel")
    modules = home / "modules" / "google" / "colab"
    modules.mkdir(parents=True)
    (modules / "__init__.py").write_text("")
    (modules / "drive.py").write_text(COLAB)
    specs = home / "jupyter" / "kernels" / "hosted"
    specs.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "hosted", "language": "python"}
    (specs / "kernel.json").write_text(json.dumps(spec))
    variables = {
        "ESCADA_WHEEL": str(wheel),
        "PIP_CONSTRAINT": str(constraints),
        "PYTHONPATH": str(home / "modules"),
        "PATH": str(python.parent),
        "JUPYTER_PATH": str(home / "jupyter"),
    }
    return "hosted", variables, home / "drive"
