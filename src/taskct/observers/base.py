"""The contract of an observer, and the checks of what goes into one."""

import copy
import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.ranges import Range, Ranges

T = TypeVar("T")
Array = NDArray[np.float64]
Truth = NDArray[np.bool_]
"""Which trials hold the signal, `(n_trials,)`."""


class Observer(ABC):
    """A numerical observer: hyper-parameters in `__init__`, learned state in attributes that end in `_`."""

    ranges: ClassVar[Ranges] = {}
    """Range of every hyper-parameter that is a number."""
    validates_itself: ClassVar[bool] = False
    """Whether some of the training trials, taken at random, tell it when to stop."""

    @classmethod
    def checked(cls, name: str, value: float) -> float:
        """A hyper-parameter, once it is known to lie in its range; a `UserError` says what is allowed."""
        return cls.ranges[name].check(name, value)

    def __post_init__(self) -> None:
        """Check the numbers of an observer whose hyper-parameters are fields of a dataclass."""
        for name, allowed in self.ranges.items():
            setattr(self, name, allowed.check(name, getattr(self, name)))

    def __repr__(self) -> str:
        told = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters if hasattr(self, name)}
        parts = [
            f"{name}={f'array{value.shape}' if isinstance(value, np.ndarray) else repr(value)}"
            for name, value in told.items()
        ]
        fitted = ", fitted" if any(name.endswith("_") for name in vars(self)) else ""
        return f"{type(self).__name__}({', '.join(parts)}){fitted}"

    @abstractmethod
    def fit(self, images: NDArray[np.floating], signal_present: NDArray[np.bool_]) -> Self:
        """Learn from trials whose truth is known, and return the observer; what an earlier `fit` learned is forgotten.

        Parameters
        ----------
        images, signal_present
            Regions of interest, HU, shape `(n_trials, height, width)`, and truth of every trial, bool, shape
            `(n_trials,)`.

        Raises
        ------
        ValueError
            If shapes do not match, a value is not finite, or a class has fewer than 2 trials.
        """

    @abstractmethod
    def test_statistic(self, images: NDArray[np.floating]) -> NDArray[np.float64]:
        """Test statistic of every trial, shape `(n_trials,)`; higher means signal present.

        Images are in HU, `(n_trials, height, width)`, of the height and width fitted; otherwise, or where a value is
        not finite, a ValueError is raised, and a RuntimeError if the observer has not been fitted.
        """


RIDGE = Range(0.0, meaning="relative to the mean variance of a pixel")


class LinearObserver(Observer):
    """An observer whose test statistic is linear in the image: Σ `template_` · image + `offset_`, and internal noise.

    Attributes
    ----------
    template_, offset_
        Weights of the image in HU, shape `(height, width)`, and a constant of the unit of the test statistic.
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
    def _learn(self, images: Array, signal_present: Truth) -> None:
        """Set `template_` and `offset_`; `images` and `signal_present` are checked."""

    def fit(self, images: NDArray[np.floating], signal_present: NDArray[np.bool_]) -> Self:  # noqa: D102 - as in Observer
        self._learn(*check_training(images, signal_present))
        return self

    def test_statistic(self, images: NDArray[np.floating]) -> NDArray[np.float64]:  # noqa: D102 - as in Observer
        if not hasattr(self, "template_"):
            raise RuntimeError(f"{type(self).__name__} has not been fitted; call fit first")
        return self._statistic(as_finite(images, self.template_.shape))

    def _statistic(self, images: NDArray[np.floating]) -> Array:
        """Test statistic of images that are checked."""
        weights = self.template_.ravel()
        statistic = np.full(len(images), self.offset_)
        for start in range(0, len(images), _BATCH):  # a few at a time, since they become twice as large
            batch = images[start : start + _BATCH].astype(np.float64, order="C")
            statistic[start : start + _BATCH] += batch.reshape(len(batch), -1) @ weights
        if self.internal_std_ == 0.0:
            return statistic
        return statistic + self.internal_std_ * np.random.default_rng(self.seed).standard_normal(len(statistic))


_BATCH = 256
"""Images whose float64 copies stay in the cache, about."""
_ROWS = 16
_SAME_MEANS = 4.0 * float(np.finfo(np.float32).eps)  # relative to the largest value, when images were float32 once


@dataclass(frozen=True, eq=False)
class TrainingTrials:
    """Training trials that are checked, and what several observers need of them, worked out once.

    >>> images = np.random.default_rng(0).normal(size=(20, 4, 4))
    >>> trials = TrainingTrials.of(images, np.arange(20) % 2 == 0)
    >>> trials.gram is trials.gram
    True
    """

    images: Array  # HU, `(n_trials, height, width)`
    signal_present: Truth  # `(n_trials,)`
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, images: NDArray[np.floating], signal_present: Truth) -> Self:
        """Check images and their truth, see `check_training`."""
        return cls(*check_training(images, signal_present))

    def __len__(self) -> int:
        return len(self.images)

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives of these trials, made once for all who ask for it by the same name."""
        if name not in self._made:
            self._made[name] = make()
        made: T = self._made[name]
        return made

    @property
    def pixels(self) -> Array:
        """Shape `(n_trials, n_pixels)`."""
        return self.images.reshape(len(self.images), -1)

    @cached_property
    def class_means(self) -> Array:
        """Mean of the signal-present and of the signal-absent trials, HU, `(2, n_pixels)`."""
        return np.stack(
            [self.pixels[of_class].mean(axis=0) for of_class in (self.signal_present, ~self.signal_present)]
        )

    @cached_property
    def residuals(self) -> Array:
        """Pixels less the mean of their class, HU, `(n_trials, n_pixels)`."""
        of_class = np.where(self.signal_present, 0, 1)
        residuals = np.empty_like(self.pixels)
        for start in range(0, len(residuals), _ROWS):  # a few at a time stay in the cache
            part = slice(start, start + _ROWS)
            np.subtract(self.pixels[part], self.class_means[of_class[part]], out=residuals[part])
        return residuals

    @cached_property
    def gram(self) -> Array:
        """Inner products of the residuals, HU², `(n_trials, n_trials)`."""
        return self.residuals @ self.residuals.T


