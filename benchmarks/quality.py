"""Peers at equal compute: trained on our split for a budget in FLOP, scored as the ruler does.

    python benchmarks/quality.py train --nanogpt DIR --nanochat DIR --budget 5e12 --budget 5e13
    python benchmarks/quality.py collect --climb runs/demo     # docs/results/quality.json, .md, …

DIR is a checkout or a bare git directory (or NANOGPT, NANOCHAT name them); the others are installed
by `make bench-env`. Trainings run in turn, each in its peer's environment, into
OUT/PEER-BUDGET-sSEED. What is there with the same key (recipe, overrides, budget, seed, documents,
the peer's commit, our code) is not repeated. The test split is read with `--split test` alone: with
the weights that are there, only the scoring is new. docs/benchmarks.md says what is compared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quality_results import Figure, figure_of_peer, figures_of_runs, write_results

from escada.code_hash import bare_code
from escada.errors import EscadaError
from escada.files import content_hash, sha256_file, write_json_lines
from escada.text.corpus import Corpus

ROOT = Path(__file__).parents[1]
RUNNERS = ROOT / "benchmarks" / "peers" / "quality"
SHARED_CODE = ("harness.py", "scoring.py", "texts.py", "torch_peer.py")
RESULTS = ROOT / "docs" / "results" / "quality.json"


@dataclass(frozen=True)
class Trial:
    """A peer's recipe, or a variant of it.

    Attributes:
        family: trials of one family differ in `changes` alone; the first has the recipe as it is.
        environment, checkout: keys of the options that name an interpreter, and a folder.
    """

    name: str
    family: str
    runner: str
    recipe: str
    environment: str
    checkout: str | None = None
    changes: tuple[str, ...] = ()


def _variants(
    family: str,
    runner: str,
    recipe: str,
    environment: str,
    checkout: str | None = None,
    **variants: tuple[str, ...],
) -> list[Trial]:
    """The recipe as it is, then its variants."""
    changes = {family: (), **{f"{family}_{name}": one for name, one in variants.items()}}
    fixed = (family, f"train_{runner}.py", recipe, environment, checkout)
    return [Trial(name, *fixed, one) for name, one in changes.items()]


# The rates of these recipes are for far longer trainings (or for models already trained), and the
# origin's batches leave a handful of steps: a variant of each gives the peer a better chance.
FASTER = {"fast": ("learning_rate=3e-3", "min_lr=3e-4")}
SMALL_BATCH = {"small": ("batch=16",)}
TRIALS = (
    *_variants("nanogpt_char", "nanogpt", "char", "torch", "nanogpt"),
    *_variants("nanogpt_gpt2", "nanogpt", "gpt2", "torch", "nanogpt", **FASTER),
    *_variants(
        "nanochat", "nanochat", "base", "torch", "nanochat",
        x4=("rate_factor=4",), x16=("rate_factor=16",),
    ),
    *_variants(
        "transformers", "transformers", "trainer", "torch",
        fast=("learning_rate=2e-3", "dropout=0"),
    ),
    *_variants("keras_v3", "keras", "v3", "keras", **SMALL_BATCH),
    *_variants("keras_v4", "keras", "v4", "keras", **SMALL_BATCH),
)  # fmt: skip


def write_documents(corpus: Corpus, split: str, folder: Path) -> Path:
    """What peers read: training and validation documents, and the test ones only when asked."""
    folder = folder / f"documents-{corpus.hash[:12]}"
    for name in dict.fromkeys(["train", "validation", split]):
        if not (folder / f"{name}.jsonl").exists():
            rows = (
                {"id": d.id, "source": d.source, "group": d.group, "text": d.text}
                for d in corpus.documents(name)
            )
            write_json_lines(folder / f"{name}.jsonl", rows)
    return folder


def unpacked(source: Path, folder: Path, option: str) -> tuple[Path, str | None]:
    """A peer's files and its commit; those of a bare git directory are laid below `folder`.

    Raises:
        EscadaError: neither a checkout nor a git directory.
    """
    if not source.is_dir():
        raise EscadaError("no such folder", where=source, fix=f"give a checkout with --{option}")
    bare = (source / "HEAD").is_file() and (source / "objects").is_dir()
    git = ["git", "--git-dir" if bare else "-C", str(source)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    commit = head.stdout.strip() or None
    if not bare:
        return source, commit
    if commit is None:
        raise EscadaError("a git directory without a commit", where=source, fix="clone it again")
    files = folder / f"{option}-{commit[:12]}"
    if not files.exists():
        packed = subprocess.run([*git, "archive", commit], capture_output=True, check=True)
        temporary = files.with_suffix(".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        subprocess.run(["tar", "-x", "-C", str(temporary)], input=packed.stdout, check=True)
        temporary.rename(files)
    return files, commit


def key_of(trial: Trial, flop: float, seed: int, documents: Path, commit: str | None) -> str:
    """A hash of what decides the weights; which documents are scored beside them is no part."""
    code = [bare_code(RUNNERS / name) for name in (trial.runner, *SHARED_CODE)]
    data = {name: sha256_file(documents / f"{name}.jsonl") for name in ("train", "validation")}
    return content_hash(
        {
            "recipe": [trial.runner, trial.recipe, list(trial.changes)],
            "flop": flop,
            "seed": seed,
            "documents": data,
            "commit": commit,
            "code": code,
        }
    )


def due(trials: Sequence[Trial], flop: float, figures: Sequence[Figure]) -> list[Trial]:
    """In order: at the smallest budget all; beyond it what was best of each family at the budget
    below, then the other recipes as they are."""
    below = [figure for figure in figures if figure.budget_flop < flop]
    if not below:
        return list(trials)
    largest = max(figure.budget_flop for figure in below)
    level = [figure for figure in below if figure.budget_flop == largest]
    worst_first = sorted(level, key=lambda figure: -figure.bits_per_byte)
    best = {figure.family: figure.name for figure in worst_first}
    first = [trial for trial in trials if best.get(trial.family) == trial.name]
    return first + [trial for trial in trials if not trial.changes and trial not in first]


def train(arguments: argparse.Namespace) -> int:
    """Train and score what is not there yet; returns the number of failures."""
    out: Path = arguments.out
    documents = write_documents(Corpus.open(arguments.data), arguments.split, out)
    failures, trials = 0, list(wanted(arguments.peer))
    figures: list[Figure] = []
    for flop in sorted(arguments.budget):
        for trial in due(trials, flop, figures):
            try:
                folder = _train_one(trial, flop, documents, arguments)
                figures.append(figure_of_peer(folder, arguments.split, trial.name, trial.family))
            except EscadaError as error:
                failures += 1
                print(error, file=sys.stderr)
    return failures


def wanted(names: Sequence[str]) -> Iterator[Trial]:
    known = [trial.name for trial in TRIALS]
    for name in names:
        if name not in known:
            raise EscadaError(f"no peer {name!r}", fix="one of " + ", ".join(known))
    yield from (trial for trial in TRIALS if not names or trial.name in names)


def _train_one(trial: Trial, flop: float, documents: Path, arguments: argparse.Namespace) -> Path:
    python: Path = getattr(arguments, f"{trial.environment}_python")
    if not python.exists():
        raise EscadaError(f"{trial.name} is not installed", where=python, fix="make bench-env")
    checkout, commit = None, None
    if trial.checkout is not None:
        source: Path | None = getattr(arguments, trial.checkout)
        if source is None:
            raise EscadaError(
                f"{trial.name} needs a checkout of {trial.checkout}",
                fix=f"give --{trial.checkout} DIR, or set {trial.checkout.upper()}",
            )
        checkout, commit = unpacked(source, arguments.out / "checkouts", trial.checkout)
    key = key_of(trial, flop, arguments.seed, documents, commit)
    folder: Path = arguments.out / f"{trial.name}-{flop:g}-s{arguments.seed}"
    command = [str(python), str(RUNNERS / trial.runner), trial.recipe]
    command += ["--documents", str(documents), "--flop", repr(flop), "--out", str(folder)]
    command += ["--key", key, "--seed", str(arguments.seed), "--split", arguments.split]
    command += ["--nice", str(arguments.nice)]
    command += [] if checkout is None else ["--checkout", str(checkout)]
    command += [] if commit is None else ["--commit", commit]
    command += [part for change in trial.changes for part in ("--set", change)]
    threads = {"OMP_NUM_THREADS": str(arguments.threads), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=os.environ | threads, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise EscadaError(f"{trial.name} failed", where=folder, fix="its own words are above")
    return folder


def collect(arguments: argparse.Namespace) -> None:
    """Set what is trained beside escada's own runs."""
    figures: list[Figure] = []
    families = {trial.name: trial.family for trial in TRIALS}
    for path in sorted(arguments.out.glob(f"*/{arguments.split}.json")):
        name = path.parent.name.rpartition("-s")[0].rpartition("-")[0]
        if name in families:
            figures.append(figure_of_peer(path.parent, arguments.split, name, families[name]))
    runs = [*arguments.run]
    for climb in arguments.climb:
        runs += [path.parent for path in sorted(climb.glob("*/record.json"))]
    figures += figures_of_runs(runs, arguments.split)
    if not figures:
        fix = "train first, or name runs with --run or --climb"
        raise EscadaError("nothing to collect", where=arguments.out, fix=fix)
    write_results(arguments.results, figures, arguments.split)
    print(arguments.results.with_suffix(".md").read_text(encoding="utf-8"))


