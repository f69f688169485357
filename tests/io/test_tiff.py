"""TIFF: right values, or a refusal that says why; written by hand from the TIFF 6.0 specification, and by libraries."""

import itertools
import os
import struct
import zlib
from importlib.util import find_spec

import numpy as np
import pytest
import tifffile
from PIL import Image, features

from taskct.errors import UserError
from taskct.io.tiff import read_tiff

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8")
NONE, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773


def values(dtype, shape=(21, 19)):
    """Whole numbers that tell a swapped, shifted or unsigned reading from the right one."""
    numbers = np.random.default_rng(0).integers(-900 if dtype[0] != "u" else 3, 2000, shape)
    return (np.clip(numbers, -120, 120) if dtype[1] == "1" else numbers).astype(dtype)


def lzw(data):
    """TIFF's LZW of codes that stand for one byte each: cleared before codes grow to 10 bits."""
    codes = []
    for start in range(0, len(data), 200):
        codes += [256, *data[start : start + 200]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def packbits(data):
    parts = [data[start : start + 128] for start in range(0, len(data), 128)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


PACK = {NONE: bytes, LZW: lzw, DEFLATE: zlib.compress, PACKBITS: packbits}


def write(path, image, order, compression=NONE, predictor=1, rows=8):
    """A TIFF in strips, by the specification; predictor 2 stores differences to the pixel on the left."""
    height, width = image.shape
    stored = image
    if predictor == 2:
        whole = image.view(f"u{image.itemsize}")
        stored = np.concatenate([whole[:, :1], np.diff(whole, axis=1)], axis=1)
    stored = stored.astype(stored.dtype.newbyteorder(order))
    pack = PACK[compression]
    strips = [pack(stored[top : top + rows].tobytes()) for top in range(0, height, rows)]
    starts = list(itertools.accumulate((len(strip) for strip in strips[:-1]), initial=8))
    kind = {"u": 1, "i": 2, "f": 3}[image.dtype.kind]
    end = starts[-1] + len(strips[-1])
    lists, tags = b"", []
    for tag, numbers in (
        (256, [width]), (257, [height]), (258, [8 * image.itemsize]), (259, [compression]), (262, [1]),
        (273, starts), (277, [1]), (278, [rows]), (279, [len(strip) for strip in strips]), (317, [predictor]),
        (339, [kind]),
    ):  # fmt: skip
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            packed, lists = struct.pack(f"{order}I", end + len(lists)), lists + packed
        tags.append(struct.pack(f"{order}HHI", tag, 4, len(numbers)) + packed)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, end + len(lists))
    directory = struct.pack(f"{order}H", len(tags)) + b"".join(tags) + bytes(4)
    path.write_bytes(head + b"".join(strips) + lists + directory)
    return path


def refusal(path):
    with pytest.raises(UserError) as caught:
        read_tiff(path, path.name)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [NONE, DEFLATE, PACKBITS])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("dtype", TYPES)
def test_strips(tmp_path, order, compression, predictor, dtype):
    image = values(dtype)
    path = write(tmp_path / "a.tif", image, order, compression, predictor)
    if predictor == 2 and compression != DEFLATE:
        assert "a predictor but without LZW or Deflate" in refusal(path)
        return
    read = read_tiff(path, "a.tif")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, image[None])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("dtype", TYPES)
