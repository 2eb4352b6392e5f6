"""A preparation in parts: the same parts whoever makes them, and nothing is made twice."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.text.preparation.killing import corpus_hash, names, prepare, prepare_killed

from escada.errors import EscadaError
from escada.files import sha256_file
from escada.text.filters import open_chain
from escada.text.preparation import parts as parts_module
from escada.text.preparation import prepare as prepare_module
from escada.text.preparation.parts import Parts, make_parts, make_share
from escada.text.preparation.processes import WorkerKilledError
from escada.text.reading import ReferenceCounts, Rules, reference_documents
from escada.text.sources import open_source

N_DOCUMENTS = 400
SMALL = 20_000
"""Characters of a part here: about ten parts."""


def contents(parts: Parts) -> list[tuple[str, list[tuple[str, str]]]]:
    """The hash of every file of every part."""
    return [
        (path.name, [(file.name, sha256_file(file)) for file in sorted(path.iterdir())])
        for path in parts.paths
    ]


def test_two_processes_make_the_parts_that_one_makes(source: Path, tmp_path: Path):
    opened, rules = partial(open_source, str(source)), Rules("reference")
    made = {}
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        told: list[int] = []
        parts = make_parts(
            opened(), opened, rules, folder, workers=workers, part_characters=SMALL,
            progress=lambda done, _, told=told: told.append(done),
        )  # fmt: skip
        assert parts.complete
        assert told == sorted(told)
        made[workers] = contents(parts)
    assert made[1] == made[2]
    assert len(made[1]) > 5


def test_parts_hold_what_reading_at_once_gives(source: Path, tmp_path: Path):
    chain = open_chain(["length=300"])
    rules, counts = Rules("reference", chain=chain), ReferenceCounts()
    at_once = list(reference_documents(open_source(str(source)), rules, counts))
    opened = partial(open_source, str(source))
    parts = make_parts(opened(), opened, rules, tmp_path, part_characters=SMALL)
    from escada.text.preparation import dedup

    found_N = dedup.duplicates(parts.fingerprints(), parts.signatures(), tmp_path)
    assert list(parts.documents(found_N == dedup.NEW)) == at_once
    total = parts.counts()
    assert total.filters == counts.filters
    assert total.read.documents == counts.read.documents == N_DOCUMENTS
    assert total.read.empty == counts.read.empty > 0
    assert (found_N == dedup.EXACT).sum() == counts.read.exact_duplicates > 0
    assert (found_N == dedup.NEAR).sum() == counts.read.near_duplicates > 0


def test_complete_parts_are_not_made_again(source: Path, tmp_path: Path, monkeypatch):
    opened, rules = partial(open_source, str(source)), Rules("reference")
    make_share(opened(), rules, tmp_path, SMALL, most=3)
    before = {path: path.stat().st_mtime_ns for path in Parts(tmp_path).paths}
    assert len(before) == 3
    assert not Parts(tmp_path).complete
    cleaned: list[str] = []
    real = parts_module.reference_document

    def counting(document, rules):
        cleaned.append(document.id)
        return real(document, rules)

    monkeypatch.setattr(parts_module, "reference_document", counting)
    parts = make_parts(opened(), opened, rules, tmp_path, part_characters=SMALL)
    assert parts.complete
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert 0 < len(cleaned) < N_DOCUMENTS - 20
    cleaned.clear()
    make_parts(opened(), opened, rules, tmp_path, part_characters=SMALL)
    assert cleaned == []


def test_the_error_of_a_worker_is_the_error_of_the_whole(tmp_path: Path):
    path = tmp_path / "texts.jsonl"
    rows = [json.dumps({"text": f"texto {i} " * 40}) for i in range(300)]
    path.write_text("\n".join([*rows, "{not json"]), encoding="utf-8")
    folder = tmp_path / "parts"
    folder.mkdir()
    opened = partial(open_source, str(path))
    with pytest.raises(EscadaError, match=r"texts\.jsonl"):
        make_parts(opened(), opened, Rules("reference"), folder, workers=2, part_characters=SMALL)


def test_a_source_that_changes_between_workers_is_refused(source: Path, tmp_path: Path):
    other = tmp_path / "other.jsonl"
    other.write_text(source.read_text(encoding="utf-8") + '\n{"text": "mais um"}', encoding="utf-8")
    folder = tmp_path / "parts"
    folder.mkdir()
    first, then = open_source(str(source)), partial(open_source, str(other))
    with pytest.raises(EscadaError, match="changed while it was read"):
        make_parts(first, then, Rules("reference"), folder, workers=2, part_characters=SMALL)


def test_after_a_worker_was_killed_the_preparation_goes_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "corpus"

    def killed(opened, _, rules, folder, **_options):
        make_share(opened, rules, folder, SMALL, most=3)
        raise WorkerKilledError("a worker process was killed")

    monkeypatch.setattr(prepare_module, "make_parts", killed)
    with pytest.raises(EscadaError, match="was killed"):
        prepare_module.prepare(str(source), out, workers=2)
    assert len(list(out.glob(".parts-*/[0-9]*"))) == 3
    monkeypatch.setattr(prepare_module, "make_parts", partial(make_parts, part_characters=SMALL))
    prepared = prepare_module.prepare(str(source), out)
    assert prepared.manifest.read.documents == N_DOCUMENTS
    assert not list(out.glob(".parts-*"))


@pytest.mark.slow
def test_killed_at_random_moments_a_preparation_ends_with_the_same_corpus(
    large_source: Path, tmp_path: Path
):
    """The whole process group is killed; what is repeated goes on, and leaves nothing behind."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = ["--source", large_source, "--workers", "2"]
    prepare(whole, options)
    assert prepare_killed(killed, options) >= 2
    assert corpus_hash(whole) == corpus_hash(killed)
    assert names(killed) <= names(whole)


def test_signatures_of_parts_are_read_as_one(tmp_path: Path, source: Path):
    opened = partial(open_source, str(source))
    parts = make_parts(opened(), opened, Rules("reference"), tmp_path, part_characters=SMALL)
    rows = [np.load(path / "signatures.npy") for path in parts.paths]
    np.testing.assert_array_equal(parts.signatures(), np.concatenate(rows))
