"""Backgrounds: statistics against closed forms, and slices that land where they should."""

import numpy as np
import pytest
from scipy import stats

from taskct.tasks.backgrounds import AIR_HU, Placement, Slices, SourceGrid, Torso, lumpy, soft_ellipse

TORSO = {
    "n_pixels": 64,
    "pixel_mm": 5.2,
    "lump_hu": 10.0,
    "mean_lumps": 60.0,
    "lump_sigma_mm": (6.0, 12.0),
    "n_vessels": 4,
}


def test_lumpy_fields_have_the_closed_forms_mean_and_variance():
    # Shot noise (Campbell): mean 0, variance = density·E[peak²]·π·E[σ²], with E[σ²] = (b² − a²)/(2·ln(b/a)).
    # False-alarm rate: 5 standard errors each, 6e-7; those of the variance with the fourth cumulant,
    # density·3·E[peak²]²·π·E[σ²]/2.
    n, field, lumps, (a, b), peak = 40_000, 200.0, 50.0, (2.0, 10.0), 7.0
    values = lumpy(
        np.random.default_rng(0),
        n,
        n_pixels=1,
        pixel_mm=1.0,
        field_mm=field,
        mean_lumps=lumps,
        lump_sigma_mm=(a, b),
        lump_hu=peak,
    ).ravel()
    reach = lumps / field**2 * np.pi * (b**2 - a**2) / (2 * np.log(b / a))
    variance, fourth = reach * peak**2, 1.5 * reach * peak**4
    assert abs(values.mean()) < 5 * np.sqrt(variance / n)
    assert abs(values.var() - variance) < 5 * np.sqrt((fourth + 2 * variance**2) / n)


def test_lumpy_fields_are_alike_along_both_axes_and_correlated_as_gaussians():
    # Lumps of one σ: correlation exp(−d²/(4σ²)) at a distance d.
    # False-alarm rate: below 1e-6 each: 5 standard errors of the mean product, taken from the sample.
    n, sigma, pixel = 20_000, 6.0, 8.0
    fields = lumpy(
        np.random.default_rng(1),
        n,
        n_pixels=2,
        pixel_mm=pixel,
        field_mm=120.0,
        mean_lumps=40.0,
        lump_sigma_mm=(sigma, sigma),
        lump_hu=5.0,
    )
    variance = 40.0 / 120.0**2 * 25.0 * np.pi * sigma**2
    for other, distance in [(fields[:, 0, 1], pixel), (fields[:, 1, 0], pixel), (fields[:, 1, 1], pixel * np.sqrt(2))]:
        product = fields[:, 0, 0] * other
        expected = variance * np.exp(-(distance**2) / (4 * sigma**2))
        assert abs(product.mean() - expected) < 5 * product.std() / np.sqrt(n)


def test_no_lumps_give_a_flat_field():
    field = lumpy(
        np.random.default_rng(0),
        3,
        n_pixels=4,
        pixel_mm=1.0,
        field_mm=4.0,
        mean_lumps=0.0,
        lump_sigma_mm=(1.0, 2.0),
        lump_hu=9.0,
    )
    np.testing.assert_array_equal(field, np.zeros((3, 4, 4)))


def test_an_ellipse_has_its_area_and_place():
    axis = np.arange(80, dtype=np.float32) - 39.5
    x, y, a, b = (np.array(v) for v in ([5.0, 0.0], [-8.0, 3.0], [20.0, 12.0], [10.0, 25.0]))
    cover = soft_ellipse((axis[None, :], axis[:, None]), x_mm=x, y_mm=y, half_x_mm=a, half_y_mm=b, edge_mm=1.5)
    np.testing.assert_allclose(cover.sum(axis=(1, 2)), np.pi * a * b, rtol=5e-3)
    np.testing.assert_allclose((cover.sum(axis=1) @ axis) / cover.sum(axis=(1, 2)), x, atol=0.05)
    np.testing.assert_allclose((cover.sum(axis=2) @ axis) / cover.sum(axis=(1, 2)), y, atol=0.05)
    np.testing.assert_allclose(cover.max(axis=(1, 2)), 1.0)
    np.testing.assert_allclose(cover.min(axis=(1, 2)), 0.0)


