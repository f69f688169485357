"""Filtered backprojection: HU of water, places, redundancy, noise against closed forms, gradients, field of view."""

import numpy as np
import pytest
import torch

from taskct.errors import UserError
from taskct.scanner.analytic import project_ellipses
from taskct.scanner.fbp import FBP, SLICES_PER_FILTER, backprojection_matrix, parker_weights
from taskct.scanner.geometry import DETECTORS, SCANS, ScanGeometry
from taskct.scanner.kernels import WINDOWS, ramp_kernel
from taskct.scanner.units import MU_WATER_PER_MM, mu_to_hu

GEOMETRY = ScanGeometry(595.0, 1085.6, n_bins=736, bin_mm=0.95, views_per_turn=720)
COARSE = ScanGeometry(595.0, 1085.6, n_bins=368, bin_mm=1.9, views_per_turn=240)
SMALL = {"source_isocenter_mm": 595.0, "source_detector_mm": 1085.6, "n_bins": 16, "bin_mm": 20.0, "views_per_turn": 64}
EVERY_KIND = [(detector, scan) for detector in DETECTORS for scan in SCANS]


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("TASKCT_CACHE", "off")


def disc(geometry, x, y, diameter, mu=MU_WATER_PER_MM):
    half = diameter / 2
    return project_ellipses(geometry, x_mm=[x], y_mm=[y], half_x_mm=half, half_y_mm=half, mu=mu)


def reconstruct_hu(geometry, sinogram, **settings):
    return mu_to_hu(FBP(geometry, **settings).reconstruct(sinogram).double()).numpy()


def random_sinograms(geometry, n, seed=0):
    values = np.random.default_rng(seed).standard_normal((n, geometry.n_views, geometry.n_bins))
    return torch.from_numpy(values.astype(np.float32))


@pytest.mark.parametrize("offset", [0.0, 0.25])
@pytest.mark.parametrize(("detector", "scan"), EVERY_KIND)
def test_a_water_disc_reads_zero_hu_everywhere_inside(detector, scan, offset):
    # Off the isocentre, where weights of the distance and of the short scan matter. Within 6 mm of its edge
    # (11 bins) the kernel's ringing is left.
    bin_mm = 0.55 if detector == "parallel" else 0.95
    geometry = ScanGeometry(595.0, 1085.6, 736, bin_mm, 720, detector=detector, scan=scan, bin_offset=offset)
    x, y, radius, n, pixel = 12.0, -7.0, 140.0, 100, 3.3
    (image,) = reconstruct_hu(geometry, disc(geometry, x, y, 2 * radius), n_pixels=n, pixel_mm=pixel)
    axis = (np.arange(n) - (n - 1) / 2) * pixel
    inside = np.hypot(axis[None, :] - x, axis[:, None] - y) < radius - 6.0
    assert np.abs(image[inside]).max() < 0.5
    assert abs(image[inside].mean()) < 0.05


@pytest.mark.parametrize("window", WINDOWS)
def test_water_reads_zero_hu_with_every_window(window):
    sinogram = disc(GEOMETRY, 0.0, 0.0, 300.0)
    settings = {"n_pixels": 24, "pixel_mm": 1.0, "window": window}
    for cutoff, center in [(1.0, (0.0, 0.0)), (0.7, (60.0, -40.0)), (1.0, (-85.0, 70.0))]:
        image = reconstruct_hu(GEOMETRY, sinogram, center_mm=center, cutoff=cutoff, **settings)
        assert np.abs(image).max() < (0.2 if cutoff == 1 else 1.0)  # a ramp that is cut off rings far from an edge
        assert abs(image.mean()) < 0.1


def test_a_small_disc_lies_where_it_is():
    # x grows with the column and y with the row; a centre between pixels, and no two offsets alike.
    x, y = 31.3, -17.8
    sinogram = disc(COARSE, x, y, 6.0)
    image = FBP(COARSE, center_mm=(25.0, -10.0), n_pixels=40, pixel_mm=1.0).reconstruct(sinogram)[0].numpy()
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert np.hypot(column - 19.5 + 25.0 - x, row - 19.5 - 10.0 - y) < 2.5  # the top of a disc of 6 mm is flat
    axis = np.arange(40) - 19.5
    near = np.where(np.hypot(axis[None, :] + 25.0 - x, axis[:, None] - 10.0 - y) < 8.0, image, 0.0)
    assert (near.sum(axis=0) @ axis) / near.sum() + 25.0 == pytest.approx(x, abs=0.1)
    assert (near.sum(axis=1) @ axis) / near.sum() - 10.0 == pytest.approx(y, abs=0.1)


