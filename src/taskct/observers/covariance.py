"""Means and covariance within two classes, estimated once for every template that is made from them."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy.linalg import LinAlgError

from taskct.errors import UserError
from taskct.observers.base import Array, PathObserver, TrainingTrials, Truth
from taskct.observers.solve import MANY_LOADS, Tridiagonal, solve_loaded


def check_noise(variance: float, largest: float) -> None:
    """Raise a `UserError` if the variance within the classes is no more than rounding of the largest value."""
    if variance <= (16.0 * np.finfo(np.float64).eps * largest) ** 2:
        raise UserError(
            "the training trials of each class are all alike, so their noise is unknown; give trials that differ"
        )


@dataclass(frozen=True)
class ClassScatter:
    """Mean and scatter matrix of the trials of one class."""

    n_trials: int
    mean: Array  # shape `(n_pixels,)`
    scatter: Array  # Σ (g − mean)(g − mean)ᵀ, shape `(n_pixels, n_pixels)`

    @classmethod
    def of(cls, pixels: Array) -> Self:
        """Of one class's trials, shape `(n_trials, n_pixels)`."""
        mean = pixels.mean(axis=0)
        residuals = pixels - mean
        return cls(len(pixels), mean, residuals.T @ residuals)

    def __add__(self, other: "ClassScatter") -> "ClassScatter":
        """Of the trials of both; the shift between their means adds a matrix of rank 1."""
        n_trials = self.n_trials + other.n_trials
        shift = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += np.outer(self.n_trials * other.n_trials / n_trials * shift, shift)
        return ClassScatter(n_trials, self.mean + other.n_trials / n_trials * shift, scatter)


@dataclass(frozen=True)
class Moments:
    """What a linear observer learns of two classes.

    K is the mean of the two classes' unbiased covariances. With fewer trials than pixels it is kept as the residuals Z,
    K = ZᵀZ, and all work is done on ZZᵀ: no p × p matrix is formed.
    """

    n_trials: int  # of both classes
    difference: Array  # Δs, mean of signal-present less mean of signal-absent, shape `(n_pixels,)`
    midpoint: Array  # mean of the two class means, shape `(n_pixels,)`
    gram: Array  # K, shape `(n_pixels, n_pixels)`; ZZᵀ, shape `(n_trials, n_trials)`, with fewer trials than pixels
    residuals: Array | None  # Z, shape `(n_trials, n_pixels)`, or None where `gram` is K
    classes: tuple[ClassScatter, ClassScatter] | None  # signal-present and signal-absent, or None where `gram` is ZZᵀ

    @classmethod
    def of(cls, pixels: Array, signal_present: Truth) -> Self:
        """Of trials, shape `(n_trials, n_pixels)`, and their truth; at least 2 trials of each class."""
        return cls.of_trials(TrainingTrials(pixels[:, None, :], signal_present))

    @classmethod
    def of_trials(cls, trials: TrainingTrials) -> Self:
        """Of trials whose moments, or residuals and their Gram matrix, other observers may have asked for."""
        return trials.once("moments", lambda: cls._made_of(trials))

    @classmethod
    def _made_of(cls, trials: TrainingTrials) -> Self:
        pixels, signal_present = trials.pixels, trials.signal_present
        if len(pixels) >= pixels.shape[1]:
            return cls._of_classes(ClassScatter.of(pixels[signal_present]), ClassScatter.of(pixels[~signal_present]))
        present, absent = trials.class_means
        n_present = int(signal_present.sum())
        n_of_class = np.where(signal_present, n_present, len(trials) - n_present)
        scale = np.sqrt(1.0 / (2.0 * (n_of_class - 1)))
        gram = trials.gram * scale
        gram *= scale[:, None]
        return cls(
            len(trials), present - absent, (present + absent) / 2.0, gram, trials.residuals * scale[:, None], None
        )

    @classmethod
    def _of_classes(cls, present: ClassScatter, absent: ClassScatter) -> Self:
        covariance = present.scatter / (2.0 * (present.n_trials - 1))
        covariance += absent.scatter / (2.0 * (absent.n_trials - 1))
        return cls(
            present.n_trials + absent.n_trials,
            present.mean - absent.mean,
            (present.mean + absent.mean) / 2.0,
            covariance,
            None,
            (present, absent),
        )

    def with_trials(self, pixels: Array, signal_present: Truth) -> Self:
        """Of these trials and more, at least 1 of each class; only where `classes` is not None."""
        assert self.classes is not None
        present, absent = self.classes
        return self._of_classes(
            present + ClassScatter.of(pixels[signal_present]), absent + ClassScatter.of(pixels[~signal_present])
        )

    @cached_property
    def spectrum(self) -> Tridiagonal:
        """Of `gram`."""
        return Tridiagonal(self.gram)

    @property
    def n_pixels(self) -> int:
        """Number of pixels, p."""
        return len(self.difference)

    @property
    def pixel_variance(self) -> float:
        """Mean variance of a pixel within the classes, tr(K)/p, HU²."""
        return float(np.trace(self.gram)) / self.n_pixels

    def check_noise(self) -> None:
        """Raise a `UserError` if the trials do not differ within their class."""
        check_noise(self.pixel_variance, float(np.abs(self.midpoint).max()))


