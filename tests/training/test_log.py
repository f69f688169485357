"""The live log: lines that a reader can follow, also over a kill, and the extras beside them."""

import importlib.util
import json
import math
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from other_logs import mlflow_runs, shown_by_mlflow, shown_by_tensorboard
from taskct.errors import UserError
from taskct.training.log import RECORDS, TrainingLog


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


def test_tensorboard_is_told_and_its_files_do_not_name_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "console-of-ward-seven")
    log = TrainingLog(tmp_path / "arm.jsonl", extra="tensorboard")
    log.write(0, {"rmse_hu": 4.5, "task": math.nan})
    log.close()
    assert shown_by_tensorboard(tmp_path / "tensorboard" / "arm", "rmse_hu") == [(0, 4.5)]
    (file,) = (tmp_path / "tensorboard" / "arm").iterdir()
    assert b"console-of-ward-seven" not in file.read_bytes()
    assert "console-of-ward-seven" not in file.name


@pytest.mark.parametrize("first", [0, 2])
def test_a_resumed_training_stands_once_in_tensorboard(tmp_path: Path, first: int) -> None:
    """What was logged after the last state, and all of a training that begins anew, is shown no more."""
    for start, offset in ((0, 0.0), (first, 0.5)):
        log = TrainingLog(tmp_path / "arm.jsonl", extra="tensorboard")
        log.resume(start)
        for epoch in range(start, 4):
            log.write(epoch, {"rmse_hu": epoch + offset})  # and the kill: it is not closed
    expected = [(epoch, float(epoch)) for epoch in range(first)] + [(epoch, epoch + 0.5) for epoch in range(first, 4)]
    assert shown_by_tensorboard(tmp_path / "tensorboard" / "arm", "rmse_hu") == expected


def test_a_training_that_has_ended_leaves_tensorboard_as_it_is(tmp_path: Path) -> None:
    for first in (0, 3):
        log = TrainingLog(tmp_path / "arm.jsonl", extra="tensorboard")
        log.resume(first)
        for epoch in range(first, 3):
            log.write(epoch, {"rmse_hu": float(epoch)})
        log.close()
    assert len(list((tmp_path / "tensorboard" / "arm").iterdir())) == 1


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """MLflow on files: the small package that the tests have writes to no database."""
    module = pytest.importorskip("mlflow", reason="an extra")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        yield module


def test_mlflow_is_told(tmp_path: Path, mlflow: Any) -> None:
    log = TrainingLog(tmp_path / "arm.jsonl", extra="mlflow")
    log.resume(0)
    log.write(0, {"rmse_hu": 4.5, "task": math.nan})
    log.write(1, {"rmse_hu": 4.0, "task": 0.9})
    log.close()
    (run,) = mlflow_runs()
    assert (run.info.run_name, run.info.status) == ("arm", "FINISHED")
    assert run.data.metrics == {"rmse_hu": 4.0, "task": 0.9}
    assert shown_by_mlflow("rmse_hu") == [[(0, 4.5), (1, 4.0)]]
    # Neither who trained nor where: no name of a user, a host or a file.
    assert run.data.tags == {"mlflow.runName": "arm"}


def test_a_resumed_training_goes_on_in_its_mlflow_run(tmp_path: Path, mlflow: Any) -> None:
    """Told of epochs 0 to 2 and killed, with a state of epoch 1: no second run, and no epoch twice."""
    log = TrainingLog(tmp_path / "arm.jsonl", extra="mlflow")
    log.resume(0)
    for epoch in range(3):
        log.write(epoch, {"rmse_hu": 4.0 - epoch})
    again = TrainingLog(tmp_path / "arm.jsonl", extra="mlflow")
    again.resume(1, run_id=log.run_id)
    for epoch in range(1, 5):
        again.write(epoch, {"rmse_hu": 4.0 - epoch})
    again.close()
    (run,) = mlflow_runs()
    assert shown_by_mlflow("rmse_hu") == [[(epoch, 4.0 - epoch) for epoch in range(5)]]
    assert run.info.status == "FINISHED"


def test_a_training_that_begins_is_a_run_of_its_own(tmp_path: Path, mlflow: Any) -> None:
    """So is one whose run was deleted meanwhile; and one that had ended makes none."""
    log = TrainingLog(tmp_path / "arm.jsonl", extra="mlflow")
    log.write(0, {"rmse_hu": 4.0})
    log.close("FAILED")
    mlflow.MlflowClient().delete_run(log.run_id)
    for run_id in (None, log.run_id, "0" * 32):
        another = TrainingLog(tmp_path / "arm.jsonl", extra="mlflow")
        another.resume(0, run_id=run_id)
        another.write(0, {"rmse_hu": 3.0})
        another.close("KILLED")
        ended = TrainingLog(tmp_path / "arm.jsonl", extra="mlflow")
        ended.resume(1, run_id=another.run_id)
        ended.close()
    assert [run.info.status for run in mlflow_runs()] == ["FINISHED"] * 3


def test_each_folder_keeps_its_own_mlflow_runs(tmp_path: Path, mlflow: Any) -> None:
    """A log sets nothing for the whole process: what comes from the environment stays."""
    before = mlflow.get_tracking_uri()
    log = TrainingLog(tmp_path / "arm.jsonl", extra="mlflow")
    log.write(0, {"rmse_hu": 4.0})
    assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() == before


def test_the_small_mlflow_and_a_database_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="an extra")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(mlflow, "is_tracking_uri_set", lambda: False)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "alembic" else found(name))
    with pytest.raises(
        UserError, match=r"mlflow-skinny.* lacks alembic to write to a database: pip install 'taskct\[mlflow\]'"
    ):
        TrainingLog(tmp_path / "arm.jsonl", extra="mlflow")


def test_a_place_that_mlflow_refuses_is_one_clear_line(
    tmp_path: Path, mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "file").as_uri())
    with pytest.raises(
        UserError, match=r"nothing can be logged to file:.*MLFLOW_ALLOW_FILE_STORE.*in its own words"
    ) as caught:
        TrainingLog(tmp_path / "arm.jsonl", extra="mlflow")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extra", ["tensorboard", "mlflow"])
def test_an_extra_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    monkeypatch.setitem(sys.modules, "mlflow" if extra == "mlflow" else RECORDS, None)
    with pytest.raises(UserError, match=rf"pip install 'taskct\[{extra}\]'") as caught:
        TrainingLog(tmp_path / "arm.jsonl", extra=extra)  # type: ignore[arg-type]  # one of its literals
    assert "\n" not in str(caught.value)
