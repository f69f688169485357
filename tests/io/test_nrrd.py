"""NRRD stacks: as pynrrd and SimpleITK write them, and what a header may say of words, sizes and directions."""

import bz2
import gzip

import nrrd
import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io import RawWords, read_images

RNG = np.random.default_rng(6)
HU = np.rint(RNG.normal(0.0, 30.0, size=(6, 5, 7)) - 20.0 * np.arange(7)).astype(np.int16)
PLAIN = {"type": "short", "dimension": "3", "sizes": "7 5 6", "endian": "little", "encoding": "raw"}


def attached(path, data, **fields):
    """A file with its words; a field of None is left out, `_` stands for a space."""
    said = {key.replace("_", " "): value for key, value in (PLAIN | fields).items() if value is not None}
    lines = ["NRRD0005", "# written by a test", *(f"{key}: {value}" for key, value in said.items())]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + data)
    return path


def detached(path, words, **fields):
    path = attached(path, b"", **fields)
    path.write_bytes(path.read_bytes().rstrip(b"\n") + f"\ndata file: {words}\n".encode())
    return path


@pytest.mark.parametrize("ending", ["nrrd", "nhdr"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", "<f4", ">f8"])
def test_what_pynrrd_writes(tmp_path, ending, encoding, dtype):
    path = tmp_path / f"a.{ending}"
    told = {"encoding": encoding, "space directions": np.diag([0.7, 0.7, 2.0]), "space": "left-posterior-superior"}
    nrrd.write(str(path), (HU % 100).astype(dtype), told, index_order="C")
    stack = read_images(path)
    np.testing.assert_array_equal(stack.images, HU % 100)
    assert stack.pixel_mm == pytest.approx(0.7)
    assert stack.names[5] == f"a.{ending}[5]"


@pytest.mark.parametrize("ending", ["nrrd", "nhdr"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_simpleitk_writes(tmp_path, ending, packed):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(HU)
    image.SetSpacing((0.6, 0.6, 2.5))
    path = tmp_path / f"a.{ending}"
    sitk.WriteImage(image, str(path), useCompression=packed)
    stack = read_images(path)
    np.testing.assert_array_equal(stack.images, sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
    np.testing.assert_array_equal(stack.images, HU)
    assert stack.pixel_mm == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("fields", "pixel_mm"),
    [
        ({}, None),
        ({"spacings": "0.7 0.7 3"}, 0.7),
        ({"spacings": "0.7 0.8 3"}, None),  # not square
        ({"spacings": "0.7 0.7 nan"}, 0.7),
        ({"spacings": "nan nan nan"}, None),
        ({"spacings": "700 700 1", "units": '"um" "um" "um"'}, 0.7),
        ({"spacings": "0.07 0.07 1", "units": '"cm" "cm" "s"'}, 0.7),
        ({"spacings": "1 1 1", "units": '"pixel" "pixel" "pixel"'}, None),
        # SimpleITK gives a spacing of 1 for these.
        ({"axis_mins": "0 0 0", "axis_maxs": "4.9 3.5 6"}, 0.7),
        ({"axis_mins": "0 0 0", "axis_maxs": "4.9 3.5 6", "centerings": "cell cell node"}, 0.7),
        ({"axis_mins": "1 1 0", "axis_maxs": "5.2 3.8 6", "centers": "node node node"}, 0.7),
        ({"space": "LPS", "space_directions": "(0.7,0,0) (0,0.7,0) (0,0,2)"}, 0.7),
        ({"space_dimension": "3", "space_directions": "(0.7,0,0) (0,0.7,0) none"}, 0.7),
        ({"space": "LPS", "space_directions": "(70,0,0) (0,70,0) (0,0,2)", "space_units": '"um" "um" "mm"'}, 0.07),
        ({"space": "LPS", "space_directions": "(7,0,0) (0,7,0) (0,0,2)", "space_units": '"s" "s" "s"'}, None),
    ],
)
def test_the_pixel_size(tmp_path, fields, pixel_mm):
    stack = read_images(attached(tmp_path / "a.nrrd", HU.tobytes(), **fields))
    np.testing.assert_array_equal(stack.images, HU)
    assert stack.pixel_mm == (None if pixel_mm is None else pytest.approx(pixel_mm))


@pytest.mark.parametrize(
    ("space", "directions", "turned"),
    [
        ("left-posterior-superior", "(1,0,0) (0,1,0) (0,0,1)", HU),
        ("right-anterior-superior", "(1,0,0) (0,1,0) (0,0,1)", HU[:, ::-1, ::-1]),
        ("RAS", "(-1,0,0) (0,-1,0) (0,0,1)", HU),
        ("left-anterior-superior", "(1,0,0) (0,1,0) (0,0,-1)", HU[:, ::-1]),
        ("LPS", "(0,1,0) (1,0,0) (0,0,1)", HU.transpose(0, 2, 1)),
        ("scanner-xyz", "(-1,0,0) (0,-1,0) (0,0,1)", HU),  # not of the patient
    ],
)
def test_images_lie_as_slices_of_dicom_do(tmp_path, space, directions, turned):
    path = attached(tmp_path / "a.nrrd", HU.tobytes(), space=space, space_directions=directions)
    np.testing.assert_array_equal(read_images(path).images, turned)


def test_data_files_by_pattern_and_list(tmp_path):
    for index, image in enumerate(HU):
        (tmp_path / f"s_{index}.raw").write_bytes(image.tobytes())
        (tmp_path / f"s_{index}.gz").write_bytes(gzip.compress(image.tobytes()))
    for words in ("s_%d.raw 0 5 1", "s_%d.raw 0 5 1 2"):
        np.testing.assert_array_equal(read_images(detached(tmp_path / "a.nhdr", words)).images, HU)
    down = read_images(detached(tmp_path / "a.nhdr", "s_%d.raw 5 0 -1")).images
    np.testing.assert_array_equal(down, HU[::-1])
    listed = "LIST\n" + "\n".join(f"s_{index}.gz" for index in range(6))
    np.testing.assert_array_equal(read_images(detached(tmp_path / "a.nhdr", listed, encoding="gzip")).images, HU)


def test_skipped_bytes_and_one_image(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"twelve bytes" + HU.tobytes())
    for skip in ("12", "-1"):
        images = read_images(detached(tmp_path / "a.nhdr", "a.raw", byte_skip=skip)).images
        np.testing.assert_array_equal(images, HU)
    path = attached(tmp_path / "a.nrrd", b"1234" + HU.tobytes(), byte_skip="4")
    np.testing.assert_array_equal(read_images(path).images, HU)
    path = attached(tmp_path / "a.nrrd", HU[0].tobytes(), dimension="2", sizes="7 5")
    np.testing.assert_array_equal(read_images(path).images, HU[:1])
    path = attached(tmp_path / "a.nrrd", bz2.compress(HU.tobytes()), encoding="bz2")
    np.testing.assert_array_equal(read_images(path).images, HU)


def test_what_is_told_of_words_counts_more_than_the_header(tmp_path):
    path = attached(tmp_path / "a.nrrd", HU.astype(">i2").tobytes())
    images = read_images(path, RawWords(byte_order="big", slope=2.0, offset=-5.0)).images
    np.testing.assert_array_equal(images, 2.0 * HU.astype(np.float32) - 5.0)
    path = attached(tmp_path / "a.nrrd", HU.tobytes(), endian=None)
    with pytest.raises(UserError, match="no byte order"):
        read_images(path)
    np.testing.assert_array_equal(read_images(path, RawWords(byte_order="little")).images, HU)
    path = attached(tmp_path / "a.nrrd", HU.tobytes(), old_min="-1000", old_max="3000")
    with pytest.raises(UserError, match="were quantized from another range"):
        read_images(path)
    np.testing.assert_array_equal(read_images(path, RawWords(slope=1.0)).images, HU)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"sizes": "7 5 9"}, "holds 420 bytes and its header says 630"),
        ({"sizes": "7 5 5"}, "holds 420 bytes and its header says 350"),
        ({"sizes": "7 5"}, "do not agree"),
        ({"dimension": "2", "sizes": "7 -5"}, "or one of no size"),
        ({"dimension": "4", "sizes": "7 5 3 2"}, "4 dimensions"),
        ({"sizes": "nan 5 6"}, "or one of no size"),
        ({"sizes": "70000 50000 600000"}, "over the limit"),
        ({"sizes": None}, "cannot be read as a NRRD file"),
        ({"type": "block"}, "none of one number"),
        ({"encoding": "text"}, "its encoding is none of"),
        ({"encoding": "hex"}, "its encoding is none of"),
        ({"encoding": "gzip"}, "cannot be read as the words"),
        ({"endian": "middle"}, "no byte order"),
        ({"kinds": "RGB-color domain domain"}, "several channels"),
        ({"line_skip": "2"}, "line skip"),
        ({"byte_skip": "-2"}, "byte skip"),
        ({"byte_skip": "x"}, "cannot be read as a NRRD file"),
        ({"spacings": "0 0 0"}, "its pixel size is none"),
        ({"space": "LPS", "space_directions": "(0,0,0) (0,1,0) (0,0,1)"}, "its pixel size is none"),
        ({"space": "LPS", "space_directions": "(1,0 (0,1,0) (0,0,1)"}, "cannot be read as a NRRD file"),
        ({"data_file": "/etc/hostname"}, "lies outside its folder"),
        ({"data_file": "../a.raw"}, "lies outside its folder"),
        ({"data_file": "gone.raw"}, "no such data file"),
    ],
)
def test_a_wrong_header_is_one_line(tmp_path, fields, match):
    path = attached(tmp_path / "a.nrrd", HU.tobytes(), **fields)
    with pytest.raises(UserError, match=match) as raised:
        read_images(path)
    assert "\n" not in str(raised.value)


def test_lines_that_end_as_on_windows(tmp_path):
    path = attached(tmp_path / "a.nrrd", b"", spacings="0.7 0.7 1")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + HU.tobytes())
    stack = read_images(path)
    np.testing.assert_array_equal(stack.images, HU)
    assert stack.pixel_mm == pytest.approx(0.7)


def test_no_header_at_all(tmp_path):
    for text in (b"", b"hello\n", b"NRRD0004", b"NRRD0009\ntype: short\n\n", bytes(300)):
        (tmp_path / "a.nrrd").write_bytes(text)
        with pytest.raises(UserError, match=r"no NRRD header|cannot be read as a NRRD file"):
            read_images(tmp_path / "a.nrrd")