class PathObserver(LinearObserver):
    """A linear observer with one strength of regularisation, which is chosen on validation trials."""

    path_parameter: ClassVar[str]
    """The hyper-parameter, the strength of the regularisation, that `fit_path` varies."""

    @classmethod
    @abstractmethod
    def _fit_together(cls, observers: Sequence[Any], trials: TrainingTrials) -> None:
        """Fit observers that differ in `path_parameter` alone."""

    def _learn(self, images: Array, signal_present: Truth) -> None:
        self._fit_together([self], TrainingTrials(images, signal_present))

    def fit_path(
        self, images: NDArray[np.floating], signal_present: NDArray[np.bool_], values: Sequence[float]
    ) -> list[Self]:
        """Fitted copies, one for each of the values; the work they share is done once, and this one stays as it was."""
        observers = [copy.copy(self) for _ in values]
        for observer, value in zip(observers, values, strict=True):
            setattr(observer, self.path_parameter, self.checked(self.path_parameter, value))
        self._fit_together(observers, TrainingTrials.of(images, signal_present))
        return observers


class SmallSampleWarning(UserWarning):
    """An observer was fitted on so few trials that its AUC is lower than more trials would give."""


def warn_if_few(n_trials: int, n_weights: int, unit: str, *, trials_per_weight: float) -> None:
    """Give a `SmallSampleWarning` where training trials are fewer than wanted for each weight; `unit` names those."""
    wanted = int(np.ceil(trials_per_weight * n_weights))
    if n_trials < wanted:
        warnings.warn(
            f"{n_trials} training trials for {n_weights} {unit}: the observer is still learning and its AUC too low; "
            f"give {wanted} or more, or look at its learning curve",
            SmallSampleWarning,
            stacklevel=3,
        )


def check_images(images: NDArray[np.floating], shape: tuple[int, ...] | None = None) -> Array:
    """Images `(n_trials, height, width)` as float64 in row-major order, with the errors of `as_finite`."""
    return as_finite(images, shape).astype(np.float64, order="C")  # sums in another order differ in their last bits


def as_finite(images: NDArray[np.floating], shape: tuple[int, ...] | None = None) -> NDArray[np.floating]:
    """Images `(n_trials, height, width)` as they are, once they are known to be finite.

    A ValueError says that they have other axes or not the height and width in `shape`, a `UserError` that a value is
    not finite.
    """
    images = np.asarray(images)
    if images.ndim != 3 or 0 in images.shape[1:]:
        raise ValueError(f"images must have shape (n_trials, height, width), not {images.shape}")
    if shape is not None and images.shape[1:] != shape:
        raise ValueError(f"images are {images.shape[1:]} but the observer was fitted on {shape}")
    parts = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
    n_bad = sum(int((~np.isfinite(part).all(axis=(1, 2))).sum()) for part in parts)
    if n_bad:
        raise UserError(f"{n_bad} of {len(images)} images hold values that are not finite")
    return images


def check_training(images: NDArray[np.floating], signal_present: Truth) -> tuple[Array, NDArray[np.bool_]]:
    """Training trials as `check_images` gives them, and their truth.

    A ValueError says that shapes do not match or the truth is not bool, a `UserError` that a class has fewer than 2
    trials, all images are the same, or the means of the classes agree to the rounding of float32.
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
    if all((image == checked[0]).all() for image in checked[1:]):  # ends at the first that differs
        raise UserError("all training images are the same; there is nothing to learn from")
    _check_means(checked.reshape(len(checked), -1), signal_present)
    return checked, signal_present


def _check_means(pixels: Array, signal_present: NDArray[np.bool_]) -> None:
    """Raise a `UserError` if the class means agree to rounding in every pixel, as where each class was centred."""
    for part in (slice(None, None, max(1, pixels.shape[1] // 16)), slice(None)):  # a few pixels tell at once
        some = pixels[:, part]
        difference = some[signal_present].mean(axis=0) - some[~signal_present].mean(axis=0)
        if np.abs(difference).max() > _SAME_MEANS * np.abs(some).max():
            return
    raise UserError(
        "the means of the two classes are the same to rounding, as where each class was centred on its own mean: there "
        "is no signal to learn; give the images as they are"
    )
