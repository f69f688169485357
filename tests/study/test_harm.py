"""Harm against denoisers whose harm is known: one that does nothing, a blur, one that fades or paints the signal."""

import numpy as np
import pytest
from scipy import ndimage

from harm_trials import NOISE_HU, PIXEL_MM, N, make_meter, make_trials, study
from taskct.config import make_settings
from taskct.study.harm import Harm, HarmMeter
from taskct.trials.trials import Trials


@pytest.fixture(scope="module")
def test_trials() -> Trials:
    return make_trials()


@pytest.fixture(scope="module")
def meter(test_trials: Trials) -> HarmMeter:
    return make_meter(test_trials)


def drawn_of(meter: HarmMeter) -> np.ndarray:
    whole = np.zeros(meter.reference.shape, dtype=np.float32)
    whole[meter.present] = meter._as_put_in
    return whole


def test_the_reference_itself_keeps_all_and_adds_nothing(meter: HarmMeter) -> None:
    found = meter.of(meter.reference)
    assert found.numbers["contrast_recovery"] == pytest.approx({"value": 1.0, "ci_low": 1.0, "ci_high": 1.0})
    assert found.numbers["map_max_abs_hu"] == found.numbers["site_map_max_abs_hu"] == 0.0
    assert found.numbers["noise_hu"]["value"] == 0.0
    assert found.numbers["nps_mean_per_mm"] is None  # no noise has no frequency
    assert found.numbers["texture_mean_per_mm"] == found.numbers["reference_texture_mean_per_mm"]


def test_low_dose_images_keep_the_contrast_and_have_the_noise_that_was_added(meter, test_trials) -> None:
    found = meter.of(test_trials.noisy_regions)
    kept, noise = found.numbers["contrast_recovery"], found.numbers["noise_hu"]
    assert kept["ci_low"] < 1.0 < kept["ci_high"]
    assert kept["ci_high"] - kept["ci_low"] < 0.2
    assert noise["value"] == pytest.approx(NOISE_HU, rel=0.02)
    flat = found.arrays["nps"]  # white: NOISE_HU² · pixel area at every frequency
    np.testing.assert_allclose(flat, NOISE_HU**2 * PIXEL_MM**2, rtol=0.12)
    error = found.numbers["map_error_hu"]
    assert error == pytest.approx(NOISE_HU / np.sqrt(N / 2), rel=0.05)
    assert found.numbers["map_max_abs_hu"] < 5.5 * error  # the largest of 2,304 normal values


@pytest.mark.parametrize("share", [0.0, 0.4, 1.3])
def test_a_share_of_the_contrast_is_measured_as_that_share(meter, share) -> None:
    """Exact: what is left of every signal is its share, whatever the background."""
    background = meter.reference - drawn_of(meter)
    found = meter.of(background + np.float32(share) * drawn_of(meter))
    true = found.numbers["contrast_recovery"]
    # Chance: the site's background goes with the contrast in the reference too.
    assert true["value"] == pytest.approx(share, abs=0.05)


def test_the_transfer_function_of_a_gaussian_blur(meter) -> None:
    sigma_px = 1.3
    blurred = ndimage.gaussian_filter(meter.reference, (0, sigma_px, sigma_px), mode="wrap")
    found = meter.of(blurred)
    half = np.sqrt(np.log(2.0) / 2.0) / (np.pi * sigma_px * PIXEL_MM)
    value = found.numbers["ttf50_per_mm"]
    assert value["ci_low"] < half < value["ci_high"]
    assert value["value"] == pytest.approx(half, rel=0.15)
    f = meter.frequency
    expected = np.exp(-2.0 * (np.pi * sigma_px * PIXEL_MM * f) ** 2)
    low = (f > 0.03) & (f < 0.2)
    np.testing.assert_allclose(found.arrays["ttf"][low], expected[low], atol=0.15)


def test_a_sharp_image_has_no_frequency_at_half(meter) -> None:
    found = meter.of(meter.reference)
    assert found.numbers["ttf50_per_mm"] is None
    assert "more than half is left" in found.numbers["why_not"]["ttf50_per_mm"]


def test_a_blob_painted_at_every_site_stands_in_the_site_map(meter) -> None:
    painted = meter.reference + 7.0 * meter.site.astype(np.float32)
    found = meter.of(painted)
    site_map = found.arrays["site_map"]
    middle = site_map.shape[0] // 2
    assert site_map.shape[0] % 2 == 1
    assert site_map[middle, middle] == pytest.approx(7.0, abs=0.01)
    assert abs(site_map[0, 0]) < 1.0
    expected = (painted - meter.reference)[~meter.present].mean(axis=0)
    np.testing.assert_allclose(found.arrays["region_map"], expected, atol=1e-4)
    assert found.numbers["map_max_abs_hu"] == pytest.approx(np.abs(expected).max(), rel=1e-4)


