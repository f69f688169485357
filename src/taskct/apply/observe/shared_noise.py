"""Whether two sets of images are the same scans: one scan, imaged twice, has its noise in both."""

import math

import numpy as np
from numpy.typing import NDArray

from taskct.io.stored_images import StoredImages

_OF_A_CLASS = 32  # images that are looked at
_FEWEST = 3  # below which a mean of the class takes too much of the noise away
_SMALL, _STD_ERRORS = 0.05, 3.0


def other_scans(first: StoredImages, second: StoredImages, signal_present: NDArray[np.bool_]) -> float | None:
    """Mean correlation of the noise of paired images where it is not told from 0; None where they share noise.

    Noise is what an image has over the mean of some of its class. The correlation is not told from 0 where it is below
    0.05 and below three standard errors over the pairs. Images whose structure differs from case to case share that.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> one, other = (StoredImages([rng.normal(size=(40, 16, 16)).astype(np.float32)]) for _ in range(2))
    >>> present = np.arange(40) < 20
    >>> other_scans(one, one, present), abs(other_scans(one, other, present)) < 0.05
    (None, True)
    """
    correlations: list[float] = []
    for of_class in (True, False):
        members = np.flatnonzero(signal_present == of_class)
        if len(members) < _FEWEST:
            continue
        some = members[np.linspace(0, len(members) - 1, min(len(members), _OF_A_CLASS)).astype(int)]
        noise = []
        for images in (first, second):
            seen = images[some].reshape(len(some), -1).astype(np.float64)
            seen -= seen.mean(axis=0)
            noise.append(seen - seen.mean(axis=1, keepdims=True))
        size = np.sqrt((noise[0] ** 2).sum(axis=1) * (noise[1] ** 2).sum(axis=1))
        known = size > 0.0
        correlations += ((noise[0] * noise[1]).sum(axis=1)[known] / size[known]).tolist()
    if len(correlations) < 2 * _FEWEST:
        return None
    mean = float(np.mean(correlations))
    std_error = float(np.std(correlations, ddof=1)) / math.sqrt(len(correlations))
    return mean if mean < min(_SMALL, _STD_ERRORS * std_error) else None
