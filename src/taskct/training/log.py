"""The live log of a training: JSON lines always, TensorBoard or MLflow beside them."""

import importlib
import importlib.util
import json
import math
import time
from pathlib import Path
from typing import Any, Literal

from taskct.errors import UserError

Extra = Literal["none", "tensorboard", "mlflow"]

Ending = Literal["FINISHED", "FAILED", "KILLED"]
"""How a training ended, in MLflow's words."""

EXPERIMENT = "taskct"
"""MLflow's name of what the trainings are runs of."""

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""Schemes of an MLFLOW_TRACKING_URI that is a database."""

EVENTS, SUMMARIES = "tensorboard.compat.proto.event_pb2", "tensorboard.compat.proto.summary_pb2"
RECORDS = "tensorboard.summary.writer.record_writer"
"""Modules of TensorBoard."""


class TrainingLog:
    """Appends a JSON line to `path` for every epoch, and tells TensorBoard or MLflow if asked to.

    TensorBoard's events stand beside the file; MLflow writes to where MLFLOW_TRACKING_URI says, or beside it. A
    `UserError` if the package of `extra` is not installed, or the place that MLflow is to write to cannot be used.
    """

    def __init__(self, path: Path, *, extra: Extra = "none") -> None:
        check_extra(extra)
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._other = _Board(path) if extra == "tensorboard" else _MLflow(path) if extra == "mlflow" else _Other()

    @property
    def run_id(self) -> str | None:
        """What MLflow calls this training once an epoch is logged; None without MLflow. It goes into the state."""
        return self._other.run_id

    def resume(self, epoch: int, *, run_id: str | None = None) -> None:
        """Go on before an epoch, counted from 0: it and later ones come again. `run_id` is that of the state."""
        if self.path.is_file():
            lines = [line for line in self.path.read_text(encoding="utf-8").splitlines() if _epoch(line) < epoch]
            self.path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        self._other.resume(epoch, run_id)

    def write(self, epoch: int, values: dict[str, float]) -> None:
        """Add one epoch; a value that is not finite becomes null."""
        finite = {name: (value if math.isfinite(value) else None) for name, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch, **finite}) + "\n")
        self._other.write(epoch, {name: value for name, value in finite.items() if value is not None})

    def close(self, ending: Ending = "FINISHED") -> None:
        """End the log."""
        self._other.close(ending)


class _Other:
    """A log of another library; this one has none."""

    run_id: str | None = None

    def resume(self, epoch: int, run_id: str | None) -> None: ...

    def write(self, epoch: int, values: dict[str, float]) -> None: ...

    def close(self, ending: Ending) -> None: ...


class _Board(_Other):
    """TensorBoard's events, in a folder of the training's name."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent / "tensorboard" / path.stem
        self._first = 0
        self._file: Path | None = None
        self._proto, self._summary = _import(EVENTS, "tensorboard"), _import(SUMMARIES, "tensorboard")
        self._records = _import(RECORDS, "tensorboard")

    def resume(self, epoch: int, run_id: str | None) -> None:
        self._first = epoch

    def write(self, epoch: int, values: dict[str, float]) -> None:
        events: list[dict[str, object]] = []
        if self._file is None:
            goes_on = self._folder.is_dir()
            self._folder.mkdir(parents=True, exist_ok=True)
            # Named by the time alone, by which readers sort: TensorBoard's writer puts the machine's name there.
            self._file = self._folder / f"events.out.tfevents.{time.time_ns()}"
            events.append({"file_version": "brain.Event:2"})
            if goes_on:  # readers drop what earlier files hold of this step and later ones
                start = self._proto.SessionLog(status=self._proto.SessionLog.START)
                events.append({"step": self._first, "session_log": start})
        value = [self._summary.Summary.Value(tag=name, simple_value=one) for name, one in values.items()]
        events.append({"step": epoch, "summary": self._summary.Summary(value=value)})
        with self._file.open("ab") as file:  # closed each time, else a kill takes what was written last
            for event in events:
                written = self._proto.Event(wall_time=time.time(), **event).SerializeToString()
                self._records.RecordWriter(file).write(written)


