"""A climb: several rungs under one budget, on one corpus, judged by one ruler, in one report.

    for each rung:  train (or resume, or recognise as done) → ruler → samples → ladder.json
    at the end:     the table, ladder.json and report/index.html

Every step is recognised by the hash of its content, so a second climb retrains nothing and a climb
that was stopped goes on where it was. Each training is a process of its own: its peak memory and
its random state are its own, and a crash does not take the climb with it.
"""

from __future__ import annotations

import datetime
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from escada.errors import EscadaError
from escada.evaluation.bootstrap import paired_interval
from escada.evaluation.card import write_card
from escada.evaluation.controls import corpus_controls
from escada.evaluation.review import (
    TRAIN_SAMPLE,
    measure_run,
    measure_train_sample,
    read_document_scores,
    read_measurement,
    sample_run,
)
from escada.files import make_directory, read_json, write_json
from escada.runs.device import resolve_device
from escada.runs.environment import environment
from escada.runs.run import Run, find_runs, run_key
from escada.spec import Budget, Spec, load_spec
from escada.text.corpus import Corpus
from escada.training.start import check_profile

SCHEMA_VERSION = 1
ROADMAP = ("v1", "v2", "v3", "v4", "v5", "v_final")
"""The rungs that a climb takes unless others are named."""
LADDER, CONTROLS, REPORT = "ladder.json", "controls.json", "report"
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Plan:
    """What a climb is asked to do."""

    rungs: Sequence[str]
    preset: str
    budget: Budget | None
    corpus: Corpus
    out: Path
    seed: int = 0
    device: str = "auto"
    overrides: Sequence[str] = ()

    def spec(self, rung: str) -> Spec:
        """A rung as this climb trains it."""
        spec = load_spec(rung, preset=self.preset, overrides=self.overrides)
        return spec if self.budget is None else spec.with_budget(self.budget)


class ClimbInterrupted(Exception):  # noqa: N818 - a request of the user, not an error
    """The user asked to stop; the same command goes on with the climb."""


