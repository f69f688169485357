"""Signals: their distribution, and the pixels they cover."""

import numpy as np
import pytest
from scipy import stats

from taskct.tasks.signals import Signals, draw_signals, signal_site

RANGES = {"contrast_hu": (-30.0, 15.0), "diameter_mm": (4.0, 9.0)}


def drawn(seed=0, n=4000):
    return draw_signals(np.random.default_rng(seed), n, position_mm=6.0, **RANGES)


def at(x_mm, y_mm, diameter_mm):
    x, y, diameter = np.broadcast_arrays(*(np.atleast_1d(np.float32(v)) for v in (x_mm, y_mm, diameter_mm)))
    return Signals(x_mm=x, y_mm=y, diameter_mm=diameter, contrast_hu=np.zeros_like(x))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("x_mm", -6.0, 6.0), ("y_mm", -6.0, 6.0), ("diameter_mm", 4.0, 9.0), ("contrast_hu", -30.0, 15.0)],
)
def test_every_property_is_uniform_over_its_range(name, low, high):
    values = getattr(drawn(), name)
    assert values.dtype == np.float32
    assert values.min() >= low
    assert values.max() <= high
    # False-alarm rate: 1e-6 each.
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-6


def test_the_properties_are_independent():
    # False-alarm rate: 5 standard errors for each of 6 correlations, 4e-6 in all.
    s = drawn()
    correlation = np.corrcoef([s.x_mm, s.y_mm, s.diameter_mm, s.contrast_hu])
    assert np.abs(correlation[np.triu_indices(4, 1)]).max() < 5 / np.sqrt(4000)


def test_a_seed_gives_the_same_signals_again():
    a, b, c = drawn(1), drawn(1), drawn(2)
    for name in ("x_mm", "y_mm", "diameter_mm", "contrast_hu"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert not np.array_equal(getattr(a, name), getattr(c, name))


def test_equal_limits_give_a_signal_known_exactly():
    s = draw_signals(np.random.default_rng(0), 5, contrast_hu=(20.0, 20.0), diameter_mm=(6.0, 6.0), position_mm=0.0)
    assert [set(v.tolist()) for v in (s.x_mm, s.y_mm, s.diameter_mm, s.contrast_hu)] == [{0.0}, {0.0}, {6.0}, {20.0}]


@pytest.mark.parametrize("pixel_mm", [0.5, 1.0])
def test_a_sites_area_is_that_of_a_circle(pixel_mm):
    # Over places spread evenly the number of pixels is the area over a pixel's, exactly (Gauss's circle).
    # False-alarm rate: 5 standard errors, 6e-7.
    rng = np.random.default_rng(1)
    site = signal_site(at(*rng.uniform(-3, 3, (2, 3000)), 7.0), n_pixels=round(20 / pixel_mm), pixel_mm=pixel_mm)
    area = site.sum(axis=(1, 2)) * pixel_mm**2
    assert abs(area.mean() - np.pi * 3.5**2) < 5 * area.std() / np.sqrt(3000)


def test_a_site_lies_where_the_signal_is():
    # x to the right and y downwards from the region's centre, which lies between pixels here.
    (site,) = signal_site(at(4.0, -2.5, 6.0), n_pixels=20, pixel_mm=1.0)
    rows, columns = np.nonzero(site)
    assert columns.mean() - 9.5 == pytest.approx(4.0, abs=0.3)
    assert rows.mean() - 9.5 == pytest.approx(-2.5, abs=0.3)
    assert np.hypot(columns - 9.5 - 4.0, rows - 9.5 + 2.5).max() <= 3.0


def test_a_signal_smaller_than_a_pixel_still_has_a_site():
    x, y = np.random.default_rng(2).uniform(-4, 4, (2, 200))
    site = signal_site(at(x, y, 0.2), n_pixels=10, pixel_mm=1.0)
    assert (site.sum(axis=(1, 2)) == 1).all()
    _, rows, columns = np.nonzero(site)
    assert max(np.abs(columns - 4.5 - x).max(), np.abs(rows - 4.5 - y).max()) <= 0.5
