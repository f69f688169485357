"""DICOM as it comes: encodings, multi-frame files, what lies beside slices, uneven stacks, what declares too much."""

import io
import os
import struct

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from dicom_files import SUPINE, ct_slice, enhanced, save, save_series
from taskct.errors import UserError
from taskct.io import dicom_header, dicom_pixels
from taskct.io.dicom import files_below, read_series, read_slice
from taskct.io.dicom_pixels import compressed_size
from taskct.io.dicom_write import write_series
from taskct.io.image_origin import read_scans
from taskct.io.padding import find_padding
from taskct.reading import LIMIT_VARIABLE


def refusal(call, *args, **kwargs):
    """The message of the refusal, checked to be one line without the patient's name."""
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    assert "Doe" not in message
    return message


def save_as(path, dataset, syntax):
    """Save in a transfer syntax that pydicom encodes."""
    if syntax.is_compressed and not syntax.is_deflated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == uid.ExplicitVRBigEndian:
        dataset["PixelData"].VR = "OW"
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.preamble = bytes(128)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return path


# Encodings

SYNTAXES = (
    *(uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian),
    *(uid.DeflatedExplicitVRLittleEndian, uid.RLELossless, uid.JPEG2000Lossless),
)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_hu_of_every_encoding_are_those_that_went_in_and_those_of_itk(tmp_path, syntax, dtype):
    stored = np.random.default_rng(1).integers(0, 3000, (32, 48)).astype(dtype)
    if dtype is np.int16:
        stored -= 1000
    tags = {"RescaleSlope": 0.5, "RescaleIntercept": -1024 if dtype is np.uint16 else 0}
    path = save_as(tmp_path / "a.dcm", ct_slice(stored=stored, **tags), syntax)
    (image,) = read_slice(path).image_hu
    np.testing.assert_array_equal(image, stored * np.float32(0.5) + np.float32(tags["RescaleIntercept"]))
    np.testing.assert_array_equal(read_series(tmp_path).image_hu[0], image)
    itk = pytest.importorskip("SimpleITK", reason="the other reader")
    np.testing.assert_allclose(itk.GetArrayFromImage(itk.ReadImage(str(path)))[0], image, atol=1e-3)


