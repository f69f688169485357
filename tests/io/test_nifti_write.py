"""NIfTI out: the grid, the order of axes and the padding of the source, checked by nibabel and SimpleITK."""

import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest

from dicom_files import ct_slice, save
from taskct.errors import UserError
from taskct.io.dicom import read_series
from taskct.io.nifti import read_nifti
from taskct.io.nifti_write import is_nifti, write_nifti
from taskct.io.volume_files import read_volumes

SHAPE = (12, 11, 5)  # column, row, slice where axes are (L, P, S)
PADDING = -2000


def source_file(path, axes="LPS", *, dtype="i2", kind=nib.Nifti1Image, order="<", extra=(), slope=None, oblique=0.0):
    """HU between −900 and 1100 in a frame of padding two voxels wide, stored with its axes towards `axes`."""
    stored = np.random.default_rng(1).integers(-900, 1100, SHAPE).astype("f8")
    stored[:2] = stored[-2:] = stored[:, :2] = stored[:, -2:] = PADDING
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("LPS"), nib.orientations.axcodes2ornt(tuple(axes))
    )
    affine = np.diag([-0.8, -0.9, 2.5, 1.0])
    lean = np.eye(4)
    lean[:2, :2] = [[np.cos(oblique), -np.sin(oblique)], [np.sin(oblique), np.cos(oblique)]]
    affine = lean @ affine
    affine[:3, 3] = [31.0, -17.0, 140.0]
    affine = affine @ nib.orientations.inv_ornt_aff(turn, SHAPE)
    stored = nib.orientations.apply_orientation(stored, turn)
    header = kind.header_class(endianness=order)
    header.set_xyzt_units("mm")
    header.set_data_dtype(np.dtype(dtype))
    if slope is not None:
        stored = np.rint((stored + 1024) / slope)
    image = kind(stored.reshape(*stored.shape, *extra).astype(dtype), affine, header)
    if slope is not None:
        image.header.set_slope_inter(slope, -1024)
    nib.save(image, path)
    return path


def changed(image_hu):
    """Any change from voxel to voxel, of no whole HU."""
    return image_hu * 0.5 + 20.3


CASES = [
    ("a.nii", {}),
    ("a.nii.gz", {}),
    ("a.nii.gz", {"axes": "RAS"}),
    ("a.nii", {"axes": "LAS"}),
    ("a.nii", {"axes": "PSR"}),
    ("a.nii", {"axes": "SLA"}),
    ("a.nii", {"axes": "IRP"}),
    ("a.nii.gz", {"oblique": 0.2}),
    ("a.nii", {"kind": nib.Nifti2Image}),
    ("a.nii", {"order": ">"}),
    ("a.nii", {"order": ">", "dtype": "f4", "axes": "RAS"}),
    ("a.nii", {"extra": (1,)}),
    ("a.nii.gz", {"extra": (1, 1), "axes": "RAS"}),
    ("a.nii", {"dtype": "f4"}),
    ("a.nii", {"dtype": "f8"}),
    ("a.nii", {"dtype": "i4"}),
    ("a.nii", {"slope": 2.0}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_grid_of_the_source(tmp_path, name, options):
    source = source_file(tmp_path / name, **options)
    volume = read_nifti(source)
    assert volume.padding.mean() > 0.3
    out = tmp_path / "new" / f"out{name[1:]}"
    assert write_nifti(changed(volume.image_hu), source, volume, out, "taskct test") == out
    before, after = nib.load(source), nib.load(out)
    assert type(after) is type(before)
    assert after.shape == before.shape
    assert after.header.endianness == before.header.endianness
    assert after.header["descrip"].item() == b"taskct test"
    assert after.header.get_xyzt_units() == before.header.get_xyzt_units()
    for place in ("get_qform", "get_sform"):
        for matrix, expected in zip(
            getattr(after.header, place)(coded=True), getattr(before.header, place)(coded=True), strict=True
        ):
            np.testing.assert_array_equal(matrix, expected)
    whole = np.dtype(options.get("dtype", "i2")).kind == "i" and "slope" not in options
    assert after.get_data_dtype().newbyteorder("=") == np.dtype("i2" if whole else "f4")
    stored, result = before.get_fdata(), after.get_fdata()
    frame = stored < -1500
    assert frame.any()
    np.testing.assert_array_equal(result[frame], stored[frame])
    off = np.abs(result[~frame] - changed(stored[~frame])).max()
    assert off <= (0.5 + 1e-3 if whole else 1e-3)
    np.testing.assert_array_equal(read_nifti(out).affine, volume.affine)


@pytest.mark.parametrize("options", [{}, {"axes": "RAS", "oblique": 0.2}, {"axes": "SLA"}, {"order": ">"}])
def test_another_reader_finds_each_voxel(tmp_path, options):
    itk = pytest.importorskip("SimpleITK")
    source = source_file(tmp_path / "a.nii.gz", **options)
    volume = read_nifti(source)
    image = itk.ReadImage(str(write_nifti(volume.image_hu + 7, source, volume, tmp_path / "out.nii.gz", "x")))
    for k, i, j in ((0, 4, 5), (2, 8, 3), (4, 5, 9)):
        place = (volume.affine @ [k, i, j, 1.0])[:3]
        assert not volume.padding[k, i, j]
        index = image.TransformPhysicalPointToIndex([float(x) for x in place])
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), place, atol=1e-3)
        assert image[index] == volume.image_hu[k, i, j] + 7


