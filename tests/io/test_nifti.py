import gzip
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from dicom_files import save_series
from real_ct import LABELS, LIVER, fetch_real_chest, read_labels, real_ct_or_skip
from taskct.errors import UserError
from taskct.io.dicom import read_series
from taskct.io.nifti import ORGANS, organ_mask, read_label_map, read_nifti

SHAPE, SPACING = (6, 5, 4), (2.0, 3.0, 5.0)  # to the right, to anterior, to the head
ORIGIN = (-30.0, 20.0, 100.0)


def hu_at(xyz):
    """The scene: HU from the place in the patient, mm to the left, to posterior and to the head."""
    return xyz @ np.array([1.0, 20.0, 100.0]) - 12000


def affine_of(spacing=SPACING, origin=ORIGIN):
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return affine


def scene(affine, shape=SHAPE):
    """HU on the voxels of an affine to NIfTI's world, whose x and y run to the right and to anterior."""
    index = np.stack([*np.indices(shape), np.ones(shape)], axis=-1)
    return hu_at((index @ affine.T)[..., :3] * [-1, -1, 1]).astype(np.float32)


def save(path, data=None, affine=None, **header):
    affine = affine_of() if affine is None else affine
    image = nib.Nifti1Image(scene(affine) if data is None else data, affine)
    for field, value in header.items():
        image.header[field] = value
    nib.save(image, path)
    return path