def test_lzw_is_right_or_refused(tmp_path, order, predictor, dtype):
    """Pillow unpacks some; all others would need imagecodecs, and are told so by their type."""
    image = values(dtype)
    path = write(tmp_path / "a.tif", image, order, LZW, predictor)
    if find_spec("imagecodecs") or dtype == "u1" or (order == "<" and dtype in ("u2", "f4")):
        np.testing.assert_array_equal(read_tiff(path, "a.tif"), image[None])
    else:
        message = refusal(path)
        assert "packed by LZW: `pip install imagecodecs`" in message
        assert str(image.dtype.newbyteorder(order)) in message


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("packed", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": 2}])
@pytest.mark.parametrize("dtype", TYPES)
def test_tiles_and_bigtiff(tmp_path, order, big, tile, packed, dtype):
    stack = values(dtype, (3, 21, 35))
    if dtype[0] == "f" and "predictor" in packed:
        pytest.skip("tifffile writes predictor 2 of whole numbers alone")
    tifffile.imwrite(
        tmp_path / "a.tif", stack, byteorder=order, bigtiff=big, tile=tile, photometric="minisblack", **packed
    )
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif", "a.tif"), stack)


@pytest.mark.parametrize("mode", ["L", "I;16", "I", "F", "1"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma"])
def test_what_pillow_writes(tmp_path, mode, compression):
    """By libtiff, whose files other programs write too."""
    dtype = {"L": "u1", "I;16": "u2", "I": "i4", "F": "f4", "1": "u1"}[mode]
    image = values(dtype) if mode != "1" else values(dtype) % 2
    picture = Image.fromarray(image.astype(bool) if mode == "1" else image)
    assert picture.mode == mode
    picture.save(tmp_path / "a.tif", compression=compression)
    try:
        read = read_tiff(tmp_path / "a.tif", "a.tif")
    except UserError as error:
        assert compression == "tiff_lzw"
        assert mode in ("I", "1")
        assert "packed by LZW" in str(error)  # noqa: PT017 - either is right, and which is asserted above
    else:
        np.testing.assert_array_equal(read, image[None])


@pytest.mark.parametrize(("name", "dtype"), [("zstd", "u2"), ("jpeg", "u1")])
def test_a_compression_without_a_decoder(tmp_path, name, dtype):
    if not features.check("libtiff") or find_spec("imagecodecs"):
        pytest.skip("needs Pillow's libtiff, and no imagecodecs")
    Image.fromarray(values(dtype)).save(tmp_path / "a.tif", compression=name)
    message = refusal(tmp_path / "a.tif")
    assert f"packed by {name.upper()}: `pip install imagecodecs`, or save it without compression" in message


def test_predictor_of_floating_point(tmp_path):
    """Bytes of one weight stand together, differences of bytes are stored (Adobe's technical note 3)."""
    image = values("f4")
    as_bytes = image.astype(">f4").view("u1").reshape(21, 19, 4).transpose(0, 2, 1).reshape(21, -1)
    stored = np.concatenate([as_bytes[:, :1], np.diff(as_bytes, axis=1)], axis=1)
    path = write(tmp_path / "a.tif", stored.reshape(21, 19, 4).copy().view("f4")[..., 0], "<", NONE)
    content = path.read_bytes().replace(struct.pack("<HHII", 317, 4, 1, 1), struct.pack("<HHII", 317, 4, 1, 3))
    content = content.replace(struct.pack("<HHII", 259, 4, 1, 1), struct.pack("<HHII", 259, 4, 1, 8))
    # Compression and predictor are of one file: pack the strips too.
    path.write_bytes(content)
    plain = [stored[top : top + 8].tobytes() for top in range(0, 21, 8)]
    strips = [zlib.compress(part, 0) for part in plain]
    start = len(content)
    sizes = struct.pack("<3I", *map(len, strips))
    starts = struct.pack("<3I", *itertools.accumulate(map(len, strips[:-1]), initial=start))
    with tifffile.TiffFile(path) as file:
        places = {tag: file.pages[0].tags[tag].valueoffset for tag in (273, 279)}
    content = bytearray(content + b"".join(strips))
    content[places[273] : places[273] + 12] = starts
    content[places[279] : places[279] + 12] = sizes
    path.write_bytes(content)
    with Image.open(path) as picture:  # an independent reader
        np.testing.assert_array_equal(np.asarray(picture), image)
    try:
        read = read_tiff(path, "a.tif")
    except UserError as error:
        assert not find_spec("imagecodecs")
        assert "predictor" in str(error).lower()  # noqa: PT017 - either is right, and which is asserted above
    else:
        np.testing.assert_array_equal(read, image[None])


@pytest.mark.parametrize("keys", [{"cf": 0, "c0": -32768.0, "c1": 1.0, "vunit": "gray value"}, {"cf": 20}, {}])
def test_calibration_of_imagej(tmp_path, keys):
    """ImageJ stores signed 16 bits unsigned, 32768 too high, and its description says so."""
    stored = np.full((2, 5, 6), 31768, dtype=np.uint16)
    stored[1, 2, 3] = 32768 + 40
    tifffile.imwrite(tmp_path / "a.tif", stored, imagej=True, metadata={"axes": "ZYX", **keys})
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        description = file.pages[0].description
    assert ("c0=-32768" in description) == ("c0" in keys)
    expected = stored.astype(float) - (32768 if "c0" in keys else 0)
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif", "a.tif"), expected)


def test_a_calibration_that_is_no_straight_line(tmp_path):
    keys = {"axes": "YX", "cf": 3, "c0": 1.0, "c1": 2.0, "c2": 3.0}
    tifffile.imwrite(tmp_path / "a.tif", values("u2"), imagej=True, metadata=keys)
    assert "calibration function 3 is no straight line; save it in HU" in refusal(tmp_path / "a.tif")


def test_a_straight_line_without_its_numbers(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values("u2"), imagej=True, metadata={"axes": "YX", "cf": 0, "c0": 1.0})
    assert "cannot be read as a TIFF image" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"photometric": "miniswhite"}, (9, 8), "kind MINISWHITE: give grey images in which 0 is black"),
        ({"photometric": "palette", "colormap": np.zeros((3, 256), "u2")}, (9, 8), "kind PALETTE"),
        ({"photometric": "rgb"}, (9, 8, 3), "colour image (3 samples a pixel)"),
        ({"photometric": "rgb", "planarconfig": "separate"}, (3, 9, 8), "colour image (3 samples a pixel)"),
        ({"photometric": "minisblack", "metadata": {"axes": "TZYX"}}, (2, 3, 9, 8), "holds several stacks"),
        ({"imagej": True, "metadata": {"axes": "TZYX"}}, (2, 3, 9, 8), "holds several stacks"),
        ({"imagej": True, "metadata": {"axes": "ZCYX"}}, (2, 3, 9, 8), "holds several stacks"),
    ],
)
def test_what_is_no_stack_of_grey_images(tmp_path, options, shape, message):
    tifffile.imwrite(tmp_path / "a.tif", values("u1", shape), **options)
    assert message in refusal(tmp_path / "a.tif")


