"""Slices one by one: the same as all at once, in a memory that does not grow, and written whole or not at all."""

import contextlib
import gzip
import itertools
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from dicom_files import ct_slice, enhanced, save
from taskct.errors import UserError
from taskct.io.dicom import read_series
from taskct.io.dicom_slices import DicomSlices
from taskct.io.dicom_write import write_series
from taskct.io.nifti import read_nifti
from taskct.io.nifti_slices import NiftiSlices
from taskct.io.nifti_write import write_nifti
from taskct.io.npy_slices import NpySlices
from taskct.io.scratch import scratch_beside

NEW = ("SOPInstanceUID", "SeriesInstanceUID")
"""What differs each time that a series is written."""


def changed(image_hu):
    """Any change from pixel to pixel, of no whole HU."""
    return (image_hu * 0.5 + 20.3).astype(np.float32)


def nifti(path, axes, dtype="i2", extra=(), order="<", slope=None, n=5):
    """HU in a frame of padding, its axes towards `axes`, as of 12 columns, 11 rows and `n` slices."""
    stored = np.random.default_rng(1).integers(-900, 1100, (12, 11, n)).astype("f8")
    stored[:2] = stored[:, -2:] = -2000
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("LPS"), nib.orientations.axcodes2ornt(tuple(axes))
    )
    affine = np.diag([-0.8, -0.9, 2.5, 1.0]) @ nib.orientations.inv_ornt_aff(turn, stored.shape)
    stored = nib.orientations.apply_orientation(stored, turn)
    header = nib.Nifti1Image.header_class(endianness=order)
    header.set_xyzt_units("mm")
    header.set_data_dtype(np.dtype(dtype))
    if slope is not None:
        stored = np.rint((stored + 1024) / slope)
    image = nib.Nifti1Image(stored.reshape(*stored.shape, *extra).astype(dtype), affine, header)
    if slope is not None:
        image.header.set_slope_inter(slope, -1024)
    nib.save(image, path)
    return path


AXES = ["".join(axes) for axes in itertools.permutations("LPS")] + ["RAS", "LAI", "IRP", "PIR"]


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.nii", {"axes": axes}) for axes in AXES]
    + [
        ("a.nii.gz", {"axes": "RAS"}),
        ("a.nii.gz", {"axes": "IRP", "extra": (1, 1)}),
        ("a.nii", {"axes": "RAS", "order": ">", "dtype": "f4"}),
        ("a.nii", {"axes": "LPS", "dtype": "f8"}),
        ("a.nii", {"axes": "LPS", "order": ">"}),
        ("a.nii.gz", {"axes": "LPS", "slope": 2.0}),
        ("a.nii", {"axes": "LPS", "n": 1}),
    ],
)
def test_nifti_is_as_the_whole_volume_is(tmp_path, name, options):
    source = nifti(tmp_path / name, **options)
    volume = read_nifti(source)
    whole = write_nifti(changed(volume.image_hu), source, volume, tmp_path / f"whole{name[1:]}", "taskct test")
    out = tmp_path / "new" / f"out{name[1:]}"
    with contextlib.ExitStack() as closing:
        slices = NiftiSlices(source, out, closing)
        assert slices.shape == volume.image_hu.shape
        assert slices.pixel_mm == volume.pixel_mm
        np.testing.assert_equal(slices.slice_mm, volume.slice_mm)
        for index, one in enumerate(slices.read()):
            np.testing.assert_array_equal(one.image_hu, volume.image_hu[index])
            np.testing.assert_array_equal(one.padding, volume.padding[index])
        slices.write(((one, changed(one.image_hu)) for one in slices.read()), out, "taskct test")
    packed = name.endswith(".gz")
    contents = [gzip.decompress(path.read_bytes()) if packed else path.read_bytes() for path in (out, whole)]
    assert contents[0] == contents[1]


def series_files(folder, slices):
    for index, one in enumerate(slices):
        save(folder / f"{9 - index}.dcm", one)
    return folder


