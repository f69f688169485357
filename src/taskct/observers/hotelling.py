"""The regularised Hotelling observer, before and behind the eye."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from taskct.errors import UserError
from taskct.observers.base import PathObserver, check_at_least_0
from taskct.observers.eye import VIEWING_DISTANCE_MM, apply_eye_filter, eye_filter


class Hotelling(PathObserver):
    """Regularised Hotelling observer (RHO).

    w = (K + ridge · tr(K)/p · I)⁻¹ Δs: K is the mean of the two classes' covariances, Δs the difference of
    their means, p the number of pixels. The test statistic is 0 halfway between the class means. With fewer
    trials than pixels the solution is found in the space of the trials, so no p × p matrix is formed.

    Parameters
    ----------
    ridge
        Regularisation relative to the mean pixel variance, no unit, at least 0; 0 needs more trials than
        pixels.

    References
    ----------
    .. [1] Barrett & Myers, Foundations of Image Science, Wiley (2004), ch. 13.
    """

    path_parameter: ClassVar[str] = "ridge"

    def __init__(self, *, ridge: float = 1.0) -> None:
        self.ridge = check_at_least_0("ridge", ridge)

    @classmethod
    def _fit_together(
        cls, observers: Sequence["Hotelling"], images: NDArray[np.float64], signal_present: NDArray[np.bool_]
    ) -> None:
        pixels = images.reshape(len(images), -1)
        residuals, difference, midpoint = class_moments(pixels, signal_present)
        variance = float(np.sum(residuals**2)) / pixels.shape[1]
        templates = ridge_templates(residuals, difference, [o.ridge * variance for o in observers])
        for observer, template in zip(observers, templates, strict=True):
            observer.template_ = template.reshape(images.shape[1:])
            observer.offset_ = -float(template @ midpoint)


class HotellingEye(PathObserver):
    """Hotelling observer behind an eye: eye filter E, then white internal noise on every pixel.

    w = (K_E + (σ² + ridge · tr(K_E)/p) I)⁻¹ Δs_E on eye-filtered images, and the test statistic is wᵀ E g
    plus a draw from N(0, σ² wᵀw), the internal noise as w sees it. What the eye passes weakly drowns in that
    noise and cannot help this observer.

    Parameters
    ----------
    pixel_mm, viewing_distance_mm, magnification
        As for `taskct.observers.eye.eye_filter`, mm, mm and no unit.
    internal_noise_hu
        σ, standard deviation per pixel behind the eye, HU, at least 0. Its weight depends on the pixel size.
    ridge
        Regularisation relative to the mean variance of the filtered pixels, no unit, at least 0.
    seed
        Of the internal noise. It is drawn afresh from the seed by every call of `test_statistic`, so call
        that once for all trials; trial i then meets the same noise in every arm of a study.

    Attributes
    ----------
    template_
        Effective template E w on the image before the eye, shape `(height, width)`.
    internal_std_
        σ‖w‖, standard deviation of the internal noise in the test statistic.

    References
    ----------
    .. [1] Burgess, J. Opt. Soc. Am. A 11, 1237 (1994).
    """

    path_parameter: ClassVar[str] = "ridge"
    internal_std_: float

    def __init__(
        self,
        *,
        pixel_mm: float,
        internal_noise_hu: float,
        viewing_distance_mm: float = VIEWING_DISTANCE_MM,
        magnification: float = 1.0,
        ridge: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.pixel_mm = pixel_mm
        self.viewing_distance_mm = viewing_distance_mm
        self.magnification = magnification
        self.internal_noise_hu = check_at_least_0("internal_noise_hu", internal_noise_hu, "HU")
        self.ridge = check_at_least_0("ridge", ridge)
        self.seed = seed
        self.response((1, 1))  # a wrong setting shows here, not after the images have been made

    def response(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Response of this observer's eye for images of a shape, from `eye_filter`."""
        return eye_filter(
            shape,
            pixel_mm=self.pixel_mm,
            viewing_distance_mm=self.viewing_distance_mm,
            magnification=self.magnification,
        )

    @classmethod
    def _fit_together(
        cls,
        observers: Sequence["HotellingEye"],
        images: NDArray[np.float64],
        signal_present: NDArray[np.bool_],
    ) -> None:
        if not observers:
            return
        height, width = images.shape[1:]
        response = observers[0].response((height, width))
        pixels = apply_eye_filter(images, response).astype(np.float64).reshape(len(images), -1)
        residuals, difference, midpoint = class_moments(pixels, signal_present)
        variance = float(np.sum(residuals**2)) / pixels.shape[1]
        loads = [o.internal_noise_hu**2 + o.ridge * variance for o in observers]
        templates = ridge_templates(residuals, difference, loads)
        for observer, template in zip(observers, templates, strict=True):
            observer.template_ = apply_eye_filter(template.reshape(height, width), response).astype(np.float64)
            observer.offset_ = -float(template @ midpoint)
            observer.internal_std_ = observer.internal_noise_hu * float(np.linalg.norm(template))

    def test_statistic(self, images: NDArray[np.floating]) -> NDArray[np.float64]:
        """Test statistic of every trial, with the internal noise; see `Observer.test_statistic`."""
        noise_free = super().test_statistic(images)
        noise = np.random.default_rng(self.seed).standard_normal(len(noise_free))
        return noise_free + self.internal_std_ * noise


