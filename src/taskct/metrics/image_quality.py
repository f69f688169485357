"""Image quality for each trial, on images in HU: MSE, PSNR, SSIM and the bias at the signal site."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_BATCH_PIXELS = 2**18  # 64 images of 64², one of 512²
SSIM_WINDOW = 11  # pixels, of the Gaussian
SSIM_SIGMA = 1.5  # pixels
UNIFORM_WINDOW = 7  # pixels


def mse_hu2(denoised: NDArray[np.floating], reference: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean squared error of each trial, HU², shape `(n,)`.

    Parameters
    ----------
    denoised, reference
        Images in HU, shape `(n, height, width)`, finite, or a ValueError.

    Examples
    --------
    >>> mse_hu2(np.full((2, 4, 4), 3.0), np.zeros((2, 4, 4)))
    array([9., 9.])
    """
    _check_images(denoised, reference)
    result = np.empty(len(denoised))
    for batch in _batches(denoised):
        difference = denoised[batch].astype(np.float64) - reference[batch]
        result[batch] = np.mean(difference**2, axis=(1, 2))
    return result


def rmse_hu(mse_per_trial: NDArray[np.floating]) -> float:
    """Root-mean-square error over all pixels of all trials, HU.

    The mean is taken first: this is not the mean of the trials' RMSEs.

    Parameters
    ----------
    mse_per_trial
        From `mse_hu2`, HU², shape `(n,)`, at least one; a ValueError if one is negative or not finite.

    Examples
    --------
    >>> rmse_hu(np.array([0.0, 50.0]))
    5.0
    """
    mse = np.asarray(mse_per_trial, dtype=np.float64)
    if mse.ndim != 1 or len(mse) == 0 or not np.isfinite(mse).all() or (mse < 0.0).any():
        raise ValueError("the MSE must be one finite number ≥ 0 for each trial, and at least one trial")
    return math.sqrt(mse.mean())