def ridge_templates(moments: Moments, loads: Sequence[float]) -> list[Array]:
    """Templates w, `(n_pixels,)` each, of (K + load · I) w = Δs for loads in HU², each at least 0.

    In the space of the trials (Woodbury): w = [Δs − Zᵀ (ZZᵀ + load · I)⁻¹ Z Δs] / load. A `UserError` says that the
    matrix is singular: too few trials for so little regularisation.
    """
    difference, residuals = moments.difference, moments.residuals
    rhs = difference if residuals is None else residuals @ difference
    templates = []
    spectrum = moments.spectrum if len(loads) >= MANY_LOADS else None
    rounding = len(moments.gram) * np.finfo(np.float64).eps * float(moments.gram.diagonal().max())
    for load in loads:
        try:
            # In the space of the trials the matrix is singular: two sums of residuals are 0.
            if moments.n_trials - 2 < moments.n_pixels and load <= rounding:
                raise LinAlgError
            solution = solve_loaded(moments.gram, load, rhs, spectrum)
        except LinAlgError:
            raise UserError(
                f"the covariance of {moments.n_pixels} pixels from {moments.n_trials} trials is singular; "
                f"give a ridge above {rounding / moments.pixel_variance:.1g} or more trials"
            ) from None
        templates.append(solution if residuals is None else (difference - residuals.T @ solution) / load)
    return templates


def class_means(pixels: Array, signal_present: Truth) -> tuple[Array, Array]:
    """Difference (present − absent) and midpoint of the class means, shape `(n_pixels,)` each."""
    present, absent = pixels[signal_present].mean(axis=0), pixels[~signal_present].mean(axis=0)
    return present - absent, (present + absent) / 2.0


def within_class_variance(values: Array, signal_present: Truth) -> float:
    """Mean of the classes' variances, of values `(n_trials,)` or, averaged over pixels, `(n_trials, n_pixels)`."""
    of_class = [float(np.var(values[members], axis=0, ddof=1).mean()) for members in (signal_present, ~signal_present)]
    variance = sum(of_class) / 2.0
    check_noise(variance, float(np.abs(values).max()))
    return variance


class CovarianceObserver(PathObserver):
    """A linear observer that needs no more of its training trials than their `Moments`."""

    def pixels(self, images: Array) -> Array:
        """Pixels of checked images as the observer sees them, shape `(n_trials, n_pixels)`."""
        return images.reshape(len(images), -1)

    def seen(self, trials: TrainingTrials) -> TrainingTrials:
        """Trials as the observer sees them; those of all observers that see alike are the same."""
        return trials

    def moments(self, trials: TrainingTrials) -> Moments:
        """Moments of trials as the observer sees them."""
        return Moments.of_trials(self.seen(trials))

    @classmethod
    def largest_value(cls, moments: Moments) -> float:
        """Largest value of `path_parameter` that trials with these moments allow; for most there is no limit."""
        return float("inf")

    @classmethod
    @abstractmethod
    def fit_moments(cls, observers: Sequence[Any], moments: Moments, shape: tuple[int, int]) -> None:
        """Fit observers that differ in `path_parameter` alone to moments of images of a shape."""

    @classmethod
    def _fit_together(cls, observers: Sequence[Any], trials: TrainingTrials) -> None:
        if observers:
            height, width = trials.images.shape[1:]
            cls.fit_moments(observers, observers[0].moments(trials), (height, width))