def refusal(path, read=read_nifti, **kwargs):
    with pytest.raises(UserError) as caught:
        read(path, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Reading


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("flips", list(product((1, -1), repeat=3)), ids=str)
def test_every_order_and_direction_of_axes_comes_out_left_posterior_up(tmp_path, order, flips):
    upright = affine_of(spacing=(2.0, 3.0, 3.0))  # so that no order makes pixels of more than 2 : 1
    stored = np.transpose(scene(upright), order)
    affine = upright[:, [*order, 3]]
    for axis, flip in enumerate(flips):
        if flip < 0:
            stored = np.flip(stored, axis)
            affine[:3, 3] += affine[:3, axis] * (stored.shape[axis] - 1)
            affine[:3, axis] *= -1
    volume = read_nifti(save(tmp_path / "a.nii.gz", np.ascontiguousarray(stored), affine))
    assert volume.image_hu.shape == SHAPE[::-1]
    assert volume.image_hu.dtype == np.float32
    assert volume.pixel_mm == (3.0, 2.0)
    assert volume.slice_mm == 3.0
    slices, rows, columns = np.gradient(volume.image_hu)
    np.testing.assert_allclose(columns, 2.0)
    np.testing.assert_allclose(rows, 20 * 3.0)
    np.testing.assert_allclose(slices, 100 * 3.0)
    index = np.stack([*np.indices(volume.image_hu.shape), np.ones(volume.image_hu.shape)], axis=-1)
    np.testing.assert_allclose(hu_at((index @ volume.affine.T)[..., :3]), volume.image_hu, atol=0.01)


def test_an_oblique_volume_keeps_its_spacing(tmp_path):
    angle = np.radians(20)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    volume = read_nifti(save(tmp_path / "a.nii", scene(affine_of()), turn @ affine_of()))
    np.testing.assert_allclose(volume.pixel_mm, (3, 2), rtol=1e-6)
    assert volume.slice_mm == pytest.approx(5, rel=1e-6)


def test_a_trailing_axis_of_one_nifti_2_and_stored_integers_are_read(tmp_path):
    expected = read_nifti(save(tmp_path / "a.nii")).image_hu
    save(tmp_path / "b.nii", scene(affine_of())[..., None, None])
    np.testing.assert_array_equal(read_nifti(tmp_path / "b.nii").image_hu, expected)
    nib.save(nib.Nifti2Image(scene(affine_of()), affine_of()), tmp_path / "c.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "c.nii.gz").image_hu, expected)
    stored = nib.Nifti1Image(np.round(scene(affine_of()) * 2).astype(np.int16), affine_of())
    stored.header.set_slope_inter(0.5, -3)
    nib.save(stored, tmp_path / "d.nii")
    np.testing.assert_array_equal(read_nifti(tmp_path / "d.nii").image_hu, expected - 3)


def test_one_slice(tmp_path):
    volume = read_nifti(save(tmp_path / "a.nii", scene(affine_of())[:, :, :1]))
    assert volume.image_hu.shape == (1, 5, 6)
    assert np.isnan(volume.slice_mm)
    labels = np.ones((6, 5, 1), np.uint8)
    other_step = affine_of(spacing=(2.0, 3.0, 9.0))
    assert read_label_map(save(tmp_path / "b.nii", labels, other_step), like=volume).all()


def test_the_key_is_that_of_the_content(tmp_path):
    keys = [
        read_nifti(save(tmp_path / "jane doe.nii")).series_key,
        read_nifti(save(tmp_path / "b.nii.gz")).series_key,
        read_nifti(save(tmp_path / "c.nii", scene(affine_of()) + 1)).series_key,
    ]
    assert keys[0] == keys[1] != keys[2]
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys)


# Refusals


def test_what_is_no_single_volume(tmp_path):
    save(tmp_path / "4d.nii.gz", np.stack([scene(affine_of())] * 5, axis=-1))
    assert refusal(tmp_path / "4d.nii.gz") == "4d.nii.gz: 4 dimensions (6×5×4×5): give one 3D volume"
    save(tmp_path / "2d.nii", scene(affine_of())[..., 0])
    assert "2 dimensions (6×5): give one 3D volume" in refusal(tmp_path / "2d.nii")
    rgb = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "not one number each" in refusal(save(tmp_path / "rgb.nii", rgb))


def test_what_is_no_nifti_file(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.nii")
    (tmp_path / "a.txt").write_text("hello")
    assert "no NIfTI file by its ending" in refusal(tmp_path / "a.txt")
    (tmp_path / "a.nii").write_text("hello")
    assert refusal(tmp_path / "a.nii").startswith("a.nii: cannot be read as NIfTI")
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"hello"))
    assert refusal(tmp_path / "a.nii.gz").startswith("a.nii.gz: cannot be read as NIfTI")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_cut_short_anywhere_is_refused(tmp_path, name):
    whole = save(tmp_path / name).read_bytes()
    for length in range(0, len(whole) - 8, 13):
        (tmp_path / name).write_bytes(whole[:length])
        assert refusal(tmp_path / name).startswith(f"{name}: cannot be read as NIfTI"), length


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_voxels_that_are_not_finite(tmp_path, bad):
    data = scene(affine_of())
    data[0, :3, 1] = bad
    assert "3 of 120 voxels are NaN or infinite" in refusal(save(tmp_path / "a.nii", data))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255), (24, 4095), (40, 40)])
def test_values_that_are_no_hu(tmp_path, low, high):
    data = np.linspace(low, high, 120, dtype=np.float32).reshape(SHAPE)
    message = refusal(save(tmp_path / "a.nii", data))
    assert f"values from {low} to {high} are not HU" in message


def test_a_tilted_gantry(tmp_path):
    for degrees, is_read in ((18, False), (-18, False), (0.5, True)):
        affine = affine_of()
        affine[1, 2] = SPACING[2] * np.tan(np.radians(degrees))
        path = save(tmp_path / "a.nii", scene(affine_of()), affine)
        if is_read:
            assert read_nifti(path).slice_mm == 5
        else:
            assert "gantry tilt, its slices lean 18° off their normal, 1° allowed" in refusal(path)
    affine = affine_of()
    affine[0, 1] = 1.0
    assert "not perpendicular" in refusal(save(tmp_path / "a.nii", scene(affine_of()), affine))


