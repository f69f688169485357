"""The live log: lines that a reader can follow, also over a kill, and the extras beside them."""

import json
import math
import sys
import warnings
from pathlib import Path

import pytest

from taskct.errors import UserError
from taskct.training.log import TrainingLog


def lines(path: Path) -> list[dict[str, float | None]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_for_every_epoch(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "logs" / "arm.jsonl")
    log.write(0, {"rmse_hu": 0.1 + 0.2, "task": math.nan})
    log.write(1, {"rmse_hu": 4.0, "task": 0.9})
    expected = [{"epoch": 0, "rmse_hu": 0.1 + 0.2, "task": None}, {"epoch": 1, "rmse_hu": 4.0, "task": 0.9}]
    assert lines(log.path) == expected


def test_a_resumed_training_takes_back_what_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "arm.jsonl"
    log = TrainingLog(path)
    for epoch in range(3):
        log.write(epoch, {"rmse_hu": float(epoch)})
    with path.open("a") as file:
        file.write('{"epoch": 3, "rms')  # the kill
    again = TrainingLog(path)
    again.resume(2)
    again.write(2, {"rmse_hu": 2.5})
    assert [(line["epoch"], line["rmse_hu"]) for line in lines(path)] == [(0, 0.0), (1, 1.0), (2, 2.5)]


def test_tensorboard_is_told(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="an extra")
    log = TrainingLog(tmp_path / "arm.jsonl", extra="tensorboard")
    log.write(0, {"rmse_hu": 4.5, "task": math.nan})
    log.close()
    seen = events.EventAccumulator(str(tmp_path / "tensorboard" / "arm"))
    seen.Reload()
    assert seen.Tags()["scalars"] == ["rmse_hu"]
    assert seen.Scalars("rmse_hu")[0].value == 4.5


def test_mlflow_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="an extra")
    # Files in place of a database: the small package that the tests have comes without one.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        log = TrainingLog(tmp_path / "arm.jsonl", extra="mlflow")
        log.write(0, {"rmse_hu": 4.5, "task": math.nan})
        log.write(1, {"rmse_hu": 4.0, "task": 0.9})
        log.close()
        (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
        history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "rmse_hu")
    assert run.info.run_name == "arm"
    assert run.data.metrics == {"rmse_hu": 4.0, "task": 0.9}
    assert [(one.step, one.value) for one in history] == [(0, 4.5), (1, 4.0)]


@pytest.mark.parametrize("extra", ["tensorboard", "mlflow"])
def test_an_extra_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard" if extra == "tensorboard" else "mlflow", None)
    with pytest.raises(UserError, match=rf"pip install 'taskct\[{extra}\]'") as caught:
        TrainingLog(tmp_path / "arm.jsonl", extra=extra)  # type: ignore[arg-type]  # one of its literals
    assert "\n" not in str(caught.value)
