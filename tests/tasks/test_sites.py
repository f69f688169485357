"""Sites: their distribution, and lesions that must lie inside an organ."""

import numpy as np
import pytest
from scipy import stats

from taskct.errors import UserError
from taskct.tasks.sites import draw_sites, draw_sites_in_mask

N = 4000


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_square_is_filled_evenly():
    x, y = draw_sites(rng(), N, kind="square", reach_mm=6.0)
    # False-alarm rate: 1e-6 each; 5 standard errors for the correlation, 6e-7.
    assert stats.kstest(x, stats.uniform(-6, 12).cdf).pvalue > 1e-6
    assert stats.kstest(y, stats.uniform(-6, 12).cdf).pvalue > 1e-6
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(N)


def test_a_disc_is_filled_evenly():
    x, y = draw_sites(rng(), N, kind="disc", reach_mm=6.0)
    # Equal areas: the square of the radius and the angle are uniform. False-alarm rate: 1e-6 each.
    assert stats.kstest(x**2 + y**2, stats.uniform(0, 36).cdf).pvalue > 1e-6
    assert stats.kstest(np.arctan2(y, x), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-6


def test_fixed_and_listed_places():
    places = [(1.0, 2.0), (-3.0, 0.5), (4.0, 4.0)]
    x, y = draw_sites(rng(), 300, kind="list", offsets_mm=places)
    seen, count = np.unique(np.stack([x, y], axis=1), axis=0, return_counts=True)
    assert sorted(places) == [tuple(place) for place in seen]
    assert stats.chisquare(count).pvalue > 1e-6  # false-alarm rate 1e-6
    x, y = draw_sites(rng(), 5, kind="list", offsets_mm=[(1.0, 2.0)])
    assert set(zip(x.tolist(), y.tolist(), strict=True)) == {(1.0, 2.0)}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kind": "ring"}, "ring"),
        ({"kind": "disc", "reach_mm": -1.0}, "0 mm or more"),
        ({"kind": "disc", "reach_mm": float("nan")}, "0 mm or more"),
        ({"kind": "list", "offsets_mm": []}, "one or more"),
        ({"kind": "list", "offsets_mm": [(0.0, float("nan"))]}, "one or more"),
    ],
)
def test_impossible_sites_are_refused(change, named):
    with pytest.raises(UserError, match=named):
        draw_sites(rng(), 3, **change)


def test_lesions_in_a_rectangle_fill_its_erosion_evenly():
    # 30 × 20 pixels of 0.5 mm, off centre; its edges lie between pixels, at known millimetres.
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:30, 20:50] = True
    left, right, top, bottom = (20 - 40) * 0.5, (50 - 40) * 0.5, (10 - 30) * 0.5, (30 - 30) * 0.5
    radius = 3.3
    x, y = draw_sites_in_mask(rng(), mask, pixel_mm=0.5, radius_mm=np.full(2000, radius))
    # Every lesion lies inside, and the places are uniform down to the last fraction of a pixel.
    # False-alarm rate: 1e-6 each; 5 standard errors for the correlation, 6e-7.
    low_x, low_y, wide_x, wide_y = left + radius, top + radius, right - left - 2 * radius, bottom - top - 2 * radius
    assert stats.kstest(x, stats.uniform(low_x, wide_x).cdf).pvalue > 1e-6
    assert stats.kstest(y, stats.uniform(low_y, wide_y).cdf).pvalue > 1e-6
    assert low_x <= x.min() <= x.max() <= low_x + wide_x
    assert low_y <= y.min() <= y.max() <= low_y + wide_y
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(2000)


def test_no_lesion_leaves_an_irregular_organ():
    axis = np.arange(64) - 31.5
    mask = (np.hypot(axis[:, None], axis) < 25) & (np.hypot(axis[:, None] - 6, axis + 9) > 5)  # with a hole
    radius = rng(1).uniform(1.0, 9.0, 60)
    x, y = draw_sites_in_mask(rng(), mask, pixel_mm=2.0, radius_mm=2 * radius)
    fine = (np.arange(640) - 319.5) * 0.2
    for cx, cy, r in zip(x, y, 2 * radius, strict=True):
        inside = (fine[None, :] * 1 - cx) ** 2 + (fine[:, None] - cy) ** 2 < r**2
        assert np.kron(mask, np.ones((10, 10), dtype=bool))[inside].all()


def test_the_border_of_the_image_is_the_end_of_the_organ():
    x, y = draw_sites_in_mask(rng(), np.ones((20, 20), dtype=bool), pixel_mm=1.0, radius_mm=np.full(200, 8.0))
    assert max(np.abs(x).max(), np.abs(y).max()) <= 2.0


def test_a_lesion_that_just_fits_is_placed():
    mask = np.zeros((21, 21), dtype=bool)
    mask[5:16, 5:16] = True
    x, y = draw_sites_in_mask(rng(), mask, pixel_mm=1.0, radius_mm=np.array([5.4]))
    assert max(abs(x[0]), abs(y[0])) <= 0.1 + 1e-9


def test_a_lesion_that_does_not_fit_its_organ_is_refused_in_one_line():
    mask = np.zeros((21, 21), dtype=bool)
    mask[5:16, 5:16] = True
    with pytest.raises(UserError, match=r"lesion of 40 mm.*largest inscribed circle is about 22 mm") as raised:
        draw_sites_in_mask(rng(), mask, pixel_mm=2.0, radius_mm=np.array([3.0, 20.0]))
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="empty"):
        draw_sites_in_mask(rng(), np.zeros((5, 5), dtype=bool), pixel_mm=1.0, radius_mm=np.array([1.0]))
