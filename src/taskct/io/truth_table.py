"""Read the truth of images from a CSV file: which hold a signal, where, and which case they came from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.files import read_truth_value
from taskct.io.csv_rows import check_delimiter, csv_rows
from taskct.literal import from_csv
from taskct.reading import read_text

_KNOWN = ("image", "versus", "signal_present", "row_px", "column_px", "case", "split")


@dataclass(frozen=True)
class Truth:
    """What is known of every image, in the order of the images."""

    signal_present: NDArray[np.bool_]
    """Shape `(n,)`."""
    centres_px: NDArray[np.float64] | None
    """Row and column of the signal's site (where it would be, in an absent image), shape `(n, 2)`; or None."""
    cases: NDArray[np.int64] | None
    """Number of the patient or phantom, shape `(n,)`; or None where every image is a case of its own."""
    in_test: NDArray[np.bool_] | None
    """Which images to test on, shape `(n,)`; or None where that is left to chance."""
    rows: NDArray[np.int64] | None = None
    """Row of the table that each image stands on, from 0, shape `(n,)`; or None without a table."""


def read_truth(path: Path, names: Sequence[str], *, versus: bool = False) -> Truth:
    """Read a truth table.

    Parameters
    ----------
    path
        CSV with a header. `image` (a file's name relative to the folder of the images, or the number from 0 of an image
        in a stack) and `signal_present` (1 or 0) must be there; `row_px` with `column_px`, `case`, and `split` (train
        or test) may be. `versus` names the counterpart of an image among those that it is compared with, if that is
        called otherwise. Other columns are passed over.
    names
        Of the images, from `taskct.io.image_stack.read_images`.
    versus
        Whether these are the images compared with, named in the column `versus` if there is one.

    Returns
    -------
    The truth in the order of `names`.

    Raises
    ------
    UserError
        If a column is missing or misspelt, a value cannot be read (with its line), an image has no line or two, or a
        line no image.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a CSV table with the columns image,signal_present")
    text = read_text(path, "a CSV table in UTF-8", "save it as CSV UTF-8, with the columns image,signal_present")
    table = csv_rows(path, text)
    at, columns = next(table, (1, []))
    check_delimiter(path, at, columns)
    _check_columns(path, columns)
    naming = "versus" if versus and "versus" in columns else "image"
    of_name = {name: index for index, name in enumerate(names)}
    # A stack is one file, so its images have numbers; a number is only looked up where no file is called like it.
    # Numbers of counterparts in files of their own would be those of their sorted names, which say nothing.
    numbered = not (versus and naming == "image") or all(name.endswith("]") for name in names)
    of_number = {str(index): index for index in range(len(names))} if numbered else {}
    found: dict[int, tuple[int, int, dict[str, str]]] = {}  # row, line and cells, by the image's number
    for number, (line, fields) in enumerate(table):
        if len(fields) != len(columns):
            raise UserError(
                f"{path}, line {line}: {len(fields)} fields; the header has {len(columns)}, and numbers a point"
            )
        cells = dict(zip(columns, fields, strict=True))
        name = cells[naming]
        index = of_name.get(name, of_name.get(from_csv(name), of_number.get(name)))
        if index is None:
            raise UserError(f"{path}, line {line}: no image {name!r}; the first image is {names[0]!r}")
        if index in found:
            raise UserError(f"{path}, line {line}: image {name!r} stands on line {found[index][1]} already")
        found[index] = number, line, cells
    missing = [name for index, name in enumerate(names) if index not in found]
    if missing:
        raise UserError(f"{path}: {len(missing)} of {len(names)} images have no line, the first is {missing[0]!r}")
    ordered = [found[index] for index in range(len(names))]

    def column(name: str, read: Callable[[str], float], wanted: str) -> list[float]:
        values = []
        for _, line, cells in ordered:
            text = cells[name]
            try:
                values.append(read(text))
            except (ValueError, KeyError):
                raise UserError(f"{path}, line {line}: {name} is {text!r}; give {wanted}") from None
        return values

    present = column("signal_present", read_truth_value, "1 (present) or 0 (absent)")
    centres = cases = in_test = None
    if "row_px" in columns:
        both = [column(name, _finite, "a finite number of pixels") for name in ("row_px", "column_px")]
        centres = np.array(both, dtype=np.float64).T
    if "case" in columns:
        named = [cells["case"] for _, _, cells in ordered]
        if "" in named:
            raise UserError(f"{path}, line {ordered[named.index('')][1]}: case is ''; give the name of a case")
        cases = np.unique(named, return_inverse=True)[1].astype(np.int64)
    if "split" in columns:
        split = {"train": False, "test": True}
        in_test = np.array(column("split", lambda text: split[text.lower()], "train or test"), dtype=np.bool_)
    order = np.array([number for number, _, _ in ordered], dtype=np.int64)
    return Truth(np.array(present, dtype=np.bool_), centres, cases, in_test, order)


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    for name in ("image", "signal_present"):
        if name not in columns:
            raise UserError(f"{path}: no column {name!r} in its header; give image,signal_present at least")
    for column in columns:  # others are the user's own, but a misspelt one would be lost without a word
        if column not in _KNOWN and (meant := get_close_matches(column, _KNOWN, n=1, cutoff=0.75)):
            raise UserError(f"{path}: a column is called {column!r}; if it is {meant[0]!r}, call it so, else rename it")
    if len(set(columns)) < len(columns):
        raise UserError(f"{path}: a column stands twice in its header")
    if ("row_px" in columns) != ("column_px" in columns):
        raise UserError(f"{path}: row_px and column_px go together; give both or neither")


def _finite(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError
    return value