def test_hu_beyond_16_bits(tmp_path):
    source = source_file(tmp_path / "a.nii")
    volume = read_nifti(source)
    image_hu = volume.image_hu.copy()
    image_hu[2, 5, 5] = 40000.4
    out = nib.load(write_nifti(image_hu, source, volume, tmp_path / "b.nii", "x"))
    assert out.get_data_dtype() == np.int32
    assert out.get_fdata().max() == 40000


def test_what_is_there_stays(tmp_path):
    source = source_file(tmp_path / "a.nii")
    volume, before = read_nifti(source), source.read_bytes()
    with pytest.raises(UserError, match=r"a\.nii exists: choose another output, nothing is overwritten$"):
        write_nifti(volume.image_hu, source, volume, source, "x")
    assert source.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.nii"]


def test_the_source_is_gone(tmp_path):
    source = source_file(tmp_path / "a.nii")
    volume = read_nifti(source)
    source.unlink()
    with pytest.raises(UserError, match=r"a\.nii"):
        write_nifti(volume.image_hu, source, volume, tmp_path / "b.nii", "x")
    assert not list(tmp_path.iterdir())


def test_a_description_is_ascii_of_79_characters(tmp_path):
    source = source_file(tmp_path / "a.nii")
    volume = read_nifti(source)
    written = nib.load(write_nifti(volume.image_hu, source, volume, tmp_path / "b.nii", "λ" + 100 * "x"))
    assert written.header["descrip"].item() == b"?" + 78 * b"x"


def test_endings(tmp_path):
    assert [name for name in ("a.nii", "A.NII.GZ", "a.gz", "nii", "a.nii.bz2") if is_nifti(tmp_path / name)] == [
        "a.nii",
        "A.NII.GZ",
    ]


def test_the_same_file_each_time(tmp_path):
    source = source_file(tmp_path / "a.nii.gz")
    volume = read_nifti(source)
    files = [write_nifti(volume.image_hu, source, volume, tmp_path / f"{i}.nii.gz", "x") for i in (1, 2)]
    assert files[0].read_bytes() == files[1].read_bytes()


def converted(folder, out):
    """What dcm2niix makes of a folder, by name."""
    if (tool := shutil.which("dcm2niix")) is None:
        pytest.skip("dcm2niix is not installed")
    out.mkdir()
    done = subprocess.run(
        [tool, "-z", "n", "-b", "n", "-f", "x", "-o", out, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return sorted(file.name for file in out.glob("*.nii"))


def series(folder, positions, orientation=(1, 0, 0, 0, 1, 0), **tags):
    """A series in HU with padding of −2000 that no tag declares."""
    rng = np.random.default_rng(2)
    for number, position in enumerate(positions, start=1):
        stored = rng.integers(-900, 1100, (16, 16)).astype(np.int16)
        stored[:2] = stored[-2:] = stored[:, :2] = stored[:, -2:] = PADDING
        one = ct_slice(stored=stored, orientation=orientation, RescaleIntercept=0, InstanceNumber=number, **tags)
        one.ImagePositionPatient = list(position)
        one.PixelSpacing = [2, 2]
        save(folder / f"{number}.dcm", one)
    return folder


def test_a_series_by_dicom_and_by_nifti(tmp_path):
    folder = series(tmp_path / "dicom", [(-5, -7, 2.0 * k) for k in range(5)])
    assert converted(folder, tmp_path / "nifti") == ["x.nii"]
    by_dicom, by_nifti = read_series(folder), read_nifti(tmp_path / "nifti" / "x.nii")
    np.testing.assert_array_equal(by_nifti.image_hu, by_dicom.image_hu)
    np.testing.assert_array_equal(by_nifti.padding, by_dicom.padding)
    np.testing.assert_allclose(by_nifti.affine, by_dicom.affine, atol=1e-4)
    assert by_nifti.image_hu.min() == -1000
    assert by_nifti.pixel_mm == pytest.approx(by_dicom.pixel_mm)


def test_corrected_copies_of_dcm2niix(tmp_path):
    """Of unevenly spaced slices and of a tilted gantry dcm2niix writes the volume twice, under its own names."""
    tilt = np.radians(12.0)
    leaning = (1, 0, 0, 0, float(np.cos(tilt)), float(-np.sin(tilt)))
    for name, positions, orientation, tags in (
        ("uneven", [0.0, 2.0, 4.0, 7.0, 9.0], (1, 0, 0, 0, 1, 0), {}),
        ("tilted", [0.0, 2.0, 4.0, 6.0, 8.0], leaning, {"GantryDetectorTilt": 12}),
    ):
        folder = series(tmp_path / name, [(-5, -7, z) for z in positions], orientation, **tags)
        names = converted(folder, tmp_path / f"{name}-nifti")
        assert names[0] == "x.nii", names
        assert len(names) == 2, names
        with pytest.raises(UserError, match=r"are one patient twice") as caught:
            read_volumes(tmp_path / f"{name}-nifti")
        assert f"keep {names[1]}, and move x.nii elsewhere" in str(caught.value)


@pytest.mark.parametrize("copy", ["x_Tilt_1.nii", "x_Eq_1.nii", "x_Tilt_Eq_1.nii.gz", "x_Eq.nii"])
def test_a_volume_beside_its_corrected_copy(tmp_path, copy):
    source_file(tmp_path / "x.nii")
    source_file(tmp_path / copy)
    with pytest.raises(UserError, match="are one patient twice") as caught:
        read_volumes(tmp_path)
    assert f"keep {copy}, and move x.nii elsewhere" in str(caught.value)
    (tmp_path / "x.nii").rename(tmp_path / "y.nii")
    assert len(read_volumes(tmp_path)) == 2
