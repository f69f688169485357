"""The physics of an arm's images, of denoisers whose physics is known: none, a share of the noise, a gain, a blur."""

import numpy as np
import pytest
from scipy import ndimage

from harm_trials import NOISE_HU, PIXEL_MM, SIDE, make_meter, make_trials
from taskct.study.physics import PhysicsMeter, distances_mm
from taskct.trials.trials import Trials


@pytest.fixture(scope="module")
def test_trials() -> Trials:
    return make_trials()


@pytest.fixture(scope="module")
def physics(test_trials: Trials) -> PhysicsMeter:
    return PhysicsMeter(make_meter(test_trials), test_trials.noisy_regions)


def holds(told, value):
    return told["ci_low"] <= value <= told["ci_high"]


def test_low_dose_images_are_their_own_measure(physics, test_trials):
    numbers, arrays = physics.of(test_trials.noisy_regions)
    one = {"value": 1.0, "ci_low": 1.0, "ci_high": 1.0}
    assert numbers["noise_ratio"] == pytest.approx(one)
    assert numbers["nps_mean_ratio"] == pytest.approx(one)
    np.testing.assert_allclose(arrays["nps_ratio"], 1.0)
    np.testing.assert_allclose(arrays["noise_by_position"], NOISE_HU, rtol=0.05)
    assert len(arrays["noise_by_position"]) == len(distances_mm(SIDE, PIXEL_MM))
    assert holds(numbers["noise_border_over_middle"], 1.0)
    assert holds(numbers["hu_bias"], 0.0)
    assert holds(numbers["hu_slope"], 1.0)
    assert abs(numbers["uneven_hu"]["value"]) < 1.5
    contrast = np.abs(physics.harm.signals.contrast_hu[physics.harm.present]).mean()
    assert numbers["cnr"]["value"] == pytest.approx(contrast / NOISE_HU, rel=0.15)


def test_a_share_of_the_noise_with_another_colour(physics, test_trials):
    reference = test_trials.reference_regions
    noise = test_trials.noisy_regions - reference
    smooth = ndimage.gaussian_filter(noise, (0, 1, 1), mode="wrap")
    numbers, arrays = physics.of(reference + 0.5 * smooth)
    f = physics.harm.frequency
    expected = 0.25 * np.exp(-((2.0 * np.pi * PIXEL_MM * f) ** 2))
    np.testing.assert_allclose(arrays["nps_ratio"][f < 0.4], expected[f < 0.4], rtol=0.1)
    assert numbers["noise_ratio"]["value"] == pytest.approx(0.5 * smooth.std() / noise.std(), rel=0.05)
    white = f.mean()
    true = (expected @ f) / expected.sum() / white
    assert numbers["nps_mean_ratio"]["value"] == pytest.approx(true, rel=0.03)


def test_a_gain_an_offset_and_a_slope_across_the_region(physics, test_trials):
    reference = test_trials.reference_regions
    across = np.linspace(-3.0, 3.0, SIDE, dtype=np.float32)
    numbers, _ = physics.of(np.float32(0.9) * reference + 7.0 + across)
    assert holds(numbers["hu_slope"], 0.9)
    absent = ~test_trials.signal_present
    assert numbers["hu_bias"]["value"] == pytest.approx(7.0 - 0.1 * reference[absent].mean(dtype=float), abs=0.01)
    assert numbers["uneven_side"] in ("left", "right")
    assert abs(numbers["uneven_hu"]["value"]) == pytest.approx(0.7 * 3.0, abs=0.6)


def test_a_blur_costs_detail_of_both_contrasts_and_detectability(physics, test_trials):
    sigma_px = 1.3
    sharp, _ = physics.of(test_trials.noisy_regions)
    blurred = ndimage.gaussian_filter(test_trials.noisy_regions, (0, sigma_px, sigma_px), mode="wrap")
    numbers, _ = physics.of(blurred)
    half = np.sqrt(np.log(2.0) / 2.0) / (np.pi * sigma_px * PIXEL_MM)
    assert numbers["ttf50_strong_per_mm"]["value"] == pytest.approx(half, rel=0.2)
    assert numbers["ttf50_weak_per_mm"]["value"] == pytest.approx(half, rel=0.35)
    assert sharp["ttf50_strong_per_mm"] is None
    assert "more than half is left" in sharp["why_not"]["ttf50_strong_per_mm"]
    # White noise of a sharp image: C √π R / √S, with the transfer function told up to where it is.
    signals = physics.harm.signals[physics.harm.present]
    radius, contrast = signals.diameter_mm.mean() / 2.0, np.abs(signals.contrast_hu).mean()
    expected = contrast * np.sqrt(np.pi) * radius / (NOISE_HU * PIXEL_MM)
    assert 0.75 * expected < sharp["d_npw"]["value"] < 1.1 * expected
    assert sharp["d_npwe"]["value"] < sharp["d_npw"]["value"]


def test_images_without_noise_say_what_they_lack(physics, test_trials):
    numbers, _ = physics.of(test_trials.reference_regions)
    assert numbers["noise_ratio"]["value"] == 0.0
    assert numbers["nps_mean_ratio"] is None
    assert "nothing varies here" in numbers["why_not"]["nps_mean_ratio"]
    assert numbers["cnr"] is None
