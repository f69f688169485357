"""Channels against their formulas written out another way, Fourier integrals, numpy and scikit-learn."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import eval_laguerre, j0
from sklearn.cross_decomposition import PLSRegression

from taskct.errors import UserError
from taskct.observers.channels import (
    dense_dog,
    difference_of_gaussians,
    gabor,
    laguerre_gauss,
    partial_least_squares,
    principal_components,
    sparse_dog,
)


def spectrum(channel, shape, fy, fx):
    """Fourier transform about the middle of the image at one frequency, cycles/pixel."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in shape)
    phase = np.exp(-2j * np.pi * (fy * rows[:, None] + fx * columns))
    return np.sum(channel.reshape(shape) * phase)


def test_laguerre_gauss_is_orthonormal():
    matrix = laguerre_gauss((120, 100), width_px=14.0, n_channels=8)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(8), atol=1e-6)  # what the border cuts off


@pytest.mark.parametrize("centre", [None, (2.0, 8.25)])
def test_laguerre_gauss_formula(centre):
    row, column = centre or (4.5, 5.0)
    matrix = laguerre_gauss((10, 11), width_px=4.0, n_channels=5, centre=centre)
    for i, j in ((0, 0), (3, 7), (9, 10)):
        r2 = (i - row) ** 2 + (j - column) ** 2
        expected = [
            math.sqrt(2) / 4 * math.exp(-math.pi * r2 / 16) * eval_laguerre(n, 2 * math.pi * r2 / 16) for n in range(5)
        ]
        np.testing.assert_allclose(matrix[i * 11 + j], expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("centre", [None, (3.0, 7.5)])
def test_gabor_formula(centre):
    row, column = centre or (4.5, 5.5)
    edges, phases = (0.05, 0.1, 0.4), (0.0, 0.7, math.pi / 2)
    matrix = gabor((10, 12), band_edges=edges, n_orientations=4, phases=phases, centre=centre)
    assert matrix.shape == (120, 2 * 4 * 3)
    channels = iter(matrix.T.reshape(-1, 10, 12))
    for low, high in pairwise(edges):
        width = 4 * math.log(2) / (math.pi * (high - low))
        for k in range(4):
            for phase in phases:
                channel = next(channels)
                for i, j in ((0, 0), (4, 3), (9, 11)):
                    y, x = i - row, j - column
                    carrier = x * math.cos(k * math.pi / 4) + y * math.sin(k * math.pi / 4)
                    expected = math.exp(-4 * math.log(2) * (x * x + y * y) / width**2) * math.cos(
                        2 * math.pi * (low + high) / 2 * carrier + phase
                    )
                    assert channel[i, j] == pytest.approx(expected, rel=1e-10, abs=1e-14)


def test_gabor_passes_its_band():
    # The amplitude spectrum falls to one half at the edges of the band.
    shape = (300, 301)
    matrix = gabor(shape, band_edges=(1 / 16, 1 / 8, 1 / 4), n_orientations=2, phases=(0.0,))
    for k, (low, high) in enumerate(((1 / 16, 1 / 8), (1 / 8, 1 / 4))):
        for orientation, (dy, dx) in enumerate(((0.0, 1.0), (1.0, 0.0))):
            channel = matrix[:, 2 * k + orientation]
            at = [abs(spectrum(channel, shape, f * dy, f * dx)) for f in (low, (low + high) / 2, high)]
            # The other lobe, at −f, adds 2⁻⁹ of the peak at the middle of the band and more at the lower edge.
            assert at[0] / at[1] == pytest.approx(0.5, rel=0.02)
            assert at[2] / at[1] == pytest.approx(0.5, rel=0.02)


def test_gabor_of_phase_90_degrees_is_blind_to_a_symmetric_signal():
    rows, columns = np.arange(20) - 9.5, np.arange(24) - 11.5
    blob = np.exp(-(rows[:, None] ** 2 + columns**2) / 30.0).ravel()
    seen = blob @ gabor((20, 24))
    np.testing.assert_allclose(seen[1::2], 0.0, atol=1e-12)
    assert np.abs(seen[::2]).max() > 1.0


@pytest.mark.parametrize(
    ("function", "sigma0", "alpha", "q", "n"), [(sparse_dog, 0.015, 2.0, 2.0, 3), (dense_dog, 0.005, 1.4, 1.67, 10)]
)
def test_dog_is_the_fourier_integral_of_its_bands(function, sigma0, alpha, q, n):
    centre = (2.0, 4.5)
    matrix = function((9, 8), centre=centre)
    assert matrix.shape == (72, n)
    for channel in range(n):
        sigma = sigma0 * alpha ** (channel + 1)
        for i, j in ((2, 4), (0, 0), (8, 7)):
            r = math.hypot(i - centre[0], j - centre[1])

            def integrand(rho, sigma=sigma, r=r):
                band = math.exp(-0.5 * (rho / (q * sigma)) ** 2) - math.exp(-0.5 * (rho / sigma) ** 2)
                return band * j0(2 * math.pi * rho * r) * 2 * math.pi * rho

            expected = quad(integrand, 0.0, 10 * q * sigma, epsabs=1e-13, epsrel=1e-10, limit=200)[0]
            assert matrix[i * 8 + j, channel] == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_dog_is_the_same_in_all_directions_about_the_middle():
    for shape in ((12, 12), (13, 13)):
        channels = dense_dog(shape).T.reshape(-1, *shape)
        np.testing.assert_allclose(channels, np.rot90(channels, axes=(1, 2)), rtol=1e-12)


@pytest.mark.parametrize("n_trials", [30, 200])  # fewer and more than the 64 pixels
def test_principal_components_are_eigenvectors(correlated, n_trials):
    images, signal_present = correlated.draw(n_trials, seed=1)
    signal_present = np.arange(n_trials) < n_trials // 3  # classes of unequal size
    pixels = images.reshape(n_trials, -1).astype(float)
    covariance = (np.cov(pixels[signal_present].T) + np.cov(pixels[~signal_present].T)) / 2
    variances, vectors = np.linalg.eigh(covariance)
    matrix = principal_components(images, signal_present, 6)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(6), atol=1e-9)
    np.testing.assert_allclose(np.abs(np.sum(matrix * vectors[:, :-7:-1], axis=0)), 1.0, rtol=1e-8)
    np.testing.assert_allclose(matrix.T @ covariance @ matrix, np.diag(variances[:-7:-1]), atol=1e-7 * variances[-1])


