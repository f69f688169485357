"""The prewhitening matched filter: the best linear observer when the covariance of the noise is known."""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from taskct.errors import UserError
from taskct.observer_registry import conditions
from taskct.observers.base import Array, LinearObserver, Truth
from taskct.observers.nonprewhitening import check_signal, signal_and_midpoint, warn_if_noisy
from taskct.ranges import Ranges


class PWMF(LinearObserver):
    """Prewhitening matched filter, w = K⁻¹ s, with a covariance K that is given, not estimated.

    The test statistic is 0 halfway between the class means of the training trials. In Gaussian noise of covariance K
    and with the true signal s it is the ideal observer: AUC = Φ(√(sᵀ K⁻¹ s / 2)) [1].

    Parameters
    ----------
    covariance
        K, HU², shape `(n_pixels, n_pixels)`, rows of the image one after the other.
    nps_hu2_mm2, pixel_mm
        In place of `covariance`: noise power spectrum [2] of noise that is stationary and wraps around at the border,
        HU²·mm², shape `(height, width)` of the images, in the order of `numpy.fft.fft2`, and the pixel size, mm. NPS =
        pixel_mm² / (height · width) · E|DFT of the noise|², so K is circulant with eigenvalues NPS / pixel_mm².
    signal
        s, HU, shape `(height, width)`; None takes the difference of the class means of the training trials.

    Raises
    ------
    UserError
        If not exactly one of `covariance` and `nps_hu2_mm2` is given, or its values cannot be a covariance's.

    References
    ----------
    .. [1] Barrett & Myers, Foundations of Image Science, Wiley (2004), ch. 13.
    .. [2] Siewerdsen, Cunningham & Jaffray, Med. Phys. 29, 2655 (2002).

    Examples
    --------
    In white noise of 20 HU the template is the signal over the variance.

    >>> signal = np.zeros((4, 4))
    >>> signal[1, 2] = 30.0
    >>> observer = PWMF(nps_hu2_mm2=np.full((4, 4), 20.0**2 * 0.7**2), pixel_mm=0.7, signal=signal)
    >>> images = np.random.default_rng(0).normal(0.0, 20.0, (6, 4, 4))
    >>> signal_present = np.array([True, False] * 3)
    >>> float(observer.fit(images, signal_present).template_[1, 2].round(4))
    0.075
    """

    ranges: ClassVar[Ranges] = conditions("pixel_mm")

    def __init__(
        self,
        *,
        covariance: ArrayLike | None = None,
        nps_hu2_mm2: ArrayLike | None = None,
        pixel_mm: float | None = None,
        signal: ArrayLike | None = None,
    ) -> None:
        if (covariance is None) == (nps_hu2_mm2 is None):
            raise UserError("a PWMF needs either covariance, HU², or nps_hu2_mm2 with pixel_mm, and not both")
        if (nps_hu2_mm2 is None) != (pixel_mm is None):
            raise UserError("nps_hu2_mm2 and pixel_mm of a PWMF go together; give both, or covariance alone")
        self.covariance = None if covariance is None else _check_covariance(covariance)
        self.nps_hu2_mm2 = None if nps_hu2_mm2 is None else _check_nps(nps_hu2_mm2)
        self.pixel_mm = None if pixel_mm is None else self.checked("pixel_mm", pixel_mm)
        self.signal = None if signal is None else check_signal(signal)

    def _learn(self, images: Array, signal_present: Truth) -> None:
        signal, midpoint = signal_and_midpoint(self.signal, images, signal_present)
        self.template_ = self._whitened(signal)
        if self.signal is None:  # noise K/n₁ + K/n₀ of the mean difference is white in the template's eyes
            n_present = int(signal_present.sum())
            noise = signal.size * (1.0 / n_present + 1.0 / (len(images) - n_present))
            warn_if_noisy(min(1.0, noise / float(np.vdot(signal, self.template_))), len(images))
        self.offset_ = -float(np.vdot(self.template_, midpoint))

    def _whitened(self, signal: Array) -> Array:
        """K⁻¹ s, shape `(height, width)`."""
        if self.nps_hu2_mm2 is not None and self.pixel_mm is not None:
            if self.nps_hu2_mm2.shape != signal.shape:
                raise UserError(
                    f"nps_hu2_mm2 is {self.nps_hu2_mm2.shape} but the images are {signal.shape}; "
                    "give it on the grid of their discrete Fourier transform"
                )
            spectrum = np.fft.fft2(signal) * self.pixel_mm**2 / self.nps_hu2_mm2
            return np.real(np.fft.ifft2(spectrum))
        assert self.covariance is not None
        if len(self.covariance) != signal.size:
            raise UserError(
                f"covariance is of {len(self.covariance)} pixels but the images have {signal.size}; "
                "give that of all pixels of an image"
            )
        try:
            solution = cho_solve(cho_factor(self.covariance, lower=True, check_finite=False), signal.ravel())
        except LinAlgError:
            raise UserError(
                "covariance is not positive definite, so it has no inverse; add a little to its diagonal"
            ) from None
        return np.asarray(solution, dtype=np.float64).reshape(signal.shape)


def _check_covariance(covariance: ArrayLike) -> Array:
    checked = np.asarray(covariance, dtype=np.float64)
    if checked.ndim != 2 or checked.shape[0] != checked.shape[1]:
        raise UserError(f"covariance must have shape (n_pixels, n_pixels), not {checked.shape}")
    if not np.isfinite(checked).all():
        raise UserError("covariance holds values that are not finite; give every pair of pixels one, in HU²")
    if not np.allclose(checked, checked.T, rtol=0.0, atol=1e-6 * np.abs(checked).max()):
        raise UserError("covariance is not symmetric; give that of pixels i and j in both (i, j) and (j, i)")
    return checked


def _check_nps(nps_hu2_mm2: ArrayLike) -> Array:
    checked = np.asarray(nps_hu2_mm2, dtype=np.float64)
    if checked.ndim != 2:
        raise UserError(f"nps_hu2_mm2 must have shape (height, width), not {checked.shape}")
    n_bad = int(np.sum(~((checked > 0.0) & np.isfinite(checked))))
    if n_bad:
        raise UserError(
            f"nps_hu2_mm2 is 0, negative or not finite at {n_bad} frequencies, where a signal would be seen without "
            "noise; give those a small value"
        )
    mirrored = np.roll(checked[::-1, ::-1], 1, axis=(0, 1))  # at −f
    if not np.allclose(checked, mirrored, rtol=1e-6, atol=0.0):
        raise UserError(
            "nps_hu2_mm2 differs between a frequency and its opposite, which real noise never does; "
            "give it in the order of numpy.fft.fft2, zero frequency first"
        )
    return checked