def test_contrast_of_a_large_disc_is_recovered():
    contrast_hu = 40.0
    sinogram = disc(COARSE, 0.0, 0.0, 280.0) + disc(COARSE, 50.0, 30.0, 40.0, contrast_hu / 1000 * MU_WATER_PER_MM)
    image = reconstruct_hu(COARSE, sinogram, center_mm=(50.0, 30.0), n_pixels=72, pixel_mm=1.0)[0]
    axis = np.arange(72) - 35.5
    radius = np.hypot(axis[None, :], axis[:, None])
    inside, outside = image[radius < 15.0].mean(), image[(radius > 26.0) & (radius < 34.0)].mean()
    assert inside - outside == pytest.approx(contrast_hu, abs=0.3)


def test_a_quarter_turn_of_the_scan_turns_the_image():
    # Turned by +90° the object is seen n_views/4 views later, and (x, y) lies at (−y, x).
    sinogram = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 240, 368)).astype(np.float32))
    settings = {"n_pixels": 9, "pixel_mm": 2.0, "window": "ram-lak"}
    image = FBP(COARSE, center_mm=(40.0, 15.0), **settings).reconstruct(sinogram)
    turned = FBP(COARSE, center_mm=(-15.0, 40.0), **settings).reconstruct(torch.roll(sinogram, 60, dims=1))
    # A column of the image (x fixed, y growing) becomes a row read backwards.
    expected = torch.flip(image.transpose(1, 2), dims=(2,))
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-5 * float(image.abs().max()))


def test_the_noise_at_the_isocentre_is_the_closed_forms():
    # White noise of variance s² in the line integrals, an unwindowed ramp and an odd number of bins (so that a bin's
    # centre faces the isocentre): the variance is π²s²/(12·n_views·bin²).
    # False-alarm rate: 5 standard errors of a variance of 4000 draws, 6e-7; the cosine weight costs under 0.1 %.
    geometry, n = ScanGeometry(500.0, 1000.0, n_bins=65, bin_mm=4.0, views_per_turn=40), 4000
    noise = torch.from_numpy(np.random.default_rng(3).standard_normal((n, 40, 65)).astype(np.float32))
    region = FBP(geometry, center_mm=(0.0, 0.0), n_pixels=1, pixel_mm=1.0, window="ram-lak")
    measured = region.reconstruct(noise).double().var().item()
    assert measured == pytest.approx(np.pi**2 / (12 * 40 * 2.0**2), rel=5 * np.sqrt(2 / n) + 0.001)


def test_an_image_does_not_depend_on_its_batch():
    sinograms = torch.from_numpy(np.random.default_rng(1).standard_normal((35, 240, 368)).astype(np.float32))
    region = FBP(COARSE, center_mm=(10.0, -30.0), n_pixels=8, pixel_mm=2.0)
    together = region.reconstruct(sinograms)
    for i in (0, 31, 32, 34):  # on both sides of a product's 32 columns
        torch.testing.assert_close(together[i], region.reconstruct(sinograms[i : i + 1])[0], rtol=0, atol=1e-6)


