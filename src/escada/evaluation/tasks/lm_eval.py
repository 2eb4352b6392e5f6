"""Evaluate a run on tasks of EleutherAI's language-model evaluation harness (lm-eval).

    results = evaluate_tasks(run, ["tasks/minha_tarefa.yaml", "lambada_openai_mt_stablelm_pt"])

Needs the extra `lm-eval`. The harness makes three kinds of request:

- Log-likelihood of a continuation given a context: `score_continuations`, after cleaning both
  together by the run's profile. The space between the two belongs to the continuation. EOS is not
  charged.
- Log-likelihood of a whole text: the same with an empty context. Long contexts follow the ruler's
  half-window rule, not the harness's.
- Generation up to a stop string: `generate`, greedy unless the task samples.

Unknown characters are charged as by the ruler and are never a greedy choice. A character model
cannot answer questions; at this size, most of these tasks measure chance.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from escada.errors import EscadaError
from escada.evaluation.continuations import Continuation, score_continuations
from escada.evaluation.task import result_key, ruler_context
from escada.files import content_hash, write_sealed_json
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings, settings_as_written
from escada.models.contract import LanguageModel
from escada.runs.checkpoint import Which
from escada.runs.device import resolve_device
from escada.runs.run import Run
from escada.text.cleaning import clean_prompt
from escada.text.tokenizers import Tokenizer

if TYPE_CHECKING:

    class _Harness:
        """Stands in for the harness's class in type checking, where lm-eval may be missing."""

else:
    try:
        from lm_eval.api.model import LM as _Harness  # noqa: N811 a class, for all its capitals
    except ImportError:
        _Harness = object

SCHEMA_VERSION = 1
NEW_TOKENS = 256
"""Limit of generated tokens where the task does not set one."""
SAMPLE_SEED = 42


def require_harness() -> None:
    """Raise EscadaError if lm-eval is not installed."""
    if not TYPE_CHECKING and _Harness is object:
        raise EscadaError("lm-eval is not installed", fix="pip install 'escada[lm-eval]'")


class HarnessModel(_Harness):
    """Adapter from a model to the harness's interface; `profile` cleans its texts."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        profile: str,
        context_tokens: int | None = None,
    ) -> None:
        require_harness()
        super().__init__()
        self._model = model
        self._tokenizer = tokenizer
        self._profile = profile
        self._context_tokens = context_tokens

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Log-probability (nats) of each continuation, and whether it is the greedy one."""
        split = [self._split(*request.args) for request in requests]
        return [(-one.nats, one.greedy) for one in self._score(split)]

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        """Log-probability (nats) of each whole text."""
        texts = [clean_prompt(request.args[0], self._profile) for request in requests]
        return [-one.nats for one in self._score([("", text) for text in texts])]

    def _score(self, split: Sequence[tuple[str, str]]) -> list[Continuation]:
        return score_continuations(
            self._model,
            self._tokenizer,
            [context for context, _ in split],
            [continuation for _, continuation in split],
            context_tokens=self._context_tokens,
        )

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Generate after each context, up to the first stop string."""
        return [self._generate(*request.args) for request in requests]

    def _generate(self, context: str, arguments: Mapping[str, Any]) -> str:
        until = cast("str | list[str]", arguments.get("until") or [])
        stops = [until] if isinstance(until, str) else until
        sample = generate(
            self._model,
            self._tokenizer,
            [context],
            sampler_settings(arguments),
            max_tokens=int(arguments.get("max_gen_toks") or NEW_TOKENS),
            seed=SAMPLE_SEED,
            profile=self._profile,
        )[0]
        ends = [at for stop in stops if stop and (at := sample.text.find(stop)) >= 0]
        return sample.text[: min(ends)] if ends else sample.text

    def _split(self, context: str, continuation: str) -> tuple[str, str]:
        """Clean both together; any space between them goes to the continuation."""
        whole = clean_prompt(context + continuation, self._profile)
        before = clean_prompt(context, self._profile)
        common = 0
        while common < min(len(whole), len(before)) and whole[common] == before[common]:
            common += 1
        return whole[:common], whole[common:]


def sampler_settings(arguments: Mapping[str, Any]) -> SamplerSettings:
    """The sampler for a task's generation arguments; greedy unless they request sampling."""
    temperature = float(arguments.get("temperature") or 0)
    if not arguments.get("do_sample") or temperature == 0:
        return SamplerSettings(greedy=True)
    return settings_as_written(
        temperature=temperature,
        top_k=arguments.get("top_k"),
        top_p=float(arguments.get("top_p") or 1),
    )


def evaluate_tasks(
    run: Run,
    tasks: Sequence[str],
    *,
    which: Which = "best",
    device: str = "auto",
    limit: int | None = None,
) -> dict[str, object]:
    """Evaluate a run on tasks of the harness, without reusing earlier results.

    Writes `evaluation/lm-eval-TASK.json` for each task, with all metrics of the harness.

    Args:
        tasks: names that the harness knows, or paths of YAML files. Relative data paths in such a
            file start from the working directory.
        limit: maximum number of examples per task; None: all.

    Returns:
        `schema_version`, `lm_eval_version` and `tasks`: the metrics of each, by name.

    Raises:
        EscadaError: lm-eval is not installed, or knows no such task.
    """
    require_harness()
    for task in tasks:
        if _is_path(task) and not Path(task).is_file():
            raise EscadaError("file not found", where=task)
    evaluator = importlib.import_module("lm_eval.evaluator")
    manager = importlib.import_module("lm_eval.tasks").TaskManager(
        include_defaults=not all(map(_is_path, tasks))  # loading the list of tasks takes seconds
    )
    for task in tasks:
        if not _is_path(task) and task not in manager.all_tasks:
            raise EscadaError(
                f"lm-eval knows no task {task!r}", fix="give the path of a YAML file, or its name"
            )
    model = HarnessModel(
        run.load_model(which, resolve_device(device)),
        run.tokenizer,
        run.spec.text.profile,
        ruler_context(run),
    )
    found = evaluator.simple_evaluate(
        model=model, tasks=list(tasks), task_manager=manager, limit=limit, log_samples=False
    )
    version = importlib.metadata.version("lm-eval")
    head = {"schema_version": SCHEMA_VERSION, "lm_eval_version": version}
    metrics: dict[str, object] = {}
    for name, values in found["results"].items():
        metrics[name] = {key: _plain(value) for key, value in values.items()}
        examples = found.get("n-samples", {}).get(name)
        of_task = {"task": name, "metrics": metrics[name], "examples": examples}
        key = result_key(run, which, __name__, **of_task, lm_eval=version)
        path = run.layout.evaluation(f"lm-eval-{_file_name(name)}")
        write_sealed_json(path, {**head, **of_task, "weights": which, "key": key})
    return {**head, "tasks": metrics}


def _is_path(task: str) -> bool:
    return task.endswith((".yaml", ".yml"))


def _file_name(task: str) -> str:
    """A task's name as part of a file name; a hash is added where characters were replaced."""
    plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in task)
    return plain if plain == task else f"{plain}-{content_hash(task)[:6]}"


def _plain(value: Any) -> Any:
    """A metric as JSON can hold it: no NaN, no NumPy."""
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    number = float(value)
    return number if math.isfinite(number) else None