def test_slices_off_axial(tmp_path):
    angle = np.radians(40)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert "40° off axial, 30° allowed" in refusal(save(tmp_path / "a.nii", scene(affine_of()), turn @ affine_of()))


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((1.0, 1.5, 3.0), None),  # not square, but within 2 : 1
        ((1.0, 2.1, 3.0), "2.1 times as long as wide; at most 2 times"),
        ((700.0, 700.0, 3.0), "pixel spacing of 700 × 700 mm; must be 0.05 to 10 mm"),
        ((0.0007, 0.0007, 0.003), "pixel spacing of 0.0007 × 0.0007 mm"),
    ],
)
def test_pixel_spacing(tmp_path, spacing, expected):
    path = save(tmp_path / "a.nii", scene(affine_of()), affine_of(spacing=spacing))
    if expected is None:
        assert read_nifti(path).pixel_mm == (1.5, 1.0)
    else:
        assert expected in refusal(path)


def patch(path, offset, values):
    """Overwrite float32 values in the header of an uncompressed file."""
    content = bytearray(path.read_bytes())
    content[offset : offset + 4 * len(values)] = np.array(values, "<f4").tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((0, 0, 0), "voxel spacing of 0 × 0 × 0 mm; must be above 0 mm"),
        ((-2, 3, 5), "voxel spacing of -2 × 3 × 5 mm; must be above 0 mm"),
        ((np.nan, 3, 5), "voxel spacing of nan × 3 × 5 mm; must be above 0 mm"),
        ((1, 1, 1), "voxel spacing of 1 × 1 × 1 mm by pixdim, 2 × 3 × 5 mm by the affine"),
    ],
)
def test_wrong_spacing_in_the_header(tmp_path, capfd, caplog, spacing, expected):
    path = patch(save(tmp_path / "a.nii"), 80, spacing)  # pixdim[1:4]
    assert expected in refusal(path)
    assert capfd.readouterr().err == ""  # nibabel logs what it mends


def test_an_affine_that_is_missing_or_not_finite_or_in_another_unit(tmp_path):
    nib.save(nib.Nifti1Image(scene(affine_of()), None), tmp_path / "a.nii")
    assert "no orientation" in refusal(tmp_path / "a.nii")
    path = patch(save(tmp_path / "b.nii"), 280, [np.nan])  # srow_x
    assert "must be above 0 mm" in refusal(path)
    assert "lengths in meter, not mm" in refusal(save(tmp_path / "c.nii", xyzt_units=1))


# Labels


def test_labels_follow_the_volume_however_they_are_stored(tmp_path):
    volume = read_nifti(save(tmp_path / "ct.nii.gz"))
    expected = np.arange(120, dtype=np.uint16).reshape(volume.image_hu.shape)
    stored = expected.transpose(2, 1, 0)[::-1, ::-1]  # NIfTI's axes point right and to anterior
    for dtype, name in ((np.uint8, "a.nii.gz"), (np.float32, "b.nii"), (np.int16, "c.nii")):
        labels = read_label_map(save(tmp_path / name, stored.astype(dtype)), like=volume)
        assert labels.dtype == np.uint16
        np.testing.assert_array_equal(labels, expected)
    mirrored = affine_of(spacing=(-2.0, 3.0, 5.0), origin=(ORIGIN[0] + 5 * 2.0, *ORIGIN[1:]))
    labels = read_label_map(save(tmp_path / "d.nii", stored[::-1].astype(np.uint8), mirrored), like=volume)
    np.testing.assert_array_equal(labels, expected)


