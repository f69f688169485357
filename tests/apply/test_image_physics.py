"""The physics of a user's images, of noise and rods whose physics is known."""

import numpy as np
import pytest
from scipy import ndimage

from taskct.apply.image_physics import measure_physics, measure_rod, physics_of_sets
from taskct.errors import UserError
from taskct.metrics.frequency_detectability import EyeModel, disc_task, frequency_d_prime
from taskct.metrics.noise_spectra import noise_spectrum
from taskct.metrics.transfer import disc_transfer
from taskct.metrics.uniform_images import noise_by_position, uniformity

PIXEL_MM, SIDE = 0.7, 48


def rod(contrast_hu, diameter_mm, blur_px=1.0):
    y, x = np.mgrid[: 4 * SIDE, : 4 * SIDE] / 4.0 - (SIDE - 0.25) / 2.0
    fine = contrast_hu * (np.hypot(y, x) * PIXEL_MM < diameter_mm / 2.0)
    fine = ndimage.gaussian_filter(fine, 4.0 * blur_px)
    return fine.reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3))


def test_the_noise_of_repeated_scans_is_told_whatever_the_phantom():
    y, x = np.mgrid[:SIDE, :SIDE]
    phantom = 40.0 + 100.0 * np.sin(x / 4.0) + 0.3 * y
    tilts = np.random.default_rng(1).normal(size=(40, 1, 1)) * (x - 23.5)  # of each scan another
    noise = np.random.default_rng(0).normal(0.0, 8.0, (40, SIDE, SIDE))
    found = measure_physics(phantom + tilts + noise, pixel_mm=PIXEL_MM)
    assert found.noise_hu.ci_low < 8.0 < found.noise_hu.ci_high
    assert found.noise_border_over_middle.ci_low < 1.0 < found.noise_border_over_middle.ci_high
    np.testing.assert_allclose(found.nps[3:], 64.0 * PIXEL_MM**2, rtol=0.25)
    assert found.uneven_hu.ci_low > 10.0
    assert found.as_dict()["noise_hu"]["value"] == found.noise_hu.value