def psnr_db(
    denoised: NDArray[np.floating], reference: NDArray[np.floating], *, data_range_hu: float
) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each trial: 10 log10(data_range_hu² / MSE).

    Parameters
    ----------
    denoised, reference
        Images in HU, shape `(n, height, width)`, finite, or a ValueError.
    data_range_hu
        What counts as the peak, HU, above 0. It is a convention: quote it with the number, and never take it from the
        images, or trials cannot be compared.

    Returns
    -------
    PSNR, dB, shape `(n,)`; infinite for equal images.

    Examples
    --------
    >>> psnr_db(np.full((1, 4, 4), 10.0), np.zeros((1, 4, 4)), data_range_hu=1000.0)
    array([40.])
    """
    _check_range(data_range_hu)
    with np.errstate(divide="ignore"):  # equal images: the infinity is the answer
        return 20.0 * math.log10(data_range_hu) - 10.0 * np.log10(mse_hu2(denoised, reference))


def ssim(
    denoised: NDArray[np.floating], reference: NDArray[np.floating], *, data_range_hu: float, low_hu: float
) -> NDArray[np.float64]:
    """Structural similarity of each trial [1]_, shape `(n,)`, at most 1 (equal images).

    Parameters
    ----------
    denoised, reference
        Images in HU, shape `(n, height, width)`, at least 11 × 11 pixels, finite, or a ValueError.
    data_range_hu
        Dynamic range L in the constants (0.01 L)² and (0.03 L)², HU, above 0. Quote it with the number.
    low_hu
        The HU value that counts as intensity 0, the low end of the data range. SSIM compares local means by their
        ratio, so it needs a zero. Values outside the range are kept as they are.

    Notes
    -----
    Gaussian window of 11 × 11 pixels with σ = 1.5 pixels, population covariances; the image is reflected at its border,
    and the border counts.

    References
    ----------
    .. [1] Wang et al., IEEE Trans. Image Process. 13, 600 (2004).

    Examples
    --------
    >>> image = np.arange(256.0).reshape(1, 16, 16)
    >>> ssim(image, image, data_range_hu=1000.0, low_hu=0.0).round(6)
    array([1.])
    """
    return similarity(denoised, reference, data_range_hu=data_range_hu, low_hu=low_hu, window=STUDY_WINDOW)


@dataclass(frozen=True)
class Window:
    """Over what SSIM takes its local means, variances and covariance."""

    kernel: Literal["gaussian", "uniform"]
    """A Gaussian of 11 × 11 pixels with σ = 1.5 pixels, or 7 × 7 pixels of one weight."""
    border: Literal["mirrored", "zero", "cropped"]
    """How it goes on beyond the image: mirrored about the outermost pixel, with intensity 0, or not at all; only
    windows that lie within the image count then."""
    sample_covariance: bool = False
    """Whether variances and covariance are those of a sample, n/(n − 1) times those of a population."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """Along one axis, `(n,)`; their sum is 1."""
        if self.kernel == "uniform":
            return np.full(UNIFORM_WINDOW, 1.0 / UNIFORM_WINDOW)
        offset = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
        weights = np.exp(-0.5 * (offset / SSIM_SIGMA) ** 2)
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def averages(self, n: int) -> NDArray[np.float32]:
        """Weights about every pixel of an axis of n, `(n, n)`, or `(n − window + 1, n)` where the border is cropped.

        As a matrix product, a filter of a few dozen pixels is several times as fast as a convolution.
        """
        weights = self.weights
        # "mirror" reflects about the middle of the outermost pixel.
        mode: Literal["mirror", "constant"] = "mirror" if self.border == "mirrored" else "constant"
        matrix = ndimage.correlate1d(np.eye(n), weights, axis=0, mode=mode)
        if self.border == "cropped":
            half = len(weights) // 2
            matrix = matrix[half : n - half]
        return np.asarray(matrix, dtype=np.float32)


STUDY_WINDOW = Window("gaussian", "mirrored")
"""Of `ssim`."""


def similarity(
    denoised: NDArray[np.floating],
    reference: NDArray[np.floating],
    *,
    data_range_hu: float,
    low_hu: float,
    window: Window,
) -> NDArray[np.float64]:
    """SSIM of each trial over a window of one's choice, shape `(n,)`; else as `ssim`, with its errors.

    Examples
    --------
    >>> image = np.arange(256.0).reshape(1, 16, 16)
    >>> similarity(image, image, data_range_hu=400.0, low_hu=0.0, window=Window("uniform", "cropped", True)).round(6)
    array([1.])
    """
    _check_range(data_range_hu)
    _check_images(denoised, reference)
    n_weights = len(window.weights)
    if min(denoised.shape[1:]) < n_weights:
        raise ValueError(
            f"SSIM needs images of at least {n_weights} × {n_weights} pixels; they are {denoised.shape[1:]}"
        )
    down, across = (window.averages(n) for n in denoised.shape[1:])

    def average(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(down @ images @ across.T, dtype=np.float32)

    c1, c2 = np.float32(0.01**2), np.float32(0.03**2)
    bias = np.float32(n_weights**2 / (n_weights**2 - 1.0)) if window.sample_covariance else np.float32(1.0)
    # Beyond a border of zeros a window weighs less than 1, so that the means do not drop out of the variances.
    inside = np.outer(down.sum(axis=1), across.sum(axis=1)) if window.border == "zero" else None
    result = np.empty(len(denoised))
    for batch in _batches(denoised):
        # Float32 is exact enough with the data range at [0, 1], and no mean in the squares.
        (x, x_mean), (y, y_mean) = (
            _about_mean(images[batch], low_hu, data_range_hu) for images in (denoised, reference)
        )
        x_local, y_local = average(x), average(y)
        variances = average(x * x + y * y) - x_local**2 - y_local**2
        covariance = average(x * y) - x_local * y_local
        if inside is not None:
            x_shift, y_shift = x_mean * inside, y_mean * inside
            variances += (x_mean * x_shift + y_mean * y_shift + 2.0 * (x_mean * x_local + y_mean * y_local)) * (
                1.0 - inside
            )
            covariance += (x_mean * y_shift + x_mean * y_local + y_mean * x_local) * (1.0 - inside)
            x_local, y_local = x_local + x_shift, y_local + y_shift
        else:
            x_local, y_local = x_local + x_mean, y_local + y_mean
        variances, covariance = bias * variances.clip(min=0.0), bias * covariance
        product, squares = x_local * y_local, x_local**2 + y_local**2
        index = (2.0 * product + c1) * (2.0 * covariance + c2) / ((squares + c1) * (variances + c2))
        result[batch] = index.mean(axis=(1, 2), dtype=np.float64)
    return result


def _about_mean(
    images: NDArray[np.floating], low_hu: float, data_range_hu: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Images in units of the data range less their means, and those means, `(n, 1, 1)`."""
    scaled = (images.astype(np.float64) - low_hu) / data_range_hu
    mean = scaled.mean(axis=(1, 2), keepdims=True)
    return (scaled - mean).astype(np.float32), mean.astype(np.float32)