def test_eight_bits_of_jpeg_as_itk_reads_them(tmp_path):
    itk = pytest.importorskip("SimpleITK", reason="the other reader")
    ramp = (np.add.outer(np.arange(32), np.arange(48)) * 3).astype(np.uint8)
    Image.fromarray(ramp).save(jpeg := io.BytesIO(), "JPEG", quality=90)
    dataset = ct_slice(RescaleIntercept=-100)
    dataset.set_pixel_data(ramp, "MONOCHROME2", 8, generate_instance_uid=False)
    dataset.PixelData = encapsulate([jpeg.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    path = save(tmp_path / "a.dcm", dataset)
    (image,) = read_slice(path).image_hu
    np.testing.assert_allclose(image, ramp.astype(float) - 100, atol=8)
    np.testing.assert_allclose(itk.GetArrayFromImage(itk.ReadImage(str(path)))[0], image, atol=1)


@pytest.mark.parametrize(
    ("syntax", "way"), [(uid.JPEGLosslessSV1, "pylibjpeg-libjpeg"), (uid.JPEGLSLossless, "pyjpegls")]
)
def test_what_would_read_a_compression_is_named(tmp_path, syntax, way):
    if get_decoder(syntax).is_available:
        pytest.skip("its decoder is installed")
    dataset = ct_slice(PixelData=encapsulate([b"\xff\xd8\xff\xd9"]))
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    message = refusal(read_slice, save(tmp_path / "a", dataset))
    assert f"no decoder for {syntax.name}; install " in message
    assert way in message


@pytest.mark.parametrize(
    ("syntax", "word"),
    [
        ("1.2.840.10008.1.2.4.102", "MPEG-4"),
        ("1.2.840.99999.1.2.4.102", "an unknown or private transfer syntax (1.2.840.99999.1.2.4.102)"),
    ],
)
def test_a_transfer_syntax_that_is_not_read_is_named(tmp_path, syntax, word):
    dataset = ct_slice(PixelData=encapsulate([b"\0\0"]))
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = uid.MPEG4HP41
    path = save(tmp_path / "a", dataset)
    path.write_bytes(path.read_bytes().replace(uid.MPEG4HP41.encode(), syntax.encode()))
    message = refusal(read_slice, path)
    assert word in message
    assert "export the series uncompressed" in message


@pytest.mark.parametrize("text", ["hu", "HU_MOD", "Hu ", "US", ""])
def test_ways_to_say_hu(tmp_path, text):
    assert read_slice(save(tmp_path / "a", ct_slice(RescaleType=text))).image_hu.shape == (1, 4, 6)


def test_a_file_without_its_preamble_is_told_of(tmp_path):
    whole = save(tmp_path / "a", ct_slice()).read_bytes()
    (tmp_path / "a").write_bytes(whole[132:])
    assert "with their preamble" in refusal(read_series, tmp_path)
    (tmp_path / "a").rename(tmp_path / "a.dcm")
    assert refusal(read_series, tmp_path).startswith("a.dcm: does not bear the DICOM mark")


# Multi-frame


@pytest.mark.parametrize("sop", [uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage])
@pytest.mark.parametrize("positions", [(0.0, 2.0, 4.0), (4.0, 0.0, 2.0), (7.0,)], ids=["in order", "mixed", "single"])
def test_an_enhanced_file_is_the_same_series_as_files_of_one_slice(tmp_path, positions, sop):
    slopes = [1.0, 0.5, 2.0][: len(positions)]
    save(tmp_path / "many" / "a", enhanced(positions, slopes, sop))
    for index, (z, slope) in enumerate(zip(positions, slopes, strict=True)):
        save(tmp_path / "each" / str(index), ct_slice(z=z, RescaleSlope=slope))
    many, each = read_series(tmp_path / "many"), read_series(tmp_path / "each")
    np.testing.assert_array_equal(many.image_hu, each.image_hu)
    np.testing.assert_array_equal(many.position_mm, sorted(positions))
    np.testing.assert_array_equal(many.affine, each.affine)
    assert many.patient_key == each.patient_key
    assert many.frames == tuple(np.argsort(positions))
    assert each.frames == (None,) * len(positions)


def test_an_enhanced_file_as_itk_reads_it(tmp_path):
    itk = pytest.importorskip("SimpleITK", reason="the other reader")
    path = save(tmp_path / "a.dcm", enhanced())
    np.testing.assert_allclose(itk.GetArrayFromImage(itk.ReadImage(str(path))), read_series(tmp_path).image_hu)


def test_an_enhanced_file_is_decoded_once_for_all_its_slices_and_written_as_slices(tmp_path, monkeypatch):
    dataset = enhanced(positions=(4.0, 0.0, 2.0), slopes=[1.0, 0.5, 0.5])
    dataset.PixelPaddingValue = int(dataset.pixel_array[0, 0, 0])
    save(tmp_path / "in" / "a", dataset)
    series = read_series(tmp_path / "in")
    assert series.padding.any()
    reads = []
    monkeypatch.setattr(dicom_pixels, "read_object", lambda *args, **named: reads.append(args) or read(*args, **named))
    read = dicom_header.read_object
    write_series(series.image_hu, series, tmp_path / "out", "derived")
    assert len(reads) == 1
    back = read_series(tmp_path / "out")
    np.testing.assert_array_equal(back.image_hu, series.image_hu)
    np.testing.assert_array_equal(back.padding, series.padding)
    assert back.frames == (None, None, None)
    pixels = [pydicom.dcmread(path) for path in back.paths]
    assert {float(one.RescaleSlope) for one in pixels} == {0.5}
    assert [one.SourceImageSequence[0].ReferencedFrameNumber for one in pixels] == [2, 3, 1]


def test_enhanced_files_that_are_no_single_stack(tmp_path):
    lean = (1, 0, 0, 0, np.cos(0.2), np.sin(0.2))
    path = save(tmp_path / "a", enhanced(orientations=[SUPINE, lean, SUPINE]))
    assert "2 series, of 2, 1 slices, that differ in orientation" in refusal(read_series, tmp_path)
    assert "3 slices; give its folder" in refusal(read_slice, save(path, enhanced()))
    save(path, enhanced(positions=(0.0, 2.0, 0.0, 2.0)))
    assert "2 volumes at the same positions (4D, or copies)" in refusal(read_series, tmp_path)
    dataset = enhanced()
    dataset.NumberOfFrames = 2
    save(path, dataset)
    assert "a: 2 frames, and 3 places of frames" in refusal(read_series, tmp_path)
    dataset = enhanced()
    del dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    save(path, dataset)
    assert "a[2]: ImagePositionPatient missing" in refusal(read_series, tmp_path)


# What lies beside slices


@pytest.mark.parametrize(
    "sop",
    [
        *(uid.SecondaryCaptureImageStorage, uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage),
        *(uid.EncapsulatedPDFStorage, uid.RawDataStorage, uid.XRayRadiationDoseSRStorage, uid.SegmentationStorage),
        *(uid.GrayscaleSoftcopyPresentationStateStorage, uid.UltrasoundImageStorage),
    ],
    ids=lambda sop: uid.UID(sop).keyword,
)
@pytest.mark.parametrize("rows", [4, None])
def test_objects_that_say_ct_and_are_no_slices_are_counted(tmp_path, sop, rows):
    save_series(tmp_path)
    for name in "ab":
        dataset = ct_slice(z=50, SOPClassUID=sop, Rows=rows)
        dataset.file_meta.MediaStorageSOPClassUID = sop
        save(tmp_path / name, dataset)
    with pytest.warns(UserWarning, match="2 objects that say CT and hold no slices .* left out"):
        assert len(read_series(tmp_path).paths) == 3
    assert "no slice by its SOP class" in refusal(read_slice, tmp_path / "a")
    for index in range(3):
        (tmp_path / str(index)).unlink()
    assert "no CT slice in 2 files, 2 objects that say CT" in refusal(read_series, tmp_path)


def test_objects_of_no_modality_are_left_out_by_their_class(tmp_path):
    save_series(tmp_path)
    dataset = ct_slice(Modality=None, Rows=None, SOPClassUID="1.2.840.10008.5.1.4.38.1")  # hanging protocol
    save(tmp_path / "a", dataset)
    assert len(read_series(tmp_path).paths) == 3


def test_a_file_without_a_class_is_judged_by_what_it_holds(tmp_path):
    dataset = ct_slice(SOPClassUID=None)
    del dataset.file_meta.MediaStorageSOPClassUID
    assert len(read_series(save(tmp_path / "a", dataset).parent).paths) == 1


def test_a_ct_slice_without_pixels_is_damaged(tmp_path):
    save(tmp_path / "a", ct_slice(Rows=None))
    assert "a: cut short" in refusal(read_series, tmp_path)


# Folders


def test_linked_folders_are_followed_once(tmp_path):
    save_series(tmp_path / "elsewhere")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "b").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "study" / "a").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "study", target_is_directory=True)
    series = read_series(tmp_path / "study")
    assert [path.parent.name for path in series.paths] == ["a"] * 3


