import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_rescale
from pydicom.pixels.decoders.base import get_decoder

from dicom_files import COLUMN_MM, ROW_MM, SUPINE, ct_slice, hu_at, save, save_series, voxel_centres
from real_ct import LIVER, read_labels
from taskct.errors import UserError
from taskct.io.dicom import read_series, read_slice
from taskct.io.dicom_write import write_series

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"


def refusal(folder):
    """The message of the refusal, checked to be one line without the patient's name."""
    with pytest.raises(UserError) as caught:
        read_series(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert "Doe" not in message
    return message


# Reading


def test_slices_are_ordered_by_position_and_rescaled_each_by_its_own_tags(tmp_path):
    rng = np.random.default_rng(0)
    stored = rng.integers(-2000, 3000, (4, 4, 6)).astype(np.int16)
    names = ["c", "z.ima", "deep/er/a", "b.dcm"]
    for index, name in enumerate(names):
        tags = {"RescaleSlope": 0.5 + index, "RescaleIntercept": -1000 + index}
        save(tmp_path / name, ct_slice(z=-3.0 * index, stored=stored[index], **tags))
    series = read_series(tmp_path)
    for index, name in enumerate(names):
        np.testing.assert_array_equal(series.image_hu[3 - index], stored[index] * (0.5 + index) - 1000 + index)
        assert series.paths[3 - index] == tmp_path / name
    assert series.image_hu.dtype == np.float32
    assert series.pixel_mm == (ROW_MM, COLUMN_MM)
    assert series.slice_mm == 3.0
    assert not series.padding.any()


@pytest.mark.parametrize(
    ("dtype", "value", "limit", "padded"),
    [
        (np.int16, -2000, None, [-2000]),
        (np.uint16, 0, None, [0]),
        (np.uint16, 7, 4, [4, 5, 6, 7]),
        (np.int16, -2000, -1998, [-2000, -1999, -1998]),
    ],
)
def test_padding_is_found_before_rescaling_and_reads_as_air(tmp_path, dtype, value, limit, padded):
    start = min(padded) - (1 if dtype == np.int16 else 0)
    stored = np.arange(start, start + 24).astype(dtype).reshape(4, 6)
    dataset = ct_slice(stored=stored, RescaleSlope=2)
    vr = "SS" if dtype == np.int16 else "US"
    dataset.add_new("PixelPaddingValue", vr, value)
    if limit is not None:
        dataset.add_new("PixelPaddingRangeLimit", vr, limit)
    series = read_slice(save(tmp_path / "a", dataset))
    np.testing.assert_array_equal(series.padding[0], np.isin(stored, padded))
    np.testing.assert_array_equal(series.image_hu[series.padding], -1000)
    kept = ~series.padding[0]
    np.testing.assert_array_equal(series.image_hu[0][kept], stored[kept] * 2.0 - 1024)


def test_padding_written_with_the_wrong_sign_is_understood(tmp_path):
    stored = np.full((4, 6), 30, np.int16)
    stored[0] = -2000
    dataset = ct_slice(stored=stored)
    dataset.add_new("PixelPaddingValue", "US", 63536)  # −2000 in 16 bits
    assert read_slice(save(tmp_path / "a", dataset)).padding[0].sum() == 6


ORIENTATIONS = {
    "supine": SUPINE,
    "prone": (-1, 0, 0, 0, -1, 0),
    "feet first": (-1, 0, 0, 0, 1, 0),
    "upside down": (1, 0, 0, 0, -1, 0),
    "left side": (0, 1, 0, -1, 0, 0),
    "right side": (0, -1, 0, 1, 0, 0),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_every_axial_orientation_comes_out_left_posterior_up_and_is_written_as_stored(tmp_path, orientation):
    source = save_series(tmp_path / "in", orientation=orientation)
    series = read_series(source)
    slices_mm, rows_mm, columns_mm = np.gradient(series.image_hu)
    # The scene rises by 1, 20 and 100 HU per mm to the left, to posterior and up.
    np.testing.assert_allclose(columns_mm, series.pixel_mm[1])
    np.testing.assert_allclose(rows_mm, 20 * series.pixel_mm[0])
    np.testing.assert_allclose(slices_mm, 100 * series.slice_mm)
    for path in write_series(series.image_hu, series, tmp_path / "out", "copy"):
        dataset = pydicom.dcmread(path)
        expected = hu_at(voxel_centres(dataset))
        np.testing.assert_array_equal(apply_rescale(dataset.pixel_array, dataset), expected)


def tilted(degrees):
    """Orientation of slices that a gantry tilted by so much leaves; the table still moves along z."""
    return (1, 0, 0, 0, np.cos(np.radians(degrees)), np.sin(np.radians(degrees)))


def test_a_tilted_gantry_is_refused_unless_allowed_up_to_30_degrees(tmp_path):
    for degrees in (29, -29):
        folder = save_series(tmp_path / f"tilt {degrees}", orientation=tilted(degrees))
        message = refusal(folder)
        assert "gantry tilt" in message
        assert "29° off their normal, 1° allowed" in message
        series = read_series(folder, slicewise=True)
        assert series.slice_mm == pytest.approx(2 * np.cos(np.radians(degrees)), abs=1e-5)
    folder = save_series(tmp_path / "35", orientation=tilted(35))
    assert "35° off axial" in refusal(folder)
    with pytest.raises(UserError, match="35° off axial"):
        read_series(folder, slicewise=True)


def test_a_gantry_tilt_that_only_the_header_names_is_refused(tmp_path):
    message = refusal(save_series(tmp_path / "a", GantryDetectorTilt=-15))
    assert "gantry tilt of 15°, 1° allowed" in message
    assert len(read_series(tmp_path / "a", slicewise=True).paths) == 3
    assert len(read_series(save_series(tmp_path / "b", GantryDetectorTilt=0.5)).paths) == 3


def test_oblique_slices_stacked_along_their_normal_are_no_tilt(tmp_path):
    normal = np.cross(*np.reshape(tilted(20), (2, 3)))
    for index in range(4):
        position = list(np.round(3.0 * index * normal, 4))
        save(tmp_path / f"{index}", ct_slice(orientation=tilted(20), ImagePositionPatient=position))
    assert read_series(tmp_path).slice_mm == pytest.approx(3, abs=1e-3)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_the_affine_says_where_every_voxel_lies(tmp_path, orientation):
    series = read_series(save_series(tmp_path, orientation=orientation))
    index = np.stack([*np.indices(series.image_hu.shape), np.ones(series.image_hu.shape)], axis=-1)
    xyz = (index @ series.affine.T)[..., :3]
    np.testing.assert_allclose(hu_at(xyz), series.image_hu, atol=1e-3)
    np.testing.assert_allclose(series.position_mm, [0, 2, 4])


def test_one_file(tmp_path):
    series = read_slice(save(tmp_path / "a", ct_slice(z=3)))
    assert series.image_hu.shape == (1, 4, 6)
    assert np.isnan(series.slice_mm)
    with pytest.raises(UserError, match=r"no such file"):
        read_slice(tmp_path / "b")
    with pytest.raises(UserError, match=r"MR_small.dcm: modality MR"):
        read_slice(BUNDLED / "MR_small.dcm")
    with pytest.raises(UserError, match=r"README.txt: no DICOM image"):
        read_slice(BUNDLED / "README.txt")


def test_pydicoms_own_ct(tmp_path):
    dataset = pydicom.dcmread(BUNDLED / "CT_small.dcm")
    series = read_slice(BUNDLED / "CT_small.dcm")
    np.testing.assert_array_equal(series.image_hu[0], apply_rescale(dataset.pixel_array, dataset))
    assert series.pixel_mm == (0.661468, 0.661468)


def test_what_is_no_slice_is_left_out(tmp_path):
    save_series(tmp_path)
    (tmp_path / "notes.txt").write_text("not DICOM")
    (tmp_path / "empty").touch()
    (tmp_path / "._1.dcm").write_bytes(b"a resource fork")
    shutil.copy(BUNDLED / "dicomdirtests" / "DICOMDIR", tmp_path / "DICOMDIR")
    localizer = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(tmp_path / "scout", ct_slice(orientation=(0, 1, 0, 0, 0, -1), ImageType=localizer))
    report = ct_slice(Modality="SR", SOPClassUID=uid.EnhancedSRStorage, Rows=None, Columns=None, PixelData=None)
    save(tmp_path / "report", report)
    assert len(read_series(tmp_path).paths) == 3


def test_missing_uids_do_not_matter_and_the_key_tells_series_apart(tmp_path):
    empty = {"SOPInstanceUID": "", "SeriesInstanceUID": "", "StudyInstanceUID": ""}
    keys = [
        read_series(save_series(tmp_path / "a", **empty)).series_key,
        read_series(save_series(tmp_path / "b", **dict.fromkeys(empty))).series_key,
        read_series(save_series(tmp_path / "c", stored=np.zeros((4, 6), np.uint16), **empty)).series_key,
        read_series(save_series(tmp_path / "d")).series_key,
    ]
    assert keys[0] == keys[1]  # the same pixels
    assert len(set(keys)) == 3
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys)


def test_a_header_that_breaks_a_rule_of_form_is_read_without_a_warning(tmp_path):
    path = save(tmp_path / "a", ct_slice())
    path.write_bytes(path.read_bytes().replace(b"1.2.3.4", b"1.2.3.x"))
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        assert pydicom.dcmread(path).SeriesInstanceUID == "1.2.3.x"
    assert read_series(tmp_path).image_hu.shape == (1, 4, 6)


# Refusals


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"RescaleSlope": None}, "RescaleSlope missing"),
        ({"RescaleIntercept": None}, "RescaleIntercept missing"),
        ({"RescaleSlope": 0}, "must be above 0"),
        ({"RescaleSlope": "nan"}, "RescaleSlope is not finite"),
        ({"RescaleType": "MGML"}, "MGML, not HU"),
        ({"PixelSpacing": None}, "PixelSpacing missing"),
        ({"PixelSpacing": ""}, "PixelSpacing missing"),
        ({"PixelSpacing": [0, 1]}, "pixel spacing of 0 × 1 mm; must be 0.05 to 10 mm"),
        ({"PixelSpacing": [-1, 1]}, "pixel spacing of -1 × 1 mm"),
        ({"PixelSpacing": [700, 700]}, "pixel spacing of 700 × 700 mm"),
        ({"PixelSpacing": ["nan", "nan"]}, "PixelSpacing is not finite"),
        ({"PixelSpacing": [0.5, 1.5]}, "3.0 times as long as wide; at most 2 times"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient missing"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "orthogonal"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "90° off axial"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1"),
        ({"NumberOfFrames": 2}, "multi-frame"),
        ({"PixelData": None}, "cut short"),
        ({"Modality": ""}, "cut short"),
    ],
)
def test_a_slice_that_cannot_be_read_safely_is_named(tmp_path, tags, expected):
    save_series(tmp_path)
    save(tmp_path / "sub" / "bad", ct_slice(z=6, **tags))
    message = refusal(tmp_path)
    assert message.startswith(f"{Path('sub/bad')}: ")
    assert expected in message


