"""MLflow. Without `MLFLOW_TRACKING_URI` it is offline: mlflow.db beside the run's folder (SQLite).

    mlflow ui --backend-store-uri sqlite:///runs/demo/mlflow.db

The experiment is `MLFLOW_EXPERIMENT_NAME`, or escada.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from filelock import FileLock

from escada.extensions import needed
from escada.training.trackers import PROJECT, TrackedRun
from escada.typed_json import flat

PACKAGE = "mlflow"
_VALUE_CHARACTERS = 500
"""Of a parameter: MLflow's limit in its older servers."""


class _Tracker:
    def __init__(self, library: Any, run: TrackedRun) -> None:
        database = run.folder.resolve().parent / "mlflow.db"
        address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database.as_posix()}"
        self._metric = library.entities.Metric
        # Trainings side by side would make the database's tables at the same time.
        with FileLock(database.with_name(".mlflow.lock")):
            self._client = library.MlflowClient(tracking_uri=address)
            if run.id is not None:
                self.id = run.id
                self._client.set_terminated(self.id, status="RUNNING")
                return
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            found = self._client.get_experiment_by_name(name)
            experiment = found.experiment_id if found else self._client.create_experiment(name)
            self.id = self._client.create_run(experiment, run_name=run.name).info.run_id
        parameter = library.entities.Param
        self._client.log_batch(
            self.id,
            params=[
                parameter(name, _text(value)[:_VALUE_CHARACTERS])
                for name, value in flat(run.settings).items()
            ],
        )

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(name, float(value), now, step) for name, value in scalars.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def finish(self) -> None:
        self._client.set_terminated(self.id)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def start(run: TrackedRun) -> _Tracker:
    """Begin an MLflow run, or continue the one with this id."""
    return _Tracker(needed(PACKAGE, "mlflow"), run)