class _MLflow(_Other):
    """A run of the experiment `taskct`, begun with the first epoch; a resumed training goes on in its own run.

    By a client of its own: nothing global is set, and the run does not name who ran it and where.
    """

    def __init__(self, path: Path) -> None:
        mlflow = _import("mlflow", "mlflow")
        self._name = path.stem
        self._error: type[Exception] = mlflow.exceptions.MlflowException
        self._known: set[tuple[str, int]] = set()  # names and epochs that the run has already
        uri = _tracking_uri(mlflow) or f"sqlite:///{(path.parent / 'mlflow.db').resolve()}"
        try:
            self._client = mlflow.MlflowClient(uri)
            self._experiment = self._find_experiment()
        except Exception as error:  # MLflow raises errors of its own, of its database and of the network
            raise UserError(
                f"training.log_to is mlflow, and nothing can be logged to {uri}: set MLFLOW_TRACKING_URI to a server "
                "(https://…) or a database (sqlite:///…), for files set MLFLOW_ALLOW_FILE_STORE=true as well, or leave "
                f"it with training.log_to=none; in its own words: {' '.join(str(error).split())[:200]}"
            ) from error

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            try:
                return str(self._client.create_experiment(EXPERIMENT))
            except self._error:  # another arm was faster
                found = self._client.get_experiment_by_name(EXPERIMENT)
                if found is None:
                    raise
        return str(found.experiment_id)

    def resume(self, epoch: int, run_id: str | None) -> None:
        if run_id is None:
            return
        try:
            run = self._client.get_run(run_id)
        except self._error:  # it is not there any more: what comes is a run of its own
            return
        if run.info.lifecycle_stage != "active":
            return
        self.run_id = run_id
        self._client.update_run(run_id, status="RUNNING")
        # MLflow keeps what it was told, and the same epoch gives the same values: they are not told twice.
        self._known = {
            (name, one.step) for name in run.data.metrics for one in self._client.get_metric_history(run_id, name)
        }

    def write(self, epoch: int, values: dict[str, float]) -> None:
        if self.run_id is None:
            self.run_id = str(self._client.create_run(self._experiment, run_name=self._name).info.run_id)
        for name, value in values.items():
            if (name, epoch) not in self._known:
                self._client.log_metric(self.run_id, name, value, step=epoch)

    def close(self, ending: Ending) -> None:
        if self.run_id is not None:
            self._client.set_terminated(self.run_id, status=ending)


def check_extra(extra: Extra) -> None:
    """Raise a `UserError` if a log's package is missing, or is MLflow's small one that cannot write to a database."""
    if extra == "tensorboard":
        _import(RECORDS, extra)
    elif extra == "mlflow":
        uri = _tracking_uri(_import("mlflow", extra)) or "sqlite:"
        if uri.partition(":")[0].partition("+")[0] in DATABASES and importlib.util.find_spec("alembic") is None:
            raise UserError(
                "training.log_to is mlflow, and the MLflow that is installed (mlflow-skinny?) lacks alembic to write "
                "to a database: pip install 'taskct[mlflow]', or set MLFLOW_TRACKING_URI to a server (https://…)"
            )


def _tracking_uri(mlflow: Any) -> str | None:  # noqa: ANN401 - an optional package
    """Where the user wants runs to be; None if nothing says so."""
    return str(mlflow.get_tracking_uri()) if mlflow.is_tracking_uri_set() else None


def _epoch(line: str) -> float:
    """The epoch of a line; a line that was cut short by a kill is dropped."""
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.inf


def _import(module: str, extra: str) -> Any:  # noqa: ANN401 - an optional package
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"training.log_to is {extra}, whose package is not installed ({error}): pip install 'taskct[{extra}]', or "
            "set training.log_to=none"
        ) from error