def class_moments(
    pixels: NDArray[np.float64], signal_present: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Moments of two classes that a linear observer needs.

    Parameters
    ----------
    pixels
        Shape `(n_trials, n_pixels)`.
    signal_present
        Bool, shape `(n_trials,)`.

    Returns
    -------
    Residuals Z, shape `(n_trials, n_pixels)`, scaled so that ZᵀZ is the mean of the two classes' unbiased
    covariances; the difference of the class means (present − absent) and their midpoint, shape `(n_pixels,)`.
    """
    present, absent = pixels[signal_present], pixels[~signal_present]
    mean_present, mean_absent = present.mean(axis=0), absent.mean(axis=0)
    residuals = np.concatenate(
        [
            (present - mean_present) / np.sqrt(2.0 * (len(present) - 1)),
            (absent - mean_absent) / np.sqrt(2.0 * (len(absent) - 1)),
        ]
    )
    return residuals, mean_present - mean_absent, (mean_present + mean_absent) / 2.0


def ridge_templates(
    residuals: NDArray[np.float64], difference: NDArray[np.float64], loads: Sequence[float]
) -> list[NDArray[np.float64]]:
    """Solve (ZᵀZ + load · I) w = Δs for several loads, with one Gram matrix.

    Parameters
    ----------
    residuals
        Z, shape `(n_trials, n_pixels)`.
    difference
        Δs, shape `(n_pixels,)`.
    loads
        Added to the diagonal, unit of the variance.

    Returns
    -------
    Templates w, shape `(n_pixels,)` each. The trials' own space is used when it is the smaller (Woodbury):
    w = [Δs − Zᵀ (ZZᵀ + load · I)⁻¹ Z Δs] / load.

    Raises
    ------
    UserError
        If the matrix is singular: too few trials for so little regularisation.
    """
    n_trials, n_pixels = residuals.shape
    dual = n_trials < n_pixels
    gram = residuals @ residuals.T if dual else residuals.T @ residuals
    rhs = residuals @ difference if dual else difference
    templates = []
    for load in loads:
        try:
            if load == 0.0 and n_trials - 2 < n_pixels:
                raise LinAlgError
            matrix = np.array(gram, order="F")  # LAPACK's order, or it would copy once more
            np.fill_diagonal(matrix, matrix.diagonal() + load)
            solution = cho_solve(cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False), rhs)
        except LinAlgError:
            raise UserError(
                f"the covariance of {n_pixels} pixels from {n_trials} trials is singular; "
                "give a ridge above 0 or more trials"
            ) from None
        templates.append((difference - residuals.T @ solution) / load if dual else solution)
    return templates