def directly_reconstructed(geometry, sinogram, x, y, window):
    """Kak and Slaney's steps one by one, 3.3.3, 3.4.1 and 3.4.2: weight, convolve, interpolate, weight, sum."""
    distance, n = geometry.source_isocenter_mm, geometry.n_bins
    place = (np.arange(n) - (n - 1) / 2 + geometry.bin_offset) * geometry.bin_mm
    if geometry.detector == "parallel":
        step, before = geometry.bin_mm, 1.0
    elif geometry.detector == "flat":
        place = place * distance / geometry.source_detector_mm
        step, before = place[1] - place[0], distance / np.sqrt(distance**2 + place**2)
    else:
        place = place / geometry.source_detector_mm
        step, before = place[1] - place[0], distance * np.cos(place)
    half = ramp_kernel(n, bin_step=step, window=window)
    if geometry.detector == "curved":
        half[1:] *= (step * np.arange(1, n) / np.sin(step * np.arange(1, n))) ** 2
    kernel = np.concatenate([half[:0:-1], half])
    redundancy = parker_weights(geometry)
    total = 0.0
    for view, row, weight in zip(geometry.view_rad, sinogram, redundancy, strict=True):
        filtered = np.convolve(row * weight * before, kernel)[n - 1 : 2 * n - 1] * step
        along, aside = x * np.cos(view) + y * np.sin(view), y * np.cos(view) - x * np.sin(view)
        if geometry.detector == "parallel":
            seen, after = aside, 1.0
        elif geometry.detector == "flat":
            u = (distance - along) / distance
            seen, after = aside / u, 1 / u**2
        else:
            seen, after = np.arctan(aside / (distance - along)), 1 / ((distance - along) ** 2 + aside**2)
        total += np.interp(seen, place, filtered) * after
    return total * geometry.step_rad


@pytest.mark.parametrize("center", [(0.0, 0.0), (37.0, -61.0), "right rim", "lower rim"])
@pytest.mark.parametrize("window", ["ram-lak", "hann"])
@pytest.mark.parametrize(("detector", "scan"), EVERY_KIND)
def test_the_two_products_are_the_textbooks_steps(center, window, detector, scan):
    # At the rim pixels reach the outermost bins; an index past a row's end would fall into the next view.
    geometry = ScanGeometry(**SMALL, detector=detector, scan=scan, bin_offset=0.25)
    edge = geometry.field_of_view_mm / 2 - 0.402
    place = {"right rim": (edge, 0.0), "lower rim": (0.0, edge)}.get(center, center)
    sinogram = random_sinograms(geometry, 1, seed=4)
    region = FBP(geometry, center_mm=place, n_pixels=8, pixel_mm=0.1, window=window)
    axis = (np.arange(8) - 3.5) * 0.1
    x, y = axis[None, :] + place[0], axis[:, None] + place[1]
    expected = directly_reconstructed(geometry, sinogram[0].double().numpy(), x, y, window)
    np.testing.assert_allclose(region.reconstruct(sinogram)[0], expected, atol=2e-6)


@pytest.mark.parametrize(("detector", "scan"), EVERY_KIND)
def test_a_centred_image_by_quarter_turns_is_that_of_all_views(detector, scan):
    geometry = ScanGeometry(**SMALL, detector=detector, scan=scan, bin_offset=0.25)
    sinogram = random_sinograms(geometry, 7)
    centred = FBP(geometry, n_pixels=11, pixel_mm=9.0).reconstruct(sinogram)
    # The smallest of shifts makes it an image elsewhere, with a matrix of all views.
    elsewhere = FBP(geometry, n_pixels=11, pixel_mm=9.0, center_mm=(1e-9, 0.0)).reconstruct(sinogram)
    torch.testing.assert_close(centred, elsewhere, rtol=0, atol=1e-6)


@pytest.mark.parametrize("detector", ["flat", "curved"])
def test_the_two_rays_along_a_line_count_once(detector):
    # The law of a short scan's weights: w(β, γ) + w(β + π − 2γ, −γ) = 1 wherever both rays are measured, and a line
    # measured once counts once. The other ray lies between views: its weight is interpolated, to (step²/8)·w''.
    geometry = ScanGeometry(595.0, 1085.6, 41, 20.0, 3600, detector=detector, scan="short")
    weights = parker_weights(geometry)
    assert weights.min() >= 0
    assert weights.max() <= 1
    view = geometry.view_rad
    n_pairs = 0
    for bin_, fan in enumerate(geometry.fan_rad):
        other = view + np.pi - 2 * fan
        measured = other <= view[-1]
        w = np.interp(other[measured], view, weights[:, geometry.n_bins - 1 - bin_])
        np.testing.assert_allclose(weights[measured, bin_] + w, 1.0, atol=2e-3)
        earlier = view - np.pi - 2 * fan  # the ray that this one is the other of
        once = (other > view[-1] + geometry.step_rad) & (earlier < 0)
        np.testing.assert_allclose(weights[once, bin_], 1.0, atol=1e-12)
        n_pairs += measured.sum()
    assert n_pairs > 1000


