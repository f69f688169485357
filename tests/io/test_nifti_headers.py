"""Headers of NIfTI that damage or a careless program leaves: the volume, or one line."""

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io.image_stack import read_images
from taskct.io.nifti import read_nifti

VOXELS = np.random.default_rng(8).integers(-900, 900, (6, 5, 4)).astype(np.int16)
AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])


def changed(path, changes, kind=nib.Nifti1Image):
    """A good file with bytes of its header written over: place, format and value of each."""
    content = bytearray(kind(VOXELS, AFFINE).to_bytes())
    for place, form, value in changes:
        struct.pack_into("<" + form, content, place, value)
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def refusal(path):
    with pytest.raises(UserError) as caught:
        read_nifti(path)
    message = str(caught.value)
    assert message.startswith(path.name)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([(123, "B", 6)], "lengths in an unknown unit (code 6), not mm"),
        ([(123, "B", 1)], "lengths in meter, not mm"),
        ([(344, "4s", b"n+9\0")], "cannot be read"),
        ([(42, "h", -6)], "cannot be read"),
        ([(42, "h", 0)], "give one 3D volume"),
        ([(42, "h", 30000), (44, "h", 30000), (46, "h", 30000)], "over the limit of 8 GiB"),
        ([(108, "f", 1e9)], "cannot be read"),
        ([(108, "f", float("nan"))], "cannot be read"),
        ([(40, "h", 9)], "cannot be read"),
        ([(70, "h", 64), (72, "h", 64)], "cannot be read"),  # longer than the file
        ([(42, "h", 1), (70, "h", 32), (72, "h", 64)], "voxels of type complex64"),
        ([(42, "h", 3), (70, "h", 128), (72, "h", 24)], "not one number each"),
        ([(70, "h", 1)], "cannot be read"),
        ([(70, "h", 999)], "cannot be read"),
    ],
    ids=str,
)
def test_what_is_refused(tmp_path, name, changes, expected):
    assert expected in refusal(changed(tmp_path / name, changes))


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_no_slope_means_that_values_are_hu(tmp_path, slope):
    """By the specification 0 is none; nibabel writes NaN for it."""
    volume = read_nifti(changed(tmp_path / "a.nii", [(112, "f", slope), (116, "f", 0.0)]))
    np.testing.assert_array_equal(volume.image_hu, VOXELS.transpose(2, 1, 0))


@pytest.mark.parametrize("slope", [float("inf"), float("-inf")])
def test_a_slope_without_end_is_refused(tmp_path, slope):
    assert "slope" in refusal(changed(tmp_path / "a.nii", [(112, "f", slope), (116, "f", 0.0)]))


def test_what_follows_the_voxels_is_passed_over(tmp_path):
    path = changed(tmp_path / "a.nii", [])
    path.write_bytes(path.read_bytes() + b"more")
    np.testing.assert_array_equal(read_nifti(path).image_hu, VOXELS.transpose(2, 1, 0))


def test_voxels_in_a_file_of_their_own(tmp_path):
    nib.save(nib.Nifti1Pair(VOXELS, AFFINE), tmp_path / "a.img")
    (tmp_path / "a.hdr").rename(tmp_path / "a.nii")
    assert "cannot be read" in refusal(tmp_path / "a.nii")


def test_the_budget_is_settable(tmp_path, monkeypatch):
    monkeypatch.setenv("TASKCT_READ_LIMIT", "900")
    assert "over the limit of 900 bytes" in refusal(changed(tmp_path / "a.nii.gz", []))


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("size", [0, -2, -32768])
def test_sizes_below_one_are_refused_in_one_line(tmp_path, axis, size):
    """Two negative sizes have a product above 0."""
    both = [(40 + 2 * place, "h", size) for place in (axis, axis % 3 + 1)]  # after the number of dimensions
    path = changed(tmp_path / "a.nii", both)
    refusal(path)
    with pytest.raises(UserError) as caught:
        read_images(path)
    assert "\n" not in str(caught.value)
