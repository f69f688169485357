"""A derived series, as it is: its pixels, its header, and what other readers make of it."""

import re
import shutil
import subprocess

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_files import ct_slice, save, save_series
from taskct.errors import UserError
from taskct.io.dicom import read_series, read_slice
from taskct.io.dicom_write import Derivation, write_series

SHAPE = (32, 40)


def tool(name):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed (Debian: dicom3tools, dcmtk, dcm2niix)")
    return name


def scene(dtype=np.int16, padding=-2000, intercept=0, seed=0):
    """Stored values of a disc of tissue in padding, and where the padding is."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE)
    inside = ((y - 15.5) / 15.5) ** 2 + ((x - 19.5) / 19.5) ** 2 < 1
    tissue = rng.integers(-1000 - intercept, 1500 - intercept, SHAPE)
    return np.where(inside, tissue, padding).astype(dtype), ~inside


def series_of(folder, n=4, *, dtype=np.int16, padding=-2000, intercept=0, declared=True, slopes=(1,), change=None):
    """A clinical-looking series, its slices with these slopes in turn."""
    study, series = uid.generate_uid(), uid.generate_uid()
    for index in range(n):
        stored, _ = scene(dtype, padding, intercept, seed=index)
        dataset = ct_slice(
            z=2.5 * index,
            stored=stored,
            PixelSpacing=[0.7, 0.7],
            RescaleIntercept=intercept,
            RescaleSlope=slopes[index % len(slopes)],
            RescaleType="HU",
            StudyInstanceUID=study,
            SeriesInstanceUID=series,
            FrameOfReferenceUID="1.2.3.9",
            SeriesNumber=3,
            InstanceNumber=index + 1,
            KVP=120,
            Exposure=100,
            XRayTubeCurrent=2,
            CTDIvol=8.5,
            SliceThickness=2.5,
            PatientPosition="HFS",
            StudyID="1",
            StudyDate="20260101",
            StudyTime="120000",
            AcquisitionNumber=1,
            Manufacturer="Someone",
            PatientBirthDate="",
            PatientSex="",
            ReferringPhysicianName="",
            AccessionNumber="",
            PositionReferenceIndicator="",
        )
        if declared:
            dataset.add_new("PixelPaddingValue", "SS" if dtype == np.int16 else "US", padding)
        if change is not None:
            change(dataset)
        save(folder / f"{index}", dataset)
    return read_series(folder)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("dtype", "padding", "intercept"), [(np.int16, -2000, 0), (np.uint16, 0, -3024), (np.int16, -32768, -1024)]
)
def test_stored_padding_keeps_its_value(tmp_path, dtype, padding, intercept, declared):
    series = series_of(tmp_path / "in", dtype=dtype, padding=padding, intercept=intercept, declared=declared)
    _, outside = scene(dtype, padding, intercept)
    assert (series.padding == outside).all()
    assert (series.image_hu[series.padding] == -1000).all()
    noise = np.random.default_rng(5).normal(0, 30, series.image_hu.shape)
    paths = write_series(series.image_hu + noise, series, tmp_path / "out", "noisy")
    for path, source in zip(paths, series.paths, strict=True):
        written, original = pydicom.dcmread(path), pydicom.dcmread(source)
        np.testing.assert_array_equal(written.pixel_array[outside], padding)
        assert written.get("PixelPaddingValue") == original.get("PixelPaddingValue")
    again = read_series(tmp_path / "out")
    np.testing.assert_array_equal(again.padding, series.padding)
    inside = ~series.padding
    np.testing.assert_allclose(again.image_hu[inside], (series.image_hu + noise)[inside], atol=0.5 + 1e-3, rtol=0)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize("intercept", [-1024, 0, -8192])
def test_an_unchanged_series_is_stored_as_it_was(tmp_path, dtype, intercept):
    low = -1024 if dtype == np.int16 and intercept > -1024 else intercept
    series = series_of(tmp_path / "in", dtype=dtype, padding=low - intercept, intercept=intercept)
    paths = write_series(series.image_hu, series, tmp_path / "out", "copy")
    for path, source in zip(paths, series.paths, strict=True):
        one, other = pydicom.dcmread(path), pydicom.dcmread(source)
        np.testing.assert_array_equal(one.pixel_array, other.pixel_array)
        assert (one.RescaleSlope, one.RescaleIntercept) == (other.RescaleSlope, other.RescaleIntercept)
        assert one.PixelRepresentation == other.PixelRepresentation


def test_tissue_never_becomes_padding(tmp_path):
    stored = np.full((4, 6), 40, np.int16)
    stored[0] = -1000
    dataset = ct_slice(stored=stored, RescaleIntercept=0)
    dataset.add_new("PixelPaddingValue", "SS", -1000)
    series = read_slice(save(tmp_path / "a", dataset))
    image_hu = np.full_like(series.image_hu, -1000.2)
    (path,) = write_series(image_hu, series, tmp_path / "out", "air")
    again = read_slice(path)
    np.testing.assert_array_equal(again.padding, series.padding)
    np.testing.assert_array_equal(again.image_hu[~series.padding], -999)  # a step away, since −1000 is taken


def test_a_series_has_one_slope_and_one_intercept(tmp_path):
    series = series_of(tmp_path / "in", slopes=(1, 0.5, 2))
    image_hu = series.image_hu.copy()
    image_hu[2, 16, 20] = 30_000  # metal
    paths = write_series(image_hu, series, tmp_path / "out", "metal")
    told = {(float(one.RescaleSlope), float(one.RescaleIntercept)) for one in map(pydicom.dcmread, paths)}
    assert len(told) == 1
    assert told.pop()[0] == 0.5
    inside = ~series.padding
    np.testing.assert_allclose(read_series(tmp_path / "out").image_hu[inside], image_hu[inside], atol=0.26)


def dress(dataset):
    """What only the old pixels agree with, and what has to stay."""
    dataset.add_new("SmallestImagePixelValue", "SS", -2000)
    dataset.add_new("LargestImagePixelValue", "SS", 1499)
    mapping = Dataset()
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, 1.0
    dataset.RealWorldValueMappingSequence = Sequence([mapping])
    dataset.add_new(0x60000010, "US", SHAPE[0])
    dataset.add_new(0x60000011, "US", SHAPE[1])
    dataset.add_new(0x60000040, "CS", "G")
    dataset.add_new(0x60000050, "SS", [1, 1])
    dataset.add_new(0x60000100, "US", 1)
    dataset.add_new(0x60000102, "US", 0)
    dataset.add_new(0x60003000, "OW", bytes(range(160)))
    dataset.add_new(0x60020010, "US", SHAPE[0])  # lies in bit 12 of the old pixels
    dataset.add_new(0x60020102, "US", 12)
    dataset.ExtendedOffsetTable = bytes(8)
    dataset.ExtendedOffsetTableLengths = bytes(8)
    dataset.private_block(0x0019, "VENDOR", create=True).add_new(1, "LO", "kept")
    dataset.WindowCenter, dataset.WindowWidth = 40, 400


def test_what_describes_the_old_pixels_goes_and_the_rest_stays(tmp_path):
    series = series_of(tmp_path / "in", n=1, change=dress)
    (path,) = write_series(series.image_hu, series, tmp_path / "out", "copy")
    written = pydicom.dcmread(path)
    gone = ("SmallestImagePixelValue", "LargestImagePixelValue", "RealWorldValueMappingSequence", "ExtendedOffsetTable")
    assert not [keyword for keyword in gone if keyword in written]
    assert (0x6002, 0x0010) not in written
    assert written[0x60003000].value == bytes(range(160))
    assert (written.WindowCenter, written.WindowWidth, written[0x00191001].value) == (40, 400, "kept")
    stripped = write_series(series.image_hu, series, tmp_path / "bare", Derivation("copy", strip_private=True))
    assert not [element for element in pydicom.dcmread(stripped[0]) if element.tag.is_private]


def test_words_of_a_big_endian_source_are_turned(tmp_path):
    def change(dataset):
        dress(dataset)
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
        dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()

    stored, _ = scene()
    dataset = ct_slice(stored=stored, RescaleIntercept=0)
    change(dataset)
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    dataset.preamble = bytes(128)
    dataset.save_as(tmp_path / "big", little_endian=False, implicit_vr=False)
    series = read_slice(tmp_path / "big")
    (path,) = write_series(series.image_hu, series, tmp_path / "out", "copy")
    words = np.arange(160, dtype=np.uint8).reshape(-1, 2)
    assert pydicom.dcmread(path)[0x60003000].value == words[:, ::-1].tobytes()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM7 SPI", "X"], ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM7 SPI", "X"]),
        ("ORIGINAL", ["DERIVED", "SECONDARY", "AXIAL"]),
        (["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY", "AXIAL"]),
        (None, ["DERIVED", "SECONDARY", "AXIAL"]),
    ],
)
def test_the_image_type_is_right(tmp_path, before, after):
    series = read_slice(save(tmp_path / "a", ct_slice(ImageType=before)))
    (path,) = write_series(series.image_hu, series, tmp_path / "out", "copy")
    assert list(pydicom.dcmread(path).ImageType) == after


def test_a_derived_series_says_what_it_was_made_from(tmp_path):
    series = series_of(tmp_path / "in")
    paths = write_series(series.image_hu, series, tmp_path / "out", "taskct denoised")
    for path, source in zip(paths, series.paths, strict=True):
        written, original = pydicom.dcmread(path), pydicom.dcmread(source)
        assert written.DerivationDescription.startswith("taskct denoised (taskct ")
        (item,) = written.SourceImageSequence
        assert item.ReferencedSOPInstanceUID == original.SOPInstanceUID
        assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert written.ContributingEquipmentSequence[-1].Manufacturer == "taskct"
        assert written.SeriesNumber == 1003
        assert (written.CTDIvol, written.Exposure) == (8.5, 100)
        assert written.StudyInstanceUID == original.StudyInstanceUID


def test_a_lower_dose_is_told(tmp_path):
    series = series_of(tmp_path / "in", n=1)
    (path,) = write_series(series.image_hu, series, tmp_path / "out", Derivation("low", dose_fraction=0.25))
    written = pydicom.dcmread(path)
    assert (written.CTDIvol, written.Exposure, written.KVP) == (2.125, 25, 120)
    assert "XRayTubeCurrent" not in written  # half a milliampere, in whole ones


def test_a_source_without_a_study_has_one_for_all_that_is_derived(tmp_path):
    series = read_series(save_series(tmp_path / "in", StudyInstanceUID=None))
    studies = set()
    for name in ("one", "two"):
        paths = write_series(series.image_hu, series, tmp_path / name, name)
        studies |= {pydicom.dcmread(path).StudyInstanceUID for path in paths}
    assert len(studies) == 1
    other = read_series(save_series(tmp_path / "else", StudyInstanceUID=None, PatientID="Roe", PatientName="Roe"))
    (path, *_) = write_series(other.image_hu, other, tmp_path / "three", "three")
    assert pydicom.dcmread(path).StudyInstanceUID not in studies


def test_a_damaged_element_does_not_stop_the_writing(tmp_path):
    path = save(tmp_path / "a", ct_slice(StudyDescription="0123456789", AcquisitionNumber=77))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"IS\x02\x0077", b"ZZ\x02\x0077"))
    series = read_slice(path)
    with pytest.warns(UserWarning, match="1 damaged elements of a source header are left out"):
        (written,) = write_series(series.image_hu, series, tmp_path / "out", "copy")
    assert "AcquisitionNumber" not in pydicom.dcmread(written)


def test_frames_of_an_enhanced_image_become_slices(tmp_path):
    path, stored = enhanced(tmp_path)
    series = read_series(path.parent)
    assert series.frames == (2, 1, 0)  # the file holds them from head to feet
    expected = np.stack([stored[2 - k] * (1.0 + (2 - k)) - 1024 for k in range(3)])
    np.testing.assert_array_equal(series.image_hu, expected)
    assert (series.slice_mm, series.pixel_mm) == (2.0, (0.7, 0.7))
    paths = write_series(series.image_hu, series, tmp_path / "out", "copy")
    for file, frame in zip(paths, series.frames, strict=True):
        written = pydicom.dcmread(file)
        assert written.SOPClassUID == uid.CTImageStorage
        assert written.SourceImageSequence[0].ReferencedFrameNumber == frame + 1
        assert "PerFrameFunctionalGroupsSequence" not in written
    np.testing.assert_allclose(read_series(tmp_path / "out").image_hu, series.image_hu, atol=0.5)


def enhanced(folder):
    """An enhanced CT of three frames, each with a slope and a place of its own."""
    rng = np.random.default_rng(3)
    stored = rng.integers(0, 2000, (3, *SHAPE)).astype(np.uint16)
    dataset = ct_slice(
        stored=stored[0], PixelSpacing=None, ImageOrientationPatient=None, ImagePositionPatient=None, RescaleSlope=None
    )
    del dataset.RescaleIntercept
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid.EnhancedCTImageStorage
    dataset.NumberOfFrames, dataset.PixelData = 3, stored.tobytes()
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.7], 2
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index in range(3):
        frame, place, values, kind = Dataset(), Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [-5, -7, 10.0 - 2 * index]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1 + index, -1024, "HU"
        kind.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [place], [values]
        frame.CTImageFrameTypeSequence = [kind]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    return save(folder / "enhanced" / "one", dataset), stored


# Other readers

ENCODINGS = {
    "signed": {},
    "unsigned": {"dtype": np.uint16, "padding": 0, "intercept": -3024},
    "undeclared": {"declared": False},
    "slopes": {"slopes": (1, 0.5)},
}


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_dciodvfy_finds_nothing_that_the_source_has_not(tmp_path, options):
    def findings(path):
        answer = subprocess.run([tool("dciodvfy"), path], capture_output=True, text=True, check=False)
        return set(re.findall(r"^(?:Error|Warning) - .*$", answer.stderr, re.MULTILINE))

    series = series_of(tmp_path / "in", change=dress, **options)
    derivation = Derivation("low", dose_fraction=0.25)
    for path, source in zip(
        write_series(series.image_hu, series, tmp_path / "out", derivation), series.paths, strict=True
    ):
        assert findings(path) - findings(source) == set()


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=ENCODINGS.keys())
@pytest.mark.parametrize("metal_hu", [None, 30_000])
def test_other_readers_see_the_same_values(tmp_path, options, metal_hu):
    sitk = pytest.importorskip("SimpleITK")
    series = series_of(tmp_path / "in", **options)
    image_hu = series.image_hu.copy()
    if metal_hu is not None:
        image_hu[1, 16, 20] = metal_hu
    paths = write_series(image_hu, series, tmp_path / "out", "copy")
    expected = np.where(series.padding, np.nan, image_hu)
    read = sitk.GetArrayFromImage(sitk.ReadImage([str(path) for path in paths]))
    np.testing.assert_allclose(read[~series.padding], expected[~series.padding], atol=0.5)
    subprocess.run(
        [tool("dcm2niix"), "-z", "n", "-b", "n", "-f", "x", "-o", tmp_path, tmp_path / "out"],
        check=True,
        capture_output=True,
    )
    (nifti,) = tmp_path.glob("x*.nii")
    volume = np.asanyarray(nib.load(nifti).dataobj).transpose(2, 1, 0)[:, ::-1]
    np.testing.assert_allclose(volume[~series.padding], expected[~series.padding], atol=0.5)
    subprocess.run([tool("dcmdump"), *paths], check=True, capture_output=True)


def test_a_description_that_does_not_fit_is_refused():
    for text in ("", "x" * 65, "a\\b", "a\nb"):
        with pytest.raises(UserError, match="1 to 64 printable characters"):
            Derivation(text)