def test_full_and_parallel_short_scans_weigh_all_rays_alike():
    assert (parker_weights(ScanGeometry(**SMALL)) == 0.5).all()
    assert (parker_weights(ScanGeometry(**SMALL, detector="parallel", scan="short")) == 1.0).all()


@pytest.mark.parametrize("detector", ["flat", "curved"])
def test_a_short_scan_reconstructs_what_the_full_one_does(detector):
    images = []
    for scan in SCANS:
        geometry = ScanGeometry(595.0, 1085.6, 368, 1.9, 960, detector=detector, scan=scan)
        sinogram = disc(geometry, 20.0, 10.0, 200.0) + disc(geometry, 60.0, -15.0, 12.0, 0.3 * MU_WATER_PER_MM)
        images.append(reconstruct_hu(geometry, sinogram, n_pixels=64, pixel_mm=2.0, center_mm=(40.0, 0.0))[0])
    full, short = images
    axis = (np.arange(64) - 31.5) * 2.0
    depth = 100.0 - np.hypot(axis[None, :] + 20.0, axis[:, None] - 10.0)
    to_pin = np.abs(np.hypot(axis[None, :] - 20.0, axis[:, None] + 15.0) - 6.0)
    difference = full - short
    # At an edge, of 1000 and of 300 HU, the two sample it differently; deeper in the body they agree.
    assert np.abs(difference).max() < 15.0
    assert np.abs(difference[(depth > 10.0) & (to_pin > 8.0)]).max() < 0.5
    assert full[to_pin < 4.5].max() > 250.0


@pytest.mark.parametrize("center", [(0.0, 0.0), (30.0, -20.0)])
@pytest.mark.parametrize(("detector", "scan"), EVERY_KIND)
def test_gradients_are_the_adjoint(detector, scan, center):
    geometry = ScanGeometry(**SMALL, detector=detector, scan=scan)
    fbp = FBP(geometry, n_pixels=6, pixel_mm=9.0, center_mm=center)
    sinogram = random_sinograms(geometry, SLICES_PER_FILTER + 1).requires_grad_()
    image = torch.from_numpy(np.random.default_rng(1).standard_normal((len(sinogram), 6, 6)).astype(np.float32))
    forward = (fbp.reconstruct(sinogram).double() * image.double()).sum()
    forward.backward()
    back = (sinogram.detach().double() * sinogram.grad.double()).sum()
    scale = fbp.reconstruct(sinogram).norm() * image.norm()
    assert abs(forward - back) < 1e-6 * scale


