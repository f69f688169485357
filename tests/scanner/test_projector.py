"""Line integrals: the matrix against direct sampling and closed forms, the adjoint, gradients and the symmetries."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.transform import radon

from discs import project_discs
from taskct.errors import UserError
from taskct.scanner.analytic import project_gaussians
from taskct.scanner.geometry import DETECTORS, SCANS, ScanGeometry
from taskct.scanner.projector import Projector, joseph_matrix
from taskct.scanner.system_matrix import MAX_ENTRIES, check_entries

GEOMETRY = ScanGeometry(300.0, 550.0, n_bins=45, bin_mm=5.0, views_per_turn=24)
N_PIXELS, PIXEL_MM = 31, 3.0  # odd bins and pixels: rays along pixel centres occur
SETTINGS = {"source_isocenter_mm": 300.0, "source_detector_mm": 550.0, "n_bins": 45, "bin_mm": 5.0}
EVERY_KIND = [
    ScanGeometry(**SETTINGS, views_per_turn=24, detector=detector, scan=scan, bin_offset=offset)
    for detector in DETECTORS
    for scan in SCANS
    for offset in (0.0, 0.25)
]
AXIS = (np.arange(N_PIXELS) - (N_PIXELS - 1) / 2) * PIXEL_MM


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("TASKCT_CACHE", "off")


@pytest.fixture(scope="module")
def projector():
    return Projector(GEOMETRY, n_pixels=N_PIXELS, pixel_mm=PIXEL_MM)  # far too small for the cache


def random_sinograms(geometry, n, seed=1):
    values = np.random.default_rng(seed).standard_normal((n, geometry.n_views, geometry.n_bins))
    return torch.from_numpy(values.astype(np.float32))


def random_images(n, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, N_PIXELS, N_PIXELS)).astype(np.float32))


def one(value):
    return np.array([value])


def sampled_line_integral(geometry, image, view, bin_):
    """Joseph's rule by direct interpolation: one sample a column, or a row where the ray is steeper."""
    source, direction = geometry.rays()
    source = np.broadcast_to(source, direction.shape)
    (sx, sy), (dx, dy) = source[view, bin_], direction[view, bin_]
    if abs(dx) >= abs(dy):
        x = AXIS
        y = sy + (x - sx) * dy / dx
        step = PIXEL_MM / abs(dx)
    else:
        y = AXIS
        x = sx + (y - sy) * dx / dy
        step = PIXEL_MM / abs(dy)
    points = [y / PIXEL_MM + (N_PIXELS - 1) / 2, x / PIXEL_MM + (N_PIXELS - 1) / 2]
    return step * ndimage.map_coordinates(image, points, order=1, mode="grid-constant").sum()


@pytest.mark.parametrize("geometry", EVERY_KIND, ids=str)
def test_every_ray_is_josephs_sum(geometry):
    image = random_images(1)
    expected = [
        [sampled_line_integral(geometry, image[0].numpy().astype(float), view, bin_) for bin_ in range(geometry.n_bins)]
        for view in range(geometry.n_views)
    ]
    projected = Projector(geometry, n_pixels=N_PIXELS, pixel_mm=PIXEL_MM).project(image)[0]
    # At 45° columns and rows serve alike, and rounding may choose either: the sums differ, for a random image.
    _, direction = geometry.rays()
    steep = np.abs(np.abs(direction[..., 0]) - np.abs(direction[..., 1])) > 1e-9
    np.testing.assert_allclose(projected[steep], np.array(expected)[steep], atol=2e-4)
    assert steep.mean() > 0.8


@pytest.mark.parametrize("geometry", EVERY_KIND, ids=str)
def test_the_quarter_turns_give_the_full_matrix(geometry):
    full = joseph_matrix(geometry, n_pixels=N_PIXELS, pixel_mm=PIXEL_MM, n_views=geometry.n_views)
    images = random_images(3)
    expected = (full @ images.reshape(3, -1).numpy().T).T.reshape(3, geometry.n_views, geometry.n_bins)
    _, direction = geometry.rays()
    steep = np.abs(np.abs(direction[..., 0]) - np.abs(direction[..., 1])) > 1e-9
    projected = Projector(geometry, n_pixels=N_PIXELS, pixel_mm=PIXEL_MM).project(images)
    np.testing.assert_allclose(projected[:, steep], expected[:, steep], atol=2e-4)


@pytest.mark.parametrize("n", [1, 3, 20])  # few columns, one product, several products
@pytest.mark.parametrize("geometry", EVERY_KIND, ids=str)
def test_adjointness(geometry, n):
    projector = Projector(geometry, n_pixels=N_PIXELS, pixel_mm=PIXEL_MM)
    image, sinogram = random_images(n), random_sinograms(geometry, n)
    forward = (projector.project(image).double() * sinogram.double()).sum(dim=(1, 2))
    back = (image.double() * projector.adjoint(sinogram).double()).sum(dim=(1, 2))
    scale = projector.project(image).norm() * sinogram.norm()
    assert (forward - back).abs().max() < 1e-6 * scale


