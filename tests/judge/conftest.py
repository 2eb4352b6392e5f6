"""Two runs of a few steps, and judges behind real HTTP servers in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.conftest import scores_of, tiny, tokenizers  # noqa: F401

from escada.budget import Budget as Steps
from escada.judge import panel
from escada.judge.client import RetryPolicy
from escada.judge.questions import Judge, defused
from escada.judge.review import Settings, review_with_endpoint
from escada.runs.run import Run, open_run
from escada.spec import load_spec
from escada.text.corpus import Corpus

SERVER = Path(__file__).with_name("judge_server.py")
PROMPTS = 3


@pytest.fixture(scope="session")
def runs(corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    from escada.training.run import start

    out = tmp_path_factory.mktemp("judged")
    overrides = ["model.d_hidden=24", "model.d_embedding=12", "train.batch_sequences=4"]
    spec = load_spec("v1", preset="laptop", overrides=[*overrides, "train.window_tokens=32"])
    corpus = Corpus.open(corpus_path)
    return [
        start(spec.with_budget(Steps.parse(budget)), corpus, out, device="cpu")
        for budget in ("5 steps", "60 steps")
    ]


@pytest.fixture(scope="session", autouse=True)
def noise_made_once() -> Iterator[None]:
    """The panel's noise, a second's work, is the same in every review of the same openings."""
    made: dict[str, dict[str, panel.PanelText]] = {}
    make = panel._noise

    def kept(corpus: Corpus, openings: Sequence[panel.Opening], seed: int):
        key = repr((corpus.hash, openings, seed))
        if key not in made:
            made[key] = make(corpus, openings, seed)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panel, "_noise", kept)
        yield


@dataclass(frozen=True)
class Served:
    """A running server and its log."""

    base_url: str
    log: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def outcomes(self, outcome: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["outcome"] == outcome]

    @property
    def answered(self) -> list[str]:
        """The questions that were answered, in order."""
        return [line["question"] for line in self.outcomes("answered")]


Serve = Callable[..., Served]


@pytest.fixture
def serve(corpus_path: Path, tmp_path: Path) -> Iterator[Serve]:
    processes: list[subprocess.Popen[str]] = []
    documents = tmp_path / "documents.json"
    everything = Corpus.open(corpus_path)
    texts = [
        defused(document.text)
        for split in ("train", "validation", "test")
        for document in everything.documents(split)
    ]
    documents.write_text(json.dumps(texts))

    def start(judge: str = "right", *options: str, faults: dict[int, str] | None = None) -> Served:
        log = tmp_path / f"requests-{len(processes)}.jsonl"
        log.touch()
        arguments = ["--log", str(log), "--documents", str(documents), "--judge", judge, *options]
        if faults:
            arguments += ["--faults", json.dumps(faults)]
        process = subprocess.Popen(
            [sys.executable, str(SERVER), *arguments], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        return Served(f"http://127.0.0.1:{int(process.stdout.readline())}/v1", log)

    yield start
    for process in processes:
        process.kill()
        process.wait()


Review = Callable[..., Any]


@pytest.fixture
def review(runs: list[Run], corpus: Corpus, tmp_path: Path) -> Review:
    """Review both runs, here, by the model behind a server."""

    def start(served: Served, out: str = "judge", **settings: Any) -> tuple[dict[str, Any], str]:
        retry_policy = RetryPolicy(attempts=4, first_wait_seconds=0.02, longest_wait_seconds=30)
        given = {
            "prompts": PROMPTS,
            "timeout_seconds": 20.0,
            "retry_policy": retry_policy,
        } | settings
        model = Judge(given.pop("model", "j"))
        found, stop = review_with_endpoint(
            [open_run(run.path) for run in runs],
            corpus,
            tmp_path / out,
            model,
            served.base_url,
            Settings(**given),
        )
        assert found is not None
        return found.to_json(), stop

    return start
