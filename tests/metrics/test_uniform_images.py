"""CNR, HU, uniformity and noise by position, of images whose values are known."""

import numpy as np
import pytest

from taskct.metrics.uniform_images import contrast_to_noise, hu_linearity, noise_by_position, uniformity


@pytest.mark.parametrize("over", ["pixels", "scans"])
@pytest.mark.parametrize("ddof", [0, 1])
def test_cnr_knows_no_offset_and_states_its_noise(over, ddof):
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(47.0, 4.0, (12, 30)), rng.normal(40.0, 4.0, (12, 50))
    found = contrast_to_noise(inside, outside, over=over, ddof=ddof)
    moved = contrast_to_noise(inside - 1024.0, outside - 1024.0, over=over, ddof=ddof)
    assert moved.cnr == pytest.approx(found.cnr, rel=1e-9)
    n = 50 if over == "pixels" else 12
    other = contrast_to_noise(inside, outside, over=over, ddof=1 - ddof)
    assert (found.noise_hu / other.noise_hu) ** 2 == pytest.approx(((n - 1) / n) ** (1 - 2 * ddof))
    assert found.contrast_hu == pytest.approx(7.0, abs=1.0)
    assert contrast_to_noise(-inside, -outside, over=over, ddof=ddof).cnr == pytest.approx(-found.cnr)


def test_structure_is_noise_of_pixels_and_not_of_scans():
    structure = 20.0 * np.sin(np.arange(400) / 20.0)
    outside = structure + np.random.default_rng(0).normal(0.0, 3.0, (200, 400))
    by_scan = contrast_to_noise(outside + 10.0, outside, over="scans")
    assert by_scan.noise_hu == pytest.approx(3.0, rel=0.02)
    assert contrast_to_noise(outside + 10.0, outside).noise_hu > 12.0


def test_a_line_through_hu():
    true = np.array([-1000.0, -100.0, 0.0, 60.0, 950.0])
    found = hu_linearity(0.97 * true + 4.0, true)
    assert (found.slope, found.offset_hu) == pytest.approx((0.97, 4.0))
    assert found.largest_error_hu == pytest.approx(34.0)
    assert found.rms_about_line_hu == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(hu_linearity(true[:2], true[:2]).rms_about_line_hu)


def test_a_slope_and_a_cup_are_no_uniformity():
    y, x = np.mgrid[:101, :101]
    tilted = uniformity(10.0 + 0.1 * (x - 50.0))
    assert tilted.centre_hu == pytest.approx(10.0)
    assert tilted.edges_hu["right"] - tilted.edges_hu["left"] == pytest.approx(0.2 * 0.7 * 50.5, rel=0.01)
    assert tilted.edges_hu["up"] == pytest.approx(10.0)
    moved = np.hypot(y - 40.0, x - 55.0)
    cup = uniformity(0.02 * moved**2, centre_px=(40.0, 55.0), radius_px=30.0)
    expected = 0.02 * 21.0**2  # 0.9 − 0.2 radii away; a disc adds the same at either place
    assert list(cup.edges_hu.values()) == pytest.approx([cup.centre_hu + expected] * 4, rel=0.02)
    assert cup.largest_hu == pytest.approx(expected, rel=0.02)


def test_noise_that_grows_outwards():
    y, x = np.mgrid[:64, :64] - 31.5
    sigma = 2.0 + 0.1 * np.hypot(y, x)
    structure = 50.0 * np.cos(x / 4.0)
    images = structure + sigma * np.random.default_rng(0).normal(size=(300, 64, 64))
    found = noise_by_position(images, pixel_mm=0.5)
    np.testing.assert_allclose(found.noise_hu, 2.0 + 0.2 * found.distance_mm, rtol=0.03)
    np.testing.assert_allclose(found.map_hu / sigma, 1.0, atol=0.25)  # 6 standard errors of a pixel's σ of 300


def test_what_does_not_fit_is_refused():
    ones = np.ones((2, 3))
    with pytest.raises(ValueError, match="does not vary"):
        contrast_to_noise(ones, ones)
    with pytest.raises(ValueError, match="ddof"):
        contrast_to_noise(ones[:1], ones[:1], over="scans")
    with pytest.raises(ValueError, match="n_images, n_pixels"):
        contrast_to_noise(ones, ones[:1])
    with pytest.raises(ValueError, match="two materials"):
        hu_linearity(np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="no pixel"):
        uniformity(np.ones((8, 8)), centre_px=(30.0, 30.0), radius_px=3.0)
    with pytest.raises(ValueError, match="give 2, 1"):
        noise_by_position(np.ones((1, 8, 8)), pixel_mm=1.0)