def test_pipes_are_passed_over_in_a_folder_and_refused_by_name(tmp_path):
    save_series(tmp_path)
    os.mkfifo(tmp_path / "pipe.dcm")
    assert len(read_series(tmp_path).paths) == 3
    assert "a pipe, not a file" in refusal(read_slice, tmp_path / "pipe.dcm")


def test_a_folder_that_may_not_be_read_is_no_empty_one(tmp_path, monkeypatch):
    save_series(tmp_path)
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def closed(place):
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", closed)
    assert "closed cannot be read: Permission denied" in refusal(lambda: list(files_below(tmp_path)))


# Slice by slice


@pytest.mark.parametrize(
    "positions",
    [(0, 2.5, 5, 10, 15), (0, 2, 4, 40, 42), (0.0, 0.6, 1.3, 1.9, 2.5, 3.1)],
    ids=["two spacings", "gap", "rounded to 0.1 mm"],
)
def test_uneven_stacks_are_read_slice_by_slice(tmp_path, positions):
    for index, z in enumerate(positions):
        save(tmp_path / str(index), ct_slice(z=z))
    assert "mm apart" in refusal(read_series, tmp_path)
    np.testing.assert_array_equal(read_series(tmp_path, slicewise=True).position_mm, positions)


def test_a_tilted_stack_that_is_no_square_is_read_slice_by_slice(tmp_path):
    tilt = np.radians(15)
    orientation = (1, 0, 0, 0, np.cos(tilt), -np.sin(tilt))
    stored = np.random.default_rng(0).integers(0, 2000, (3, 48, 64)).astype(np.uint16)
    for index in range(3):
        save(tmp_path / str(index), ct_slice(z=5.0 * index, stored=stored[index], orientation=orientation))
    assert "gantry tilt" in refusal(read_series, tmp_path)
    np.testing.assert_array_equal(read_series(tmp_path, slicewise=True).image_hu, stored - np.float32(1024))


