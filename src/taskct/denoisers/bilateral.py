"""The bilateral filter."""

import math

import numpy as np
from numpy.typing import NDArray

REACH = 2  # standard deviations to which the window reaches

Image = NDArray[np.float64]


def filter_bilateral(image: Image, *, value_std: float, distance_std: float) -> Image:
    """Average every pixel's neighbours by a Gaussian of their distance times one of the difference of their values.

    Our own, since the spatial weights of scikit-image's (0.26) are those of a table one row and one column too large,
    so that its averages lie beside the pixel: `findings/scikit-image-bilateral.sh` shows it.

    Parameters
    ----------
    image
        Shape `(height, width)`, any unit; mirrored at its rim, the outermost pixel included.
    value_std
        Standard deviation over values, positive, in the image's unit.
    distance_std
        Standard deviation over distance, positive, pixels; the square window reaches to twice that.

    References
    ----------
    .. [1] Tomasi, Manduchi, "Bilateral filtering for gray and color images", ICCV 1998, 839.
    """
    reach = math.ceil(REACH * distance_std)
    height, width = image.shape
    padded = np.pad(image, reach, mode="symmetric")
    total, weights = np.zeros_like(image), np.zeros_like(image)
    axis = range(-reach, reach + 1)
    for down in axis:
        for right in axis:
            other = padded[reach + down : reach + down + height, reach + right : reach + right + width]
            exponent = ((other - image) / value_std) ** 2
            exponent += (down**2 + right**2) / distance_std**2
            weight = np.exp(-0.5 * exponent)
            total += weight * other
            weights += weight
    return total / weights
