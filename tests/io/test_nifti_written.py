"""What is written as NIfTI lies on the grid of its source and holds its HU, by other readers: nibabel and SimpleITK."""

import gzip
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io.nifti import read_nifti
from taskct.io.nifti_write import write_nifti

SimpleITK = pytest.importorskip("SimpleITK", reason="the other reader")

SHAPE = (6, 5, 4)  # right, anterior, head
RNG = np.random.default_rng(6)


def stored_in(order=(0, 1, 2), flips=(1, 1, 1), dtype=np.int16, kind=nib.Nifti1Image, endian="<", slope=None):
    """HU and affine in an order and direction of axes, as an image of nibabel; the first columns are padding."""
    hu = RNG.integers(-1000, 1500, SHAPE).astype(float)
    hu[0] = -2000.0
    affine = np.diag([2.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = (-30.0, 20.0, 100.0)
    hu, affine = np.transpose(hu, order), affine[:, [*order, 3]]
    for axis, flip in enumerate(flips):
        if flip < 0:
            hu = np.flip(hu, axis)
            affine[:3, 3] += affine[:3, axis] * (hu.shape[axis] - 1)
            affine[:3, axis] *= -1
    header = kind.header_class(endianness=endian)
    header.set_data_dtype(dtype)
    stored = hu
    if slope is not None:
        stored = np.rint((hu - slope[1]) / slope[0])
    image = kind(stored.astype(dtype), affine, header)
    image.header["descrip"] = b"as it was"
    if slope is not None:
        image.header.set_slope_inter(*slope)
    image.set_qform(affine, 1)
    image.set_sform(affine, 2)
    return image


def write(tmp_path, image, name="a.nii", out="b.nii", change=0.0):
    """Write the volume of an image, changed by so many HU everywhere; what is read of the source comes back too."""
    nib.save(image, tmp_path / name)
    volume = read_nifti(tmp_path / name)
    return write_nifti(volume.image_hu + np.float32(change), tmp_path / name, volume, tmp_path / out, "taskct test")


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("flips", list(product((1, -1), repeat=3)), ids=str)
def test_unchanged_images_are_the_source_in_every_order_of_axes(tmp_path, order, flips):
    image = stored_in(order, flips)
    out = nib.load(write(tmp_path, image))
    np.testing.assert_array_equal(np.asanyarray(out.dataobj), np.asanyarray(image.dataobj))
    np.testing.assert_array_equal(out.affine, image.affine)
    assert (int(out.header["qform_code"]), int(out.header["sform_code"])) == (1, 2)
    assert bytes(out.header["descrip"]).rstrip(b"\0") == b"taskct test"


@pytest.mark.parametrize("names", [("a.nii.gz", "b.nii.gz"), ("a.nii", "b.nii.gz"), ("a.nii.gz", "b.nii")], ids=str)
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("endian", "<>")
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_kinds_of_file_and_type(tmp_path, names, kind, endian, dtype):
    image = stored_in((2, 0, 1), (1, -1, 1), dtype, kind, endian)
    out = write(tmp_path, image, *names, change=5.25)
    assert (out.read_bytes()[:2] == b"\x1f\x8b") == out.name.endswith(".gz")
    written, expected = nib.load(out), np.asanyarray(image.dataobj).astype(float)
    assert type(written) is kind
    assert written.header.endianness == endian
    expected[expected != -2000] += 5 if np.dtype(dtype).kind == "i" else 5.25
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), expected)
    if kind is nib.Nifti2Image:  # which ITK does not read
        return
    itk, source = SimpleITK.ReadImage(out), SimpleITK.ReadImage(tmp_path / names[0])
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk), expected.transpose(2, 1, 0))
    for part in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(itk, part)(), getattr(source, part)(), rtol=1e-6)


@pytest.mark.parametrize("slope", [(1.0, -1024.0), (0.5, -1024.0), (2.0, 0.0), (0.1, -10.0)])
def test_a_source_with_a_slope_keeps_its_hu(tmp_path, slope):
    image = stored_in(slope=slope, dtype=np.int32)
    nib.save(image, tmp_path / "s.nii")
    hu = nib.load(tmp_path / "s.nii").get_fdata()
    assert hu.min() == pytest.approx(-2000)
    out = write(tmp_path, image, change=0.25)
    expected = np.where(hu < -1900, hu, hu + 0.25)
    np.testing.assert_allclose(nib.load(out).get_fdata(), expected, atol=slope[0] / 2 + 1e-3)
    np.testing.assert_allclose(
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(out)).T, expected, atol=slope[0] / 2 + 1e-3
    )


def test_metal_and_values_beyond_16_bits(tmp_path):
    image = stored_in(dtype=np.int16)
    nib.save(image, tmp_path / "a.nii")
    volume = read_nifti(tmp_path / "a.nii")
    for i, metal in enumerate((30000.0, 40000.0)):
        image_hu = volume.image_hu.copy()
        image_hu[0, 0, 0] = metal
        out = write_nifti(image_hu, tmp_path / "a.nii", volume, tmp_path / f"{i}.nii", "metal")
        assert nib.load(out).get_fdata().max() == metal
        assert SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(out)).max() == metal


def test_trailing_axes_of_one_stay(tmp_path):
    image = stored_in()
    more = nib.Nifti1Image(np.asanyarray(image.dataobj)[..., None], image.affine, image.header)
    out = nib.load(write(tmp_path, more))
    assert out.shape == (*SHAPE, 1)
    np.testing.assert_array_equal(np.asanyarray(out.dataobj), np.asanyarray(more.dataobj))


def test_nothing_is_overwritten_and_nothing_is_left_of_a_failure(tmp_path, monkeypatch):
    out = write(tmp_path, stored_in())
    content = out.read_bytes()
    with pytest.raises(UserError, match="exists: choose another output"):
        write(tmp_path, stored_in())
    assert out.read_bytes() == content
    monkeypatch.setattr(gzip, "compress", lambda *args, **kwargs: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises((OSError, UserError)):
        write(tmp_path, stored_in(), out="c.nii.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii", "b.nii"]
