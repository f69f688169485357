"""Regularised Hotelling observers, before and behind the eye."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, eigvalsh

from taskct.errors import UserError
from taskct.observer_registry import EYE, VIEWING_DISTANCE_MM, conditions
from taskct.observers.base import RIDGE, Array, LinearObserver, TrainingTrials, Truth, warn_if_few
from taskct.observers.covariance import CovarianceObserver, Moments, ridge_templates
from taskct.observers.eye import Eyed
from taskct.ranges import Range, Ranges


@dataclass(kw_only=True, eq=False, repr=False)
class Hotelling(CovarianceObserver):
    """Regularised Hotelling observer (RHO) [1].

    w = (K + ridge · tr(K)/p · I)⁻¹ Δs: K is the mean of the two classes' covariances, Δs the difference of their means,
    p the number of pixels. The test statistic is 0 halfway between the class means. With fewer trials than pixels the
    solution is found in the space of the trials, so no p × p matrix is formed.

    Parameters
    ----------
    ridge
        Regularisation relative to the mean pixel variance, no unit, at least 0; 0 needs more trials than pixels.

    References
    ----------
    .. [1] Barrett & Myers, Foundations of Image Science, Wiley (2004), ch. 13.
    """

    path_parameter: ClassVar[str] = "ridge"
    ranges: ClassVar[Ranges] = {"ridge": RIDGE}

    ridge: float = 1.0

    @classmethod
    def fit_moments(  # noqa: D102 - as in CovarianceObserver
        cls, observers: Sequence["Hotelling"], moments: Moments, shape: tuple[int, int]
    ) -> None:
        moments.check_noise()
        warn_if_few(moments.n_trials, moments.n_pixels, "pixels", trials_per_weight=1.0)
        variance = moments.pixel_variance
        templates = ridge_templates(moments, [o.ridge * variance for o in observers])
        for observer, template in zip(observers, templates, strict=True):
            observer.template_ = template.reshape(shape)
            observer.offset_ = -float(template @ moments.midpoint)


class HotellingLedoitWolf(LinearObserver):
    """Hotelling observer with the covariance of Ledoit and Wolf, which leaves nothing to choose.

    w = [(1 − a) K + a · tr(K)/p · I]⁻¹ Δs, K and Δs as for `Hotelling`. The shrinkage a minimises the expected squared
    error of the covariance, which is not the same as the highest AUC. It is estimated in closed form from the residuals
    xᵢ about the class means: a = min(b², d²)/d² with d² = ‖K − tr(K)/p · I‖² and b² = Σ ‖xᵢxᵢᵀ − K‖²/n².

    scikit-learn's LDA with `shrinkage="auto"` standardises every pixel first and shrinks each class on its own.

    Attributes
    ----------
    shrinkage_
        a, in [0, 1].

    References
    ----------
    .. [1] Ledoit & Wolf, J. Multivariate Analysis 88, 365 (2004), §3.
    """

    shrinkage_: float

    def _learn(self, images: Array, signal_present: Truth) -> None:
        pixels = images.reshape(len(images), -1)
        moments = Moments.of(pixels, signal_present)
        moments.check_noise()
        warn_if_few(moments.n_trials, moments.n_pixels, "pixels", trials_per_weight=1.0)
        variance = moments.pixel_variance
        norm2 = float(np.vdot(moments.gram, moments.gram))  # ‖ZZᵀ‖ = ‖ZᵀZ‖
        excess = norm2 - moments.n_pixels * variance**2
        # With x = √n z, b² is Σ ‖z‖⁴ − ‖K‖²/n.
        error = float(np.sum(_residual_norms2(moments, pixels, signal_present) ** 2)) - norm2 / moments.n_trials
        self.shrinkage_ = min(max(error / excess, 0.0), 1.0) if excess > 0.0 else 1.0
        kept = 1.0 - self.shrinkage_
        if kept == 0.0:
            template = moments.difference / variance
        else:
            template = ridge_templates(moments, [self.shrinkage_ / kept * variance])[0] / kept
        self.template_ = template.reshape(images.shape[1:])
        self.offset_ = -float(template @ moments.midpoint)


def _residual_norms2(moments: Moments, pixels: Array, signal_present: Truth) -> Array:
    """‖zᵢ‖² of every trial, z scaled so that Σ zzᵀ = K; shape `(n_trials,)`, in no particular order."""
    if moments.classes is None:
        return moments.gram.diagonal()
    norms2 = []
    for of_class, members in zip(moments.classes, (signal_present, ~signal_present), strict=True):
        residuals = pixels[members] - of_class.mean
        norms2.append(np.einsum("ij,ij->i", residuals, residuals) / (2.0 * (of_class.n_trials - 1)))
    return np.concatenate(norms2)


@dataclass(kw_only=True, eq=False, repr=False)
class HotellingSVD(CovarianceObserver):
    """Hotelling observer in the space of the strongest variations (truncated singular value decomposition [1]).

    w = Σ vₖ (vₖᵀ Δs) / λₖ over the `rank` leading eigenvectors vₖ of K, which are the right singular vectors of the
    trials' residuals about their class means; K and Δs as for `Hotelling`. What of the signal lies outside these is not
    seen, so where the noise is white or the signal fine a ridge does better.

    Parameters
    ----------
    rank
        Number of eigenvectors, at least 1 and at most the number of trials less 2 and of pixels; fewer regularise more.

    References
    ----------
    .. [1] Hansen, Rank-Deficient and Discrete Ill-Posed Problems, SIAM (1998), ch. 3.
    """

    path_parameter: ClassVar[str] = "rank"
    ranges: ClassVar[Ranges] = {"rank": Range(1, whole=True)}

    rank: int = 20

    @classmethod
    def fit_moments(  # noqa: D102 - as in CovarianceObserver
        cls, observers: Sequence["HotellingSVD"], moments: Moments, shape: tuple[int, int]
    ) -> None:
        moments.check_noise()
        for observer in observers:
            observer.rank = int(cls.checked("rank", observer.rank))  # a path hands it over as a float
        largest = max(observer.rank for observer in observers)
        residuals = moments.residuals
        limit = min(moments.n_trials - 2, moments.n_pixels)
        if largest <= limit:
            size = len(moments.gram)
            values, vectors = eigh(
                moments.gram, subset_by_index=(size - largest, size - 1), check_finite=False, driver="evr"
            )
            values, vectors = values[::-1], vectors[:, ::-1]
            limit = int(np.sum(values > _rounding(values[0], size)))
        if largest > limit:
            raise UserError(
                f"rank is {largest}, but the covariance of {moments.n_pixels} pixels from {moments.n_trials} trials "
                f"has rank {limit}; give that or less, or more trials"
            )
        warn_if_few(moments.n_trials, largest, "eigenvectors", trials_per_weight=_TRIALS_PER_EIGENVECTOR)
        # An eigenvector u of ZZᵀ is v = Zᵀu/√λ of K.
        rhs = moments.difference if residuals is None else residuals @ moments.difference
        weights = (rhs @ vectors) / (values if residuals is None else values**2)
        for observer in observers:
            solution = vectors[:, : observer.rank] @ weights[: observer.rank]
            template = solution if residuals is None else solution @ residuals
            observer.template_ = template.reshape(shape)
            observer.offset_ = -float(template @ moments.midpoint)

    @classmethod
    def largest_value(cls, moments: Moments) -> float:  # noqa: D102 - as in CovarianceObserver
        variances = eigvalsh(moments.gram, check_finite=False)
        return float(np.sum(variances > _rounding(variances[-1], len(variances))))


def _rounding(largest: float, size: int) -> float:
    """Up to where an eigenvalue of a matrix of a size is rounding of the largest one."""
    return largest * size * float(np.finfo(np.float64).eps)


_TRIALS_PER_EIGENVECTOR = 5.0
"""A Hotelling template of r weights keeps about 1 − r/n of its SNR² when learned from n trials: 80 %."""


@dataclass(kw_only=True, eq=False, repr=False)
class HotellingEye(Eyed, CovarianceObserver):
    """Hotelling observer behind an eye [1]: eye filter E, then white internal noise on every pixel.

    w = (K_E + (σ² + ridge · tr(K_E)/p) I)⁻¹ Δs_E on eye-filtered images, and the test statistic is wᵀ E g plus a draw
    from N(0, σ² wᵀw), the internal noise as w sees it. What the eye passes weakly drowns in that noise and cannot help
    this observer.

    Parameters
    ----------
    pixel_mm, viewing_distance_mm, magnification
        Of the eye, mm, mm and no unit.
    internal_noise_hu, seed
        σ, standard deviation per pixel behind the eye, HU, at least 0; its weight depends on the pixel size. And its
        seed.
    ridge
        Regularisation relative to the mean variance of the filtered pixels, no unit, at least 0.

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
    ranges: ClassVar[Ranges] = {**conditions(*EYE, "internal_noise_hu", "seed"), "ridge": RIDGE}

    pixel_mm: float
    internal_noise_hu: float
    viewing_distance_mm: float = VIEWING_DISTANCE_MM
    magnification: float = 1.0
    ridge: float = 1.0
    seed: int = 0

    def pixels(self, images: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: D102 - as in CovarianceObserver
        return self._seen(images).reshape(len(images), -1)

    def seen(self, trials: TrainingTrials) -> TrainingTrials:  # noqa: D102 - as in CovarianceObserver
        eye = "eye", self.pixel_mm, self.viewing_distance_mm, self.magnification
        return trials.once(eye, lambda: TrainingTrials(self._seen(trials.images), trials.signal_present))

    @classmethod
    def fit_moments(  # noqa: D102 - as in CovarianceObserver
        cls, observers: Sequence["HotellingEye"], moments: Moments, shape: tuple[int, int]
    ) -> None:
        if any(o.internal_noise_hu == 0.0 for o in observers):
            moments.check_noise()
        warn_if_few(moments.n_trials, moments.n_pixels, "pixels", trials_per_weight=1.0)
        variance = moments.pixel_variance
        loads = [o.internal_noise_hu**2 + o.ridge * variance for o in observers]
        templates = ridge_templates(moments, loads)
        for observer, template in zip(observers, templates, strict=True):
            observer.template_ = observer._seen(template.reshape(1, *shape))[0]  # E is symmetric
            observer.offset_ = -float(template @ moments.midpoint)
            observer.internal_std_ = observer.internal_noise_hu * float(np.linalg.norm(template))
