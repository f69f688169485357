"""Patches: against closed forms, Joseph's matrix, the law of mass and linearity."""

import numpy as np
import pytest
import torch

from taskct.errors import UserError
from taskct.scanner import analytic
from taskct.scanner.analytic import project_ellipses, project_gaussians
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.patches import project_patches
from taskct.scanner.projector import Projector

SCANS = {
    "flat": ScanGeometry(300.0, 550.0, n_bins=121, bin_mm=2.0, views_per_turn=24),
    "curved": ScanGeometry(300.0, 550.0, n_bins=121, bin_mm=2.0, views_per_turn=24, detector="curved", scan="short"),
    "parallel": ScanGeometry(300.0, 550.0, n_bins=121, bin_mm=1.1, views_per_turn=24, detector="parallel"),
}
RNG = np.random.default_rng(0)
X, Y = RNG.uniform(-30, 30, (2, 6))  # any sub-pixel place
HALF_X, HALF_Y, ANGLE = RNG.uniform(5, 9, 6), RNG.uniform(3, 5, 6), RNG.uniform(0, 6, 6)


def patches(profile, pixel_mm, fine=4):
    """Area averages of a profile of the square radius in the ellipses, centred on the patch."""
    n = round(60 / pixel_mm)
    axis = (np.arange(n * fine) - (n * fine - 1) / 2) * pixel_mm / fine
    cos, sin = np.cos(ANGLE)[:, None, None], np.sin(ANGLE)[:, None, None]
    along, across = axis * cos + axis[:, None] * sin, axis[:, None] * cos - axis * sin
    square = (along / HALF_X[:, None, None]) ** 2 + (across / HALF_Y[:, None, None]) ** 2
    return profile(square).reshape(6, n, fine, n, fine).mean(axis=(2, 4))


CASES = {
    # Linear interpolation of area averages blurs by pixel²/4 in variance. Of a chord, whose slope is infinite at the
    # rim, that takes up to √(2·0.125/3) = 0.29 there, but little elsewhere.
    "ellipse": (project_ellipses, {}, lambda q: np.where(q <= 1, 1.0, 0.0), 0.29, 0.02),
    "gaussian": (project_gaussians, {}, lambda q: 0.5**q, 0.005, 0.002),
    "nodule": (project_ellipses, {"exponent": 1.5}, lambda q: np.maximum(1 - q, 0) ** 1.5, 0.01, 0.004),
}


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("case", CASES)
def test_closed_forms(scan, case):
    project, extra, profile, worst, rms = CASES[case]
    place = {"half_x_mm": HALF_X, "half_y_mm": HALF_Y, "angle_rad": ANGLE, "mu": 1.0}
    exact = project(SCANS[scan], x_mm=X, y_mm=Y, **place, **extra)
    sampled = project_patches(SCANS[scan], patches(profile, 0.25), x_mm=X, y_mm=Y, pixel_mm=0.25)
    assert sampled.shape == exact.shape
    assert (sampled - exact).abs().max() < worst * exact.max()
    assert (sampled - exact).norm() < rms * exact.norm()


def test_the_error_at_a_sharp_rim_falls_with_the_pixel():
    place = {"half_x_mm": HALF_X, "half_y_mm": HALF_Y, "angle_rad": ANGLE, "mu": 1.0}
    exact = project_ellipses(SCANS["flat"], x_mm=X, y_mm=Y, **place)
    coarse, fine = (
        (project_patches(SCANS["flat"], patches(CASES["ellipse"][2], p), x_mm=X, y_mm=Y, pixel_mm=p) - exact).norm()
        for p in (0.5, 0.25)
    )
    assert fine / coarse == pytest.approx(0.5, abs=0.12)


def test_a_patch_on_the_grid_is_josephs_projection_of_the_grid():
    # The same rule as the system matrix: a patch of the object grid, put where its pixels lie, is the same object.
    geometry, pixel_mm = SCANS["flat"], 2.0
    projector = Projector(geometry, n_pixels=40, pixel_mm=pixel_mm)
    image = np.zeros((2, 40, 40), dtype=np.float32)
    part = np.random.default_rng(1).standard_normal((2, 9, 9)).astype(np.float32)
    image[:, 4:13, 22:31] = part
    x, y = (np.full(2, (i + 4 - 19.5) * pixel_mm) for i in (22, 4))
    np.testing.assert_allclose(
        project_patches(geometry, part, x_mm=x, y_mm=y, pixel_mm=pixel_mm),
        projector.project(torch.from_numpy(image)),
        atol=2e-4,
    )


def test_the_mass_of_a_parallel_projection_is_that_of_the_patch():
    fine = ScanGeometry(300.0, 550.0, n_bins=2000, bin_mm=0.05, views_per_turn=20, detector="parallel")
    part = np.random.default_rng(2).uniform(0.5, 1.5, (6, 8, 8))
    sinogram = project_patches(fine, part, x_mm=X, y_mm=Y, pixel_mm=1.0)
    mass = sinogram.double().sum(dim=2) * 0.05
    np.testing.assert_allclose(mass, np.broadcast_to(part.sum(axis=(1, 2))[:, None], mass.shape), rtol=1e-3)


def test_linearity_chunks_and_zeros(monkeypatch):
    geometry = SCANS["flat"]
    a, b = np.random.default_rng(3).standard_normal((2, 6, 12, 12))
    place = {"x_mm": X, "y_mm": Y, "pixel_mm": 0.8}
    whole = project_patches(geometry, 2 * a - b, **place)
    parts = 2 * project_patches(geometry, a, **place) - project_patches(geometry, b, **place)
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-4)
    monkeypatch.setattr(analytic, "RAYS_PER_CHUNK", 20000)
    torch.testing.assert_close(project_patches(geometry, 2 * a - b, **place), whole)
    assert project_patches(geometry, 0 * a, **place).abs().max() == 0


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="patches of shape"):
        project_patches(SCANS["flat"], np.zeros((2, 3, 4)), x_mm=X[:2], y_mm=Y[:2], pixel_mm=1.0)
    with pytest.raises(ValueError, match="patches of shape"):
        project_patches(SCANS["flat"], np.zeros((2, 3, 3)), x_mm=X[:1], y_mm=Y[:1], pixel_mm=1.0)
    with pytest.raises(UserError, match="source"):
        project_patches(SCANS["flat"], np.ones((1, 3, 3)), x_mm=np.array([299.0]), y_mm=Y[:1], pixel_mm=1.0)