def climb(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Train, judge and sample every rung of the plan; write ladder.json after each.

    Args:
        plan: what to climb.
        say: called with a sentence when something begins.

    Returns:
        The content of ladder.json.

    Raises:
        EscadaError: a spec is wrong (before anything is trained), or a rung's training failed.
        ClimbInterrupted: the user asked to stop.
    """
    specs = {rung: plan.spec(rung) for rung in plan.rungs}
    if len({spec.name for spec in specs.values()}) < len(plan.rungs):
        raise EscadaError("a rung is named twice", where=" ".join(plan.rungs), fix="name each once")
    for spec in specs.values():
        check_profile(spec, plan.corpus)
    resolve_device(plan.device)
    _claim(plan.out)
    say("controls: baselines, human text and noise")
    ladder = _head(plan)
    runs: list[Run] = []
    for rung, spec in specs.items():
        run = _trained(plan, rung, spec, say)
        for split in ("validation", "test"):
            if measure_run(run, plan.corpus, split, device=plan.device):
                say(f"{spec.name}: measured on {split} documents")
        if measure_train_sample(run, plan.corpus, device=plan.device):
            say(f"{spec.name}: measured on a sample of the training documents")
        if sample_run(run, device=plan.device):
            say(f"{spec.name}: samples written")
        write_card(run)
        runs.append(run)
        ladder["rungs"] = [_row(plan, run, runs) for run in runs]
        write_json(plan.out / LADDER, ladder)
    return ladder


def _claim(out: Path) -> None:
    """Make the climb's folder; if it is there, nothing in it that is not a climb's is overwritten.

    Raises:
        EscadaError: files of these names lie there that no climb wrote.
    """
    make_directory(out)
    ours = {
        name: "schema_version" in read_json(out / name)
        for name in (LADDER, CONTROLS)
        if (out / name).exists()
    }
    if (out / REPORT).exists():
        ours[REPORT] = LADDER in ours  # only a climb that wrote its ladder has a report
    if foreign := [name for name, own in ours.items() if not own]:
        raise EscadaError(
            f"the folder holds a {foreign[0]} that no climb wrote; nothing was overwritten",
            where=out,
            fix="choose another --out",
        )


def _trained(plan: Plan, rung: str, spec: Spec, say: Callable[[str], None]) -> Run:
    key = run_key(spec, seed=plan.seed, corpus_hash=plan.corpus.hash)
    run = _find(plan.out, key)
    if run is not None and run.finished:
        say(f"{spec.name}: already trained ({run.name})")
        return run
    if run is None:
        say(f"{spec.name}: training for {spec.train.budget}")
        command = ["train", rung, "--preset", plan.preset, "--seed", str(plan.seed)]
        command += ["--data", str(plan.corpus.path), "--out", str(plan.out)]
        command += ["--device", plan.device]
        command += ["--budget", str(plan.budget)] if plan.budget else []
        command += [part for text in plan.overrides for part in ("--set", text)]
    else:
        say(f"{spec.name}: going on with {run.name}")
        command = ["resume", str(run.path)]
    code = _escada(command)
    if code == INTERRUPTED:
        raise ClimbInterrupted
    run = _find(plan.out, key)
    if code != 0 or run is None or not run.finished:
        raise EscadaError(
            f"the training of {spec.name} ended with exit code {code}",
            where=run.path if run else plan.out,
            fix="mend what it says above and repeat the climb: finished rungs are kept",
        )
    return run


def _escada(arguments: Sequence[str]) -> int:
    """Run a verb in a process of its own; on Ctrl-C wait until it has saved."""
    # The path of the run, its last line, is for scripts; here it would only interrupt the story.
    # In a group of its own, it hears of Ctrl-C from here alone: once for each, whoever sent it.
    process = subprocess.Popen(
        [sys.executable, "-m", "escada", *arguments], stdout=subprocess.DEVNULL, process_group=0
    )
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # it saves and exits


def _find(out: Path, key: str) -> Run | None:
    """The run of that key, finished ones first; rehearsals are not runs of the ladder."""
    candidates = [run for run in find_runs(out, key) if not run.record["dry_run"]]
    return max(candidates, key=lambda run: run.finished, default=None)


def _head(plan: Plan) -> dict[str, Any]:
    """All of ladder.json but its rungs."""
    manifest = plan.corpus.manifest
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "preset": plan.preset,
        "budget": None if plan.budget is None else str(plan.budget),
        "seed": plan.seed,
        "corpus": {
            "hash": plan.corpus.hash,
            "profile": plan.corpus.profile,
            "bytes": {s: plan.corpus.text_bytes(s) for s in ("train", "validation", "test")},
            **{k: manifest.get(k) for k in ("source", "documents", "licences")},
        },
        **corpus_controls(plan.corpus, plan.out / CONTROLS),
        "machine": environment(),
        "rungs": [],
    }


def _row(plan: Plan, run: Run, below: Sequence[Run]) -> dict[str, Any]:
    """One rung's facts; `below` are the runs of this climb so far."""
    test = read_json(run.layout.evaluation("test"))
    validation = read_json(run.layout.evaluation("validation"))
    samples = read_json(run.layout.samples)
    about = run.spec.about
    record = run.record
    return {
        "name": run.spec.name,
        "follows": about.follows,
        "about": about.model_dump(mode="json", exclude={"follows"}),
        "run": run.path.relative_to(plan.out).as_posix(),
        "preset": run.spec.preset,
        **{k: record[k] for k in ("seed", "tokenizer", "corpus_hash", "status", "parameters")},
        "profile": run.spec.text.profile,
        **{k: test[k] for k in ("protocol", "bits_per_byte", "ci95", "perplexity", "accuracy")},
        "by_source": test["by_source"],
        "unknown_characters": {
            "train": _unknown_in_training(run, plan.corpus),
            "test": test["unknown"],
        },
        "validation_bits_per_byte": validation["bits_per_byte"],
        "train_bits_per_byte": read_measurement(run, TRAIN_SAMPLE)["bits_per_byte"],
        **{k: record[k] for k in ("training_tokens", "training_flops", "training_seconds")},
        **{k: record[k] for k in ("tokens_per_second", "peak_memory_bytes")},
        "training_bytes": _training_bytes(run),
        "evaluation_tokens_per_second": test["tokens_per_second"],
        "lexicon_share": samples["lexicon_share"],
        "precision": record["precision"]["name"],
        "device": record["circumstances"]["device"],
        "spec_hash": record["spec_hash"],
        "key": record["key"],
        "beats_previous": _against_previous(run, below),
    }


def _unknown_in_training(run: Run, corpus: Corpus) -> int:
    """Characters of the training split that the run's tokenizer cannot write."""
    tokenizer = run.tokenizer
    if tokenizer.unk_id is None:
        return 0
    texts = [document.text for document in corpus.documents("train")]
    return sum(int((ids == tokenizer.unk_id).sum()) for ids in tokenizer.encode_batch(texts))


def _training_bytes(run: Run) -> float:
    """Reference bytes that the trained targets stand for; repeated ones count again."""
    data = read_json(run.layout.data)
    return run.record["training_tokens"] * data["training_bytes"] / data["training_tokens"]


def _against_previous(run: Run, below: Sequence[Run]) -> dict[str, Any] | None:
    """This run against that of the rung that it follows, paired by document."""
    previous = next((b for b in below if b.spec.name == run.spec.about.follows), None)
    if previous is None:
        return None
    found = paired_interval(
        read_document_scores(run, "test"), read_document_scores(previous, "test")
    )
    verdict = "undecided"
    if found.ci95 is not None:
        low, high = found.ci95
        verdict = "better" if high < 0 else "worse" if low > 0 else "undecided"
    return {
        "against": previous.spec.name,
        "difference": found.difference,
        "ci95": found.ci95,
        "verdict": verdict,
    }
