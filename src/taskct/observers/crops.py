"""Windows around known sites, for signals whose place varies (SKS with random sites).

There are three ways to observe such images:

- *centred*: the site is given. Every image is cropped around its site with `centred_crops`, a signal-absent
  image around a site drawn from the same distribution, and an ordinary observer is fitted on the crops.
- *scanning*: the site is searched. `taskct.observers.scanning.Scanning` takes an observer fitted on centred
  crops to every candidate site.
- *whole*: an ordinary observer sees the whole region. A linear observer then has to use one template for all
  sites and sees little.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from taskct.errors import UserError


def centred_crops(
    images: NDArray[np.floating], centres_px: NDArray[np.number], *, size_px: int
) -> NDArray[np.floating]:
    """Square windows around one site of each image, HU, `(n_trials, size_px, size_px)`; nothing is interpolated.

    The site is pixel `size_px // 2` of the window in both directions: the middle one of an odd size, the one below and
    to the right of the middle of an even size.

    Parameters
    ----------
    images
        HU, shape `(n_trials, height, width)`.
    centres_px
        Site of each image, (row, column) of a pixel's middle, shape `(n_trials, 2)`. Between pixels the nearest one is
        taken (halves go down and to the right).
    size_px
        Side of the window, pixels.

    Raises
    ------
    UserError, ValueError
        If the window is larger than the image or leaves it, shapes do not match, or a site is not finite.

    Examples
    --------
    >>> image = np.arange(20.0).reshape(1, 4, 5)
    >>> centred_crops(image, np.array([[1, 2]]), size_px=3)[0].tolist()
    [[1.0, 2.0, 3.0], [6.0, 7.0, 8.0], [11.0, 12.0, 13.0]]
    """
    images = np.asarray(images)
    if images.ndim != 3:
        raise ValueError(f"images must have shape (n_trials, height, width), not {images.shape}")
    centres = pixels_of(centres_px)
    if len(centres) != len(images):
        raise ValueError(f"{len(centres)} sites for {len(images)} images")
    corners = window_corners(centres, images.shape[1:], size_px)
    windows = sliding_window_view(images, (size_px, size_px), axis=(1, 2))
    return windows[np.arange(len(images)), corners[:, 0], corners[:, 1]]


def pixels_of(sites_px: NDArray[np.number]) -> NDArray[np.intp]:
    """Nearest pixels of sites, (row, column), shape `(n, 2)`; a ValueError if that is not what they are."""
    sites = np.asarray(sites_px, dtype=np.float64)
    if sites.ndim != 2 or sites.shape[1] != 2 or not np.isfinite(sites).all():
        raise ValueError(f"sites must be finite (row, column) pairs of shape (n, 2); the shape is {sites.shape}")
    return np.floor(sites + 0.5).astype(np.intp)


def window_corners(centres: NDArray[np.intp], shape: tuple[int, ...], size_px: int) -> NDArray[np.intp]:
    """First row and column, `(n, 2)`, of the window around each centre; a `UserError` names one that does not fit."""
    if not 1 <= size_px <= min(shape):
        raise UserError(f"the window is {size_px} pixels wide; images of {shape} allow 1 to {min(shape)}")
    corners = centres - size_px // 2
    outside = ((corners < 0) | (corners > np.array(shape) - size_px)).any(axis=1)
    if outside.any():
        trial = int(outside.argmax())
        low, (row, column) = size_px // 2, (n - size_px + size_px // 2 for n in shape)
        raise UserError(
            f"the {size_px}-pixel window around site {trial}, pixel {tuple(centres[trial].tolist())}, leaves its "
            f"image ({outside.sum()} of {len(centres)} do): rows {low} to {row} and columns {low} to {column} "
            "are allowed; give a smaller window or larger images"
        )
    return corners
