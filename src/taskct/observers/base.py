"""The contract of an observer, and the checks of what goes into one."""

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError


class Observer(ABC):
    """A numerical observer: hyper-parameters in `__init__`, learned state in attributes that end in `_`."""

    @abstractmethod
    def fit(self, images: NDArray[np.floating], signal_present: NDArray[np.bool_]) -> Self:
        """Learn from trials whose truth is known; what an earlier `fit` learned is forgotten.

        Parameters
        ----------
        images
            Regions of interest, HU, shape `(n_trials, height, width)`.
        signal_present
            Truth of every trial, bool, shape `(n_trials,)`.

        Returns
        -------
        The observer itself.

        Raises
        ------
        ValueError
            If shapes do not match, a value is not finite, or a class has fewer than 2 trials.
        """

    @abstractmethod
    def test_statistic(self, images: NDArray[np.floating]) -> NDArray[np.float64]:
        """Test statistic of every trial.

        Parameters
        ----------
        images
            Regions of interest, HU, shape `(n_trials, height, width)`.

        Returns
        -------
        Test statistic, shape `(n_trials,)`; higher means signal present.

        Raises
        ------
        RuntimeError
            If the observer has not been fitted.
        ValueError
            If the shape is not the one fitted, or a value is not finite.
        """


class LinearObserver(Observer):
    """An observer whose test statistic is linear in the image: Σ `template_` · image + `offset_`, and internal noise.

    Attributes
    ----------
    template_
        Weights, shape `(height, width)`. They act on the image in HU.
    offset_
        Constant, of the unit of the test statistic.
    internal_std_
        Standard deviation of the internal noise in the test statistic; 0 unless the observer has some. It is drawn
        afresh from `seed` by every call of `test_statistic`, so call that once for all trials; trial i then meets the
        same noise in every arm of a study.
    """

    template_: NDArray[np.float64]
    offset_: float
    internal_std_: float = 0.0
    seed: int = 0

    @abstractmethod
    def _learn(self, images: NDArray[np.float64], signal_present: NDArray[np.bool_]) -> None:
        """Set `template_` and `offset_`; `images` and `signal_present` are checked."""

    def fit(self, images: NDArray[np.floating], signal_present: NDArray[np.bool_]) -> Self:  # noqa: D102 - as in Observer
        self._learn(*check_training(images, signal_present))
        return self

    def test_statistic(self, images: NDArray[np.floating]) -> NDArray[np.float64]:  # noqa: D102 - as in Observer
        if not hasattr(self, "template_"):
            raise RuntimeError(f"{type(self).__name__} has not been fitted; call fit first")
        images = check_images(images, self.template_.shape)
        statistic = images.reshape(len(images), self.template_.size) @ self.template_.ravel() + self.offset_
        if self.internal_std_ == 0.0:
            return statistic
        return statistic + self.internal_std_ * np.random.default_rng(self.seed).standard_normal(len(statistic))


class PathObserver(LinearObserver):
    """A linear observer with one strength of regularisation, which is chosen on validation trials."""

    path_parameter: ClassVar[str]
    """The hyper-parameter, the strength of the regularisation, that `fit_path` varies."""

    @classmethod
    @abstractmethod
    def _fit_together(
        cls, observers: Sequence[Any], images: NDArray[np.float64], signal_present: NDArray[np.bool_]
    ) -> None:
        """Fit observers that differ in `path_parameter` alone; `images` and `signal_present` are checked."""

    def _learn(self, images: NDArray[np.float64], signal_present: NDArray[np.bool_]) -> None:
        self._fit_together([self], images, signal_present)

    def fit_path(
        self, images: NDArray[np.floating], signal_present: NDArray[np.bool_], values: Sequence[float]
    ) -> list[Self]:
        """Fit one observer for each strength of regularisation, doing the shared work once.

        Parameters
        ----------
        images, signal_present
            As for `fit`.
        values
            Values of the hyper-parameter that `path_parameter` names.

        Returns
        -------
        Fitted copies, one for each value, in the same order; this observer is left as it was.
        """
        observers = [copy.copy(self) for _ in values]
        for observer, value in zip(observers, values, strict=True):
            setattr(observer, self.path_parameter, check_at_least_0(self.path_parameter, value))
        self._fit_together(observers, *check_training(images, signal_present))
        return observers


