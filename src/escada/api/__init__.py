"""The Python side of escada, for notebooks and scripts: all of it is here and in the classes named.

    import escada

    ladder = escada.climb(["v1", "v4"], budget="20 s", out="runs/class")
    ladder.compare("v4", "v1")
    ladder["v4"].surprisal("O vento levou.")

`import escada` takes a fraction of a second; torch is loaded when a model is needed. What is here
follows semantic versioning: a name is deprecated for one minor version before it goes. Other
modules may change with every version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from escada.choices import Code
from escada.errors import EscadaError
from escada.terminal import echo
from escada.workers import check_sendable

if TYPE_CHECKING:
    from escada.api.ladder import Ladder
    from escada.api.run import Run
    from escada.spec import Spec
    from escada.text.corpus import Corpus

Overrides = Mapping[str, object] | Sequence[str]
"""`{"train.learning_rate": 1e-3}`, or as after `--set`: `["train.learning_rate=1e-3"]`."""


def load(
    path: str | Path, *, device: str = "auto", lang: Code = "en", trust_code: bool = False
) -> Ladder | Run:
    """Open a climb's folder as a `Ladder`, or a run's as a `Run`.

    Args:
        path: a folder, or the name of a rung with one run below runs/, such as `v4`.
        lang: of what a notebook shows.
        trust_code: run code from outside escada that a run's folder names; read it first.

    Raises:
        EscadaError: neither a climb nor a run, or a damaged one.
    """
    from escada.api.ladder import Ladder
    from escada.api.run import Run
    from escada.extensions import trust_all
    from escada.ladder.climb import LADDER
    from escada.runs.naming import find_run

    if trust_code:
        trust_all(echo)
    if (Path(path) / LADDER).is_file():
        return Ladder(Path(path), device=device, lang=lang)
    return Run.open(find_run(Path(path)), device=device)


def prepare(
    source: str | Sequence[str] = "default",
    out: str | Path | None = None,
    *,
    workers: int = 1,
    **options: Any,
) -> Corpus:
    """Read, clean, deduplicate and split documents, unless that is already done.

    Args:
        source: `default`, a file, a folder, a glob, `hub:OWNER/NAME`; several are joined.
        out: the corpus's folder; only the default corpus as it is has a place of its own.
        workers: processes; more than one need a main module that can be imported.
        options: of `escada.text.preparation.prepare.prepare`, such as `min_characters=200`.

    Raises:
        EscadaError: an unreadable source, or too little text for three splits.
    """
    from escada.text.corpus import default_corpus_path
    from escada.text.preparation.prepare import prepare as prepare_corpus

    if out is None:
        if source != "default" or options.keys() - {"profile", "source_file"}:
            raise EscadaError("the corpus needs a folder", fix='say out="data/mine"')
        out = default_corpus_path(options.get("profile", "reference"))
    return prepare_corpus(source, Path(out), workers=workers, **options)


def train(
    rung: str | Spec,
    *,
    data: str | Path | Corpus | None = None,
    budget: str | None = None,
    preset: str = "laptop",
    overrides: Overrides = (),
    seed: int = 0,
    out: str | Path = "runs",
    device: str = "auto",
    allow_differences: bool = False,
    say: Callable[[str], None] | None = None,
) -> Run:
    """Train a rung in this process, or go on with the same training if it was begun in `out`.

    Args:
        rung: a rung's name, a spec file, or a `Spec`, which has its preset and overrides already.
        data: a prepared corpus or its folder; None: the default corpus.
        budget: `"60 s"`, `"3 epochs"`, `"1e12 flop"`; None: the spec's.
        allow_differences: go on although device, threads or versions are others than those it was
            begun with (a hosted notebook's next session), which is not bit-identical.
        say: called with a line at each phase; None: they go to standard error.

    Raises:
        EscadaError: a wrong spec or budget, or a model too large for the memory.
        escada.training.loop.Interrupted: stopped by the user, and saved; call it again to go on.
    """
    from escada.api.run import Run
    from escada.budget import Budget
    from escada.report.writers.card import write_card
    from escada.runs.run import run_key, run_of
    from escada.spec import load_spec
    from escada.training.distributed import ALONE
    from escada.training.run import is_complete, resume, start

    if isinstance(rung, str):
        rung = load_spec(rung, preset=preset, overrides=as_written(overrides))
    elif overrides:
        raise EscadaError("a Spec has its overrides", fix="give them to escada.spec.load_spec")
    if budget is not None:
        rung = rung.with_budget(Budget.parse(budget))
    corpus, say = open_corpus(data, rung.text.profile), say or _on_standard_error
    begun = None
    if allow_differences:
        begun = run_of(Path(out), run_key(rung, seed=seed, corpus_hash=corpus.hash))
    if begun is not None and not is_complete(begun):
        say(f"{rung.name}: going on with {begun.name}")
        folder = resume(begun.path, data=corpus.path, allow_differences=True, say=say)
    else:
        folder = start(
            rung, corpus, Path(out), seed=seed, device=device, begun=True, world=ALONE, say=say
        )
    write_card(folder)
    return Run(folder, device=device)


def climb(
    rungs: Sequence[str] | None = None,
    *,
    data: str | Path | Corpus | None = None,
    budget: str | None = None,
    preset: str = "laptop",
    overrides: Overrides = (),
    seeds: Sequence[int] = (0,),
    out: str | Path = "runs/climb",
    jobs: int = 1,
    device: str = "auto",
    allow_differences: bool = False,
    lang: Code = "en",
    say: Callable[[str], None] | None = None,
) -> Ladder:
    """Train, evaluate, sample and compare rungs, and write the report; what is done stays done.

    Each rung is trained in a process of its own. See `train` for the arguments.

    Args:
        rungs: names or spec files; None: all that lead to v_next_counts.
        jobs: rungs trained and measured at a time. More than one need a main module that can be
            imported, and a `say` that can be pickled (a function of a module, not a lambda).

    Raises:
        EscadaError: a spec is wrong (before anything is trained), or a training failed.
        escada.ladder.training.TrainingInterrupted: stopped by the user; call it again to go on.
    """
    from escada.api.ladder import Ladder
    from escada.budget import Budget
    from escada.ladder.climb import Plan
    from escada.ladder.climb import climb as climb_rungs
    from escada.report.writers.current import refresh_report
    from escada.spec import TOP_OF_LADDER, load_spec, steps_to

    if jobs > 1 and say is not None:
        fix = "give a function of a module, leave it out, or use jobs=1"
        check_sendable(say, "say", where="climb", fix=fix)
    names, written = list(rungs or steps_to(TOP_OF_LADDER)), as_written(overrides)
    profile = load_spec(names[0], preset=preset, overrides=written).text.profile
    plan = Plan(
        rungs=names,
        preset=preset,
        budget=None if budget is None else Budget.parse(budget),
        corpus=open_corpus(data, profile),
        out=Path(out),
        seeds=tuple(seeds),
        device=device,
        jobs=jobs,
        overrides=written,
        allow_differences=allow_differences,
    )
    climb_rungs(plan, say or _on_standard_error)
    refresh_report(plan.out)
    return Ladder(plan.out, device=device, lang=lang)


def open_corpus(data: str | Path | Corpus | None, profile: str) -> Corpus:
    """The corpus that `data` is or names; None: the default corpus, prepared in the cache."""
    from escada.text.corpus import Corpus

    if data is None:
        return prepare(profile=profile)
    return data if isinstance(data, Corpus) else Corpus.open(Path(data))


def as_written(overrides: Overrides) -> list[str]:
    """KEY=VALUE of each override, the value as TOML.

    Raises:
        EscadaError: a value that TOML has not, such as None.
    """
    if not isinstance(overrides, Mapping):
        return list(overrides)
    written: list[str] = []
    for key, value in overrides.items():
        try:
            written.append(tomli_w.dumps({"value": value}).strip().replace("value", key, 1))
        except TypeError as error:
            raise EscadaError(
                f"{value!r} is no value of a spec",
                where=key,
                fix="a number, text, list or bool",
            ) from error
    return written


def _on_standard_error(line: str) -> None:
    echo(line, err=True)
