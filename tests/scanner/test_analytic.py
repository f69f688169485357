"""Exact line integrals: against quadrature along the ray, laws of projection, and each other, for every detector."""

import numpy as np
import pytest
import torch
from scipy import integrate

from taskct.errors import UserError
from taskct.scanner import analytic
from taskct.scanner.analytic import bins_met, project_ellipses, project_gaussians
from taskct.scanner.geometry import ScanGeometry

SCANS = {
    "flat": ScanGeometry(300.0, 550.0, n_bins=61, bin_mm=4.0, views_per_turn=24),
    "curved": ScanGeometry(300.0, 550.0, n_bins=61, bin_mm=4.0, views_per_turn=24, detector="curved", bin_offset=0.25),
    "short": ScanGeometry(300.0, 550.0, n_bins=61, bin_mm=4.0, views_per_turn=24, detector="curved", scan="short"),
    "parallel": ScanGeometry(300.0, 550.0, n_bins=61, bin_mm=2.2, views_per_turn=24, detector="parallel"),
}
PLACE = {"x_mm": [14.0], "y_mm": [-9.0], "half_x_mm": [21.0], "half_y_mm": [8.0], "angle_rad": [0.7], "mu": [0.019]}


def square_radius(x, y, place=PLACE):
    dx, dy = x - place["x_mm"][0], y - place["y_mm"][0]
    cos, sin = np.cos(place["angle_rad"][0]), np.sin(place["angle_rad"][0])
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    return (along / place["half_x_mm"][0]) ** 2 + (across / place["half_y_mm"][0]) ** 2


PROFILES = {
    "ellipse": (project_ellipses, {}, lambda q: np.where(q <= 1, 1.0, 0.0)),
    "gaussian": (project_gaussians, {}, lambda q: 0.5**q),
    "half": (project_ellipses, {"exponent": 0.5}, lambda q: np.maximum(1 - q, 0) ** 0.5),
    "designer": (project_ellipses, {"exponent": 1.5}, lambda q: np.maximum(1 - q, 0) ** 1.5),
    "cubic": (project_ellipses, {"exponent": 3.0}, lambda q: np.maximum(1 - q, 0) ** 3),
}


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("profile", PROFILES)
def test_quadrature_along_every_ray(scan, profile):
    geometry, (project, extra, value) = SCANS[scan], PROFILES[profile]
    sinogram = project(geometry, **PLACE, **extra)
    assert sinogram.dtype == torch.float32
    assert sinogram.shape == (1, geometry.n_views, geometry.n_bins)
    source, direction = (np.broadcast_to(v, (geometry.n_views, geometry.n_bins, 2)) for v in geometry.rays())
    middle = -(source * direction).sum(axis=-1)  # where the ray is nearest to the isocentre
    t = np.linspace(-110.0, 110.0, 8801)  # 0.025 mm steps, wide enough for the Gaussian's tails
    for view in range(0, geometry.n_views, 3):
        along = (middle[view][:, None] + t)[..., None]
        point = source[view][:, None, :] + along * direction[view][:, None, :]
        expected = 0.019 * integrate.trapezoid(value(square_radius(point[..., 0], point[..., 1])), dx=0.025)
        # A chord's ends are found to within a step; nothing else here jumps.
        tolerance = {"ellipse": 0.03, "half": 2e-3}.get(profile, 3e-4) * 0.019
        np.testing.assert_allclose(sinogram[0, view], expected, atol=tolerance)
    assert sinogram.max() > 0.019 * 8


def test_the_mass_of_a_parallel_projection_is_that_of_the_object():
    fine = ScanGeometry(300.0, 550.0, n_bins=4000, bin_mm=0.05, views_per_turn=12, detector="parallel")
    area = np.pi * 21 * 8 * 0.019
    for project, extra, factor in (
        (project_ellipses, {}, 1.0),
        (project_gaussians, {}, 1 / np.log(2)),
        (project_ellipses, {"exponent": 1.5}, 1 / 2.5),
        (project_ellipses, {"exponent": 0.3}, 1 / 1.3),
    ):
        mass = project(fine, **PLACE, **extra)[0].double().sum(dim=1) * 0.05
        np.testing.assert_allclose(mass, area * factor, rtol=2e-4)