def padded(z, **tags):
    """A slice with padding in a corner, declared or not."""
    stored = np.random.default_rng(int(z)).integers(200, 1500, (32, 40)).astype(np.uint16)
    stored[:8] = tags.get("PixelPaddingValue", 0)
    intercept = tags.pop("RescaleIntercept", -3024 if "PixelPaddingValue" not in tags else -1024)
    return ct_slice(z=z, stored=stored, Rows=32, Columns=40, RescaleIntercept=intercept, **tags)


SERIES = {
    "plain": lambda: [ct_slice(z=2.0 * k) for k in range(4)],
    "prone": lambda: [ct_slice(z=2.0 * k, orientation=(-1, 0, 0, 0, -1, 0)) for k in range(3)],
    "on the side": lambda: [ct_slice(z=2.0 * k, orientation=(0, 1, 0, -1, 0, 0)) for k in range(3)],
    "padding": lambda: [padded(2.0 * k) for k in range(3)],
    "declared padding": lambda: [padded(2.0 * k, PixelPaddingValue=63536) for k in range(3)],
    "some padded": lambda: [
        padded(0.0),
        ct_slice(z=2.0, stored=padded(2.0).pixel_array + 2000, RescaleIntercept=-3024),
    ],
    "slopes": lambda: [ct_slice(z=2.0 * k, RescaleSlope=1 + k) for k in range(3)],
    "uneven": lambda: [ct_slice(z=z) for z in (0.0, 2.0, 7.0)],
    "frames": lambda: [enhanced(positions=(4.0, 0.0, 2.0))],
    "no study": lambda: [ct_slice(z=2.0 * k, StudyInstanceUID=None) for k in range(2)],
}


@pytest.mark.parametrize("kind", SERIES)
def test_dicom_is_as_the_whole_series_is(tmp_path, kind):
    folder = series_files(tmp_path / "in", SERIES[kind]())
    series = read_series(folder, slicewise=True)
    write_series(changed(series.image_hu), series, tmp_path / "whole", "taskct test")
    slices = DicomSlices(folder, strip_private=False)
    assert slices.shape == series.image_hu.shape
    assert slices.pixel_mm == series.pixel_mm
    for index, one in enumerate(slices.read()):
        np.testing.assert_array_equal(one.image_hu, series.image_hu[index])
        np.testing.assert_array_equal(one.padding, series.padding[index])
    slices.write(((one, changed(one.image_hu)) for one in slices.read()), tmp_path / "out", "taskct test")
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for name in names:
        found, expected = (pydicom.dcmread(tmp_path / place / name) for place in ("out", "whole"))
        for keyword in NEW:
            delattr(found, keyword)
            delattr(expected, keyword)
        assert found == expected