# Budgets


def test_what_slices_declare_is_held_against_the_budget(tmp_path, monkeypatch):
    save_series(tmp_path, n=3, Rows=3000, Columns=3000)
    monkeypatch.setenv(LIMIT_VARIABLE, "50MB")  # one slice takes 45 MB as float32 and mask
    message = refusal(read_series, tmp_path)
    assert "would take 129 MiB" in message
    assert f"raise the limit: {LIMIT_VARIABLE}=" in message
    # Within it, the pixels are missed.
    assert "0: cannot be read" in refusal(read_slice, tmp_path / "0")


def test_frames_that_are_declared_count(tmp_path, monkeypatch):
    path = save(tmp_path / "a", ct_slice(BitsAllocated=16, SamplesPerPixel=2**14 - 1, Rows=100, Columns=100))
    monkeypatch.setenv(LIMIT_VARIABLE, "50MB")
    assert "would take" in refusal(read_slice, path)


def test_a_deflated_file_is_held_against_the_budget_while_it_is_inflated(tmp_path, monkeypatch):
    stored = np.zeros((1000, 1000), np.uint16)
    path = save_as(tmp_path / "a", ct_slice(stored=stored), uid.DeflatedExplicitVRLittleEndian)
    assert path.stat().st_size < 20_000
    monkeypatch.setenv(LIMIT_VARIABLE, "1MB")
    assert refusal(read_slice, path).startswith("a: would take 1.91 MiB")
    assert "would take" in refusal(read_series, tmp_path)
    assert "would take" in refusal(lambda place: read_scans(place, [None]), path)
    monkeypatch.setenv(LIMIT_VARIABLE, "20MB")
    np.testing.assert_array_equal(read_slice(path).image_hu, np.full((1, 1000, 1000), -1024))
    path.write_bytes(path.read_bytes()[:-40])
    assert "a: cannot be read as a DICOM file" in refusal(read_slice, path)


@pytest.mark.parametrize(("place", "value"), [(8, 2**31), (12, 2**31 - 1), (40, 0x3FFF)], ids=["columns", "rows", "n"])
def test_compressed_pixels_are_not_decoded_where_they_declare_another_size(tmp_path, place, value):
    dataset = ct_slice(stored=np.zeros((32, 48), np.uint16))
    dataset.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
    start = dataset.PixelData.index(b"\xff\x4f\xff\x51")
    pixels = bytearray(dataset.PixelData)
    pixels[start + place : start + place + (2 if place == 40 else 4)] = value.to_bytes(2 if place == 40 else 4)
    dataset.PixelData = bytes(pixels)
    message = refusal(read_slice, save(tmp_path / "a", dataset))
    assert "its header says 32 × 48 pixels of 1 values and its compressed pixels" in message


def test_sizes_of_compressed_frames():
    def segment(marker, content):
        return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content

    size = struct.pack(">BHHB", 12, 40, 30, 1) + b"\x01\x11\x00"
    head = b"\xff\xd8" + segment(0xE0, b"\xff\xc0\x00\x0b" + bytes(20))  # what looks like a size within another segment
    for marker in (0xC0, 0xC3, 0xF7):  # baseline, lossless, JPEG-LS
        assert compressed_size(head + b"\xff" + segment(marker, size)) == (40, 30, 1)
    boxed = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
    for none in (head, head + b"\xff", boxed, b""):
        with pytest.raises(ValueError, match="no "):
            compressed_size(none)


# Elements as they should not be