@pytest.mark.parametrize("n_trials", [30, 200])
def test_partial_least_squares_equals_scikit_learn(correlated, n_trials):
    images, signal_present = correlated.draw(n_trials, seed=2)
    signal_present = np.arange(n_trials) % 3 == 0
    expected = PLSRegression(n_components=7, scale=False).fit(
        images.reshape(n_trials, -1).astype(float), signal_present
    )
    matrix = partial_least_squares(images, signal_present, 7)
    sign = np.sign(np.sum(matrix * expected.x_weights_, axis=0))
    np.testing.assert_allclose(matrix, sign * expected.x_weights_, atol=1e-8)


def test_learning_more_channels_than_trials_allow(correlated):
    images, signal_present = correlated.draw(10, seed=3)
    assert principal_components(images, signal_present, 8).shape == (64, 8)
    with pytest.raises(UserError, match="9 principal components are wanted; 10 trials have 8"):
        principal_components(images, signal_present, 9)
    with pytest.raises(UserError, match="12 PLS channels are wanted but the trials have 9"):
        partial_least_squares(images, signal_present, 12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: laguerre_gauss((8, 8), width_px=0.0), "width_px is 0;"),
        (lambda: laguerre_gauss((8, 8), width_px=math.nan), "width_px is nan"),
        (
            lambda: laguerre_gauss((8, 8), width_px=2.0, n_channels=0),
            "n_channels is 0; it must be a whole",
        ),
        (lambda: laguerre_gauss((8, 8), width_px=2.0, centre=(math.inf, 0.0)), "give a finite row and column"),
        (lambda: gabor((8, 8), band_edges=(0.2, 0.1)), "rising values in"),
        (lambda: gabor((8, 8), band_edges=(0.2, 0.6)), "rising values in"),
        (lambda: gabor((8, 8), n_orientations=0), "n_orientations is 0"),
        (lambda: gabor((8, 8), phases=()), "one or more finite values"),
        (lambda: sparse_dog((8, 8), n_channels=0), "n_channels is 0"),
        (lambda: difference_of_gaussians((8, 8), sigma0=-1.0, alpha=2.0, q=2.0, n_channels=3), "sigma0"),
        (lambda: difference_of_gaussians((8, 8), sigma0=0.1, alpha=2.0, q=1.0, n_channels=3), "q is 1;"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(UserError, match=message):
        make()
