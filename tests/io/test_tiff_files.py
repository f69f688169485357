"""TIFF files as others leave them: ImageJ's stacks, OME, odd lists of images, parts that are missing or too large."""

import importlib.util
import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from taskct.errors import UserError
from taskct.io.image_stack import read_images
from taskct.io.tiff import read_tiff

RNG = np.random.default_rng(4)
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"]
FORMATS = {"u": 1, "i": 2, "f": 3}
SHAPE = (3, 21, 19)
HAS_IMAGECODECS = importlib.util.find_spec("imagecodecs") is not None


def images_of(dtype):
    if np.dtype(dtype).kind == "f":
        return RNG.normal(0, 300, SHAPE).astype(dtype)
    limits = np.iinfo(dtype)
    return RNG.integers(max(limits.min, -(2**20)), min(limits.max, 2**20), SHAPE, endpoint=True).astype(dtype)


def pack_bits(data):
    """Literal runs alone, which PackBits allows."""
    runs = (data[i : i + 128] for i in range(0, len(data), 128))
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


def lzw(data):
    """By libtiff: the bytes as an 8-bit image of one strip, whose strip is cut out."""
    buffer = io.BytesIO()
    Image.frombytes("L", (len(data), 1), data).save(buffer, "TIFF", compression="tiff_lzw")
    with Image.open(buffer) as picture:
        (offset,), (count,) = picture.tag_v2[273], picture.tag_v2[279]
    return buffer.getvalue()[offset : offset + count]


BY_PILLOW = ("|u1", "<u2", "<f4")
"""What is read of LZW without imagecodecs."""

COMPRESS = {1: bytes, 5: lzw, 8: zlib.compress, 32946: zlib.compress, 32773: pack_bits}


def predicted(part):
    """Horizontal differences of whole numbers, modulo their range."""
    whole = part.view(part.dtype.str.replace("i", "u"))
    with np.errstate(over="ignore"):
        return np.concatenate([whole[:, :1], whole[:, 1:] - whole[:, :-1]], axis=1).astype(part.dtype.str)


def tiff(images, order="<", *, compression=1, predictor=1, tile=None, rows=8, big=False, bits=None, change=()):
    """A TIFF file of images `(n, height, width)`: strips of some rows or square tiles, one IFD an image.

    `change` maps tags to values that stand in for the right ones, None for a tag that is not there.
    """
    images = np.asarray(images).astype(images.dtype.newbyteorder(order))
    _, height, width = images.shape
    offset_type, entry, code = ("Q", 20, 16) if big else ("I", 12, 4)
    out = bytearray(b"II" if order == "<" else b"MM")
    out += struct.pack(order + "HHHQ", 43, 8, 0, 0) if big else struct.pack(order + "HI", 42, 0)
    link = len(out) - (8 if big else 4)
    for image in images:
        if tile:
            padded = np.pad(image, ((0, -height % tile), (0, -width % tile)))
            parts = [padded[y : y + tile, x : x + tile] for y in range(0, height, tile) for x in range(0, width, tile)]
        else:
            parts = [image[y : y + rows] for y in range(0, height, rows)]
        offsets, counts = [], []
        for part in parts:
            part = predicted(part) if predictor == 2 else part
            data = np.packbits(part.astype(bool), axis=1).tobytes() if bits == 1 else part.tobytes()
            data = COMPRESS[compression](data)
            offsets.append(len(out))
            counts.append(len(data))
            out += data
        tags = {256: [width], 257: [height], 258: [bits or 8 * image.itemsize], 259: [compression], 262: [1], 277: [1]}
        places = (
            {322: [tile], 323: [tile], 324: offsets, 325: counts} if tile else {273: offsets, 278: [rows], 279: counts}
        )
        tags |= places | {317: [predictor], 339: [FORMATS.get(image.dtype.kind, 1)]} | dict(change)
        tags = {tag: value for tag, value in sorted(tags.items()) if value is not None}
        here = len(out)
        values = []
        for tag, value in tags.items():
            if isinstance(value, bytes):
                data, n_values, kind = value, len(value), 2
            else:
                data, n_values, kind = struct.pack(f"{order}{len(value)}{offset_type}", *value), len(value), code
            size = 8 if big else 4
            if len(data) > size:
                values.append((tag, kind, n_values, len(out)))
                out += data
            else:
                values.append((tag, kind, n_values, data.ljust(size, b"\0")))
        here = len(out)
        struct.pack_into(order + offset_type, out, link, here)
        out += struct.pack(order + ("Q" if big else "H"), len(values))
        for tag, kind, n_values, value in values:
            out += struct.pack(order + "HH" + offset_type, tag, kind, n_values)
            out += value if isinstance(value, bytes) else struct.pack(order + offset_type, value)
        link = len(out)
        out += struct.pack(order + offset_type, 0)
        assert len(out) - here == entry * len(values) + (16 if big else 6)
    return bytes(out)


