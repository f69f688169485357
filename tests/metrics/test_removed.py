"""What was taken away: noise alone is not called structure, blurred edges are found."""

import numpy as np
import pytest
from scipy import ndimage

from taskct.metrics.removed import autocorrelation, removed_structure

SIDE = 128


def phantom(rng, air=True):
    """Ellipses of some tens of HU in a body, in air or filling the image."""
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.full((SIDE, SIDE), -1000.0 if air else 40.0)

    def ellipse(place, axes, angle):
        u = (x - place[1]) * np.cos(angle) + (y - place[0]) * np.sin(angle)
        v = (y - place[0]) * np.cos(angle) - (x - place[1]) * np.sin(angle)
        return np.clip((1.0 - np.hypot(u / axes[0], v / axes[1])) * min(axes) + 0.5, 0.0, 1.0)

    image += 1040.0 * air * ellipse((SIDE / 2, SIDE / 2), (0.46 * SIDE, 0.4 * SIDE), 0.0)
    for _ in range(8):
        place, axes = rng.uniform(0.25 * SIDE, 0.75 * SIDE, 2), rng.uniform(8.0, 24.0, 2)
        image += rng.uniform(-80.0, 80.0) * ellipse(place, axes, rng.uniform(0.0, 3.0))
    return image


def noise(rng, n, kind):
    """White, or with the spectrum that filtered backprojection leaves; stronger in the middle."""
    images = rng.normal(size=(n, SIDE, SIDE))
    if kind == "fbp":
        f = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE))
        images = np.fft.ifft2(np.fft.fft2(images) * np.sqrt(f) * np.cos(np.pi * np.clip(f / 0.5, 0, 1) / 2) ** 2).real
    y, x = np.mgrid[:SIDE, :SIDE]
    return 20.0 * images / images.std() * (1.3 - 0.8 * np.hypot(y - SIDE / 2, x - SIDE / 2) / (SIDE / 2))


@pytest.mark.parametrize("kind", ["white", "fbp"])
@pytest.mark.parametrize("air", [True, False])
def test_noise_alone_is_no_structure(kind, air):
    """40 pairs each, half of them denoised less at edges. A rate of 7 % exceeds 8 alarms once in 1,000 times."""
    alarms, shares = 0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth, added = phantom(rng, air), noise(rng, 2, kind)
        left = 0.5 * ndimage.gaussian_filter(added, (0, 1.2, 1.2))
        if seed % 2:
            left = added * np.clip(ndimage.gaussian_gradient_magnitude(truth, 1.0) / 8.0, 0.1, 0.9)
        found = removed_structure(truth + added, truth + left, n_bootstrap=200)
        alarms += found.found
        shares.append(found.along_edges.value)
    assert alarms <= 8
    error = np.std(shares, ddof=1) / np.sqrt(len(shares))
    assert np.mean(shares) == pytest.approx(0.0, abs=4.0 * error)
    assert error < 0.02


@pytest.mark.parametrize("kind", ["white", "fbp"])
@pytest.mark.parametrize(("n", "air"), [(2, True), (12, True), (4, False)])
def test_blurred_edges_are_found(kind, n, air):
    rng = np.random.default_rng(1)
    truth, added = phantom(rng, air), noise(rng, n, kind)
    left = 0.5 * ndimage.gaussian_filter(added, (0, 1.2, 1.2))
    shares = []
    for sigma_px in (1.5, 3.0):
        found = removed_structure(truth + added, ndimage.gaussian_filter(truth, sigma_px) + left)
        assert found.found
        shares.append(found.along_edges.value)
        assert found.of_all.value < found.along_edges.value
    assert shares[0] < shares[1]


def test_the_share_is_that_of_a_straight_edge():
    """A line 10 HU strong is taken along a slanted edge, and white noise of 5 HU everywhere."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = (x - 64.0) * np.cos(0.3) + (y - 64.0) * np.sin(0.3)
    denoised = np.repeat(100.0 * (distance > 0.0)[None], 4, axis=0) + rng.normal(0.0, 0.2, (4, SIDE, SIDE))
    line = 10.0 * np.exp(-(distance**2) / 8.0)
    removed = line + rng.normal(0.0, 5.0, (4, SIDE, SIDE))
    found = removed_structure(denoised + removed, denoised)
    on_edge = found.map_hu[0] != 0.0
    expected = (line[on_edge] ** 2).mean() / ((line[on_edge] ** 2).mean() + 25.0)
    assert found.along_edges.value == pytest.approx(expected, rel=0.12)
    assert found.map_hu[0][on_edge & (np.abs(distance) < 0.5)].mean() == pytest.approx(10.0, rel=0.1)
    # A lower bound: the outermost 9 pixels of the image are no edges.
    assert 0.65 < found.of_all.value / ((line**2).mean() / removed.var()) < 1.0


def test_anatomy_repeats_in_the_next_slice_and_noise_does_not():
    rng = np.random.default_rng(3)
    truth, added = phantom(rng), noise(rng, 12, "white")
    alone = removed_structure(truth + added, np.repeat(truth[None], 12, axis=0))
    assert alone.between_slices.ci_low < 0.0 < alone.between_slices.ci_high
    blurred = removed_structure(truth + added, np.repeat(ndimage.gaussian_filter(truth, 2.0)[None], 12, axis=0))
    assert blurred.between_slices.ci_low > 0.2
    assert removed_structure((truth + added)[:2], truth[None].repeat(2, axis=0)).between_slices is None


def test_the_autocorrelation_of_filtered_noise_is_its_own():
    """White noise behind a Gaussian of σ: exp(−d² / (4σ²)), half of it at 2σ √(ln 2)."""
    sigma = 2.0
    white = np.random.default_rng(4).normal(size=(20, SIDE, SIDE))
    images = ndimage.gaussian_filter(white, (0, sigma, sigma), mode="wrap")
    lag = np.arange(-6, 7)
    expected = np.exp(-(lag[:, None] ** 2 + lag**2) / (4.0 * sigma**2))
    np.testing.assert_allclose(autocorrelation(images, reach_px=6), expected, atol=0.03)
    even = 40.0 + np.random.default_rng(5).normal(0.0, 0.1, images.shape)
    found = removed_structure(even + images, even)
    assert found.half_width_px == pytest.approx(2.0 * sigma * np.sqrt(np.log(2.0)), rel=0.06)
    assert not found.found


def test_what_does_not_fit_is_refused():
    images = np.random.default_rng(0).normal(size=(2, 64, 64))
    for other, what in ((images[:1], "same slices"), (images[:, :32], "same slices"), (images, "nothing was taken")):
        with pytest.raises(ValueError, match=what):
            removed_structure(images, other)
    with pytest.raises(ValueError, match="lag_px"):
        removed_structure(images, 0.5 * images, lag_px=40)
    with pytest.raises(ValueError, match="constant"):
        autocorrelation(np.ones((1, 64, 64)))
