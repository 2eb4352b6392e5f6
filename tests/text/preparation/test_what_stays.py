"""What an error, a small limit or a second command leaves of a preparation that was begun."""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path

import pytest

from escada.errors import EscadaError
from escada.text.corpus import Corpus
from escada.text.filters import Chain
from escada.text.preparation import parts as parts_module
from escada.text.preparation.cluster import slurm
from escada.text.preparation.parts import Parts, make_parts
from escada.text.preparation.prepare import prepare
from escada.text.preparation.processes import call_in_processes
from escada.text.reading import Rules
from escada.text.sources import open_source


def test_there_may_be_more_parts_than_open_files(source: Path, tmp_path: Path):
    resource = pytest.importorskip("resource")
    opened = partial(open_source, str(source))
    parts = make_parts(opened(), opened, Rules("reference"), tmp_path, part_characters=2000)
    assert len(parts.paths) > 60
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(int(path.name) for path in Path("/dev/fd").iterdir()) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        rows = parts.signatures()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(rows) == len(parts.fingerprints())


def test_an_error_while_reading_leaves_the_complete_parts(source, tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "PART_DOCUMENTS", 50)
    bad = tmp_path / "bad.jsonl"
    bad.write_text(source.read_text(encoding="utf-8") + "{broken\n", encoding="utf-8")
    out = tmp_path / "out"
    for _ in range(2):
        with pytest.raises(EscadaError, match=r"bad\.jsonl"):
            prepare(str(bad), out)
        (made,) = out.glob(".parts-*")
        assert len(Parts(made).paths) > 3
    prepare(str(source), out)
    assert not list(out.glob(".parts-*"))


def test_too_little_text_leaves_no_folder(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "Uma frase."}), encoding="utf-8")
    with pytest.raises(EscadaError, match="too small"):
        prepare(str(tmp_path / "a.jsonl"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_parts_that_a_kill_left_beside_a_made_corpus_are_removed(source: Path, tmp_path: Path):
    corpus = prepare(str(source), tmp_path / "out")
    (corpus.path / ".parts-0123").mkdir()
    prepare(str(source), tmp_path / "out")
    assert not list(corpus.path.glob(".parts-*"))


def test_the_error_of_one_process_ends_the_others():
    """The first call would take an hour: the test's own limit is shorter."""
    with pytest.raises(ValueError, match="invalid literal"):
        call_in_processes([partial(time.sleep, 3600), partial(int, "x")])


def test_a_filter_that_cannot_be_sent_is_refused_before_anything_is_read(source, tmp_path):
    rules = Rules("reference", chain=Chain((("mine", lambda document: document),)))
    opened = partial(open_source, str(source))
    with pytest.raises(EscadaError, match="cannot be sent to other processes"):
        make_parts(opened(), opened, rules, tmp_path, workers=2)
    assert not Parts(tmp_path).paths


def test_a_changed_figure_of_a_manifest_is_noticed(source: Path, tmp_path: Path):
    path = prepare(str(source), tmp_path / "out").path / "manifest.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    table["bytes"] += 1
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(EscadaError, match="damaged"):
        Corpus.open(tmp_path / "out")


@pytest.fixture
def queue(tmp_path: Path, monkeypatch) -> Path:
    """A squeue that prints a file and ends with the code in another."""
    program = tmp_path / "bin" / "squeue"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncd "$(dirname "$0")"; cat jobs; cat told >&2; exit $(cat code)\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program.parent


def answers(queue: Path, jobs: str, told: str, code: int) -> None:
    for name, text in {"jobs": jobs, "told": told, "code": str(code)}.items():
        (queue / name).write_text(text)


def test_jobs_in_a_queue_keep_the_folder_for_their_corpus(tmp_path: Path, queue: Path):
    record = tmp_path / "out" / slurm.LOGS / slurm.RECORD
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"jobs": ["7", "8"], "parts": ".parts-a"}))
    answers(queue, "8\n", "", 0)
    slurm.check_no_other_jobs(tmp_path / "out", ".parts-a")
    with pytest.raises(EscadaError, match=r"another corpus in this folder: 8"):
        slurm.check_no_other_jobs(tmp_path / "out", ".parts-b")
    answers(queue, "", "slurm_load_jobs error: Invalid job id specified", 1)
    slurm.check_no_other_jobs(tmp_path / "out", ".parts-b")
    answers(queue, "", "Unable to contact slurm controller", 1)
    with pytest.raises(EscadaError, match="squeue failed: Unable to contact"):
        slurm.check_no_other_jobs(tmp_path / "out", ".parts-b")