def test_gradcheck():
    # The map is linear, so a large step is exact up to the float32 products inside.
    geometry = ScanGeometry(300.0, 550.0, n_bins=7, bin_mm=12.0, views_per_turn=8, scan="short", bin_offset=0.25)
    projector = Projector(geometry, n_pixels=4, pixel_mm=9.0)
    image = torch.randn(2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    sinogram = random_sinograms(geometry, 2).double().requires_grad_()
    for function, value in [(projector.project, image), (projector.adjoint, sinogram)]:
        assert torch.autograd.gradcheck(function, value, eps=1.0, atol=1e-4, rtol=1e-4)
        assert torch.autograd.gradgradcheck(function, value, eps=1.0, atol=1e-4, rtol=1e-4)


def test_an_image_does_not_depend_on_its_batch(projector):
    images = random_images(9)
    together = projector.project(images)
    for i in (0, 3, 4, 8):  # on both sides of a product's few slices
        torch.testing.assert_close(together[i], projector.project(images[i : i + 1])[0], rtol=0, atol=1e-4)
    assert projector.project(images[:0]).shape == (0, GEOMETRY.n_views, GEOMETRY.n_bins)
    assert projector.adjoint(together[:0]).shape == (0, N_PIXELS, N_PIXELS)


ELLIPSES = [  # centre x, y, semi-axes, mm, angle of the first, rad, and linear attenuation, mm⁻¹: an abdomen
    (0.0, 0.0, 172.0, 140.0, 0.0, 0.02),
    (60.0, 20.0, 50.0, 40.0, 0.3, 0.001),
    (0.0, 77.0, 22.0, 20.0, 0.0, 0.012),
    (-50.0, -40.0, 12.0, 9.0, 0.7, -0.002),
]


def chords(geometry):
    """Closed form: an ellipse is a unit circle in the coordinates of its axes, where a ray's chord is 2√(1 − d²)."""
    source, direction = geometry.rays()
    total = 0.0
    for x, y, a, b, angle, mu in ELLIPSES:
        first = np.array([np.cos(angle), np.sin(angle)]) / a
        second = np.array([-np.sin(angle), np.cos(angle)]) / b
        start = np.stack([(source - [x, y]) @ first, (source - [x, y]) @ second])
        along = np.stack([direction @ first, direction @ second])
        length = np.hypot(*along)  # of a millimetre of the ray in those coordinates
        distance = (start[0] * along[1] - start[1] * along[0]) / length
        total = total + mu * 2.0 * np.sqrt(np.clip(1.0 - distance**2, 0.0, None)) / length
    return total


@pytest.mark.parametrize("detector", DETECTORS)
def test_supersampled_ellipses_have_the_closed_forms_line_integrals(detector):
    # A 512² image of 0.7 mm pixels that the body fills, bins of 0.55 mm at the isocentre, and a few of the views.
    # What is left comes from the blur of pixels at the body's edge, so it falls as one over its size in pixels.
    n, pixel, fine = 512, 0.7, 4
    bin_mm = 0.55 if detector == "parallel" else 1.0
    geometry = ScanGeometry(595.0, 1085.6, 900, bin_mm, 36, detector=detector, bin_offset=0.25)
    axis = (np.arange(n * fine) - (n * fine - 1) / 2) * pixel / fine
    image = np.zeros((n, n))
    for x, y, a, b, angle, mu in ELLIPSES:
        dx, dy = axis[None, :] - x, axis[:, None] - y
        u = (dx * np.cos(angle) + dy * np.sin(angle)) / a
        v = (dy * np.cos(angle) - dx * np.sin(angle)) / b
        image += mu * (u**2 + v**2 <= 1.0).reshape(n, fine, n, fine).mean(axis=(1, 3))
    projected = Projector(geometry, n_pixels=n, pixel_mm=pixel).project(torch.from_numpy(image[None]))[0].numpy()
    exact = chords(geometry)
    error = np.sqrt(np.mean((projected - exact) ** 2) / np.mean(exact**2))
    assert error < 1.3e-3


def test_gradients_are_the_adjoint_and_the_adjoints_gradient_the_projection(projector):
    image = random_images(2).requires_grad_()
    target = projector.project(random_images(2, seed=3))
    residual = projector.project(image) - target
    (0.5 * (residual**2).sum()).backward()
    torch.testing.assert_close(image.grad, projector.adjoint(residual.detach()))

    sinogram = target.clone().requires_grad_()
    weight = random_images(2, seed=4)
    (projector.adjoint(sinogram) * weight).sum().backward()
    torch.testing.assert_close(sinogram.grad, projector.project(weight))


def test_linearity_and_dtype(projector):
    a, b = random_images(2).double()[:, None].unbind()
    combined = projector.project(2.5 * a - 0.5 * b)
    assert combined.dtype == torch.float64
    torch.testing.assert_close(combined, 2.5 * projector.project(a) - 0.5 * projector.project(b), rtol=0, atol=1e-3)


def test_a_mirrored_image_has_a_mirrored_sinogram(projector):
    # y → −y sends the source at β to −β and reverses the detector.
    image = random_images(1)
    mirrored = projector.project(torch.flip(image, dims=(1,)))
    expected = torch.flip(torch.roll(torch.flip(projector.project(image), dims=(1,)), 1, dims=1), dims=(2,))
    torch.testing.assert_close(mirrored, expected, rtol=0, atol=2e-4)


def test_a_raster_blob_has_the_closed_forms_line_integrals():
    # Off centre, so that a swapped or reversed axis shows.
    x, y, fwhm, mu, pixel = 12.0, -20.0, 28.0, 0.02, 2.0
    axis = (np.arange(60) - 29.5) * pixel
    sigma = fwhm / np.sqrt(8 * np.log(2))
    image = mu * np.exp(-0.5 * ((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2) / sigma**2)
    raster = Projector(GEOMETRY, n_pixels=60, pixel_mm=pixel).project(torch.from_numpy(image[None]))
    half = one(fwhm / 2)
    exact = project_gaussians(GEOMETRY, x_mm=one(x), y_mm=one(y), half_x_mm=half, half_y_mm=half, mu=one(mu)).numpy()
    # Linear interpolation errs by up to pixel²/8 of the second derivative, 1/σ² of the peak: 0.35 %.
    np.testing.assert_allclose(raster, exact, atol=0.0036 * exact.max())


def test_a_raster_disc_has_the_closed_forms_line_integrals():
    x, y, diameter, mu, pixel, fine = 10.0, -16.0, 50.0, 0.02, 1.0, 8
    n = 120
    axis = (np.arange(n * fine) - (n * fine - 1) / 2) * pixel / fine
    inside = (axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2 <= (diameter / 2) ** 2
    image = mu * inside.reshape(n, fine, n, fine).mean(axis=(1, 3))
    raster = Projector(GEOMETRY, n_pixels=n, pixel_mm=pixel).project(torch.from_numpy(image[None]))[0].numpy()
    exact = project_discs(GEOMETRY, x_mm=one(x), y_mm=one(y), diameter_mm=one(diameter), mu=one(mu))[0]
    assert abs(raster.sum() / exact.sum() - 1) < 2e-3
    well_inside = exact > 0.5 * exact.max()  # where the chord does not change fast across a pixel
    np.testing.assert_allclose(raster[well_inside], exact[well_inside], atol=0.01 * exact.max())


def test_misuse_is_refused(projector):
    with pytest.raises(ValueError, match="image is"):
        projector.project(torch.zeros(1, N_PIXELS, N_PIXELS + 1))
    with pytest.raises(ValueError, match="sinogram is"):
        projector.adjoint(torch.zeros(GEOMETRY.n_views, GEOMETRY.n_bins))


def test_an_object_as_large_as_the_scanner_is_refused():
    with pytest.raises(UserError, match=r"object_pixels"):
        Projector(GEOMETRY, n_pixels=64, pixel_mm=300.0 * np.sqrt(2) / 64)


def test_a_parallel_beam_has_no_source_to_reach():
    geometry = ScanGeometry(0.0, 0.0, 45, 12.0, 24, detector="parallel")
    image = torch.ones(1, 10, 10)
    # Along a row of ten pixels of 50 mm.
    assert Projector(geometry, n_pixels=10, pixel_mm=50.0).project(image)[0, 0, 20] == pytest.approx(500.0)


def test_a_matrix_beyond_32_bit_indices_is_refused():
    check_entries(MAX_ENTRIES)
    with pytest.raises(UserError, match="n_views"):
        check_entries(MAX_ENTRIES + 1)


def test_the_relation_to_another_programs_sinograms():
    """scikit-image's view at θ is ours at β = 90° − θ with the bins in reverse order, and at −90° − θ as they are.

    A blob off the centre, in no symmetric place. The two interpolate differently, which leaves 1 % of the largest line
    integral on a blob of 3 pixels; a wrong angle, direction or order of bins leaves all of it.
    """
    n, axis = 65, np.arange(65) - 32.0
    image = np.exp(-((axis[None, :] - 13) ** 2 + (axis[:, None] + 7) ** 2) / (2 * 3.0**2))
    image[np.hypot(axis[None, :], axis[:, None]) > 32] = 0.0  # where `radon` wants nothing
    geometry = ScanGeometry(0.0, 0.0, n_bins=n, bin_mm=1.0, views_per_turn=24, detector="parallel")
    ours = Projector(geometry, n_pixels=n, pixel_mm=1.0).project(torch.from_numpy(image)[None])[0].numpy()
    beta = np.degrees(geometry.view_rad)
    theirs = radon(image, theta=90.0 - beta, circle=True).T
    np.testing.assert_allclose(ours, theirs[:, ::-1], atol=0.02 * ours.max())
    np.testing.assert_allclose(ours, radon(image, theta=-90.0 - beta, circle=True).T, atol=0.02 * ours.max())
    assert np.abs(ours - theirs).max() > 0.9 * ours.max()
    # In the first view the source is on the +x axis, and bins count along +y: the blob is seen at y = −7.
    assert ours[0].argmax() - 32 == -7
    assert ours[6].argmax() - 32 == -13  # a quarter turn later along −x