def test_gradcheck():
    # The map is linear, so a large step is exact up to the float32 products inside.
    geometry = ScanGeometry(300.0, 550.0, n_bins=9, bin_mm=20.0, views_per_turn=8)
    fbp = FBP(geometry, n_pixels=4, pixel_mm=9.0)
    sinogram = random_sinograms(geometry, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(fbp.reconstruct, sinogram, eps=1.0, atol=1e-6, rtol=1e-4)
    assert torch.autograd.gradgradcheck(fbp.reconstruct, sinogram, eps=1.0, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("center", [(0.0, 0.0), (30.0, -20.0)])
@pytest.mark.parametrize(("detector", "scan"), EVERY_KIND)
def test_pixel_weights_sum_a_sinogram_to_the_pixel(detector, scan, center):
    geometry = ScanGeometry(**SMALL, detector=detector, scan=scan, bin_offset=0.25)
    fbp = FBP(geometry, n_pixels=7, pixel_mm=8.0, center_mm=center)
    sinogram = random_sinograms(geometry, 3)
    image = fbp.reconstruct(sinogram)
    for row, column in [(0, 0), (2, 5), (6, 3)]:
        weights = fbp.pixel_weights(row, column)
        assert weights.shape == (geometry.n_views, geometry.n_bins)
        expected = (weights * sinogram).sum(dim=(1, 2))
        torch.testing.assert_close(image[:, row, column], expected, rtol=0, atol=1e-6)


def test_corners_of_a_centred_image_outside_the_field_of_view_are_air():
    geometry = ScanGeometry(**SMALL)
    n, pixel = 20, geometry.field_of_view_mm / 20
    fbp = FBP(geometry, n_pixels=n, pixel_mm=pixel)
    image = fbp.reconstruct(random_sinograms(geometry, 2))
    axis = (np.arange(n) - (n - 1) / 2) * pixel
    outside = np.hypot(axis[None, :], axis[:, None]) > geometry.field_of_view_mm / 2
    assert outside[0, 0]
    assert (image[:, outside] == 0).all()
    assert (image[:, ~outside] != 0).all()
    assert (fbp.pixel_weights(0, 0) == 0).all()


@pytest.mark.parametrize(
    ("center", "n_pixels"),
    [((180.0, 0.0), 16), ((0.0, -180.0), 16), ((130.0, 130.0), 16), ((1.0, 0.0), 280), ((0.0, 0.0), 400)],
)
def test_an_image_beyond_the_field_of_view_is_refused(center, n_pixels):
    with pytest.raises(UserError, match="field of view"):
        FBP(COARSE, center_mm=center, n_pixels=n_pixels, pixel_mm=1.0)


def test_a_double_precision_sinogram_gives_a_double_precision_image():
    sinogram = random_sinograms(COARSE, 1)
    region = FBP(COARSE, center_mm=(10.0, -30.0), n_pixels=4, pixel_mm=2.0)
    image = region.reconstruct(sinogram.double())
    assert image.dtype == torch.float64
    torch.testing.assert_close(image.float(), region.reconstruct(sinogram), rtol=0, atol=1e-7)


def test_no_sinogram_gives_no_image():
    assert FBP(COARSE, n_pixels=4, pixel_mm=2.0).reconstruct(torch.zeros(0, 240, 368)).shape == (0, 4, 4)


def test_misuse_is_refused():
    fbp = FBP(COARSE, n_pixels=4, pixel_mm=1.0)
    with pytest.raises(ValueError, match="sinogram is"):
        fbp.reconstruct(torch.zeros(1, 368, 240))
    for row, column in [(4, 0), (0, -1)]:
        with pytest.raises(ValueError, match="pixel"):
            fbp.pixel_weights(row, column)
    with pytest.raises(UserError, match=r"scanner\.filter.*hann"):
        FBP(COARSE, n_pixels=4, pixel_mm=1.0, window="hanning")
    with pytest.raises(UserError, match=r"scanner\.filter_cutoff"):
        FBP(COARSE, n_pixels=4, pixel_mm=1.0, cutoff=0.0)
    with pytest.raises(UserError, match="entries"):
        FBP(COARSE, center_mm=(0.0, 1.0), n_pixels=4096, pixel_mm=0.01)


@pytest.mark.parametrize("center", [(0.0, 0.0), (60.0, -45.0), (-150.0, 0.0)])
@pytest.mark.parametrize("detector", DETECTORS)
def test_the_bins_beside_the_shadow_of_a_region_change_nothing(detector, center):
    geometry = ScanGeometry(595.0, 1085.6, 368, 1.0 if detector == "parallel" else 1.9, 240, detector=detector)
    place = {"center_mm": center, "n_pixels": 12, "pixel_mm": 1.3}
    region, whole = FBP(geometry, **place), FBP(geometry, n_pixels=64, pixel_mm=5.0)
    assert region._filter.shape[1] < whole._filter.shape[1]
    if center == (0.0, 0.0):  # 15.6 mm and their diagonal, at about one bin a millimetre
        assert region._filter.shape[1] < 30
    sinogram = random_sinograms(geometry, 2)
    # The filter to all bins is the whole image's where that reaches; the rest of the shadow is none of the region's.
    bins, filtered = whole._bins, np.zeros(sinogram.shape)
    filtered[:, :, bins] = (sinogram @ whole._filter).numpy()
    matrix = backprojection_matrix(geometry, **place, n_views=240)
    expected = (matrix @ filtered.reshape(2, -1).T).T.reshape(2, 12, 12)
    np.testing.assert_allclose(region.reconstruct(sinogram), expected, atol=1e-5 * np.abs(expected).max())
