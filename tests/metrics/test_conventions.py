"""Conventions of public benchmarks against scikit-image, and against torch for the one that neither library has."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from taskct.metrics.conventions import CONVENTIONS, quality_in
from taskct.metrics.image_quality import Window, similarity, ssim

STUDY = (-160.0, 240.0)


def draw(n: int = 5, height: int = 30, width: int = 37, level_hu: float = 40.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    reference = level_hu + 90.0 * rng.normal(size=(n, height, width))
    return reference + 30.0 * rng.normal(size=reference.shape), reference


def found(name: str, denoised: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    return quality_in(CONVENTIONS[name], denoised, reference, study_range_hu=STUDY)


def dicom_window(images: np.ndarray, center: float, width: float) -> np.ndarray:
    """DICOM PS3.3 C.11.2.1.2.1, linear, to [0, 1]."""
    return np.clip((images - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


@pytest.mark.parametrize(("name", "center", "width"), [("abdomen", 50, 400), ("chest", -600, 1500)])
@pytest.mark.parametrize("level_hu", [40.0, -250.0])
def test_ldct_benchmark_is_what_scikit_image_says_of_windowed_images(name, center, width, level_hu):
    denoised, reference = draw(level_hu=level_hu)
    x, y = (dicom_window(images, center, width) for images in (denoised, reference))
    value = found(f"ldct-benchmark {name}", denoised, reference)
    expected = [structural_similarity(b, a, data_range=1.0) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(value["ssim"], expected, atol=2e-5)
    np.testing.assert_allclose(value["psnr_db"], -10.0 * np.log10(((x - y) ** 2).mean(axis=(1, 2))), rtol=1e-9)
    raw = np.clip(denoised + 1024.0, 0.0, 2924.0) - np.clip(reference + 1024.0, 0.0, 2924.0)
    np.testing.assert_allclose(value["rmse_hu"], np.sqrt((raw**2).mean(axis=(1, 2))), rtol=1e-9)


@pytest.mark.parametrize("level_hu", [40.0, -150.0])
def test_red_cnn_is_a_convolution_padded_with_zeros_of_truncated_hu(level_hu):
    """From the formula: local moments by torch's convolution, whose padding is 0 HU."""
    denoised, reference = draw(level_hu=level_hu)
    offset = torch.arange(11, dtype=torch.float64) - 5
    line = torch.exp(-(offset**2) / (2 * 1.5**2))
    kernel = torch.outer(line, line)[None, None] / line.sum() ** 2

    def local(images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(images, kernel, padding=5)

    x, y = (torch.from_numpy(np.clip(images, -160.0, 240.0))[:, None] for images in (denoised, reference))
    mx, my = local(x), local(y)
    vx, vy, cov = local(x * x) - mx**2, local(y * y) - my**2, local(x * y) - mx * my
    c1, c2 = (0.01 * 400.0) ** 2, (0.03 * 400.0) ** 2
    index = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    value = found("red-cnn", denoised, reference)
    np.testing.assert_allclose(value["ssim"], index.mean(dim=(1, 2, 3)).numpy(), atol=2e-5)
    mse = ((x - y) ** 2).mean(dim=(1, 2, 3)).numpy()
    np.testing.assert_allclose(value["rmse_hu"], np.sqrt(mse), rtol=1e-9)
    np.testing.assert_allclose(value["psnr_db"], 10.0 * np.log10(400.0**2 / mse), rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "how"),
    [("scikit-image", {}), ("cropped", {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False})],
)
def test_cropped_windows_are_those_of_scikit_image(name, how):
    denoised, reference = draw()
    shifted = zip(denoised + 160.0, reference + 160.0, strict=True)
    expected = [structural_similarity(r, d, data_range=400.0, **how) for d, r in shifted]
    np.testing.assert_allclose(found(name, denoised, reference)["ssim"], expected, atol=2e-5)


def test_the_studys_own_convention_is_its_own_ssim():
    denoised, reference = draw()
    own = ssim(denoised, reference, data_range_hu=400.0, low_hu=-160.0)
    assert np.array_equal(found("taskct", denoised, reference)["ssim"], own)


@pytest.mark.parametrize(("border_hu", "least", "most"), [(0.0, 0.0, 0.005), (150.0, 0.01, 0.2)])
def test_what_the_border_counts(border_hu, least, most):
    """Mirrored, cropped and padded borders differ by thousandths where noise is even, by 0.1 where it is not."""
    rng = np.random.default_rng(2)
    reference = 40.0 + 30.0 * rng.normal(size=(60, 52, 52))
    noise = 10.0 * rng.normal(size=reference.shape)
    noise[:, :4] *= 1.0 + border_hu / 10.0
    images = reference + noise, reference
    mirrored, cropped = (found(name, *images)["ssim"].mean() for name in ("taskct", "cropped"))
    assert least <= abs(cropped - mirrored) <= most


def test_equal_images_have_an_ssim_of_1_and_no_finite_psnr():
    _, reference = draw()
    for name in CONVENTIONS:
        value = found(name, reference, reference)
        np.testing.assert_allclose(value["ssim"], 1.0, atol=1e-5)
        assert np.isposinf(value["psnr_db"]).all()
        assert (value["rmse_hu"] == 0.0).all()


def test_what_lies_beyond_the_window_is_not_seen():
    _, reference = draw()
    metal = np.where(reference > 240.0, reference + 2000.0, reference)
    assert (metal != reference).any()
    assert (found("red-cnn", metal, reference)["rmse_hu"] == 0.0).all()
    assert (found("taskct", metal, reference)["rmse_hu"] > 0.0).all()


def test_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="at least 7 × 7"):
        similarity(
            np.zeros((1, 6, 9)), np.zeros((1, 6, 9)), data_range_hu=1.0, low_hu=0.0, window=Window("uniform", "cropped")
        )
