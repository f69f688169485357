"""The bilateral filter against its definition and its limits."""

import numpy as np
import pytest
from scipy import ndimage

from taskct.denoisers.bilateral import filter_bilateral


def test_it_is_its_definition() -> None:
    """Every neighbour written out, on an image of two levels with noise."""
    image = np.where(np.arange(13) < 6, 0.0, 90.0) + np.random.default_rng(0).normal(0, 20, (11, 13))
    value_std, distance_std, reach = 35.0, 1.5, 3
    padded = np.pad(image, reach, mode="symmetric")
    expected = np.empty_like(image)
    for row, column in np.ndindex(image.shape):
        total = weights = 0.0
        for down, right in np.ndindex(2 * reach + 1, 2 * reach + 1):
            other = padded[row + down, column + right]
            squared = ((down - reach) ** 2 + (right - reach) ** 2) / distance_std**2
            weight = np.exp(-0.5 * (squared + ((other - image[row, column]) / value_std) ** 2))
            total, weights = total + weight * other, weights + weight
        expected[row, column] = total / weights
    np.testing.assert_allclose(
        filter_bilateral(image, value_std=value_std, distance_std=distance_std), expected, rtol=1e-12
    )


@pytest.mark.parametrize("distance_std", [1.5, 3.0])
def test_with_any_value_it_is_a_gaussian_about_the_pixel_itself(distance_std: float) -> None:
    """An impulse becomes a Gaussian centred on it, which the table of scikit-image 0.26 puts beside it."""
    image = np.zeros((31, 33))
    image[15, 16] = 1.0
    found = filter_bilateral(image, value_std=1e6, distance_std=distance_std)
    assert ndimage.center_of_mass(found) == pytest.approx((15.0, 16.0), abs=1e-9)
    np.testing.assert_allclose(found, ndimage.gaussian_filter(image, distance_std, truncate=2.0), atol=1e-9)


def test_with_few_values_alike_it_changes_nothing() -> None:
    image = np.random.default_rng(0).normal(0, 50, (12, 12))
    np.testing.assert_allclose(filter_bilateral(image, value_std=1e-3, distance_std=2.0), image, atol=1e-9)
