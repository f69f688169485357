"""NumPy and PNG files from anybody, and folders of them: the values that were written, or one line."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from taskct.errors import UserError
from taskct.io.image_stack import read_images, read_npy

RNG = np.random.default_rng(5)
HU = RNG.integers(-100, 100, (3, 5, 4))


def refusal(path, read=read_images):
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


# NumPy


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)], ids=str)
@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">i2", "|i1", "<u4", ">i8"])
@pytest.mark.parametrize("order", "CF")
def test_arrays_of_every_version_type_and_order(tmp_path, version, dtype, order):
    images = np.abs(HU) if "u" in dtype else HU
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, np.asarray(images, dtype, order=order), version=version)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), images)


def npy(shape, descr="'<f4'", version=1, data=b"\0" * 240):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    ("shape", "descr", "expected"),
    [
        ("(3, 5, 4)", "'<f4'", None),
        ("(3, 5, 5)", "'<f4'", "cut short"),
        ("(100000, 100000, 100000)", "'<f4'", "over the limit of 8 GiB"),
        ("(3, -5, -4)", "'<f4'", "its shape is (3, -5, -4)"),
        ("(True, 5, 4)", "'<f4'", "its shape is (True, 5, 4)"),
        ("(3.0, 5, 4)", "'<f4'", "cannot be read"),
        ("'abc'", "'<f4'", "cannot be read"),
        ("(0, 5, 4)", "'<f4'", "of shape (0, 5, 4)"),
        ("(60,)", "'<f4'", "of shape (60,)"),
        ("(3, 5, 4)", "'|O'", "cannot be read"),
        ("(3, 5, 2)", "'<c8'", "complex64"),
        ("(3, 5, 4)", "'<U1'", "<U1"),
        ("(3, 5, 4)", "[('a', '<f4')]", "of shape (3, 5, 4)"),
        ("(3, 5, 4)", "'nonsense'", "cannot be read"),
    ],
)
def test_headers(tmp_path, version, shape, descr, expected):
    (tmp_path / "a.npy").write_bytes(npy(shape, descr, version))
    if expected is None:
        assert read_npy(tmp_path / "a.npy").shape == (3, 5, 4)
    else:
        assert expected in refusal(tmp_path / "a.npy", read_npy)


def test_a_file_cut_short_anywhere(tmp_path):
    whole = npy("(3, 5, 4)")
    for length in range(0, len(whole), 3):
        (tmp_path / "a.npy").write_bytes(whole[:length])
        refusal(tmp_path / "a.npy", read_npy)


def test_an_archive_under_the_name_of_an_array(tmp_path):
    np.savez(tmp_path / "a.npz", HU)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    assert "archive of arrays" in refusal(tmp_path / "a.npy", read_npy)


# PNG


def png(values, bits=8, colour=0, size=None, more=b""):
    """By the specification: rows packed to bytes, each after its filter (none)."""
    height, width = values.shape
    if bits < 8:
        ones = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        rows = np.packbits(ones.reshape(height, -1), axis=1)
    else:
        rows = values.astype(f">u{bits // 8}").view(np.uint8)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", *(size or (width, height)), bits, colour, 0, 0, 0)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    gamma = chunk(b"gAMA", struct.pack(">I", 45455))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + gamma
        + more
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_gray_of_every_depth_is_what_is_stored(tmp_path, bits):
    values = RNG.integers(0, 2**bits, (6, 9))
    (tmp_path / "a.png").write_bytes(png(values, bits))
    np.testing.assert_array_equal(read_images(tmp_path / "a.png").images[0], values)


@pytest.mark.parametrize("bits", [2, 4])
def test_depths_that_would_be_stretched_are_refused(tmp_path, bits):
    (tmp_path / "a.png").write_bytes(png(RNG.integers(0, 2**bits, (6, 8)), bits))
    assert f"{bits}-bit image" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_colour_palettes_and_transparency_are_refused(tmp_path, mode):
    Image.new(mode, (5, 4)).save(tmp_path / "a.png")
    assert "a colour image" in refusal(tmp_path / "a.png")


def test_an_animation_is_no_image(tmp_path):
    frames = [Image.fromarray(np.full((4, 5), i, np.uint8)) for i in range(2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert "an animation" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("other", ["GIF", "PPM", "TIFF", "BMP"])
def test_another_format_under_the_name_of_a_png(tmp_path, other):
    Image.new("L", (5, 4)).save(tmp_path / "a.png", other)
    assert "cannot be read as a PNG image" in refusal(tmp_path / "a.png")


def test_declared_sizes_of_a_png(tmp_path, monkeypatch):
    values = RNG.integers(0, 256, (6, 9))
    (tmp_path / "a.png").write_bytes(png(values, size=(60000, 60000)))
    assert "over the limit of 8 GiB" in refusal(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(png(values, size=(20000, 20000)))
    assert "20000 × 20000 pixels, more than Pillow takes" in refusal(tmp_path / "a.png")
    monkeypatch.setenv("TASKCT_READ_LIMIT", "500")
    (tmp_path / "a.png").write_bytes(png(values))
    np.testing.assert_array_equal(read_images(tmp_path / "a.png").images[0], values)
    (tmp_path / "a.png").write_bytes(png(RNG.integers(0, 256, (9, 9))))
    assert "over the limit of 500 bytes" in refusal(tmp_path / "a.png")


def test_a_png_cut_short_anywhere(tmp_path):
    whole = png(RNG.integers(0, 256, (6, 9)))
    for length in range(0, len(whole) - 20, 3):
        (tmp_path / "a.png").write_bytes(whole[:length])
        assert "cannot be read as a PNG image" in refusal(tmp_path / "a.png")


# Folders


@pytest.mark.parametrize("name", ["a.npy", "a.tif", "a.png", "a.dcm", "a"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert "a pipe, not a file" in refusal(tmp_path / name)
    assert "a pipe, not a file" in refusal(tmp_path)


def test_a_link_to_the_folder_above_is_passed_over_and_others_are_followed(tmp_path):
    inside, other = tmp_path / "images", tmp_path / "elsewhere"
    for folder in (inside, other):
        folder.mkdir()
        np.save(folder / "a.npy", HU[0])
    (inside / "up").symlink_to(inside)
    (inside / "other").symlink_to(other)
    assert read_images(inside).names == ("a.npy", "other/a.npy")