def test_a_site_near_the_border_counts_where_it_has_pixels() -> None:
    rng = np.random.default_rng(1)
    n, side = 40, 16
    truth = {name: np.zeros(n) for name in ("case", "region_x_mm", "region_y_mm", "y_mm")}
    truth |= {"x_mm": np.full(n, -6.0), "diameter_mm": np.full(n, 4.0), "contrast_hu": np.full(n, 20.0)}
    reference = rng.normal(size=(n, side, side)).astype(np.float32)
    present = np.arange(n) % 2 == 0
    settings = make_settings(
        {"trials": {"region_pixels": side, "margin_pixels": 0}, "signal": {"site": "list"}, "scanner": {"pixel_mm": 1}}
    )
    site = np.zeros((n, side, side), dtype=bool)
    site[:, 7:9, 1:3] = True
    test = Trials(reference, reference, present, truth | {"case": np.arange(float(n))})
    site_map = HarmMeter(settings, test, site).of(reference + 2.0).arrays["site_map"]
    assert np.isnan(site_map[:, :3]).all()
    np.testing.assert_allclose(site_map[:, 5:], 2.0, atol=1e-5)


def test_a_contrast_that_drowns_in_the_background_has_no_share(meter, test_trials) -> None:
    faint = meter.reference - np.float32(0.99) * drawn_of(meter)
    test = Trials(faint, faint, test_trials.signal_present, test_trials.truth)
    found = HarmMeter(study(), test, meter.site).of(faint).numbers
    assert found["contrast_recovery"] is None
    assert "too few trials" in found["why_not"]["contrast_recovery"]


def test_a_resample_without_an_answer_leaves_no_figure(meter) -> None:
    """As where few backgrounds are drawn and none of them holds a signal."""
    found = Harm({"ttf50_per_mm": None, "why_not": {}})
    columns = meter.present[:, None].astype(float)
    meter._tell("ttf50_per_mm", columns, lambda mean: np.sqrt(mean[:, 0] - 0.5), found)
    assert found.numbers["ttf50_per_mm"] is None
    assert found.numbers["why_not"] == {"ttf50_per_mm": "too few backgrounds to resample"}
    meter._tell("ttf50_per_mm", columns, lambda mean: mean[:, 0], found)
    assert found.numbers["ttf50_per_mm"]["value"] == 0.5


def test_trials_that_all_hold_a_signal_have_no_transfer_function(meter, test_trials) -> None:
    both = Trials(
        test_trials.noisy,
        test_trials.reference,
        test_trials.signal_present,
        test_trials.truth | {"inserted": np.ones(N), "contrast_hu": np.full(N, 20.0)},
    )
    found = HarmMeter(study(inserted=True), both, meter.site).of(test_trials.noisy_regions).numbers
    assert found["ttf50_per_mm"] is None
    assert found["contrast_recovery"] is None
    assert set(found["why_not"]) == {"ttf50_per_mm", "contrast_recovery"}


def test_the_intervals_of_contrast_and_noise_cover() -> None:
    """100 studies of 120 trials each: 95 % of them, so 88 or more but for once in a thousand times."""
    side, n, share, noise_hu = 16, 120, 0.6, 5.0
    settings = make_settings(
        {
            "trials": {"region_pixels": side, "margin_pixels": 0},
            "signal": {"site": "list", "contrast_hu": [20, 40]},
            "scanner": {"pixel_mm": 1.0},
            "evaluation": {"n_bootstrap": 200},
        }
    )
    present = np.arange(n) % 2 == 0
    site = np.zeros((n, side, side), dtype=bool)
    site[:, 6:10, 6:10] = True
    kept = noise = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        truth = {name: np.zeros(n) for name in ("region_x_mm", "region_y_mm", "x_mm", "y_mm")}
        truth |= {"case": np.arange(float(n)), "diameter_mm": np.full(n, 4.0), "contrast_hu": rng.uniform(20, 40, n)}
        signal = truth["contrast_hu"][:, None, None] * (site & present[:, None, None])
        background = rng.normal(0.0, 8.0, (n, side, side))
        reference = (background + signal).astype(np.float32)
        denoised = background + share * signal + rng.normal(0.0, noise_hu, signal.shape)
        test = Trials(reference, reference, present, truth)
        found = HarmMeter(settings, test, site).of(denoised.astype(np.float32)).numbers
        kept += found["contrast_recovery"]["ci_low"] < share < found["contrast_recovery"]["ci_high"]
        noise += found["noise_hu"]["ci_low"] < noise_hu < found["noise_hu"]["ci_high"]
    assert kept >= 88
    assert noise >= 88
