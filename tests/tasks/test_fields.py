"""Uniform and textured bodies, and how ellipses are drawn onto a grid."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.tasks.backgrounds import AIR_HU, Ellipses, PowerLaw, Textured, Uniform

GRID = {"n_pixels": 64, "pixel_mm": 5.0}


def one(**values):
    return Ellipses(**{name: np.array([[value]], dtype=np.float32) for name, value in values.items()})


@pytest.mark.parametrize("angle", [0.0, 0.6, -1.1])
def test_an_ellipse_on_a_grid_is_the_share_of_every_pixel_that_it_covers(angle):
    ellipse = one(x_mm=6.0, y_mm=-4.0, half_x_mm=30.0, half_y_mm=18.0, angle_rad=angle, add_hu=100.0)
    image = ellipse.raster(n_pixels=64, pixel_mm=1.5)[0]
    axis = (np.arange(64 * 16) - (64 * 16 - 1) / 2) * 1.5 / 16  # 16 × 16 points a pixel
    dx, dy = axis[None, :] - 6.0, axis[:, None] + 4.0
    # The long axis points to (cos, sin) of the angle, with y downwards.
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    covered = ((along / 30) ** 2 + (across / 18) ** 2 <= 1).reshape(64, 16, 64, 16).mean(axis=(1, 3))
    assert np.abs(image / 100 - covered).max() < 0.35  # the rim's pixels are approximate, and wider on the long axis
    assert np.abs(image / 100 - covered).mean() < 0.01
    assert image.sum() * 1.5**2 == pytest.approx(100 * np.pi * 30 * 18, rel=0.01)


def test_ellipses_add_up():
    both = Ellipses(*(np.array([v], dtype=np.float32) for v in ([0, 5], [0, 0], [40, 10], [30, 10], [0, 0], [900, 50])))
    image = both.raster(n_pixels=65, pixel_mm=2.0)[0]
    assert image[32, 32] == pytest.approx(950.0)
    assert image[32, 20] == pytest.approx(900.0)
    assert image[0, 0] == 0.0


def test_a_uniform_body_is_known_exactly():
    background = Uniform(**GRID, mean_hu=40.0, body_mm=(280.0, 200.0), first_case=7)
    drawn = background.draw(np.random.default_rng(0), np.array([3, 0]))
    assert drawn.case.tolist() == [10, 7]
    np.testing.assert_array_equal(drawn.image_hu, AIR_HU)  # all of it is exact
    total = drawn.total_hu(5.0)
    np.testing.assert_array_equal(total[0], total[1])
    assert total[0, 32, 32] == pytest.approx(40.0)
    assert (total[0] > -480).sum() * 25 == pytest.approx(np.pi * 140 * 100, rel=0.02)
    np.testing.assert_allclose(total[drawn.organ], 40.0, atol=1e-3)
    assert drawn.organ[0].sum() * 25 > 0.85 * np.pi * 140 * 100


def test_a_texture_lies_in_the_body_only():
    background = Textured(**GRID, body_mm=(250.0, 250.0), texture=PowerLaw(std_hu=12.0, longest_mm=40.0))
    drawn = background.draw(np.random.default_rng(1), np.arange(200))
    axis = (np.arange(64) - 31.5) * 5.0
    radius = np.hypot(axis[:, None], axis[None, :])
    np.testing.assert_array_equal(drawn.image_hu[:, radius > 135], AIR_HU)
    inside = drawn.total_hu(5.0)[:, radius < 115]
    # Tens of thousands of independent patches: a tolerance of 5 % is beyond ten standard errors.
    assert inside.std() == pytest.approx(12.0, rel=0.05)
    assert abs(inside.mean()) < 0.6


def test_a_texture_may_fill_the_grid():
    background = Textured(**GRID, mean_hu=30.0, body_mm=None, texture=PowerLaw(std_hu=5.0, longest_mm=40.0))
    drawn = background.draw(np.random.default_rng(2), np.arange(50))
    assert drawn.ellipses is None
    assert drawn.organ is None
    assert drawn.image_hu.mean() == pytest.approx(30.0, abs=0.5)
    np.testing.assert_array_equal(drawn.total_hu(5.0), drawn.image_hu)


def test_mistakes_are_told():
    with pytest.raises(UserError, match="330 mm wide but the object grid only 320 mm"):
        Uniform(**GRID, body_mm=(330.0, 200.0))
    with pytest.raises(UserError, match="less than air"):
        Uniform(**GRID, mean_hu=-1001.0)
