"""NIfTI files as stacks of images: along the third axis, turned as the affine says."""

import nibabel
import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io import read_images, read_nifti

RNG = np.random.default_rng(7)
HU = np.rint(RNG.normal(0.0, 300.0, size=(6, 5, 7))).astype(np.int16)


def save(path, stack, affine=None, **fields):
    """Images, `(n, height, width)`, so that the third axis of the file is that of the images."""
    image = nibabel.Nifti1Image(np.asarray(stack).T, affine)
    for key, value in fields.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64, np.uint8])
def test_a_stack_that_lies_as_dicom_does(tmp_path, ending, dtype):
    path = save(tmp_path / f"a.{ending}", (HU % 200).astype(dtype), np.diag([-0.7, -0.7, 2.0, 1.0]))
    stack = read_images(path)
    np.testing.assert_array_equal(stack.images, HU % 200)
    assert stack.pixel_mm == pytest.approx(0.7)
    assert stack.names[4] == f"a.{ending}[4]"
    assert {origin.name for origin in stack.origins} == {"a"}


def test_a_ct_is_turned_as_its_volume_is(tmp_path):
    path = save(tmp_path / "a.nii", HU, np.diag([0.7, 0.7, 2.0, 1.0]))
    np.testing.assert_array_equal(read_images(path).images, HU[:, ::-1, ::-1])
    np.testing.assert_array_equal(read_images(path).images, read_nifti(path).image_hu)


def test_the_order_of_the_images_is_that_of_the_file(tmp_path):
    path = save(tmp_path / "a.nii", HU, np.diag([-0.7, -0.7, -2.0, 1.0]))
    np.testing.assert_array_equal(read_images(path).images, HU)


def test_without_an_orientation_images_are_as_they_are(tmp_path):
    path = save(tmp_path / "a.nii", HU, pixdim=[1.0, 0.5, 0.5, 3.0, 0, 0, 0, 0])
    stack = read_images(path)
    np.testing.assert_array_equal(stack.images, HU)
    assert stack.pixel_mm == 0.5
    np.testing.assert_array_equal(read_images(save(tmp_path / "b.nii", HU[0], np.diag([-1, -1, 1, 1]))).images, HU[:1])


def test_slope_and_intercept(tmp_path):
    path = tmp_path / "a.nii"
    image = nibabel.Nifti1Image(HU.T, np.diag([-1.0, -1.0, 1.0, 1.0]))
    image.header.set_slope_inter(0.5, -1000.0)
    nibabel.save(image, path)
    np.testing.assert_array_equal(read_images(path).images, 0.5 * HU.astype(np.float32) - 1000.0)


def test_what_is_no_stack_is_one_line(tmp_path):
    with pytest.raises(UserError, match="5 dimensions"):
        read_images(save(tmp_path / "a.nii", np.zeros((3, 2, 2, 4, 4), np.float32), np.eye(4)))
    with pytest.raises(UserError, match="not one number each"):
        read_images(save(tmp_path / "b.nii", np.zeros((2, 4, 4), np.complex64), np.eye(4)))
    with pytest.raises(UserError, match="not finite"):
        read_images(save(tmp_path / "c.nii", np.full((2, 4, 4), np.nan, np.float32), np.eye(4)))
    (tmp_path / "d.nii").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="cannot be read as NIfTI"):
        read_images(tmp_path / "d.nii")
    save(tmp_path / "e.nii", HU, np.eye(4), xyzt_units=1)
    with pytest.raises(UserError, match="lengths in meter"):
        read_images(tmp_path / "e.nii")
