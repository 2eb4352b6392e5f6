"""A worker's side of a measurement: told what to build and how often to run it, over a pipe.

Each peer lives in an environment of its own, so this file needs nothing but the standard library.
A worker builds named jobs and runs them when it is told, one request a line on its standard input,
one answer a line on its standard output:

    {"call": "build", "key": "a", "job": "train", "options": {…}}  ->  {"facts": {…}}
    {"call": "run", "key": "a", "times": 3}                        ->  {"seconds": 1.5, "work": {…}}
    {"call": "drop", "key": "a"}                                   ->  {}

What goes wrong is answered as {"error": "…"}; the worker lives on. A worker that is not spoken to
does nothing, so that several can take turns on one machine.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MARK = "answer "
"""At the start of every answer."""


@dataclass
class Job:
    """Something that can be timed.

    Attributes:
        run: does it once; returns how much work that was, such as {"tokens": 2048, "steps": 1}.
        facts: what a reader of the figure should know: versions, precision, a loss. May be
            added to by `run`.
    """

    run: Callable[[], Mapping[str, float]]
    facts: dict[str, Any] = field(default_factory=dict)


Builder = Callable[..., Job]


def serve(builders: Mapping[str, Builder]) -> None:
    """Answer requests until the input ends."""
    # Libraries print: what they write to descriptor 1 must not mix with the answers. What they
    # printed when they were imported is passed over by its want of the mark.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    jobs: dict[str, Job] = {}
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line), builders, jobs)
        except Exception as error:  # noqa: BLE001 - the row that asked is marked with it
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(MARK + json.dumps(answer), file=answers)


def _answer(
    request: dict[str, Any], builders: Mapping[str, Builder], jobs: dict[str, Job]
) -> dict[str, Any]:
    key = request["key"]
    if request["call"] == "build":
        jobs[key] = builders[request["job"]](**request["options"])
        return {"facts": jobs[key].facts}
    if request["call"] == "drop":
        jobs.pop(key, None)
        return {}
    if key not in jobs:
        raise LookupError("the worker was started anew after another side failed")
    job, work = jobs[key], dict[str, float]()
    begun = time.perf_counter()
    for _ in range(request["times"]):
        for quantity, amount in job.run().items():
            work[quantity] = work.get(quantity, 0.0) + amount
    return {"seconds": time.perf_counter() - begun, "work": work, "facts": job.facts}