def test_folders_without_ct(tmp_path):
    assert "no such folder" in refusal(tmp_path / "none")
    assert "no CT slice in 0 files" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("not DICOM")
    assert "no CT slice in 1 files" in refusal(tmp_path)
    shutil.copy(BUNDLED / "MR_small.dcm", tmp_path)
    assert "MR images and no CT" in refusal(tmp_path)
    save_series(tmp_path)
    assert "MR images beside the CT" in refusal(tmp_path)
    (tmp_path / "none.dcm").touch()
    assert refusal(tmp_path).startswith("none.dcm: does not bear the DICOM mark")


def test_a_localizer_is_no_series(tmp_path):
    tags = {"orientation": (0, 1, 0, 0, 0, -1), "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    save(tmp_path / "scout", ct_slice(**tags))
    save(tmp_path / "lateral", ct_slice(z=9, **tags))
    assert "2 localizers (scouts) and no CT slice; give the axial series" in refusal(tmp_path)
    with pytest.raises(UserError, match=r"^scout: a localizer \(scout\); give one CT slice$"):
        read_slice(tmp_path / "scout")


def test_two_patients_are_counted_and_never_named(tmp_path):
    save_series(tmp_path / "id" / "a")
    save_series(tmp_path / "id" / "b", n=2, PatientID="Doe^John")
    save_series(tmp_path / "name" / "a", PatientID="")
    save_series(tmp_path / "name" / "b", n=2, PatientID="", PatientName="Doe^John")
    for folder in ("id", "name"):  # the series UID is the same
        message = refusal(tmp_path / folder)
        assert "2 patients" in message
        assert "put one patient per folder" in message
    # The same name, written otherwise by another export.
    save(tmp_path / "one" / "a", ct_slice(z=0))
    save(tmp_path / "one" / "b", ct_slice(z=2, PatientName="DOE^JANE^"))
    assert len(read_series(tmp_path / "one").paths) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_not_finite(tmp_path, bad):
    pixels = np.zeros((4, 6), np.float32)
    dataset = ct_slice(PixelData=None)
    dataset.FloatPixelData, dataset.BitsAllocated = pixels.tobytes(), 32
    del dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    assert (read_slice(save(tmp_path / "good" / "0", dataset)).image_hu == -1024).all()
    pixels[1, 2:4] = bad
    dataset.FloatPixelData = pixels.tobytes()
    save(tmp_path / "bad" / "0", dataset)
    message = refusal(tmp_path / "bad")
    assert message.startswith("0: 2 of 24 pixels are NaN or infinite")


@pytest.mark.parametrize("n_phases", [2, 5])
def test_several_volumes_at_the_same_positions_are_4d(tmp_path, n_phases):
    for phase in range(n_phases):
        save_series(tmp_path / "series" / f"{phase}", TemporalPositionIdentifier=phase + 1)
    message = refusal(tmp_path / "series")
    assert f"{n_phases} volumes at the same positions (4D" in message
    assert "one phase per folder" in message


@pytest.mark.parametrize(
    "other",
    [
        {"SeriesInstanceUID": "1.2.3.5"},
        {"SeriesInstanceUID": ""},
        {"PixelSpacing": [2, 3.1]},
        {"stored": np.zeros((5, 6), np.uint16)},
        {"orientation": ORIENTATIONS["prone"]},
    ],
)
def test_several_series_are_counted(tmp_path, other):
    save_series(tmp_path / "a")
    save_series(tmp_path / "b", n=2, **other)
    message = refusal(tmp_path)
    assert "2 series, of 3, 2 slices, that differ in" in message
    assert "one series per folder" in message


def test_two_slices_at_one_position(tmp_path):
    save_series(tmp_path)
    shutil.copy(tmp_path / "1", tmp_path / "1 copy")
    message = refusal(tmp_path)
    assert "two slices at one position" in message
    assert "1 copy" in message


def test_a_missing_slice_is_located_unless_gaps_are_allowed(tmp_path):
    save_series(tmp_path, n=6)
    (tmp_path / "3").unlink()
    assert refusal(tmp_path).startswith("2 and 4: 4.00 mm apart, the others 2.00 mm")
    series = read_series(tmp_path, slicewise=True)
    assert series.slice_mm == 2.0
    assert len(series.paths) == 5


@pytest.mark.parametrize(("stray", "is_read"), [(1.09, True), (0.91, True), (1.11, False), (0.89, False)])
def test_spacing_may_stray_by_a_tenth(tmp_path, stray, is_read):
    for index, z in enumerate([0, 10, 20, 30, 30 + 10 * stray]):
        save(tmp_path / str(index), ct_slice(z=z, stored=np.zeros((4, 6), np.uint16)))
    if is_read:
        assert read_series(tmp_path).slice_mm == 10
    else:
        assert refusal(tmp_path).startswith("3 and 4: ")


def test_a_file_cut_short_anywhere_is_refused_by_name(tmp_path):
    save_series(tmp_path)
    whole = (tmp_path / "1").read_bytes()
    start = whole.index(b"\x28\x00\x10\x00US") + 8  # the value of Rows: cut within, pydicom fails late
    for length in [start + 1, *range(132, len(whole), 7)]:
        (tmp_path / "1").write_bytes(whole[:length])
        assert refusal(tmp_path).startswith("1: "), length
    (tmp_path / "1").write_bytes(whole)
    assert len(read_series(tmp_path).paths) == 3


def test_a_compression_without_a_decoder_is_named(tmp_path):
    if get_decoder(uid.JPEGLosslessSV1).is_available:
        pytest.skip("a decoder for JPEG Lossless is installed")
    dataset = ct_slice(PixelData=encapsulate([b"\xff\xd8\xff\xd9"]))
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = uid.JPEGLosslessSV1
    save(tmp_path / "a", dataset)
    assert "no decoder for JPEG Lossless" in refusal(tmp_path)


# Writing


@pytest.mark.parametrize(
    ("slope", "intercept", "low", "high", "step"),
    [
        (1, -1024, -1500, 3000, 1),
        (0.25, 0, -1000, 3000, 0.25),
        (1, -1024, -1024, 98301 - 1024, 1.5),  # 98301 HU: one and a half times what 16 bits hold
        (1, 0, -65534, 0, 1),  # another intercept holds them
        (1, -1024, -1100, 30000, 1),  # metal of an extended scale
    ],
)
def test_written_values_come_back_within_half_a_step(tmp_path, slope, intercept, low, high, step):
    save_series(tmp_path / "in", RescaleSlope=slope, RescaleIntercept=intercept)
    series = read_series(tmp_path / "in")
    image_hu = np.random.default_rng(1).uniform(low, high, series.image_hu.shape).astype(np.float32)
    image_hu[:, 0, :2] = low, high
    paths = write_series(image_hu, series, tmp_path / "out", "taskct denoised")
    again = read_series(tmp_path / "out")
    assert list(again.paths) == paths
    # Beside half a step, float32 rounds a value near 1e5 by 0.004 HU.
    np.testing.assert_allclose(again.image_hu, image_hu, rtol=0, atol=step / 2 + 0.01)
    assert np.abs(again.image_hu - image_hu).max() > step / 4  # the step is no finer than thought


def test_headers_of_a_derived_series(tmp_path):
    for index in range(2):
        dataset = ct_slice(z=2.0 * index, KVP=120, LossyImageCompression="01", LossyImageCompressionRatio=8)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
        dataset.add_new("SmallestImagePixelValue", "US", 0)
        dataset.private_block(0x0009, "taskct test", create=True).add_new(1, "LO", "secret")
        save(tmp_path / "in" / f"{index}", dataset)
    series = read_series(tmp_path / "in")
    paths = write_series(series.image_hu, series, tmp_path / "out", "taskct denoised")
    written = [pydicom.dcmread(path) for path in paths]
    for source_path, dataset in zip(series.paths, written, strict=True):
        source = pydicom.dcmread(source_path)
        assert dataset.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID != source.SOPInstanceUID
        assert dataset.SeriesInstanceUID == written[0].SeriesInstanceUID != source.SeriesInstanceUID
        assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 SPI"]
        assert dataset.SeriesDescription == "taskct denoised"
        assert any(element.tag.is_private for element in dataset)
        assert "SmallestImagePixelValue" not in dataset
        kept = ("KVP", "PatientID", "StudyInstanceUID", "SOPClassUID", "ImagePositionPatient", "PixelSpacing")
        for keyword in (*kept, "LossyImageCompression", "LossyImageCompressionRatio", "RescaleIntercept"):
            assert dataset[keyword] == source[keyword]
    assert written[0].SOPInstanceUID != written[1].SOPInstanceUID


def test_missing_uids_are_filled_in(tmp_path):
    empty = {"SOPInstanceUID": "", "SeriesInstanceUID": "", "StudyInstanceUID": "", "SOPClassUID": ""}
    series = read_series(save_series(tmp_path / "in", **empty))
    for path in write_series(series.image_hu, series, tmp_path / "out", "copy"):
        dataset = pydicom.dcmread(path)
        assert all(dataset[keyword].value for keyword in empty)
        assert dataset.SOPClassUID == uid.CTImageStorage
    again = read_series(tmp_path / "out")
    np.testing.assert_array_equal(again.image_hu, series.image_hu)


def test_padding_stays_padding(tmp_path):
    stored = np.arange(24, dtype=np.uint16).reshape(4, 6)
    dataset = ct_slice(stored=stored)
    dataset.add_new("PixelPaddingValue", "US", 3)
    series = read_slice(save(tmp_path / "a", dataset))
    image_hu = np.where(series.padding, 1e9, series.image_hu)  # what a denoiser makes of it does not matter
    (path,) = write_series(image_hu, series, tmp_path / "out", "copy")
    again = read_slice(path)
    np.testing.assert_array_equal(again.padding, series.padding)
    np.testing.assert_array_equal(again.image_hu, series.image_hu)
    assert again.padding.sum() == 1


def test_other_encodings_are_rewritten(tmp_path):
    implicit = ct_slice(z=0)
    implicit.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
    save(tmp_path / "implicit", implicit)
    big = pydicom.dcmread(BUNDLED / "MR_small_bigendian.dcm")
    big.SOPClassUID = big.file_meta.MediaStorageSOPClassUID = uid.CTImageStorage
    big.Modality, big.RescaleSlope, big.RescaleIntercept = "CT", 1, -1024
    save(tmp_path / "big", big)
    for name in ("implicit", "big"):
        series = read_slice(tmp_path / name)
        (path,) = write_series(series.image_hu, series, tmp_path / f"{name} out", "copy")
        dataset = pydicom.dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
        np.testing.assert_array_equal(apply_rescale(dataset.pixel_array, dataset), series.image_hu[0])


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    series = read_series(save_series(tmp_path / "in"))
    save_as, calls = Dataset.save_as, []

    def fail_at_the_third(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        save_as(self, *args, **kwargs)

    monkeypatch.setattr(Dataset, "save_as", fail_at_the_third)
    with pytest.raises(UserError, match=r"out: cannot be written \(No space left on device\)"):
        write_series(series.image_hu, series, tmp_path / "out", "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    (tmp_path / "out").mkdir()
    write_series(series.image_hu, series, tmp_path / "out", "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_what_is_not_written(tmp_path):
    series = read_series(save_series(tmp_path / "in"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("mine")
    with pytest.raises(UserError, match=r"out: exists and is not an empty folder"):
        write_series(series.image_hu, series, tmp_path / "out", "copy")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]
    for description in ("", "x" * 65, "a\\b", "a\nb"):
        with pytest.raises(UserError, match="series description"):
            write_series(series.image_hu, series, tmp_path / "new", description)
    with pytest.raises(ValueError, match=r"of shape \(3, 4, 6\)"):
        write_series(series.image_hu[:2], series, tmp_path / "new", "copy")
    with pytest.raises(ValueError, match="finite"):
        write_series(series.image_hu * np.nan, series, tmp_path / "new", "copy")
    (tmp_path / "in" / "1").unlink()
    with pytest.raises(UserError, match="1: the source file is gone"):
        write_series(series.image_hu, series, tmp_path / "new", "copy")
    assert not (tmp_path / "new").exists()


# A real series: JPEG 2000, no endings, empty UIDs


def test_real_series(real_ct):
    series = read_series(real_ct)
    assert series.image_hu.shape == (20, 512, 512)
    assert series.pixel_mm == (0.9765625, 0.9765625)
    assert series.slice_mm == 2.0
    assert series.orientation == SUPINE
    datasets = [pydicom.dcmread(path) for path in series.paths]
    heights = [dataset.ImagePositionPatient[2] for dataset in datasets]
    np.testing.assert_array_equal(np.diff(heights), 2)
    for image_hu, dataset in zip(series.image_hu, datasets, strict=True):
        np.testing.assert_array_equal(image_hu, apply_rescale(dataset.pixel_array, dataset))
    assert series.image_hu[:, 5:25, 236:276].mean() == pytest.approx(-1000, abs=15)  # air above the patient


def test_real_liver_lies_where_the_labels_say(real_ct):
    liver = read_series(real_ct).image_hu[read_labels() == LIVER]
    assert liver.size > 100_000
    assert liver.mean() == pytest.approx(89, abs=2)
    assert np.percentile(liver, 5) > 45  # 52; −994, −118 and 29 with the rows, columns or slices flipped


def test_real_series_written_and_read_again(real_ct, tmp_path):
    series = read_series(real_ct)
    image_hu = series.image_hu + np.random.default_rng(2).normal(0, 20, series.image_hu.shape)
    write_series(image_hu, series, tmp_path / "out", "noise added")
    again = read_series(tmp_path / "out")
    np.testing.assert_allclose(again.image_hu, image_hu, rtol=0, atol=0.5 + 1e-3)
    assert (again.pixel_mm, again.slice_mm, again.orientation) == (series.pixel_mm, 2.0, series.orientation)


def test_real_file_cut_short(real_ct, tmp_path):
    path = min(real_ct.iterdir())
    whole = path.read_bytes()
    # The last 4 bytes are the length, 0, of the mark that ends the pixels.
    for length in (200, 1000, 5000, len(whole) // 2, len(whole) - 9, len(whole) - 5):
        (tmp_path / "a").write_bytes(whole[:length])
        assert refusal(tmp_path).startswith("a: "), length