def test_what_a_blur_does_to_the_noise_is_paired():
    white = np.random.default_rng(0).normal(0.0, 8.0, (60, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(white, (0, 1, 1), mode="wrap")
    told = physics_of_sets({"images": white, "denoised": smooth}, pixel_mm=PIXEL_MM, cases=None, seed=0)
    ratio = told["sets"]["denoised"]["noise_ratio"]
    expected = 1.0 / np.sqrt(4.0 * np.pi)  # Σ of the squared Gaussian kernel of σ 1 pixel
    assert ratio["value"] == pytest.approx(expected, rel=0.02)
    assert ratio["ci_high"] - ratio["ci_low"] < 0.02
    assert told["sets"]["denoised"]["nps_mean_ratio"]["ci_high"] < 0.6


def test_slices_of_one_scan_are_resampled_together():
    """Scans differ in their noise: of 8 scans of 10 slices the interval is far wider than of 80 images."""
    rng = np.random.default_rng(2)
    level = rng.uniform(4.0, 12.0, 8).repeat(10)[:, None, None]
    images = level * rng.normal(size=(80, SIDE, SIDE))
    cases = np.arange(8).repeat(10)
    alone, together = (measure_physics(images, pixel_mm=PIXEL_MM, cases=one).noise_hu for one in (None, cases))
    assert together.value == pytest.approx(alone.value)
    assert together.ci_high - together.ci_low > 2.0 * (alone.ci_high - alone.ci_low)


def test_a_rod_has_its_contrast_its_blur_and_its_detectability():
    n, noise_hu, contrast, diameter = 60, 6.0, 14.0, 10.0
    present = np.arange(2 * n) % 2 == 0
    images = 50.0 + np.random.default_rng(3).normal(0.0, noise_hu, (2 * n, SIDE, SIDE))
    images[present] += rod(contrast, diameter)
    found = measure_rod(images, present, pixel_mm=PIXEL_MM, diameter_mm=diameter, cases=np.arange(2 * n) // 2)
    assert found.contrast_hu.value == pytest.approx(contrast, rel=0.05)
    assert found.cnr.value == pytest.approx(contrast / noise_hu, rel=0.05)
    sigma = np.sqrt(1.0 + 1.0 / 12.0) * PIXEL_MM  # the pixel's own width blurs as well
    half = np.sqrt(np.log(2.0) / 2.0) / (np.pi * sigma)
    assert found.ttf50_per_mm.value == pytest.approx(half, rel=0.12)
    # White noise: the energy of the blurred rod.
    expected = np.sqrt((rod(contrast, diameter) ** 2).sum()) / noise_hu
    assert found.d_npw.value == pytest.approx(expected, rel=0.06)
    assert 0.0 < found.d_npwe.value < found.d_npw.value
    for one in (found.contrast_hu, found.cnr, found.d_npw, found.d_npwe):
        assert one.ci_low < one.value < one.ci_high


def test_what_does_not_fit_is_one_line():
    images = np.random.default_rng(0).normal(size=(6, SIDE, SIDE))
    with pytest.raises(UserError, match="2 scans"):
        measure_physics(images, pixel_mm=1.0, cases=np.arange(6) // 3)
    with pytest.raises(UserError, match="all the same"):
        measure_physics(np.ones((4, 8, 8)), pixel_mm=1.0)
    assert "pixel size" in physics_of_sets({"images": images}, pixel_mm=None, cases=None, seed=0)["why_not"]
    assert "no noise" in physics_of_sets({"images": images * 0}, pixel_mm=1.0, cases=None, seed=0)["why_not"]
    with pytest.raises(UserError, match="does not lie within"):
        measure_rod(images, np.arange(6) < 3, pixel_mm=1.0, diameter_mm=50.0)
    with pytest.raises(UserError, match="3 or more of each"):
        measure_rod(images, np.arange(6) < 1, pixel_mm=1.0, diameter_mm=5.0)


def scans_of_a_rod(n, seed, noise_hu=4.0, contrast_hu=20.0):
    """n scans with a blurred rod of 10 mm and n without, with white noise."""
    images = np.random.default_rng(seed).normal(0.0, noise_hu, (2 * n, 32, 32))
    present = np.arange(2 * n) < n
    images[present] += rod(contrast_hu, 10.0)[8:40, 8:40]
    return images, present


def test_figures_with_intervals_are_those_of_the_whole_set():
    """What is resampled is the same figure as the functions of taskct.metrics give of all scans."""
    images, present = scans_of_a_rod(20, 5)
    found = measure_physics(images[~present], pixel_mm=PIXEL_MM)
    spectrum = noise_spectrum(images[~present], pixel_mm=PIXEL_MM, ensemble=True)
    assert found.nps_peak_per_mm.value == pytest.approx(spectrum.radial().peak_per_mm, rel=1e-9)
    assert found.uneven_hu.value == pytest.approx(uniformity(images[~present].mean(axis=0)).largest_hu, rel=1e-9)
    rest = images[~present] - images[~present].mean(axis=0)
    rings = noise_by_position(rest, pixel_mm=PIXEL_MM).noise_hu
    assert found.noise_border_over_middle.value == pytest.approx(rings[-1] / rings[0], rel=0.02)  # without the planes

    told = measure_rod(images, present, pixel_mm=PIXEL_MM, diameter_mm=10.0)
    transfer = disc_transfer(images[present], pixel_mm=PIXEL_MM, radius_mm=5.0, absent=images[~present])
    for eye, mine in ((None, told.d_npw), (EyeModel(), told.d_npwe)):
        direct = frequency_d_prime(
            disc_task(10.0, told.contrast_hu.value),
            transfer.at,
            spectrum.radial(),
            pixel_mm=PIXEL_MM,
            field_mm=32 * PIXEL_MM,
            eye=eye,
        )
        assert mine.value == pytest.approx(direct.d_prime, rel=1e-9)


def test_intervals_of_a_rod_cover_what_is_known():
    """Of 40 studies of 20 + 20 scans; 34 of 40 or fewer would be met once in 20 times at 95 %."""
    names = ("contrast_hu", "cnr", "d_npw")
    blurred = rod(20.0, 10.0)[8:40, 8:40]
    y, x = np.mgrid[:32, :32] - 15.5
    contrast = blurred[np.hypot(y, x) * PIXEL_MM <= 4.0].mean()
    truth = {"contrast_hu": contrast, "cnr": contrast / 4.0}
    truth["d_npw"] = np.sqrt((blurred**2).sum()) / 4.0
    covered = dict.fromkeys(names, 0)
    for seed in range(40):
        images, present = scans_of_a_rod(20, 100 + seed)
        found = measure_rod(images, present, pixel_mm=PIXEL_MM, diameter_mm=10.0, seed=seed)
        for name in names:
            one = getattr(found, name)
            covered[name] += one.ci_low <= truth[name] <= one.ci_high
    assert min(covered["contrast_hu"], covered["cnr"]) >= 34, covered
    assert covered["d_npw"] >= 34, covered


def test_slices_of_one_scan_are_drawn_together_and_three_scans_never_lack_a_class():
    images, present = scans_of_a_rod(3, 7)
    few = measure_rod(images, present, pixel_mm=PIXEL_MM, diameter_mm=10.0)
    assert np.isfinite([few.contrast_hu.ci_low, few.cnr.ci_high]).all()
    images, present = scans_of_a_rod(40, 8)
    scans = np.tile(np.arange(8).repeat(5), 2)
    shifts = np.random.default_rng(9).normal(0.0, 5.0, 8)[scans] * present  # of the rod, from scan to scan
    images += shifts[:, None, None] * (rod(1.0, 10.0)[8:40, 8:40])
    alone, together = (
        measure_rod(images, present, pixel_mm=PIXEL_MM, diameter_mm=10.0, cases=one).contrast_hu
        for one in (None, scans)
    )
    assert together.ci_high - together.ci_low > 1.7 * (alone.ci_high - alone.ci_low)
    with pytest.raises(UserError, match="at least 2"):
        measure_rod(images, present, pixel_mm=PIXEL_MM, diameter_mm=10.0, cases=np.zeros(80, dtype=int))
    with pytest.raises(UserError, match="no noise"):
        measure_rod(images * 0.0 + 1.0, present, pixel_mm=PIXEL_MM, diameter_mm=10.0)


def test_evenness_that_chance_makes_is_not_shown():
    images = np.random.default_rng(4).normal(0.0, 8.0, (30, SIDE, SIDE))
    uneven = measure_physics(images, pixel_mm=PIXEL_MM).uneven_hu
    assert uneven.value > 0.0
    assert uneven.ci_low < 0.7 * uneven.value
    cupped = images + 0.02 * ((np.mgrid[:SIDE, :SIDE] - 23.5) ** 2).sum(axis=0)
    assert measure_physics(cupped, pixel_mm=PIXEL_MM).uneven_hu.ci_low > 3.0


def test_the_peak_of_filtered_noise_lies_in_its_interval():
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE, PIXEL_MM), np.fft.fftfreq(SIDE, PIXEL_MM)))
    power = f**2 * np.exp(-((f / 0.3) ** 2))  # largest at 0.3 / mm
    white = np.random.default_rng(6).normal(size=(40, SIDE, SIDE))
    images = 50.0 * np.fft.ifft2(np.fft.fft2(white) * np.sqrt(power)).real
    peak = measure_physics(images, pixel_mm=PIXEL_MM).nps_peak_per_mm
    assert peak.ci_low <= 0.3 <= peak.ci_high
    assert peak.ci_high - peak.ci_low < 0.15
