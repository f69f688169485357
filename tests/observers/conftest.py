"""Gaussian trials with a known covariance, for which the best linear observer is known in closed form."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm


@dataclass
class GaussianTask:
    signal: NDArray[np.float64]  # (height, width), HU
    background: NDArray[np.float64]  # (height, width), HU
    covariance: NDArray[np.float64]  # (n_pixels, n_pixels), HU²

    def draw(self, n_trials: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Trials, half of them signal-present."""
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
        """Exact AUC of a linear observer on this task."""
        w = np.asarray(template, dtype=np.float64).ravel()
        variance = w @ self.covariance @ w + internal_std**2
        return float(norm.cdf(w @ self.signal.ravel() / np.sqrt(2.0 * variance)))


def _grid(shape: tuple[int, int]) -> NDArray[np.float64]:
    return np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij"), axis=-1).reshape(-1, 2)


@pytest.fixture
def correlated() -> GaussianTask:
    """8 × 8 pixels: smooth background variation plus white noise, and a blob off the centre."""
    points = _grid((8, 8))
    distance2 = ((points[:, None] - points[None]) ** 2).sum(-1)
    covariance = 300.0 * np.exp(-distance2 / 8.0) + 60.0 * np.eye(64)
    signal = 16.0 * np.exp(-((points - [3.0, 4.0]) ** 2).sum(-1) / 3.0).reshape(8, 8)
    return GaussianTask(signal, 40.0 + points[:, 0].reshape(8, 8), covariance)


@pytest.fixture
def white() -> GaussianTask:
    """8 × 10 pixels: white noise of 20 HU and a blob."""
    points = _grid((8, 10))
    signal = 18.0 * np.exp(-((points - [3.0, 5.0]) ** 2).sum(-1) / 3.0).reshape(8, 10)
    return GaussianTask(signal, np.full((8, 10), 40.0), 400.0 * np.eye(80))