def test_complex_numbers(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values("f4").astype("c8"))
    assert "type complex64" in refusal(tmp_path / "a.tif")


def test_images_of_several_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(values("u2", (9, 8)))
        file.write(values("u2", (9, 7)))
    assert "its images differ in size; give images of one size" in refusal(tmp_path / "a.tif")


def test_images_one_by_one_keep_their_order(tmp_path):
    stack = values("i2", (4, 9, 8))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for image in stack:
            file.write(image, contiguous=False)
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif", "a.tif"), stack)


def test_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    assert refusal(tmp_path / "a.tif") == "a.tif: a pipe, not a file; save it as a file first"


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_the_budget(tmp_path, monkeypatch, options):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((100, 100), "u2"), **options)
    monkeypatch.setenv("TASKCT_READ_LIMIT", "60000")
    assert read_tiff(tmp_path / "a.tif", "a.tif").shape == (1, 100, 100)  # 6 bytes a pixel: as stored, and as float32
    monkeypatch.setenv("TASKCT_READ_LIMIT", "59999")
    assert "over the limit of 58.6 KiB" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [NONE, DEFLATE, PACKBITS, LZW])
def test_a_file_cut_short(tmp_path, compression):
    content = write(tmp_path / "a.tif", values("u2"), "<", compression).read_bytes()
    for share in (0.0, 0.3, 0.7, 0.99):
        (tmp_path / "a.tif").write_bytes(content[: int(share * len(content))])
        assert "cannot be read as a TIFF image" in refusal(tmp_path / "a.tif")
