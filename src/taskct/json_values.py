"""Values as JSON has them."""

import math

import numpy as np


def json_values(content: object) -> object:
    """The same content in JSON's own kinds: arrays and tuples as lists, what is not finite as None.

    Parameters
    ----------
    content
        Numbers, text, None, and dicts, lists, tuples and arrays of them.

    Examples
    --------
    >>> json_values({"auc": float("nan"), "bounds": (0.5, np.float64(1.0))})
    {'auc': None, 'bounds': [0.5, 1.0]}
    """
    if isinstance(content, dict):
        return {key: json_values(value) for key, value in content.items()}
    if isinstance(content, np.ndarray):
        content = content.tolist()
    if isinstance(content, list | tuple):
        return [json_values(value) for value in content]
    if isinstance(content, np.generic):
        content = content.item()
    return None if isinstance(content, float) and not math.isfinite(content) else content
