import zlib
from pathlib import Path

import numpy as np
import pytest

from dicom_files import ct_slice, save
from taskct.errors import UserError
from taskct.io.paired import read_pair, read_paired

Z = (0.0, 2.0, 4.0, 6.0)


def save_dose(folder, hu, *, z=Z, shape=(4, 6), patient="Doe^Jane", **tags):
    """A series whose slices read `hu` plus their height in mm."""
    tags = {"PatientID": patient, "SeriesInstanceUID": f"1.2.{zlib.crc32(str(folder).encode())}"} | tags
    for number, height in enumerate(z):
        stored = np.full(shape, hu + round(height) + 1024, np.uint16)
        save(folder / f"{number:03d}.IMA", ct_slice(z=height, stored=stored, **tags))
    return folder


def check(pair, low_hu=10, normal_hu=20, z=Z):
    for series, hu in ((pair.low, low_hu), (pair.normal, normal_hu)):
        np.testing.assert_array_equal(series.image_hu[:, 0, 0], hu + np.round(z))
        np.testing.assert_array_equal(series.position_mm, z)
        np.testing.assert_array_equal(series.affine @ [0, 0, 0, 1], [-5, -7, z[0], 1])
        np.testing.assert_allclose(series.affine @ [len(z) - 1, 0, 0, 1], [-5, -7, z[-1], 1])
        assert len(series.paths) == len(series.padding) == len(z)
    assert pair.low.patient_key == pair.normal.patient_key
    assert pair.low.series_key != pair.normal.series_key


def refusal(call, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    assert "Doe" not in message
    return message


# Layouts. Low dose reads 10 HU and normal dose 20 HU, plus 100 HU for the second patient.

LAYOUTS = {
    "Grand Challenge": "L{n}/quarter_3mm L{n}/full_3mm",
    "Grand Challenge as it is downloaded": "quarter_3mm/L{n}/quarter_3mm full_3mm/L{n}/full_3mm",
    "TCIA": (
        "LDCT-and-Projection-data/L{n}/12-23-2021-NA-NA-3{n}/1.000000-Low_Dose_Images-20{n} "
        "LDCT-and-Projection-data/L{n}/12-23-2021-NA-NA-3{n}/1.000000-Full_Dose_Images-96{n}"
    ),
    "TCIA, two studies": "L{n}/12-23-2021-1{n}/1-Low_dose_images-2{n} L{n}/12-23-2021-2{n}/1-Full_dose_images-3{n}",
    "doses on top": "LDCT/{n} NDCT/{n}",
    "patients and doses in one name": "L{n}_QD_3 L{n}_FD_3",
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts(tmp_path, layout):
    for number, hu in ((67, 0), (96, 100)):
        low, normal = (name.replace("_D", " D").replace("_I", " I") for name in layout.format(n=number).split())
        save_dose(tmp_path / low, hu + 10, patient=f"L{number}")
        save_dose(tmp_path / normal, hu + 20, patient=f"L{number}")
    first, second = read_paired(tmp_path)
    check(first)
    check(second, 110, 120)
    assert first.low.patient_key != second.low.patient_key


def test_one_patient_by_itself(tmp_path):
    save_dose(tmp_path / "quarter_3mm", 10)
    save_dose(tmp_path / "full_3mm", 20)
    (pair,) = read_paired(tmp_path)
    check(pair)
    check(read_pair(tmp_path / "quarter_3mm", tmp_path / "full_3mm"))


def test_the_doses_by_series_description(tmp_path):
    save_dose(tmp_path / "a", 20, SeriesDescription="Full Dose Images")
    save_dose(tmp_path / "b", 10, SeriesDescription="Low Dose Images")
    (pair,) = read_paired(tmp_path)
    check(pair)


def test_projections_and_files_that_are_no_dicom_are_left_out(tmp_path):
    save_dose(tmp_path / "1.0-Low Dose Images-1", 10)
    save_dose(tmp_path / "1.0-Full Dose Images-2", 20)
    save_dose(tmp_path / "1.0-Full dose projections-3", 30, SeriesDescription="Full dose")
    save_dose(tmp_path / "1.0-Low dose projections-4", 30, SeriesDescription="Low dose")
    (tmp_path / "low dose").mkdir()
    (tmp_path / "low dose" / "LICENSE").write_text("not DICOM")
    (pair,) = read_paired(tmp_path)
    check(pair)


def test_the_grand_challenge_writes_the_dose_into_the_patient(tmp_path):
    low = save_dose(tmp_path / "a", 10, patient="L067_QD_3_1", PatientName="L067_QD_3_1")
    check(read_pair(low, save_dose(tmp_path / "b", 20, patient="L067_FD_3_1", PatientName="L067_FD_3_1")))
    other = save_dose(tmp_path / "c", 20, patient="L096_FD_3_1")
    assert "two patients, by PatientID" in refusal(read_pair, low, other)


def test_two_series_of_each_dose_ask_for_one(tmp_path):
    for name, hu in (("quarter_1mm", 30), ("quarter_3mm", 10), ("full_1mm", 40), ("full_3mm", 20)):
        save_dose(tmp_path / "p" / name, hu)
    message = refusal(read_paired, tmp_path)
    assert "are low-dose series of one patient: keep one of either dose there" in message


def test_several_series_of_a_dose_are_listed(tmp_path):
    for name in ("quarter_3mm", "full_3mm", "full_3mm_sharp"):
        save_dose(tmp_path / "p" / name, 10)
    message = refusal(read_paired, tmp_path)
    assert "full_3mm_sharp (normal)" in message
    assert "quarter_3mm (low)" in message
    assert message.endswith("keep one of either dose there, and move the others to another folder")


def test_a_dose_that_is_missing(tmp_path):
    assert "no such folder" in refusal(read_paired, tmp_path / "none")
    assert "0 low-dose and 0 normal-dose series" in refusal(read_paired, tmp_path)
    save_dose(tmp_path / "L067" / "quarter_3mm", 10)
    message = refusal(read_paired, tmp_path)
    assert "1 low-dose and 0 normal-dose series" in message
    assert message.endswith("call them low, quarter or reduced, and full, normal or routine")
    save_dose(tmp_path / "L067" / "full_3mm", 20)
    save_dose(tmp_path / "L096" / "full_3mm", 20, patient="L096")
    message = refusal(read_paired, tmp_path)
    assert f"{Path('L096/full_3mm')} (normal)" in message


# What does not match


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"patient": "Doe^John"}, "two patients, by PatientID"),
        ({"shape": (5, 6)}, "matrices of 4 × 6 and 5 × 6"),
        ({"PixelSpacing": [2, 2]}, "pixels every 2 × 3 and 2 × 2 mm"),
        ({"z": (0.0, 3.0, 6.0)}, "slices every 2 and 3 mm"),
        ({"z": (0.0, 2.0, 4.0)}, "4 low-dose and 3 normal-dose slices, 3 at the same positions"),
        ({"z": (4.0, 6.0, 8.0, 10.0)}, "4 low-dose and 4 normal-dose slices, 2 at the same positions"),
        ({"z": (1.0, 3.0, 5.0, 7.0)}, "4 low-dose and 4 normal-dose slices, 0 at the same positions"),
        ({"z": (-6.0, -4.0, -2.0)}, "0 at the same positions"),
        ({"orientation": (-1, 0, 0, 0, -1, 0)}, "mm apart, 0.20 mm allowed"),
    ],
)
def test_series_that_do_not_match(tmp_path, tags, expected):
    low = save_dose(tmp_path / "low", 10)
    normal = save_dose(tmp_path / "normal", 20, **tags)
    message = refusal(read_pair, low, normal)
    assert message.startswith("low and normal: ")
    assert expected in message