def test_an_ellipses_rim_is_as_wide_as_asked():
    # On the shorter axis coverage falls from 1 to 0 linearly over edge_mm about the rim.
    y = np.linspace(8.0, 12.0, 81, dtype=np.float32)
    one = {name: np.array([v]) for name, v in [("x_mm", 0.0), ("y_mm", 0.0), ("half_x_mm", 30.0), ("half_y_mm", 10.0)]}
    cover = soft_ellipse((np.zeros((1, 1), np.float32), y[:, None]), edge_mm=2.0, **one)[0, :, 0]
    np.testing.assert_allclose(cover, np.clip((11.0 - y) / 2.0, 0, 1), atol=1e-5)


def test_every_torso_is_a_case_of_its_own():
    torso = Torso(**TORSO, first_case=40)
    rng = np.random.default_rng(0)
    first, second = torso.draw(rng, np.arange(5)), torso.draw(rng, np.arange(5, 8))
    assert np.concatenate([first.case, second.case]).tolist() == list(range(40, 48))
    images = np.concatenate([first.image_hu, second.image_hu]).reshape(8, -1)
    distance = np.abs(images[:, None] - images[None]).mean(axis=2)
    assert distance[np.triu_indices(8, 1)].min() > 5.0
    np.testing.assert_array_equal(Torso(**TORSO).draw(np.random.default_rng(0), np.arange(5)).image_hu, first.image_hu)


@pytest.mark.parametrize("pixel_mm", [5.2, 2.0])  # on the small grid organs are large for the body
def test_a_torso_is_a_body_in_air(pixel_mm):
    images = Torso(**(TORSO | {"pixel_mm": pixel_mm})).draw(np.random.default_rng(1), np.arange(40)).image_hu
    assert images.dtype == np.float32
    axis = (np.arange(64) - 31.5) / 32.0
    beyond = (axis[None, :] / 0.92) ** 2 + (
        axis[:, None] / (0.92 * 0.80)
    ) ** 2 > 1.15**2  # the largest body, and its rim
    np.testing.assert_array_equal(images[:, beyond], AIR_HU)
    assert images.min() >= AIR_HU
    assert images.max() < 600.0  # bone of 250 ± 40 HU, with all lumps at most some 10 σ of 10 HU
    # Half-axes of 0.78 to 0.92 of half the grid, the second 0.68 to 0.80 of the first; half a pixel for the rim.
    area = (images > -550.0).mean(axis=(1, 2))
    assert area.min() > np.pi / 4 * 0.78**2 * 0.68 * 0.95
    assert area.max() < np.pi / 4 * 0.92**2 * 0.80 * 1.05


def test_a_torsos_soft_tissue_has_its_distribution():
    # Without lumps and vessels the centre is soft tissue: normal, 55 ± 8 HU. False-alarm rate: 1e-6.
    torso = Torso(**(TORSO | {"lump_hu": 0.0, "n_vessels": 0, "n_pixels": 33, "pixel_mm": 10.0}))
    centre = torso.draw(np.random.default_rng(2), np.arange(500)).image_hu[:, 16, 16]
    assert stats.kstest(centre, stats.norm(55.0, 8.0).cdf).pvalue > 1e-6


@pytest.mark.parametrize("n_pixels", [64, 65, 256, 512])
@pytest.mark.parametrize("pixel_mm", [0.7, 0.8, 1.3, 2.6])
def test_a_slice_on_its_own_grid_stays_as_it_is(n_pixels, pixel_mm):
    # Rounding must not push the outermost pixels off the slice.
    image = np.random.default_rng(0).normal(0, 50, (n_pixels, n_pixels)).astype(np.float32)
    placed = SourceGrid((pixel_mm, pixel_mm), n_pixels, pixel_mm).slice(image)
    np.testing.assert_allclose(placed, image, atol=1e-3)


