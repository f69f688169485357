import nibabel as nib
import numpy as np
import pytest

from dicom_files import save_series
from real_ct import LABELS, LIVER
from taskct.errors import UserError
from taskct.io.volume_files import read_label_volumes, read_paired_volumes, read_volumes

# The series of `save_series`: 3 slices of 4 × 6 pixels, 2 × 3 mm, every 2 mm, the first pixel at (−5, −7, 0) mm.
AFFINE = np.array([[-3.0, 0, 0, 5], [0, -2, 0, 7], [0, 0, 2, 0], [0, 0, 0, 1]])
EXPECTED = np.arange(72, dtype=np.uint8).reshape(3, 4, 6)


def save_nifti(path, voxels=EXPECTED):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels.transpose(2, 1, 0), AFFINE), path)
    return path


def save_ct(path):
    return save_nifti(path, EXPECTED.astype(np.int16) * 10 - 100)


def test_one_volume_with_its_organs(tmp_path):
    labels = save_nifti(tmp_path / "organs.nii.gz")
    for path in (
        save_series(tmp_path / "dicom"),
        save_ct(tmp_path / "ct.nii.gz"),
        save_ct(tmp_path / "one" / "a.nii").parent,
    ):
        (plain,), (labelled,) = read_volumes(path), read_volumes(path, organs_path=labels)
        assert plain.labels is None
        np.testing.assert_array_equal(labelled.labels, EXPECTED)
        assert labelled.image_hu.shape == EXPECTED.shape
        assert labelled.pixel_mm == (2, 3)
        assert labelled.slice_mm == 2


def test_several_volumes_find_their_organs_by_name(tmp_path):
    for number, name in enumerate(("p1", "p2.5")):
        save_series(tmp_path / "dicom" / name, PatientID=name)
        save_ct(tmp_path / "nifti" / f"{name}.nii.gz")
        save_nifti(tmp_path / "organs" / f"{name}.nii.gz", EXPECTED + np.uint8(number))
    for kind in ("dicom", "nifti"):
        volumes = read_volumes(tmp_path / kind, organs_path=tmp_path / "organs")
        for number, volume in enumerate(volumes):
            np.testing.assert_array_equal(volume.labels, EXPECTED + number)
    assert len({volume.patient_key for volume in read_volumes(tmp_path / "dicom")}) == 2
    (tmp_path / "organs" / "p2.5.nii.gz").unlink()
    with pytest.raises(UserError, match=r"organs: no labels for p2.5; expected p2.5.nii.gz$"):
        read_volumes(tmp_path / "dicom", organs_path=tmp_path / "organs")
    with pytest.raises(UserError, match="one file for 2 volumes"):
        read_volumes(tmp_path / "dicom", organs_path=tmp_path / "organs" / "p1.nii.gz")
    with pytest.raises(UserError, match="no such file or folder"):
        read_volumes(tmp_path / "dicom", organs_path=tmp_path / "none")


def test_a_refusal_names_the_folder(tmp_path):
    save_series(tmp_path / "a")
    save_series(tmp_path / "b", GantryDetectorTilt=20)
    with pytest.raises(UserError, match=r"^[^\n]*b: [0-9]: gantry tilt of 20°"):
        read_volumes(tmp_path)


def test_what_is_no_volume(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_volumes(tmp_path / "none")
    with pytest.raises(UserError, match="no CT slice in 0 files"):
        read_volumes(tmp_path)
    save_ct(tmp_path / "mixed" / "a.nii.gz")
    save_series(tmp_path / "mixed")
    with pytest.raises(UserError, match="NIfTI files beside DICOM files"):
        read_volumes(tmp_path / "mixed")


def test_label_maps_that_stand_for_the_ct(tmp_path):
    save_nifti(tmp_path / "maps" / "a.nii.gz")
    save_nifti(tmp_path / "maps" / "b.nii", EXPECTED + np.uint8(1))
    for number, volume in enumerate(read_label_volumes(tmp_path / "maps")):
        np.testing.assert_array_equal(volume.labels, EXPECTED + number)
        np.testing.assert_array_equal(volume.image_hu, volume.labels)
        assert volume.pixel_mm == (2, 3)
    with pytest.raises(UserError, match="whole numbers from 0 to 65535"):
        read_label_volumes(save_ct(tmp_path / "ct.nii.gz"))


def test_a_refused_nifti_file_is_named_once(tmp_path):
    save_nifti(tmp_path / "a.nii.gz")
    with pytest.raises(UserError, match=r"^a.nii.gz: values from 0 to 71 are not HU"):
        read_volumes(tmp_path)


def test_paired_series_with_organs(tmp_path):
    for name in ("L1", "L2"):
        for dose in ("quarter_3mm", "full_3mm"):
            uid = f"1.2.{len(dose)}"
            save_series(tmp_path / "ct" / name / dose, PatientID=name, SeriesInstanceUID=uid)
        save_nifti(tmp_path / "organs" / f"{name}.nii.gz")
    assert all(pair.low.labels is pair.normal.labels is None for pair in read_paired_volumes(tmp_path / "ct"))
    pairs = read_paired_volumes(tmp_path / "ct", organs_path=tmp_path / "organs")
    (single,) = read_paired_volumes(tmp_path / "ct" / "L1", organs_path=tmp_path / "organs" / "L1.nii.gz")
    for pair in (*pairs, single):
        np.testing.assert_array_equal(pair.low.labels, EXPECTED)
        np.testing.assert_array_equal(pair.normal.labels, EXPECTED)
    (tmp_path / "organs" / "L2.nii.gz").unlink()
    with pytest.raises(UserError, match=r"no labels for full_3mm; expected full_3mm.nii.gz or L2.nii.gz$"):
        read_paired_volumes(tmp_path / "ct", organs_path=tmp_path / "organs")


def test_real_organs(real_ct):
    (volume,) = read_volumes(real_ct, organs_path=real_ct.parent / LABELS)
    assert volume.image_hu[volume.labels == LIVER].mean() == pytest.approx(89, abs=1)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["x", "x_Eq_1"], "x_Eq_1"),
        (["x", "x_Tilt_1"], "x_Tilt_1"),
        (["x", "x_Tilt_1", "x_Tilt_Eq_1"], "x_Tilt_Eq_1"),
        (["x_Eq_1", "x_Tilt_Eq_1"], "x_Tilt_Eq_1"),
        (["x_Eq", "x"], "x_Eq"),
    ],
)
def test_what_dcm2niix_corrects_is_one_patient_several_times(tmp_path, names, kept):
    for name in names:
        save_nifti(tmp_path / f"{name}.nii", EXPECTED - 500.0)
    with pytest.raises(UserError, match=rf"one patient (twice|3 times).*: keep {kept}\.nii, and move"):
        read_volumes(tmp_path)
    for name in names:
        if name != kept:
            (tmp_path / f"{name}.nii").unlink()
    assert len(read_volumes(tmp_path)) == 1
    save_nifti(tmp_path / "y_Tilt_1.nii", EXPECTED - 500.0)  # of another patient
    assert len(read_volumes(tmp_path)) == 2
