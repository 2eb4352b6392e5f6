"""Finds the corpus that a run was trained on."""

from __future__ import annotations

import os
from pathlib import Path

from escada.errors import EscadaError
from escada.files import read_json, write_sealed_json
from escada.runs.run import Run
from escada.text.corpus import Corpus


def corpus_of(run: Run, data: Path | None = None) -> Corpus:
    """The corpus that a run was trained on, checked by its hash.

    Args:
        data: the folder that the corpus was moved to, then noted in the run if it is writable.
            None: the folder noted there.

    Raises:
        EscadaError: not there, or another corpus: its held-out documents may be training text of
            the run.
    """
    noted = run.data_path
    if data is None and not noted.is_dir():
        raise EscadaError(
            "the run's corpus is no longer in its folder",
            where=noted,
            fix="say with --data where it was moved to",
        )
    corpus = Corpus.open(data or noted)
    if corpus.hash != run.corpus_hash:
        raise EscadaError(
            "this is not the corpus that the run was trained on, so the run may have read its "
            "held-out documents",
            where=corpus.path,
            fix="give the right folder with --data; a file of yours is measured on its own",
        )
    found = corpus.path.resolve()
    if found != noted and os.access(run.path, os.W_OK):
        write_sealed_json(run.layout.data, read_json(run.layout.data) | {"path": str(found)})
    return corpus