def joined(parts):
    """Little-endian files of one image each as one file: the offsets in each move, and each links to the next."""
    out = bytearray(b"II" + struct.pack("<HI", 42, 0))
    link = 4
    for part in parts:
        moved = bytearray(part)
        at = len(out)
        (here,) = struct.unpack_from("<I", moved, 4)
        (n,) = struct.unpack_from("<H", moved, here)
        for entry in range(here + 2, here + 2 + 12 * n, 12):
            tag, _, count, value = struct.unpack_from("<HHII", moved, entry)
            if tag == 273 and count > 1:
                for place in range(value, value + 4 * count, 4):
                    struct.pack_into("<I", moved, place, struct.unpack_from("<I", moved, place)[0] + at)
            if count > 1 or tag == 273:
                struct.pack_into("<I", moved, entry + 8, value + at)
        struct.pack_into("<I", out, link, here + at)
        link = at + here + 2 + 12 * n
        out += moved
    return bytes(out)


def read(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    return read_tiff(tmp_path / "a.tif", "a.tif")


def refusal(tmp_path, content):
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert message.startswith("a.tif")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("layout", [{}, {"tile": 16}, {"big": True}, {"big": True, "tile": 16}], ids=str)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "f4"])
@pytest.mark.parametrize("order", "<>")
def test_lzw_by_libtiff_in_every_layout(tmp_path, order, dtype, layout):
    images = images_of(dtype)
    by_pillow = np.dtype(order + dtype).str in BY_PILLOW and not (order == ">" and "big" in layout)
    for predictor in (1, 2) if images.dtype.kind in "iu" else (1,):
        content = tiff(images, order, compression=5, predictor=predictor, **layout)
        if HAS_IMAGECODECS or by_pillow:
            np.testing.assert_array_equal(read(tmp_path, content), images.astype(np.float32))
        else:
            assert "packed by LZW: `pip install imagecodecs`" in refusal(tmp_path, content)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [1, 8])
def test_single_bits(tmp_path, order, compression):
    images = RNG.integers(0, 2, (2, 16, 24)).astype("u1")
    np.testing.assert_array_equal(read(tmp_path, tiff(images, order, compression=compression, bits=1)), images)


# ImageJ


def test_the_description_that_imagej_itself_writes(tmp_path):
    """Its text stands in the first image alone; of a stack over 4 GB the other images have no header at all."""
    stored = RNG.integers(0, 4000, (5, 9, 8)).astype(np.uint16)
    text = b"ImageJ=1.54f\nimages=5\nslices=5\ncf=0\nc0=-1024.0\nc1=0.5\nvunit=HU\nloop=false\nmin=0.0\nmax=9.0\n\0"
    expected = stored * 0.5 - 1024.0
    whole = tiff(stored, ">", rows=9, change={270: text})
    np.testing.assert_array_equal(read(tmp_path, whole), expected)
    one = bytearray(tiff(stored.reshape(1, 45, 8), ">", rows=45, change={270: text, 257: [9], 278: [9], 279: [144]}))
    np.testing.assert_array_equal(read(tmp_path, bytes(one)), expected)


