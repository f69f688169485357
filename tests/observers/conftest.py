"""Gaussian trials with a known covariance, for which the best linear observer is known in closed form."""

import numpy as np
import pytest

from taskct.testing import GaussianTask, correlated_task
from taskct.testing.gaussian import pixel_places


@pytest.fixture
def correlated() -> GaussianTask:
    return correlated_task()


@pytest.fixture
def white() -> GaussianTask:
    """8 × 10 pixels: white noise of 20 HU and a blob."""
    points = pixel_places((8, 10))
    signal = 18.0 * np.exp(-((points - [3.0, 5.0]) ** 2).sum(-1) / 3.0).reshape(8, 10)
    return GaussianTask(signal, np.full((8, 10), 40.0), 400.0 * np.eye(80))