@pytest.mark.parametrize("mirror", [(False, False), (True, False), (False, True), (True, True)])
def test_a_marked_pixel_lands_where_it_should(mirror):
    # 21 rows of 2 mm and 31 columns of 1 mm; the mark lies 5 mm right of and 8 mm above the middle.
    image = np.full((21, 31), 0.0, dtype=np.float32)
    image[10 - 4, 15 + 5] = 1000.0
    placed = SourceGrid((2.0, 1.0), 61, 1.0).slice(image, Placement((3.0, -4.0), mirror))
    x = (-5.0 if mirror[0] else 5.0) + 3.0
    y = (8.0 if mirror[1] else -8.0) - 4.0
    row, column = np.unravel_index(placed.argmax(), placed.shape)
    assert (column - 30, row - 30) == (x, y)
    # What the slice covers, ±15 mm by ±20 mm about the shifted middle, and air around it.
    tissue = placed > -999.0
    assert np.flatnonzero(tissue.any(axis=0)).tolist() == list(range(30 + 3 - 15, 30 + 3 + 16))
    assert np.flatnonzero(tissue.any(axis=1)).tolist() == list(range(30 - 4 - 21, 30 - 4 + 22))  # a rim of one 2 mm row
    np.testing.assert_array_equal(placed[~tissue], AIR_HU)


def test_a_coarser_grid_does_not_fold_fine_detail_back():
    # Stripes of 2.2 pixels seen every 3 pixels: bilinear sampling alone would keep nearly all of their contrast.
    stripes = 100.0 * np.cos(2 * np.pi * np.arange(120) / 2.2)[None, :].repeat(120, axis=0).astype(np.float32)
    placed = SourceGrid((1.0, 1.0), 30, 3.0).slice(stripes)
    assert np.abs(placed).max() < 5.0
    flat = SourceGrid((1.0, 1.0), 30, 3.0).slice(np.full((120, 120), 40.0, np.float32))
    np.testing.assert_allclose(flat, 40.0, atol=1e-3)


def test_nothing_attenuates_less_than_air():
    image = np.full((8, 8), -3024.0, dtype=np.float32)  # padding of some scanners
    assert SourceGrid((1.0, 1.0), 12, 1.0).slice(image).min() >= AIR_HU


def slices(shift_mm=0.0):
    images = np.zeros((3, 6, 6), dtype=np.float32)
    images[:] = np.array([0.0, 100.0, 200.0])[:, None, None]
    images[:, 1, 2] += 50.0
    return Slices(
        image_hu=images,
        pixel_mm=(1.0, 1.0),
        case=np.array([7, 8, 9]),
        n_pixels=6,
        object_pixel_mm=1.0,
        shift_mm=shift_mm,
    )


def test_slices_take_turns_across_draws():
    background, rng = slices(), np.random.default_rng(0)
    first, second = background.draw(rng, np.arange(4)), background.draw(rng, np.arange(4, 9))
    assert np.concatenate([first.case, second.case]).tolist() == [7, 8, 9, 7, 8, 9, 7, 8, 9]
    np.testing.assert_allclose(first.image_hu[:, 0, 0], [0.0, 100.0, 200.0, 0.0], atol=1e-3)


def test_slices_are_mirrored_each_way_equally_often():
    # The mark stands at row 1 or 4, column 2 or 3. False-alarm rate of the χ² test: 1e-6.
    images = slices().draw(np.random.default_rng(1), np.arange(400)).image_hu
    marks = images.reshape(400, -1).argmax(axis=1)
    places, counts = np.unique(marks, return_counts=True)
    assert places.tolist() == [1 * 6 + 2, 1 * 6 + 3, 4 * 6 + 2, 4 * 6 + 3]
    assert stats.chisquare(counts).pvalue > 1e-6


def test_shifts_stay_within_their_limit_and_fill_it():
    # Flat slices of 0 HU: a column counts as covered when the slice's edge is at most half a pixel inside it.
    background = slices(shift_mm=2.0)
    background.image_hu = np.zeros_like(background.image_hu)
    images = background.draw(np.random.default_rng(2), np.arange(600)).image_hu
    covered = (images > -500.0).any(axis=1).sum(axis=1)
    # |shift| ≤ 0.5, 1.5 and 2 mm: shares 0.25, 0.5, 0.25. False-alarm rate of the χ² test: 1e-6.
    lost, counts = np.unique(6 - covered, return_counts=True)
    assert lost.tolist() == [0, 1, 2]
    assert stats.chisquare(counts, 600 * np.array([0.25, 0.5, 0.25])).pvalue > 1e-6


def test_slices_need_a_case_each():
    with pytest.raises(ValueError, match="2 case numbers"):
        Slices(
            image_hu=np.zeros((3, 4, 4), np.float32),
            pixel_mm=(1.0, 1.0),
            case=np.array([1, 2]),
            n_pixels=4,
            object_pixel_mm=1.0,
            shift_mm=0.0,
        )
