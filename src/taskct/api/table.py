"""Tables as mappings of a column's name to an array, which `pandas.DataFrame` takes as they are."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.files import read_truth_value
from taskct.io.csv_rows import csv_rows
from taskct.literal import from_csv
from taskct.reading import read_text, reading

Columns = dict[str, NDArray[Any]]

WHOLE = ("seed", "trial", "case")


def read_columns(run: Path, name: str) -> Columns:
    """A CSV file of a run folder; a number that is missing is NaN.

    Raises
    ------
    UserError
        If it is missing or broken.
    """
    path, advice = run / name, f"`taskct evaluate {run}` makes it anew"
    if not path.exists():
        raise UserError(f"{path} is missing: `taskct evaluate {run}` makes it")
    text = read_text(path, "a table", advice)
    with reading(path, "a table", advice):
        header, *rows = (fields for _, fields in csv_rows(path, text))
        if len(set(header)) < len(header):
            raise ValueError("a column stands twice in the header")
        return {column: _typed(column, cells) for column, cells in zip(header, zip(*rows, strict=True), strict=True)}


def _typed(column: str, cells: tuple[str, ...]) -> NDArray[Any]:
    if column == "signal_present":
        return np.array([read_truth_value(cell) for cell in cells])
    try:
        numbers = np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return np.array([from_csv(cell) for cell in cells])
    return numbers.astype(np.int64) if column in WHOLE else numbers


def columns_of(rows: Iterable[Mapping[str, Any]]) -> Columns:
    """Columns from rows that all have the same keys; None is NaN."""
    listed = list(rows)
    return {key: np.array([np.nan if row[key] is None else row[key] for row in listed]) for key in listed[0]}