class SmallSampleWarning(UserWarning):
    """An observer was fitted on so few trials that its AUC is lower than more trials would give."""


def warn_if_few(n_trials: int, n_weights: int, unit: str, *, trials_per_weight: float) -> None:
    """Warn when an observer has too few training trials for what it estimates.

    Parameters
    ----------
    n_trials
        Training trials of both classes.
    n_weights
        Channels or pixels whose covariance is estimated.
    unit
        "channels" or "pixels", for the message.
    trials_per_weight
        Trials wanted for each.

    Warns
    -----
    SmallSampleWarning
        If there are fewer.
    """
    wanted = int(np.ceil(trials_per_weight * n_weights))
    if n_trials < wanted:
        warnings.warn(
            f"{n_trials} training trials for {n_weights} {unit}: the observer is still learning and its AUC too low; "
            f"give {wanted} or more, or look at its learning curve",
            SmallSampleWarning,
            stacklevel=3,
        )


def check_images(images: NDArray[np.floating], shape: tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """Images as float64, once they are known to be finite and of the right shape.

    Parameters
    ----------
    images
        HU, shape `(n_trials, height, width)`.
    shape
        The height and width they must have, if known.

    Returns
    -------
    The same values as float64.

    Raises
    ------
    UserError
        If a value is not finite.
    ValueError
        If the shape is wrong.
    """
    images = np.asarray(images)
    if images.ndim != 3 or 0 in images.shape[1:]:
        raise ValueError(f"images must have shape (n_trials, height, width), not {images.shape}")
    if shape is not None and images.shape[1:] != shape:
        raise ValueError(f"images are {images.shape[1:]} but the observer was fitted on {shape}")
    checked = images.astype(np.float64)
    finite = np.isfinite(checked).all(axis=(1, 2))
    if not finite.all():
        raise UserError(f"{np.sum(~finite)} of {len(images)} images hold values that are not finite")
    return checked


def check_training(
    images: NDArray[np.floating], signal_present: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Training trials, once both classes are known to be there.

    Parameters
    ----------
    images
        HU, shape `(n_trials, height, width)`.
    signal_present
        Bool, shape `(n_trials,)`.

    Returns
    -------
    Images as float64, and the truth.

    Raises
    ------
    UserError
        If a value is not finite, a class has fewer than 2 trials, or all images are the same.
    ValueError
        If shapes do not match or the truth is not bool.
    """
    checked = check_images(images)
    signal_present = np.asarray(signal_present)
    if signal_present.dtype != np.bool_:
        raise ValueError(f"signal_present must be bool, not {signal_present.dtype}")
    if signal_present.shape != (len(checked),):
        raise ValueError(f"signal_present has shape {signal_present.shape}, expected ({len(checked)},)")
    n_present = int(signal_present.sum())
    n_absent = len(signal_present) - n_present
    if min(n_present, n_absent) < 2:
        raise UserError(
            f"an observer needs at least 2 trials of each class to fit; there are {n_present} signal-present "
            f"and {n_absent} signal-absent"
        )
    if (checked == checked[0]).all():
        raise UserError("all training images are the same; there is nothing to learn from")
    return checked, signal_present


def check_at_least_0(name: str, value: float, unit: str = "") -> float:
    """Return a setting as a float, once it is known to be finite and not negative.

    Parameters
    ----------
    name, unit
        What the error message says.
    value
        The setting.

    Raises
    ------
    UserError
        If it is negative or not finite.
    """
    if not 0.0 <= value < float("inf"):
        raise UserError(f"{name} is {value}; it must be finite and at least 0{unit and ' ' + unit}")
    return float(value)