def test_labels_on_another_grid(tmp_path):
    volume = read_nifti(save(tmp_path / "ct.nii"))
    zeros = np.zeros(SHAPE, np.uint8)
    message = refusal(save(tmp_path / "a.nii", zeros[:, :, :2]), read_label_map, like=volume)
    assert message.startswith("a.nii: labels of 2 × 5 × 6 voxels (slices × rows × columns), the CT has 4 × 5 × 6")
    for origin, is_read in (((-30.15, 20, 100), True), ((-30, 20.3, 100), False), ((-30, 20, 105), False)):
        path = save(tmp_path / "b.nii", zeros, affine_of(origin=origin))
        if is_read:
            assert read_label_map(path, like=volume).shape == volume.image_hu.shape
        else:
            off = max(abs(origin[1] - 20), abs(origin[2] - 100))
            message = refusal(path, read_label_map, like=volume)
            assert f"labels lie up to {off:.2f} mm off the grid of the CT, 0.20 mm allowed" in message


def test_values_that_are_no_labels(tmp_path):
    volume = read_nifti(save(tmp_path / "ct.nii"))
    for value in (0.5, -1, 70000, np.nan):
        data = np.zeros(SHAPE, np.float32)
        data[1, 2, 3] = value
        assert "whole numbers from 0 to 65535" in refusal(save(tmp_path / "a.nii", data), read_label_map, like=volume)


def test_labels_of_a_dicom_series_are_matched_by_place(tmp_path):
    series = read_series(save_series(tmp_path / "in"))
    # The series: 4 rows of 2 mm, 6 columns of 3 mm and 3 slices of 2 mm, the first pixel at (−5, −7, 0) mm.
    affine = affine_of(spacing=(-3.0, -2.0, 2.0), origin=(5.0, 7.0, 0.0))
    expected = np.arange(72, dtype=np.uint8).reshape(3, 4, 6)
    path = save(tmp_path / "a.nii", expected.transpose(2, 1, 0), affine)
    np.testing.assert_array_equal(read_label_map(path, like=series), expected)
    affine[0, 3] = 8.0
    save(tmp_path / "a.nii", expected.transpose(2, 1, 0), affine)
    assert "labels lie up to 3.00 mm off" in refusal(path, read_label_map, like=series)


def test_organ_masks():
    labels = np.array([[0, 1, 2], [3, 5, 300]], np.uint16)
    np.testing.assert_array_equal(organ_mask(labels, ["spleen", 300]), [[0, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(organ_mask(labels, ["kidney_left", "kidney_right"]), [[0, 0, 1], [1, 0, 0]])
    with pytest.raises(UserError, match=r"^organ livr is unknown: .*spleen, kidney_right"):
        organ_mask(labels, ["livr"])
    with pytest.raises(UserError, match=r"^organ brain \(90\), 7: no voxel of it in the labels, which hold 1, 2, 3, 5"):
        organ_mask(labels, ["brain", 7])
    with pytest.raises(UserError, match="organ not named"):
        organ_mask(labels, [])
    assert not organ_mask(labels, ["spleen"])[labels == 0].any()


# Real CT


def test_real_labels_lie_on_their_organs(real_ct):
    series = read_series(real_ct)
    labels = read_label_map(real_ct.parent / LABELS, like=series)
    np.testing.assert_array_equal(labels, read_labels())  # read without nibabel
    assert ORGANS["liver"] == LIVER
    liver = organ_mask(labels, ["liver"])
    assert series.image_hu[liver].mean() == pytest.approx(89, abs=1)
    # Mirrored or upside down, the mask takes in other tissue.
    for flipped in (liver[::-1], liver[:, ::-1], liver[:, :, ::-1]):
        assert abs(series.image_hu[flipped].mean() - 89) > 5


def test_a_real_chest(tmp_path):
    volume = read_nifti(real_ct_or_skip(fetch_real_chest))
    assert volume.image_hu.shape == (191, 167, 233)
    assert volume.pixel_mm == (1.5, 1.5)
    assert volume.slice_mm == 1.5
    image = nib.as_closest_canonical(nib.load(fetch_real_chest()))  # to the right, to anterior, to the head
    np.testing.assert_array_equal(volume.image_hu, np.asarray(image.dataobj).T[:, ::-1, ::-1])