def parser() -> argparse.ArgumentParser:
    one = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = one.add_subparsers(dest="verb", required=True)
    training, collecting = verbs.add_parser("train"), verbs.add_parser("collect")
    for verb in (training, collecting):
        verb.add_argument("--out", type=Path, default=ROOT / "runs" / "quality")
        verb.add_argument(
            "--split", choices=["validation", "test"], default="validation",
            help="test: for the final reading alone",
        )  # fmt: skip
    training.add_argument("--data", type=Path, default=ROOT / "data" / "default")
    training.add_argument("--budget", type=float, action="append", required=True, help="FLOP")
    training.add_argument("--peer", action="append", default=[], help="default: all")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--threads", type=int, default=1)
    training.add_argument("--nice", type=int, default=0)
    for name in ("nanogpt", "nanochat"):
        place = os.environ.get(name.upper())
        training.add_argument(f"--{name}", type=Path, default=Path(place) if place else None)
    for name, folder in (("torch", ".venv-bench-hf"), ("keras", ".venv-bench-keras")):
        training.add_argument(f"--{name}-python", type=Path, default=ROOT / folder / "bin/python")
    collecting.add_argument("--run", type=Path, action="append", default=[])
    collecting.add_argument("--climb", type=Path, action="append", default=[])
    collecting.add_argument("--results", type=Path, default=RESULTS)
    return one


def main() -> int:
    arguments = parser().parse_args()
    try:
        if arguments.verb == "train":
            return int(train(arguments) > 0)
        collect(arguments)
    except EscadaError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