def with_vr(path, tag, vr, value):
    """Put another VR and value in the place of an element of a file in explicit little endian."""
    whole = path.read_bytes()
    start = whole.index(struct.pack("<HH", *divmod(tag, 2**16)))
    (length,) = struct.unpack("<H", whole[start + 6 : start + 8])
    head = struct.pack("<HH", *divmod(tag, 2**16)) + vr
    size = struct.pack("<HI", 0, len(value)) if vr in (b"UN", b"SQ", b"OB") else struct.pack("<H", len(value))
    path.write_bytes(whole[:start] + head + size + value + whole[start + 8 + length :])
    return path


@pytest.mark.parametrize("vr", [b"UN", b"DS", b"LO", b"US", b"SQ", b"PN", b"FD", b"AT", b"ZZ"])
@pytest.mark.parametrize(
    "tag",
    [
        *(0x00080008, 0x00080016, 0x00080060, 0x00100010, 0x00100020, 0x00180050, 0x0020000E, 0x00200032, 0x00200037),
        *(0x00280002, 0x00280004, 0x00280010, 0x00280030, 0x00280100, 0x00280103, 0x00280120, 0x00281052, 0x00281053),
    ],
    ids=lambda tag: f"{tag:08x}",
)
def test_elements_of_another_vr_are_read_or_refused_in_one_line(tmp_path, tag, vr):
    for value in (b"", b"\x05\x00", b"1\\2\\", b"\xff\xfe\xfd\xfc", b"-0.5e+99"):
        path = save(tmp_path / "a", ct_slice(PixelPaddingValue=0, SliceThickness=1))
        with_vr(path, tag, vr, value)
        for call in (read_slice, lambda place: read_scans(place, [None])):
            try:
                call(path)
            except UserError as error:
                message = str(error)
                assert message.startswith("a: ")
                assert "\n" not in message


def test_padding_whose_vr_is_text_counts_and_what_is_no_number_is_refused(tmp_path):
    stored = np.full((4, 6), 1024, np.uint16)
    stored[0] = 7
    path = save(tmp_path / "a", ct_slice(stored=stored, PixelPaddingValue=0))
    assert read_slice(with_vr(path, 0x00280120, b"DS", b"7 ")).padding.sum() == 6
    path = save(tmp_path / "a", ct_slice(stored=stored, PixelPaddingValue=0))
    assert "a: PixelPaddingValue is no whole number" in refusal(read_slice, with_vr(path, 0x00280120, b"LO", b"none"))


def test_sequences_nested_without_end_are_one_line(tmp_path):
    path = save(tmp_path / "a", ct_slice(SliceThickness=1))
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    nested = (item + struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0\xff\xff\xff\xff") * 2000
    whole = path.read_bytes()
    start = whole.index(struct.pack("<HH", 0x0018, 0x0050))
    path.write_bytes(whole[:start] + struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0\xff\xff\xff\xff" + nested)
    assert refusal(read_slice, path).startswith("a: ")


# Padding


@pytest.mark.parametrize("value", [-2000, -3024, -1501])
def test_constant_values_outside_the_field_of_view_are_padding_without_a_declaration(tmp_path, value):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:64, :64] - 31.5
    outside = np.hypot(x, y) > 32
    stored = rng.normal(-1000, 150, (64, 64)).round().astype(np.int16)
    stored[outside] = value
    series = read_slice(save(tmp_path / "a", ct_slice(stored=stored, RescaleIntercept=0)))
    np.testing.assert_array_equal(series.padding[0], outside)
    np.testing.assert_array_equal(series.image_hu[0], np.where(outside, -1000, stored))


def test_what_reads_less_than_air_and_is_no_padding():
    rng = np.random.default_rng(4)
    noise = rng.normal(-1000, 400, (64, 64)).round()  # about 10 % of it below −1500 HU
    assert (noise < -1500).sum() > 200
    assert not find_padding(noise).any()
    rim = np.where(np.hypot(*(np.mgrid[:64, :64] - 31.5)) > 32, -1024.0, 40.0)
    assert not find_padding(rim).any()
    inner = np.full((64, 64), 40.0)
    inner[20:40, 20:40] = -2000.0
    assert not find_padding(inner).any()
