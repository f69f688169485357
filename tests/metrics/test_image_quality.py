"""Image quality against scikit-image, torchmetrics and closed forms."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from taskct.metrics.image_quality import mse_hu2, peak_disc_hu, psnr_db, rmse_hu, site_bias_hu, ssim


def draw(n, height=24, width=31, level_hu=40.0, noise_hu=15.0):
    rng = np.random.default_rng(1)
    reference = level_hu + 60.0 * rng.normal(size=(n, height, width))
    denoised = reference + noise_hu * rng.normal(size=reference.shape)
    return denoised.astype(np.float32), reference.astype(np.float32)


def test_mse_and_rmse_of_a_constant_offset():
    _, reference = draw(5)
    offset = np.array([0.0, 3.0, -4.0, 5.0, 12.0])
    denoised = reference.astype(np.float64) + offset[:, None, None]
    mse = mse_hu2(denoised, reference)
    np.testing.assert_allclose(mse, offset**2, atol=1e-9)
    assert rmse_hu(mse) == pytest.approx(np.sqrt(np.mean(offset**2)), rel=1e-12)


def test_trials_keep_their_places_across_batches():
    rng = np.random.default_rng(2)
    offset = 100.0 * rng.normal(size=700).astype(np.float32)  # eleven batches, the last one short
    reference = np.zeros((700, 64, 64), dtype=np.float32)
    denoised = np.broadcast_to(offset[:, None, None], reference.shape)
    offset = offset.astype(np.float64)
    site = np.ones(reference.shape, dtype=bool)
    np.testing.assert_allclose(mse_hu2(denoised, reference), offset**2, rtol=1e-12)
    np.testing.assert_allclose(site_bias_hu(denoised, reference, site), offset, rtol=1e-6)
    # Constant images: SSIM is the luminance term alone, against 0 HU as intensity 1000.
    c1 = (0.01 * 1000.0) ** 2
    expected = (2000.0 * (1000.0 + offset) + c1) / (1000.0**2 + (1000.0 + offset) ** 2 + c1)
    value = ssim(denoised, reference, data_range_hu=1000.0, low_hu=-1000.0)
    np.testing.assert_allclose(value, expected, atol=5e-3)  # float32: variances are not quite 0


def test_psnr_is_that_of_scikit_image():
    denoised, reference = draw(6)
    expected = [
        peak_signal_noise_ratio(r.astype(np.float64), d.astype(np.float64), data_range=1400.0)
        for d, r in zip(denoised, reference, strict=True)
    ]
    np.testing.assert_allclose(psnr_db(denoised, reference, data_range_hu=1400.0), expected, rtol=1e-10)


def test_psnr_of_equal_images_is_infinite():
    _, reference = draw(2)
    assert np.isposinf(psnr_db(reference, reference, data_range_hu=1000.0)).all()


@pytest.mark.parametrize("level_hu", [-100.0, 60.0])
@pytest.mark.parametrize("data_range_hu", [400.0, 2000.0])
def test_ssim_is_that_of_scikit_image(level_hu, data_range_hu):
    noisy, reference = draw(4, level_hu=level_hu)
    # The two libraries pad differently: images that agree near the border have SSIM 1 there in both.
    denoised = reference.copy()
    denoised[:, 10:-10, 10:-10] = noisy[:, 10:-10, 10:-10]
    expected = [
        structural_similarity(
            (d.astype(np.float64) + 160.0),
            (r.astype(np.float64) + 160.0),
            data_range=data_range_hu,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )[1].mean()
        for d, r in zip(denoised, reference, strict=True)
    ]
    value = ssim(denoised, reference, data_range_hu=data_range_hu, low_hu=-160.0)
    np.testing.assert_allclose(value, expected, atol=1e-4)
    assert (value < 0.9995).all()


@pytest.mark.parametrize("shape", [(24, 31), (11, 40)])
def test_ssim_is_that_of_torchmetrics_border_included(shape):
    denoised, reference = draw(5, *shape, noise_hu=30.0)
    x, y = (torch.from_numpy((images + 160.0) / 400.0)[:, None].double() for images in (denoised, reference))
    expected = structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")
    value = ssim(denoised, reference, data_range_hu=400.0, low_hu=-160.0)
    np.testing.assert_allclose(value, expected.numpy(), atol=2e-6)


@pytest.mark.parametrize("diameter_px", [1.0, 2.9, 5.25, 8.0])
def test_peak_disc_is_the_highest_of_a_convolution(diameter_px):
    difference = np.random.default_rng(3).normal(size=(9, 17, 23))
    reach = int(diameter_px // 2)
    axis = np.arange(-reach, reach + 1)
    disc = (np.hypot(axis[:, None], axis) <= diameter_px / 2.0).astype(float)
    expected = [convolve2d(image, disc / disc.sum(), mode="valid").max() for image in difference]
    np.testing.assert_allclose(peak_disc_hu(difference, diameter_px=diameter_px), expected, rtol=1e-12)


def test_ssim_laws():
    denoised, reference = draw(3)
    value = ssim(denoised, reference, data_range_hu=1000.0, low_hu=-160.0)
    np.testing.assert_allclose(ssim(reference, denoised, data_range_hu=1000.0, low_hu=-160.0), value, atol=1e-6)
    np.testing.assert_allclose(ssim(reference, reference, data_range_hu=1000.0, low_hu=-160.0), 1.0, atol=1e-6)
    noisier, _ = draw(3, noise_hu=60.0)
    assert (ssim(noisier, reference, data_range_hu=1000.0, low_hu=-160.0) < value).all()
    assert (value < 1.0).all()
    # Shifting the images and their zero together changes nothing.
    shifted = ssim(denoised + 512.0, reference + 512.0, data_range_hu=1000.0, low_hu=352.0)
    np.testing.assert_allclose(shifted, value, atol=1e-5)


def test_site_bias_sees_the_site_and_nothing_else():
    _, reference = draw(3)
    site = np.zeros(reference.shape, dtype=bool)
    for trial, (row, column) in enumerate([(2, 3), (10, 20), (0, 0)]):
        site[trial, row : row + 4, column : column + 3 + trial] = True
    painted = reference.astype(np.float64) + np.where(site, np.array([5.0, -2.0, 0.0])[:, None, None], 99.0)
    np.testing.assert_allclose(site_bias_hu(painted, reference, site), [5.0, -2.0, 0.0], atol=1e-9)


def test_misuse_is_refused():
    good = np.zeros((2, 16, 16))
    holed = good.copy()
    holed[1, 3, 3] = np.nan
    site = good.astype(bool)
    for call, message in [
        (lambda: mse_hu2(good, good[:1]), "shapes"),
        (lambda: mse_hu2(good[0], good[0]), "shapes"),
        (lambda: mse_hu2(holed, good), "denoised pixel"),
        (lambda: mse_hu2(good, holed), "reference pixel"),
        (lambda: rmse_hu(np.array([])), "at least one"),
        (lambda: rmse_hu(np.array([-1.0])), "MSE"),
        (lambda: psnr_db(good, good, data_range_hu=0.0), "data_range_hu"),
        (lambda: ssim(good, good, data_range_hu=np.inf, low_hu=0.0), "data_range_hu"),
        (lambda: ssim(good[:, :10], good[:, :10], data_range_hu=1.0, low_hu=0.0), "11 × 11"),
        (lambda: site_bias_hu(good, good, site), "trial 0 has no pixel"),
        (lambda: site_bias_hu(good, good, good), "boolean"),
        (lambda: site_bias_hu(good, good, site[0]), "shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_peak_disc_finds_a_blob_anywhere_and_averages_noise_down():
    rng = np.random.default_rng(5)
    difference = np.zeros((40, 32, 32))
    axis = np.arange(32)
    for image in difference:
        row, column = rng.integers(3, 29, 2)
        image[np.hypot(axis[:, None] - row, axis[None, :] - column) <= 2.5] = 12.0
    np.testing.assert_allclose(peak_disc_hu(difference, diameter_px=5.0), 12.0, rtol=1e-12)
    np.testing.assert_allclose(peak_disc_hu(-difference, diameter_px=5.0), 0.0, atol=1e-12)
    # A disc of radius 2.5 pixels holds 21 of them: the value at one place has 1/21 of white noise's variance, and the
    # highest of some hundred places lies between 2 and 5 of its standard deviations (each trial fails below 1e-4).
    noise = rng.normal(size=(20, 32, 32))
    peak = peak_disc_hu(noise, diameter_px=5.0) * np.sqrt(21)
    assert ((peak > 2) & (peak < 5)).all()
    with pytest.raises(ValueError, match="does not fit"):
        peak_disc_hu(noise, diameter_px=40.0)
