"""A run behind the language-model evaluation harness (EleutherAI's lm-eval), for its tasks.

    results = evaluate_tasks(run, ["tasks/minha_tarefa.yaml", "lambada_openai_mt_stablelm_pt"])

Needs the extra `lm-eval`. The harness asks three things of a model:

- log-likelihood of a continuation after a context: `score_continuations`. Both are cleaned together
  by the run's profile and cut into tokens as one text, from BOS; the continuation is every token
  after those that the context alone begins with, and a blank between the two is always part of it.
  EOS is not charged: the harness asks for the text, not for its end.
- of a whole text: the same with an empty context. Contexts longer than the model's follow the
  ruler's half-window rule, not the harness's; every token is charged once.
- text until one of some strings comes: `generate`, greedy unless the task asks to sample.

Unknown characters pay as they do in the ruler, and are never a greedy choice. A character model
knows nothing of questions and answers; what such tasks measure at this size is mostly chance.
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
from escada.files import content_hash, write_json
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
        """What the harness's class looks like to a type checker that does not have it."""

else:
    try:
        from lm_eval.api.model import LM as _Harness  # noqa: N811 a class, for all its capitals
    except ImportError:
        _Harness = object

SCHEMA_VERSION = 1
NEW_TOKENS = 256
"""Most tokens of an answer where the task does not say."""
SAMPLE_SEED = 42


def require_harness() -> None:
    """Refuse to go on without lm-eval.

    Raises:
        EscadaError: says how to install it.
    """
    if not TYPE_CHECKING and _Harness is object:
        raise EscadaError("lm-eval is not installed", fix="pip install 'escada[lm-eval]'")


class HarnessModel(_Harness):
    """A model as the harness sees it: strings in, numbers and strings out.

    Args:
        model: any of the ladder, or a baseline behind the same contract.
        profile: that the model's text was cleaned by.
        context_tokens: see `score_continuations`.
    """

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
        """What the model writes after each context, up to the first of the task's stop strings."""
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
        """Both after cleaning, with what stands between them at the front of the continuation."""
        whole = clean_prompt(context + continuation, self._profile)
        before = clean_prompt(context, self._profile)
        common = 0
        while common < min(len(whole), len(before)) and whole[common] == before[common]:
            common += 1
        return whole[:common], whole[common:]


def sampler_settings(arguments: Mapping[str, Any]) -> SamplerSettings:
    """The sampler that a task's generation arguments ask for; greedy when they do not sample."""
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
    """Evaluate a run on tasks of the harness, anew each time, into its folder.

    Writes `evaluation/lm-eval-TASK.json` for each task, with all metrics of the harness.

    Args:
        tasks: names that the harness knows, or paths of YAML files. Relative paths of data in such
            a file start from the working directory.
        limit: most examples of a task; None: all.

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
        include_defaults=not all(map(_is_path, tasks))  # reading their list takes seconds
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
        write_json(path, {**head, **of_task, "weights": which, "key": key})
    return {**head, "tasks": metrics}


def _is_path(task: str) -> bool:
    return task.endswith((".yaml", ".yml"))


def _file_name(task: str) -> str:
    """A task's name as part of a file's; what no file's name may hold becomes its hash."""
    plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in task)
    return plain if plain == task else f"{plain}-{content_hash(task)[:6]}"


def _plain(value: Any) -> Any:
    """A metric as JSON holds it: no NaN, no NumPy."""
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    number = float(value)
    return number if math.isfinite(number) else None
