"""Names of files made from settings, which may be as long as a user's values are: bounded, and still one a name."""

import hashlib

MAX_BYTES = 180
"""Longest name kept as it is: file systems allow 255 bytes, and `.last-good.safetensors.partial` comes after."""

KEPT_BYTES = 150


def bounded(text: str, name: str) -> str:
    """A file name as it is, or its beginning and a digest of what it stands for where it is too long.

    Parameters
    ----------
    text
        The file name, without its ending.
    name
        What it stands for. Two names never share a file, whatever characters a file name cannot have.

    Examples
    --------
    >>> bounded("lambda=0.9_seed=0", "lambda=0.9 seed=0")
    'lambda=0.9_seed=0'
    >>> len(bounded("n" * 500, "n" * 500))
    167
    """
    raw = text.encode("utf-8")
    if len(raw) <= MAX_BYTES:
        return text
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:16]
    return f"{raw[:KEPT_BYTES].decode('utf-8', 'ignore')}~{digest}"
