"""Tables as mappings of a column's name to an array, which `pandas.DataFrame` takes as they are."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError, unreadable

Columns = dict[str, NDArray[Any]]

WHOLE = ("seed", "trial", "case")
TRUE = ("1", "True", "true")


def read_columns(run: Path, name: str) -> Columns:
    """A CSV file of a run folder; a number that is missing is NaN.

    Raises
    ------
    UserError
        If it is missing or broken.
    """
    try:
        with (run / name).open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        return {column: _typed(column, cells) for column, cells in zip(header, zip(*rows, strict=True), strict=True)}
    except FileNotFoundError:
        raise UserError(f"{run / name} is missing: `taskct evaluate {run}` makes it") from None
    except OSError as error:
        raise unreadable(run / name, error) from error
    except (ValueError, csv.Error) as error:
        raise UserError(f"{run / name} is broken ({error}): `taskct evaluate {run}` makes it anew") from error


def _typed(column: str, cells: tuple[str, ...]) -> NDArray[Any]:
    if column == "signal_present":
        return np.array([cell in TRUE for cell in cells])
    try:
        numbers = np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return np.array(cells)
    return numbers.astype(np.int64) if column in WHOLE else numbers


def columns_of(rows: Iterable[Mapping[str, Any]]) -> Columns:
    """Columns from rows that all have the same keys; None is NaN."""
    listed = list(rows)
    return {key: np.array([np.nan if row[key] is None else row[key] for row in listed]) for key in listed[0]}
