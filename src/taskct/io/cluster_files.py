"""Read which cases belong together: of one patient, or on one background."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.io.csv_rows import check_delimiter, csv_rows
from taskct.literal import from_csv
from taskct.reading import read_text

_COLUMNS = ("case", "cluster")


def read_clusters(path: Path, cases: Sequence[str]) -> NDArray[np.intp]:
    """Cluster of every case, from a CSV table.

    Parameters
    ----------
    path
        Its header names `case` and `cluster`, numbers or text; other columns are passed over, and so are other cases.
    cases
        Names of the cases. As in `.imrmc` files, names that differ in white space alone are the same.

    Returns
    -------
    Number of the cluster of each case, from 0 in the order of `cases`, shape `(n_cases,)`.

    Raises
    ------
    UserError
        If the table cannot be read, a line is wrong (with its number), a case has no cluster or two, or all are one.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a CSV table with the columns case,cluster")
    rows = csv_rows(path, read_text(path, "a table of clusters", "give a CSV table with the columns case,cluster"))
    at_line, header = next(rows, (1, []))
    check_delimiter(path, at_line, header)
    if missing := [column for column in _COLUMNS if header.count(column) != 1]:
        raise UserError(f"{path}: the header must hold {missing[0]!r} once; give {','.join(_COLUMNS)}")
    at = [header.index(column) for column in _COLUMNS]
    found: dict[str, tuple[str, int]] = {}
    for line, fields in rows:
        if len(fields) != len(header):
            raise UserError(f"{path}, line {line}: {len(fields)} fields; the header has {len(header)}")
        case, cluster = (from_csv(fields[index]) for index in at)
        for kind, name in (("case", case), ("cluster", cluster)):
            if not name:
                raise UserError(f"{path}, line {line}: the {kind} is empty; give it a name")
        earlier, first = found.setdefault(_squeezed(case), (cluster, line))
        if earlier != cluster:
            raise UserError(
                f"{path}, line {line}: case {case!r} has another cluster than on line {first}; give each case one"
            )
    if lacking := [case for case in cases if _squeezed(case) not in found]:
        raise UserError(
            f"{path}: no line for case {lacking[0]!r} ({len(lacking)} cases lack one); give the cluster of every case"
        )
    return numbered(path, [found[_squeezed(case)][0] for case in cases])


def numbered(path: Path, labels: Sequence[str]) -> NDArray[np.intp]:
    """Clusters of cases as numbers from 0 in the order in which they occur; a UserError, if there is but one."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    if len(numbers) < 2:
        raise UserError(f"{path}: all cases are of one cluster, so that nothing can be said of others; give at least 2")
    return np.array([numbers[label] for label in labels], dtype=np.intp)


def _squeezed(name: str) -> str:
    return "".join(name.split())
