"""Crops and scanning against loops over windows, and against the theory of M alternatives."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from taskct.errors import UserError
from taskct.observers import Hotelling, HotellingEye, LinearObserver, Observer
from taskct.observers.crops import centred_crops
from taskct.observers.scanning import Scanning


class Template(LinearObserver):
    """The non-prewhitening matched filter of a known signal; nothing is learned."""

    def __init__(self, signal):
        self.signal = signal

    def _learn(self, images, signal_present):
        self.template_, self.offset_ = self.signal, 0.0


class LargestPixel(Observer):
    """An observer that is not linear."""

    def fit(self, images, signal_present):
        return self

    def test_statistic(self, images):
        images = images.astype(np.float64)
        return images.max(axis=(1, 2)) - images.mean(axis=(1, 2))


@pytest.fixture
def trials():
    rng = np.random.default_rng(1)
    images = rng.normal(40.0, 10.0, size=(60, 15, 18)).astype(np.float32)
    centres = np.stack([rng.integers(3, 12, 60), rng.integers(3, 15, 60)], axis=1)
    signal_present = np.arange(60) % 2 == 0
    images[np.flatnonzero(signal_present), *centres[signal_present].T] += 30.0
    return images, signal_present, centres


@pytest.mark.parametrize("size", [1, 4, 5])
def test_crops_have_the_site_at_half_the_size(trials, size):
    images, _, centres = trials
    crops = centred_crops(images, centres, size_px=size)
    assert crops.shape == (60, size, size)
    assert crops.dtype == images.dtype
    for image, centre, crop in zip(images, centres, crops, strict=True):
        assert crop[size // 2, size // 2] == image[tuple(centre)]
        row, column = centre - size // 2
        np.testing.assert_array_equal(crop, image[row : row + size, column : column + size])
    before = images.copy()
    crops += 1.0
    np.testing.assert_array_equal(images, before)
    assert centred_crops(images[:0], centres[:0], size_px=size).shape == (0, size, size)


def test_crops_take_the_nearest_pixel():
    image = np.arange(100.0).reshape(1, 10, 10)
    for site, pixel in (([4.4, 5.5], 46.0), ([3.5, 4.6], 45.0)):
        assert centred_crops(image, np.array([site]), size_px=1)[0, 0, 0] == pixel


@pytest.mark.parametrize(("size", "low", "rows", "columns"), [(5, 2, 12, 15), (4, 2, 13, 16)])
def test_the_allowed_range_is_the_one_the_message_names(size, low, rows, columns):
    images = np.zeros((3, 15, 18))
    for edge in ([low, low], [rows, columns]):
        centred_crops(images, np.array([[7, 7], [7, 7], edge]), size_px=size)
    for beyond in ([low - 1, 7], [7, low - 1], [rows + 1, 7], [7, columns + 1]):
        with pytest.raises(UserError, match=f"site 2, .*1 of 3.*rows {low} to {rows} and columns {low} to {columns}"):
            centred_crops(images, np.array([[7, 7], [7, 7], beyond]), size_px=size)


def test_bad_crops(trials):
    images, _, centres = trials
    with pytest.raises(UserError, match=r"16 pixels wide.* 1 to 15"):
        centred_crops(images, centres, size_px=16)
    with pytest.raises(ValueError, match="59 sites for 60 images"):
        centred_crops(images, centres[1:], size_px=3)
    with pytest.raises(ValueError, match="must be finite"):
        centred_crops(images, np.where(centres > 3, centres, np.nan), size_px=3)
    with pytest.raises(ValueError, match="must have shape"):
        centred_crops(images[0], centres, size_px=3)


def windows(images, size, stride=1):
    """Every window that fits, with its centre, one after another."""
    for row in range(0, images.shape[1] - size + 1, stride):
        for column in range(0, images.shape[2] - size + 1, stride):
            yield (row + size // 2, column + size // 2), images[:, row : row + size, column : column + size]


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("observer", [Hotelling(ridge=0.5), LargestPixel()])
def test_scanning_is_a_loop_over_windows(trials, observer, size, stride):
    images, signal_present, centres = trials
    scanning = Scanning(observer, size_px=size, stride_px=stride).fit(images, signal_present, centres)
    alone = type(observer)(**vars(observer)).fit(centred_crops(images, centres, size_px=size), signal_present)
    expected, sites = [], []
    for site, crops in windows(images, size, stride):
        sites.append(site)
        expected.append(alone.test_statistic(crops))
    np.testing.assert_array_equal(scanning.candidate_sites((15, 18)), sites)
    np.testing.assert_allclose(scanning.site_statistics(images), np.transpose(expected), rtol=1e-9, atol=1e-11)
    statistic, found = scanning.locate(images)
    np.testing.assert_allclose(statistic, np.max(expected, axis=0), rtol=1e-9)
    np.testing.assert_array_equal(found, np.array(sites)[np.argmax(expected, axis=0)])
    np.testing.assert_array_equal(scanning.test_statistic(images), statistic)
    assert not hasattr(observer, "template_")  # the user's own is left alone


def test_batches_do_not_show(trials, monkeypatch):
    images, signal_present, centres = trials
    scanning = Scanning(Hotelling(), size_px=5).fit(images, signal_present, centres)
    whole = scanning.site_statistics(images)
    monkeypatch.setattr("taskct.observers.scanning._BATCH_PIXELS", 1000)
    np.testing.assert_allclose(scanning.site_statistics(images), whole, rtol=1e-12, atol=1e-12)


def test_one_site_per_image_is_the_centred_mode(trials):
    images, signal_present, _ = trials
    site = np.array([[7, 8]])
    centres = np.repeat(site, 60, axis=0)
    crops = centred_crops(images, centres, size_px=7)
    for observer in (Hotelling(), HotellingEye(pixel_mm=0.7, internal_noise_hu=5.0)):
        scanning = Scanning(observer, size_px=7, sites=site).fit(images, signal_present, centres)
        statistic, found = scanning.locate(images)
        np.testing.assert_allclose(statistic, observer.fit(crops, signal_present).test_statistic(crops), rtol=1e-9)
        np.testing.assert_array_equal(found, centres)


def test_internal_noise_is_drawn_for_each_site(trials):
    images, signal_present, centres = trials
    eye = HotellingEye(pixel_mm=0.7, internal_noise_hu=5.0)
    scanning = Scanning(eye, size_px=5, seed=1).fit(images, signal_present, centres)
    noisy = scanning.site_statistics(images)
    np.testing.assert_array_equal(noisy, scanning.site_statistics(images))
    silent = Scanning(HotellingEye(pixel_mm=0.7, internal_noise_hu=0.0), size_px=5)
    silent.fit(images, signal_present, centres)
    silent.observer_.template_, silent.observer_.offset_ = scanning.observer_.template_, scanning.observer_.offset_
    noise = (noisy - silent.site_statistics(images)) / scanning.observer_.internal_std_
    # 9240 unit normals: standard errors 0.01 of the mean and of the correlation, 0.0074 of the deviation; 5 of each.
    assert abs(noise.mean()) < 0.052
    assert abs(noise.std() - 1.0) < 0.037
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1])) < 0.052


def test_matched_filter_in_white_noise_meets_the_theory_of_m_alternatives():
    n, side, m, d = 8000, 4, 9, 2.0
    signal = np.outer([1.0, 2.0, 2.0, 1.0], [1.0, 2.0, 2.0, 1.0])
    signal /= np.linalg.norm(signal)
    rng = np.random.default_rng(2)
    sites = np.array([(r, c) for r in (2, 6, 10) for c in (2, 6, 10)])  # windows that touch and do not overlap
    truth = sites[rng.integers(m, size=n)]
    images = rng.normal(size=(n, 12, 12))
    signal_present = np.arange(n) % 2 == 0
    for i in np.flatnonzero(signal_present):
        row, column = truth[i] - side // 2
        images[i, row : row + side, column : column + side] += d * signal
    scanning = Scanning(Template(signal), size_px=side, sites=sites).fit(images, signal_present, truth)
    t, found = scanning.locate(images)
    correct = (found == truth).all(axis=1)[signal_present]
    t_present, t_absent = t[signal_present], t[~signal_present]
    above = np.searchsorted(np.sort(t_absent), t_present) / len(t_absent)

    def integral(f):
        return quad(f, -8.0, 12.0, epsabs=1e-10)[0]

    located = integral(lambda x: norm.pdf(x - d) * norm.cdf(x) ** (m - 1))
    lroc = integral(lambda x: norm.pdf(x - d) * norm.cdf(x) ** (2 * m - 1))
    # P(max of absent < max of present): by parts, 1 − ∫ F_present dF_absent
    area = 1.0 - integral(lambda x: norm.cdf(x - d) * norm.cdf(x) ** (m - 1) * m * norm.pdf(x) * norm.cdf(x) ** (m - 1))
    # The variance of an area of n/2 + n/2 trials is at most A(1 − A)/(n/2); 4 standard errors, false alarm 6e-5.
    for measured, expected in ((correct.mean(), located), ((above * correct).mean(), lroc), (above.mean(), area)):
        assert abs(measured - expected) < 4 * np.sqrt(expected * (1 - expected) / (n / 2))


def test_a_mean_that_varies_draws_the_scan_and_subtracting_it_helps(trials):
    images, signal_present, centres = trials
    scanning = Scanning(Template(np.ones((3, 3))), size_px=3).fit(images, signal_present, centres)
    slope = 100.0 * np.arange(18)
    _, found = scanning.locate(images + slope)
    np.testing.assert_array_equal(found[:, 1], 16)
    np.testing.assert_array_equal(scanning.locate(images + slope - slope)[1], scanning.locate(images)[1])


def test_bad_scans(trials):
    images, signal_present, centres = trials
    with pytest.raises(RuntimeError, match="has not been fitted"):
        Scanning(Hotelling(), size_px=5).test_statistic(images)
    with pytest.raises(UserError, match="at least 1 pixel"):
        Scanning(Hotelling(), size_px=5, stride_px=0)
    with pytest.raises(UserError, match="no candidate sites"):
        Scanning(Hotelling(), size_px=5, sites=np.zeros((0, 2)))
    with pytest.raises(UserError, match="around site 0"):
        Scanning(Hotelling(), size_px=5, sites=[(1, 7)]).fit(images, signal_present, centres).locate(images)
    fitted = Scanning(Hotelling(), size_px=5).fit(images, signal_present, centres)
    with pytest.raises(UserError, match=r"5 pixels wide.* 1 to 4"):
        fitted.locate(images[:, :4])
    with pytest.raises(ValueError, match="not finite"):
        fitted.locate(images * np.nan)
    statistic, found = fitted.locate(images[:0])
    assert (statistic.shape, found.shape) == ((0,), (0, 2))