def test_a_series_without_any_name_is_known_by_its_pixels(tmp_path):
    tags = {"PatientID": None, "StudyInstanceUID": None, "SeriesInstanceUID": None}
    folder = series_files(tmp_path / "in", [ct_slice(z=2.0 * k, **tags) for k in range(3)])
    series = read_series(folder)
    write_series(series.image_hu, series, tmp_path / "whole", "x")
    slices = DicomSlices(folder, strip_private=False)
    slices.write(((one, one.image_hu) for one in slices.read()), tmp_path / "out", "x")
    studies = {
        pydicom.dcmread(path).StudyInstanceUID for place in ("whole", "out") for path in (tmp_path / place).iterdir()
    }
    assert len(studies) == 1


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", ">f4"])
@pytest.mark.parametrize("shape", [(5, 8, 9), (8, 9)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_is_as_the_whole_array_is(tmp_path, dtype, shape, order):
    array = np.asarray(np.random.default_rng(0).normal(0, 100, shape).astype(dtype), order=order)
    np.save(tmp_path / "in.npy", array)
    slices = NpySlices(tmp_path / "in.npy")
    slices.write(((one, changed(one.image_hu)) for one in slices.read()), tmp_path / "new" / "out.npy", "")
    found = np.load(tmp_path / "new" / "out.npy")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, changed(array.astype(np.float32)))


def made_source(kind, folder, n):
    """A source of `n` slices of 256², and where to write."""
    rng = np.random.default_rng(0)
    images = rng.integers(-900, 1100, (n, 256, 256)).astype(np.int16)
    if kind == "npy":
        np.save(folder / "in.npy", images)
        return folder / "in.npy", folder / "out.npy"
    if kind == "dicom":
        slices = (
            ct_slice(z=2.0 * k, stored=(images[k] + 1024).astype(np.uint16), Rows=256, Columns=256) for k in range(n)
        )
        return series_files(folder / "in", slices), folder / "out"
    nib.save(nib.Nifti1Image(images.transpose(2, 1, 0), np.diag([-0.8, -0.8, 2.0, 1.0])), folder / f"in.{kind}")
    return folder / f"in.{kind}", folder / f"out.{kind}"


def opened(kind, source, target, closing):
    """A source of a kind, opened."""
    if kind == "npy":
        return NpySlices(source)
    return DicomSlices(source, strip_private=False) if kind == "dicom" else NiftiSlices(source, target, closing)


@pytest.mark.parametrize("kind", ["npy", "dicom", "nii", "nii.gz"])
def test_memory_is_that_of_a_few_slices(tmp_path, kind):
    """48 slices are 12 MB as float32; half of the slices take half of the disk and the same memory."""
    peaks = []
    for n in (24, 48):
        (tmp_path / f"{n}").mkdir()
        source, target = made_source(kind, tmp_path / f"{n}", n)
        tracemalloc.start()
        with contextlib.ExitStack() as closing:
            slices = opened(kind, source, target, closing)
            slices.write(((one, one.image_hu) for one in slices.read()), target, "taskct test")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 6e6
    assert peaks[1] < peaks[0] + 1.5e6  # headers of slices are a little of each


@pytest.mark.parametrize("kind", ["npy", "dicom", "nii", "nii.gz"])
def test_what_fails_in_the_middle_leaves_nothing(tmp_path, kind):
    source, target = made_source(kind, tmp_path, 3)
    before = sorted(path.name for path in tmp_path.iterdir())

    def some(slices):
        for index, one in enumerate(slices.read()):
            if index == 2:
                raise UserError("the denoiser failed")
            yield one, one.image_hu

    with contextlib.ExitStack() as closing:
        slices = opened(kind, source, target, closing)
        with pytest.raises(UserError, match="the denoiser failed"):
            slices.write(some(slices), target, "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_volume_that_is_no_ct_is_refused_before_anything_is_denoised(tmp_path):
    nib.save(nib.Nifti1Image(np.full((8, 8, 3), 7, np.int16), np.diag([-1.0, -1.0, 2.0, 1.0])), tmp_path / "a.nii")
    with contextlib.ExitStack() as closing, pytest.raises(UserError, match=r"a\.nii: values from 7 to 7 are not HU"):
        NiftiSlices(tmp_path / "a.nii", tmp_path / "b.nii", closing)


def test_a_compressed_volume_that_is_cut_short(tmp_path):
    path = nifti(tmp_path / "a.nii.gz", "LPS")
    path.write_bytes(path.read_bytes()[:-200])
    with contextlib.ExitStack() as closing, pytest.raises(UserError, match=r"a\.nii\.gz: cannot be read as NIfTI"):
        NiftiSlices(path, tmp_path / "b.nii.gz", closing)
    assert [one.name for one in tmp_path.iterdir()] == ["a.nii.gz"]


def test_rows_of_arrays_come_back_in_any_order(tmp_path):
    rows = [(np.arange(k), np.full((2, k), k, np.float32)) for k in range(4)]
    with scratch_beside(Path(tmp_path) / "new" / "out.npy") as kept:
        for row in rows:
            kept.append(*row)
        assert len(kept) == 4
        for index in (2, 0, 3, 1):
            for found, expected in zip(kept[index], rows[index], strict=True):
                np.testing.assert_array_equal(found, expected)
        kept.append(np.zeros(1))
        assert kept[4][0].tolist() == [0.0]
    assert list(tmp_path.iterdir()) == []
