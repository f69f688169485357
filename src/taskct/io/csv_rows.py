"""Rows of a table of text with commas between its columns; what else there may be between them is named."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from taskct.errors import UserError

DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What other programs put between columns, in words."""


def csv_rows(path: Path, text: str, *, first: int = 1, in_one_line: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Fields of each row that is not blank, without white space around them, with the number of its first line.

    Parameters
    ----------
    path
        What messages call the table.
    text
        Its rows; the first has the line number `first`.
    in_one_line
        Whether a quoted field may hold no line break.

    Raises
    ------
    UserError
        For a zero byte and for a quotation mark that is not closed, with the line.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    reader = csv.reader((f"{line}\n" for line in lines), skipinitialspace=True, strict=True)
    before = 0
    try:
        for fields in reader:
            if in_one_line and reader.line_num > before + 1:
                raise UserError(f"{path}, line {first + before}: a quotation mark that is not closed; close it")
            if any("\0" in field for field in fields):
                raise UserError(f"{path}, line {first + before}: a zero byte; give a table of text")
            if any(field.strip() for field in fields):
                yield first + before, [field.strip() for field in fields]
            before = reader.line_num
    except csv.Error as error:
        raise UserError(
            f"{path}, line {first + before}: a quotation mark that is not closed or not doubled, or a value of more "
            f"than {csv.field_size_limit()} characters; mend it"
        ) from error


def check_delimiter(path: Path, line: int, fields: Iterable[str]) -> None:
    """Refuse a row whose columns have something other than commas between them, and name it."""
    fields = list(fields)
    for mark, word in DELIMITERS.items():
        if sum(field.count(mark) for field in fields) >= len(fields) > 0 and len(fields) < 3:
            raise UserError(
                f"{path}, line {line}: there are {word} between the columns; save it with commas between them and a "
                "point in its numbers"
            )