@pytest.mark.parametrize("scan", ["flat", "curved"])
def test_an_object_turned_by_a_views_angle_is_seen_one_view_later(scan):
    step = 2 * np.pi / 24
    angle = np.array([0.4, 0.4 + step])
    for project, extra, _ in PROFILES.values():
        before, after = project(
            SCANS[scan],
            x_mm=25 * np.cos(angle),
            y_mm=25 * np.sin(angle),
            half_x_mm=12.0,
            half_y_mm=5.0,
            angle_rad=angle + 1.0,
            mu=1.0,
            **extra,
        )
        assert before.max() > 4
        torch.testing.assert_close(after, torch.roll(before, 1, dims=0), rtol=0, atol=2e-2)  # the rim's slope


def test_several_ellipses_of_a_trial_are_summed():
    rng = np.random.default_rng(0)
    place = {key: rng.uniform(-60, 60, (3, 5)) for key in ("x_mm", "y_mm")}
    place |= {key: rng.uniform(0.5, 40, (3, 5)) for key in ("half_x_mm", "half_y_mm")}
    place |= {"angle_rad": rng.uniform(0, 6, (3, 5)), "mu": rng.uniform(-0.02, 0.02, (3, 5))}
    together = project_ellipses(SCANS["flat"], **place)
    apart = project_ellipses(SCANS["flat"], **{key: value.ravel() for key, value in place.items()})
    torch.testing.assert_close(together, apart.reshape(3, 5, *apart.shape[1:]).sum(dim=1), rtol=1e-5, atol=1e-5)


def test_chunks_and_company_make_no_difference(monkeypatch):
    rng = np.random.default_rng(1)
    place = {key: rng.uniform(-60, 60, 40) for key in ("x_mm", "y_mm")}
    place |= {"half_x_mm": rng.uniform(0.2, 30, 40), "half_y_mm": rng.uniform(0.2, 30, 40), "mu": np.ones(40)}
    place |= {"exponent": rng.uniform(0, 2, 40)}
    whole = project_ellipses(SCANS["flat"], **place)
    monkeypatch.setattr(analytic, "RAYS_PER_CHUNK", 5000)
    torch.testing.assert_close(project_ellipses(SCANS["flat"], **place), whole)
    alone = project_ellipses(SCANS["flat"], **{key: value[7:8] for key, value in place.items()})
    torch.testing.assert_close(alone, whole[7:8])


@pytest.mark.parametrize("scan", SCANS)
def test_the_bins_that_a_circle_meets_are_all_of_them_and_no_more(scan):
    geometry = SCANS[scan]
    rng = np.random.default_rng(2)
    x, y, radius = rng.uniform(-50, 50, 30), rng.uniform(-50, 50, 30), rng.uniform(0.5, 20, 30)
    first, last = bins_met(geometry, x_mm=x, y_mm=y, radius_mm=radius)
    source, direction = geometry.rays()
    dx, dy = x[:, None, None] - source[..., 0], y[:, None, None] - source[..., 1]
    distance = np.abs(dx * direction[..., 1] - dy * direction[..., 0])
    bins = np.arange(geometry.n_bins)
    inside = (bins >= first[..., None]) & (bins <= last[..., None])
    np.testing.assert_array_equal(inside, distance <= radius[:, None, None])


def test_what_lies_beside_the_detector_is_not_seen():
    narrow = ScanGeometry(300.0, 550.0, n_bins=5, bin_mm=2.0, views_per_turn=4)
    place = {"x_mm": [0.0], "y_mm": [80.0], "half_x_mm": [10.0], "half_y_mm": [10.0], "mu": [1.0]}
    sinogram = project_ellipses(narrow, **place)
    assert sinogram[0, [0, 2]].abs().max() == 0  # seen from the side
    np.testing.assert_allclose(sinogram[0, [1, 3], 2], 20.0, rtol=1e-6)  # from above and below


def test_misuse_is_refused():
    with pytest.raises(UserError, match=r"as far as the source \(300 mm\)"):
        project_ellipses(SCANS["flat"], **(PLACE | {"x_mm": [295.0]}))
    with pytest.raises(ValueError, match="positive"):
        project_ellipses(SCANS["flat"], **(PLACE | {"half_x_mm": [0.0]}))
    with pytest.raises(ValueError, match="negative"):
        project_ellipses(SCANS["flat"], **PLACE, exponent=-0.2)
    with pytest.raises(ValueError, match="shape"):
        project_ellipses(SCANS["flat"], **{key: value[0] for key, value in PLACE.items()})
