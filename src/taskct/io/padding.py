"""Padding: what a scanner writes outside the field of view, where nothing was measured.

One rule for every format: what the file declares as padding, and constant values less than −1500 HU that reach the
border of a slice. Padding reads as air (−1000 HU). A noisy image may read less than air, but is not constant there; a
constant −1024 HU outside the field of view is as good as air and stays.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

AIR_HU = -1000.0
"""What padding reads as."""

PADDING_BELOW_HU = -1500.0
"""A noisy image may read less than air; what reads constantly less than this is padding (scanners write −2000 or −3024
HU)."""

MIN_PIXELS = 2

MIN_SHARE = 1e-3
"""Padding covers at least so many pixels in one piece, and this share of the slice; fewer equal values are noise."""


def find_padding(image_hu: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Mark where a slice, HU, `(height, width)`, holds padding that no header declares.

    >>> image = np.full((4, 4), 40.0)
    >>> image[0] = -2000.0
    >>> find_padding(image).sum(axis=1)
    array([4, 0, 0, 0])
    """
    padding = np.zeros(image_hu.shape, dtype=bool)
    border = np.concatenate([image_hu[0], image_hu[-1], image_hu[:, 0], image_hu[:, -1]])
    at_least = max(MIN_PIXELS, MIN_SHARE * image_hu.size)
    for value in np.unique(border[border < PADDING_BELOW_HU]):
        same = image_hu == value
        if np.count_nonzero(same) < at_least:
            continue
        pieces, n_pieces = ndimage.label(same)
        areas = np.bincount(pieces.ravel(), minlength=n_pieces + 1)
        outer = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
        padding |= np.isin(pieces, [piece for piece in outer if piece and areas[piece] >= at_least])
    return padding