def site_bias_hu(
    denoised: NDArray[np.floating], reference: NDArray[np.floating], site: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Mean of denoised − reference at the site of the signal, HU, for each trial, `(n,)`: the hallucination check.

    On signal-absent trials a positive mean says that the denoiser paints signals; on signal-present trials a negative
    one says that it wipes them out (for a signal brighter than its background).

    Parameters
    ----------
    denoised, reference
        Images in HU, shape `(n, height, width)`, finite, or a ValueError.
    site
        True where the signal is, or would be, in that trial; same shape, at least one pixel in every trial.

    Examples
    --------
    >>> site = np.zeros((1, 4, 4), dtype=bool)
    >>> site[0, 1:3, 1:3] = True
    >>> site_bias_hu(np.where(site, 8.0, 0.0), np.zeros((1, 4, 4)), site)
    array([8.])
    """
    _check_images(denoised, reference)
    if site.shape != denoised.shape or site.dtype != np.bool_:
        raise ValueError(f"site must be boolean, shape {denoised.shape}; it is {site.dtype}, shape {site.shape}")
    n_pixels = site.sum(axis=(1, 2))
    if (n_pixels == 0).any():
        raise ValueError(f"trial {int(np.argmin(n_pixels))} has no pixel in its site")
    result = np.empty(len(denoised))
    for batch in _batches(denoised):
        difference = denoised[batch].astype(np.float64) - reference[batch]
        result[batch] = np.sum(difference, axis=(1, 2), where=site[batch])
    return np.asarray(result / n_pixels, dtype=np.float64)


def peak_disc_hu(difference: NDArray[np.floating], *, diameter_px: float) -> NDArray[np.float64]:
    """Highest disc-averaged value of each trial, HU, `(n,)`: the brightest signal-sized blob painted anywhere.

    The bias at one site cannot see a blob painted elsewhere; this can.

    Parameters
    ----------
    difference
        Denoised − reference, HU, shape `(n, height, width)`; its negative for signals darker than the background.
    diameter_px
        Diameter of the disc, pixels, at least 1; a ValueError, if the disc does not fit into the image.

    Examples
    --------
    >>> difference = np.zeros((1, 16, 16))
    >>> difference[0, 3:8, 9:14] = 20.0
    >>> peak_disc_hu(difference, diameter_px=4.0)
    array([20.])
    """
    if difference.ndim != 3:
        raise ValueError(f"differences of shape {difference.shape}; wanted (n, height, width)")
    reach = int(diameter_px // 2)
    if diameter_px < 1 or 2 * reach + 1 > min(difference.shape[1:]):
        raise ValueError(f"a disc of {diameter_px} pixels does not fit into images of {difference.shape[1:]}")
    axis = np.arange(-reach, reach + 1)
    half_width = (np.hypot(axis[None, :], axis[:, None]) <= diameter_px / 2.0).sum(axis=1) // 2
    n_pixels = int((2 * half_width + 1).sum())
    height, width = (n - 2 * reach for n in difference.shape[1:])
    result = np.empty(len(difference))
    for batch in _batches(difference):
        images = difference[batch].astype(np.float64)
        # A disc is a run of pixels in each of its rows: sums of runs first, which rows of one width share.
        runs = {0: images[:, :, reach : reach + width]}
        for half in range(1, int(half_width.max()) + 1):
            left, right = (images[:, :, reach + side : reach + side + width] for side in (-half, half))
            runs[half] = runs[half - 1] + left + right
        total = np.zeros((len(images), height, width))
        for row, half in enumerate(half_width):
            total += runs[int(half)][:, row : row + height]
        result[batch] = total.max(axis=(1, 2)) / n_pixels
    return result


def _check_images(denoised: NDArray[np.floating], reference: NDArray[np.floating]) -> None:
    if denoised.ndim != 3 or denoised.shape != reference.shape:
        raise ValueError(
            f"images of shapes {denoised.shape} and {reference.shape}; wanted (n, height, width), the same"
        )
    for name, images in (("denoised", denoised), ("reference", reference)):
        if not all(np.isfinite(images[batch]).all() for batch in _batches(images)):
            raise ValueError(f"a {name} pixel is not finite")


def _check_range(data_range_hu: float) -> None:
    if not (math.isfinite(data_range_hu) and data_range_hu > 0.0):
        raise ValueError(f"data_range_hu is {data_range_hu}; it must be finite and above 0 HU")


def _batches(images: NDArray[np.floating]) -> Iterator[slice]:
    size = max(1, _BATCH_PIXELS // max(1, images.shape[1] * images.shape[2]))
    for start in range(0, len(images), size):
        yield slice(start, start + size)
