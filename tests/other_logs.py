"""What TensorBoard and MLflow show of trainings."""

from pathlib import Path
from typing import Any

import pytest


def shown_by_tensorboard(folder: Path, name: str) -> list[tuple[int, float]]:
    """Steps and values of a scalar."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="an extra")
    seen = events.EventAccumulator(str(folder))
    seen.Reload()
    return [(one.step, one.value) for one in seen.Scalars(name)]


def mlflow_runs() -> list[Any]:
    """All runs, where the environment says they are."""
    mlflow = pytest.importorskip("mlflow", reason="an extra")
    runs: list[Any] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return runs


def shown_by_mlflow(name: str) -> list[list[tuple[int, float]]]:
    """Steps and values of a metric in every run."""
    mlflow = pytest.importorskip("mlflow", reason="an extra")
    client = mlflow.MlflowClient()
    histories = [client.get_metric_history(run.info.run_id, name) for run in mlflow_runs()]
    return [[(one.step, one.value) for one in history] for history in histories]
