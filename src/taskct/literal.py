"""Text that comes from files and names, shown as it is: it never acts on a terminal, a table or a figure.

What the file calls a reader, an observer or a series is anybody's text. HTML is escaped by its templates.
"""

import unicodedata

_ACTING = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories of characters that are not seen but act: control, direction, halves of a pair, unassigned, line
ends."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def shown(text: str) -> str:
    r"""The text with characters that act rather than show (control, direction, line ends) written as escapes.

    >>> shown("FBP \x1b[31m [low]"), shown("liver")
    ('FBP \\x1b[31m [low]', 'liver')
    """
    if text.isprintable():  # the common case; a blank counts as printable
        return text
    return "".join(
        one.encode("unicode_escape").decode("ascii") if unicodedata.category(one) in _ACTING else one for one in text
    )


def csv_text(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: after an apostrophe where it would.

    `from_csv` takes it away again.

    >>> csv_text("=SUM(A1)"), csv_text("liver")
    ("'=SUM(A1)", 'liver')
    """
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def from_csv(cell: str) -> str:
    """The text that `csv_text` made a cell of.

    >>> from_csv("'=SUM(A1)"), from_csv("'tis"), from_csv(csv_text("'-1"))
    ('=SUM(A1)', "'tis", "'-1")
    """
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell


def figure_text(text: str) -> str:
    r"""The text as a figure draws it: a dollar sign is one, and begins no formula.

    >>> figure_text("$5 a scan")
    '\\$5 a scan'
    """
    return shown(text).replace("$", r"\$")