def test_series_shifted_within_the_slice(tmp_path):
    low, normal = save_dose(tmp_path / "low", 10), tmp_path / "normal"
    for shift, is_read in ((0.1, True), (1.5, False)):
        for number, height in enumerate(Z):
            stored = np.zeros((4, 6), np.uint16)
            place = [-5 + shift, -7, height]
            save(normal / str(number), ct_slice(stored=stored, ImagePositionPatient=place, SeriesInstanceUID="1.2.9"))
        if is_read:
            assert len(read_pair(low, normal).low.paths) == 4
        else:
            assert "up to 1.50 mm apart, 0.20 mm allowed" in refusal(read_pair, low, normal)


def test_slices_pair_up_within_a_twentieth_of_their_spacing(tmp_path):
    low = save_dose(tmp_path / "low", 10)
    near = save_dose(tmp_path / "near", 20, z=[z + 0.09 for z in Z])
    assert len(read_pair(low, near).low.paths) == 4
    far = save_dose(tmp_path / "far", 20, z=[z + 0.12 for z in Z])
    assert "0 at the same positions" in refusal(read_pair, low, far)


def test_a_broken_half_is_named(tmp_path):
    save_dose(tmp_path / "low", 10)
    (save_dose(tmp_path / "full", 20) / "001.IMA").unlink()
    assert refusal(read_paired, tmp_path).startswith(f"{tmp_path / 'full'}: 000.IMA and 002.IMA: 4.00 mm apart")
    (tmp_path / "full" / "002.IMA").write_bytes((tmp_path / "full" / "002.IMA").read_bytes()[:300])
    assert refusal(read_paired, tmp_path).startswith(f"{tmp_path / 'full'}: 002.IMA: ")
