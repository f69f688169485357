"""Gaussian trials with a known covariance, for which the best linear observer is known in closed form."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm


@dataclass(frozen=True)
class GaussianTask:
    """A known signal in Gaussian noise of known covariance.

    Examples
    --------
    >>> task = correlated_task()
    >>> images, signal_present = task.draw(40, seed=0)
    >>> images.shape, int(signal_present.sum()), round(task.ideal_auc, 2)
    ((40, 8, 8), 20, 0.79)
    """

    signal: NDArray[np.float64]
    """HU, `(height, width)`."""
    background: NDArray[np.float64]
    """Mean of the signal-absent images, HU, `(height, width)`."""
    covariance: NDArray[np.float64]
    """Of both classes, HU², `(n_pixels, n_pixels)`."""

    def draw(self, n_trials: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Draw images, HU, `(n_trials, height, width)`, and their truth; every other trial is signal-present."""
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((n_trials, self.signal.size)) @ np.linalg.cholesky(self.covariance).T
        signal_present = np.arange(n_trials) % 2 == 0
        images = self.background + noise.reshape(-1, *self.signal.shape)
        images += signal_present[:, None, None] * self.signal
        return images.astype(np.float32), signal_present

    @property
    def ideal_auc(self) -> float:
        """Of the Hotelling observer with the true covariance, here also the ideal observer."""
        s = self.signal.ravel()
        return float(norm.cdf(np.sqrt(s @ np.linalg.solve(self.covariance, s) / 2.0)))

    def auc_of(self, template: NDArray[np.float64], internal_std: float = 0.0) -> float:
        """Exact AUC of a linear observer on this task.

        Parameters
        ----------
        template
            1/HU, `(height, width)`.
        internal_std
            Standard deviation of the internal noise in the test statistic, its unit.
        """
        w = np.asarray(template, dtype=np.float64).ravel()
        variance = w @ self.covariance @ w + internal_std**2
        return float(norm.cdf(w @ self.signal.ravel() / np.sqrt(2.0 * variance)))


def pixel_places(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Row and column of every pixel, `(n_pixels, 2)`."""
    return np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij"), axis=-1).reshape(-1, 2)


def correlated_task() -> GaussianTask:
    """8 × 8 pixels: smooth background variation plus white noise, and a blob off the centre; the ideal d' is 1.1."""
    points = pixel_places((8, 8))
    distance2 = ((points[:, None] - points[None]) ** 2).sum(-1)
    covariance = 300.0 * np.exp(-distance2 / 8.0) + 60.0 * np.eye(64)
    signal = 16.0 * np.exp(-((points - [3.0, 4.0]) ** 2).sum(-1) / 3.0).reshape(8, 8)
    return GaussianTask(signal, 40.0 + points[:, 0].reshape(8, 8), covariance)
