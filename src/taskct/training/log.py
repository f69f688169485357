"""The live log of a training: JSON lines always, TensorBoard or MLflow beside them."""

import importlib
import json
import math
from pathlib import Path
from typing import Any, Literal

from taskct.errors import UserError

Extra = Literal["none", "tensorboard", "mlflow"]


class TrainingLog:
    """Appends a JSON line for every epoch, and tells TensorBoard or MLflow if asked to.

    Parameters
    ----------
    path
        The file, `NAME.jsonl`; made if it is missing.
    extra
        "tensorboard" writes its events beside the file; "mlflow" to where MLFLOW_TRACKING_URI says, or beside it.

    Raises
    ------
    UserError
        If the package of `extra` is not installed.
    """

    def __init__(self, path: Path, *, extra: Extra = "none") -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._board: Any = None
        self._mlflow: Any = None
        if extra == "tensorboard":
            module = _import("torch.utils.tensorboard", extra)
            self._board = module.SummaryWriter(str(path.parent / "tensorboard" / path.stem))
        elif extra == "mlflow":
            self._mlflow = _import("mlflow", extra)
            if not self._mlflow.is_tracking_uri_set():
                self._mlflow.set_tracking_uri(f"sqlite:///{(path.parent / 'mlflow.db').resolve()}")
            self._mlflow.set_experiment("taskct")
            self._mlflow.start_run(run_name=path.stem)

    def resume(self, epoch: int) -> None:
        """Forget what stands there of this epoch, counted from 0, and later ones: they will come again."""
        if self.path.is_file():
            lines = [line for line in self.path.read_text(encoding="utf-8").splitlines() if _epoch(line) < epoch]
            self.path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    def write(self, epoch: int, values: dict[str, float]) -> None:
        """Add one epoch; a value that is not finite becomes null."""
        finite = {name: (value if math.isfinite(value) else None) for name, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch, **finite}) + "\n")
        for name, value in finite.items():
            if value is None:
                continue
            if self._board is not None:
                self._board.add_scalar(name, value, epoch)
            if self._mlflow is not None:
                self._mlflow.log_metric(name, value, step=epoch)

    def close(self) -> None:
        """End the log."""
        if self._board is not None:
            self._board.close()
        if self._mlflow is not None:
            self._mlflow.end_run()


def _epoch(line: str) -> float:
    """The epoch of a line; a line that was cut short by a kill is dropped."""
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _import(module: str, extra: str) -> Any:  # noqa: ANN401 - an optional package
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"training.log_to is {extra}, whose package is not installed ({error}): pip install 'taskct[{extra}]', or "
            "set training.log_to=none"
        ) from error
