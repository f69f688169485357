"""Numbers that users chose, as text that names them."""


def setting_text(value: float) -> str:
    """Write a number short, but so that no other number is written alike.

    Six digits where they say all, else as many as it takes: what stands in names, files and tables must not read as a
    neighbouring setting.

    Parameters
    ----------
    value
        A setting.

    Returns
    -------
    Text that reads back as the same number.

    Examples
    --------
    >>> setting_text(0.7), setting_text(0.0), setting_text(0.9999999), setting_text(0.9500001)
    ('0.7', '0', '0.9999999', '0.9500001')
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