def test_hyperstacks_and_ome_are_images_in_the_order_of_the_file(tmp_path):
    images = RNG.integers(0, 999, (2, 3, 9, 8)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", images, photometric="minisblack", metadata={"axes": "TZYX"}, ome=True)
    np.testing.assert_array_equal(read_images(tmp_path / "a.ome.tif").images, images.reshape(6, 9, 8))
    for options in ({"imagej": True}, {}):
        name = tmp_path / "a.tif"
        tifffile.imwrite(name, images, photometric="minisblack", metadata={"axes": "TZYX"}, **options)
        with pytest.raises(UserError, match="several stacks"):
            read_images(name)
        tifffile.imwrite(name, images[:, :1], photometric="minisblack", metadata={"axes": "TZYX"}, **options)
        np.testing.assert_array_equal(read_images(name).images, images[:, 0])


@pytest.mark.parametrize("odd", range(5))
def test_one_image_that_is_kept_in_another_way(tmp_path, odd):
    """A library may look at some of the pages alone; joined from files, a stack may hold any."""
    images = np.concatenate([images_of("u2"), images_of("u2")])[:5]
    parts = [tiff(image[None], compression=8 if i == odd else 1) for i, image in enumerate(images)]
    path = tmp_path / "a.tif"
    path.write_bytes(joined(parts))
    if odd in (0, 4):  # two stacks, one after the other
        np.testing.assert_array_equal(read_tiff(path, "a.tif"), images)
    else:  # which tifffile gives out in another order
        with pytest.raises(UserError, match="differ in type or compression by turns"):
            read_tiff(path, "a.tif")
    path.write_bytes(joined([tiff(image[None]) for image in images]))
    np.testing.assert_array_equal(read_tiff(path, "a.tif"), images)


def test_ome_reads_no_other_file(tmp_path):
    """Its metadata may spread a set over files; what was given is what is read."""
    images = images_of("u2")
    for name, part in (("a.ome.tif", images[:1]), ("b.ome.tif", images[1:2])):
        tifffile.imwrite(tmp_path / name, part, photometric="minisblack", metadata=None)
    plane = '<TiffData IFD="0" FirstZ="{}" PlaneCount="1"><UUID FileName="{}">urn:uuid:{}</UUID></TiffData>'
    uuids = ["11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"]
    planes = "".join(
        plane.format(i, f"{name}.ome.tif", uuid) for i, (name, uuid) in enumerate(zip("ab", uuids, strict=True))
    )
    ome = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:{uuids[0]}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
        'Type="uint16" SizeX="19" SizeY="21" SizeZ="2" SizeC="1" SizeT="1"><Channel ID="Channel:0:0"/>'
        f"{planes}</Pixels></Image></OME>"
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", images[0], description=ome, metadata=None)
    assert tifffile.imread(tmp_path / "a.ome.tif").shape == (2, 21, 19)  # what is avoided
    np.testing.assert_array_equal(read_images(tmp_path / "a.ome.tif").images, images[:1])


# Refusals


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({262: [0]}, "of kind MINISWHITE: give grey images in which 0 is black"),
        ({262: [3], 320: [0, 1] * 384}, "of kind PALETTE"),
        ({262: [2], 277: [3], 258: [16, 16, 16]}, "is a colour image (3 samples a pixel)"),
        ({277: [2], 258: [16, 16]}, "2 samples a pixel"),
        ({258: [12]}, "of 12 bits a pixel"),
        ({339: [6]}, "of 16 bits a pixel, type None: give 8, 16 or 32 bits"),
        ({317: [9]}, "predictor"),
        ({274: [6]}, "turned by its Orientation tag (6)"),
        ({279: [0, 0, 0]}, "cannot be read as a TIFF image: it is cut short"),
        ({273: [8, 9, 10**6]}, "cannot be read as a TIFF image: it is cut short"),
        ({256: [0]}, "cannot be read"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_refused_by_name(tmp_path, change, expected):
    assert expected in refusal(tmp_path, tiff(images_of("u2"), change=change))


def test_a_list_of_images_that_runs_in_a_circle_ends(tmp_path):
    content = bytearray(tiff(images_of("u2")[:1]))
    content[-4:] = content[4:8]  # the next image is the first
    assert read(tmp_path, bytes(content)).shape == (1, 21, 19)


def test_declared_sizes_are_held_against_the_budget(tmp_path, monkeypatch):
    monkeypatch.setenv("TASKCT_READ_LIMIT", "100kB")
    assert read(tmp_path, tiff(images_of("u2"), compression=8)).shape == SHAPE
    assert "over the limit of" in refusal(tmp_path, tiff(images_of("u2"), change={256: [60000], 257: [60000]}))
    assert "over the limit of" in refusal(tmp_path, tiff(images_of("u2"), tile=16, change={322: [4096], 323: [4096]}))
    monkeypatch.setenv("TASKCT_READ_LIMIT", "4kB")
    images = np.zeros((1, 21, 19), "u2")
    more = tiff(images, compression=8, rows=21, change={257: [3], 278: [3]})
    assert "unpacks to more than it declares" in refusal(tmp_path, more)
    assert read(tmp_path, tiff(images, compression=8, rows=21)).max() == 0.0


def test_odd_files_say_nothing_on_the_terminal(tmp_path, capfd):
    refusal(tmp_path, b"II*\0nonsense")
    assert capfd.readouterr() == ("", "")
