"""MetaImage stacks: every way words may lie, as SimpleITK reads them where it is right; what is wrong is one line."""

import gzip
import zlib

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io import RawWords, read_images
from taskct.io.metaimage_write import write_mha

sitk = pytest.importorskip("SimpleITK")

RNG = np.random.default_rng(3)
HU = np.rint(RNG.normal(0.0, 30.0, size=(6, 5, 7)) - 20.0 * np.arange(7)).astype(np.int16)


def header(path, words="LOCAL", *, sizes="7 5 6", kind="MET_SHORT", **fields):
    """A header; values of `fields` come before the data file."""
    lines = {"ObjectType": "Image", "NDims": len(sizes.split()), "DimSize": sizes, "ElementType": kind, **fields}
    text = "".join(f"{key} = {value}\n" for key, value in lines.items()) + f"ElementDataFile = {words}\n"
    path.write_bytes(text.encode())
    return path


def local(path, data, **fields):
    header(path, **fields)
    path.write_bytes(path.read_bytes() + data)
    return path


def list_of(folder, order, name="s_%03d.raw", dtype="<i2"):
    for index, number in enumerate(order):
        (folder / (name % number)).write_bytes(HU[index].astype(dtype).tobytes())


def by_simpleitk(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float32)


@pytest.mark.parametrize("ending", ["mha", "mhd"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_what_simpleitk_writes_is_read_as_simpleitk_reads_it(tmp_path, ending, packed, dtype):
    image = sitk.GetImageFromArray((HU % 100).astype(dtype))
    image.SetSpacing((0.7, 0.7, 2.5))
    path = tmp_path / f"a.{ending}"
    sitk.WriteImage(image, str(path), useCompression=packed)
    stack = read_images(path)
    np.testing.assert_array_equal(stack.images, by_simpleitk(path))
    np.testing.assert_array_equal(stack.images, HU % 100)
    assert stack.pixel_mm == pytest.approx(0.7)
    assert stack.names[2] == f"a.{ending}[2]"


def test_what_is_written_is_read_here_and_by_simpleitk(tmp_path):
    path = tmp_path / "out.mha"
    write_mha((image + np.float32(0.25) for image in HU), HU.shape, (0.5, 3.0), path)
    np.testing.assert_array_equal(by_simpleitk(path), HU + np.float32(0.25))
    stack = read_images(path)
    np.testing.assert_array_equal(stack.images, HU + np.float32(0.25))
    assert stack.pixel_mm == 0.5


@pytest.mark.parametrize("key", ["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
@pytest.mark.parametrize(("said", "dtype"), [("True", ">i2"), ("False", "<i2")])
def test_byte_order_by_either_key(tmp_path, key, said, dtype):
    path = local(tmp_path / "a.mha", HU.astype(dtype).tobytes(), **{key: said})
    np.testing.assert_array_equal(read_images(path).images, HU)
    np.testing.assert_array_equal(by_simpleitk(path), HU)


def test_a_pattern_of_files_up_and_down(tmp_path):
    list_of(tmp_path, range(1, 7))
    up = header(tmp_path / "up.mhd", "s_%03d.raw 1 6 1")
    np.testing.assert_array_equal(read_images(up).images, HU)
    np.testing.assert_array_equal(by_simpleitk(up), HU)
    for words in ("s_%03d.raw", "s_%03d.raw 1", "s_%03d.raw 1 6"):
        np.testing.assert_array_equal(read_images(header(tmp_path / "a.mhd", words)).images, HU)
    down = header(tmp_path / "down.mhd", "s_%03d.raw 6 1 -1")
    np.testing.assert_array_equal(read_images(down).images, HU[::-1])
    some = header(tmp_path / "some.mhd", "s_%03d.raw 2 6 2", sizes="7 5 3")
    np.testing.assert_array_equal(read_images(some).images, HU[1::2])


def test_a_list_of_files_of_one_image_or_several(tmp_path):
    for n_files in (6, 3, 1):
        names = [f"part {n_files} {index}.raw" for index in range(n_files)]
        for name, part in zip(names, np.split(HU, n_files), strict=True):
            (tmp_path / name).write_bytes(part.tobytes())
        path = header(tmp_path / "list.mhd", "\n".join(["LIST", *names]))
        np.testing.assert_array_equal(read_images(path).images, HU)


def test_bytes_before_the_words(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"sixteen bytes...." + HU.tobytes())
    for skip in ("17", "-1"):
        path = header(tmp_path / "a.mhd", "a.raw", HeaderSize=skip)
        np.testing.assert_array_equal(read_images(path).images, HU)


def test_words_packed_by_zlib_and_gzip(tmp_path):
    for pack in (zlib.compress, gzip.compress):
        path = local(tmp_path / "a.mha", pack(HU.tobytes()), CompressedData="True")
        np.testing.assert_array_equal(read_images(path).images, HU)


def test_slope_and_offset_which_simpleitk_passes_over(tmp_path):
    told = {"ElementToIntensityFunctionSlope": 0.5, "ElementToIntensityFunctionOffset": -1000}
    path = local(tmp_path / "a.mha", HU.tobytes(), **told)
    np.testing.assert_array_equal(read_images(path).images, 0.5 * HU.astype(np.float32) - 1000.0)
    np.testing.assert_array_equal(by_simpleitk(path), HU)  # the fault that our own reader is for
    images = read_images(path, RawWords(slope=2.0)).images
    np.testing.assert_array_equal(images, 2.0 * HU.astype(np.float32) - 1000.0)


def test_one_image_and_the_size_of_its_pixels(tmp_path):
    path = local(tmp_path / "a.mha", HU[0].tobytes(), sizes="7 5", ElementSpacing="700 700", DistanceUnits="um")
    stack = read_images(path)
    np.testing.assert_array_equal(stack.images, HU[:1])
    assert stack.pixel_mm == pytest.approx(0.7)
    assert stack.names == ("a.mha",)
    for spacing, size in (("1 2", None), ("0.8 0.8", 0.8)):
        path = local(tmp_path / "a.mha", HU[0].tobytes(), sizes="7 5", ElementSize=spacing)
        assert read_images(path).pixel_mm == size
    assert read_images(local(tmp_path / "a.mha", HU[0].tobytes(), sizes="7 5")).pixel_mm is None


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ("1 0 0 0 1 0 0 0 1", HU),
        ("1 0 0 0 -1 0 0 0 1", HU[:, ::-1]),
        ("-1 0 0 0 -1 0 0 0 -1", HU[:, ::-1, ::-1]),
        ("0 1 0 1 0 0 0 0 1", HU.transpose(0, 2, 1)),
        ("0 -1 0 1 0 0 0 0 1", HU.transpose(0, 2, 1)[:, ::-1]),
        ("1 0 0 0 0 -1 0 1 0", HU),  # coronal: as it is
    ],
)
def test_images_lie_as_slices_of_dicom_do(tmp_path, matrix, turned):
    path = local(tmp_path / "a.mha", HU.tobytes(), TransformMatrix=matrix)
    np.testing.assert_array_equal(read_images(path).images, turned)


def test_directions_are_those_that_simpleitk_means(tmp_path):
    # Rows of DICOM-like images go to the back: each pixel's place in the patient must rise with its row and column.
    image = sitk.GetImageFromArray(HU)
    image.SetDirection((0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    image.SetOrigin((6.0, 0.0, 0.0))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    images = read_images(tmp_path / "a.mha").images
    places = {}
    for index in np.ndindex(7, 5):
        x, y, _ = image.TransformIndexToPhysicalPoint((*index, 2))
        places[round(x), round(y)] = image.GetPixel(*index, 2)
    xs, ys = (sorted({place[axis] for place in places}) for axis in (0, 1))
    np.testing.assert_array_equal(images[2], [[places[x, y] for x in xs] for y in ys])


def smooth(n=4, side=64):
    """Images in HU as a scanner makes them: smooth parts and some noise."""
    rows, columns = np.mgrid[:side, :side]
    disc = np.hypot(rows - side / 2, columns - side / 2) < side / 3
    return np.rint(np.where(disc, 0.0, -1000.0) + np.random.default_rng(4).normal(0.0, 20.0, (n, side, side)))


@pytest.mark.parametrize("kind", ["MET_SHORT", "MET_INT", "MET_FLOAT", "MET_DOUBLE"])
@pytest.mark.parametrize("said", ["True", "False"])
def test_words_of_the_other_byte_order_are_refused_with_the_option_that_reads_them(tmp_path, kind, said):
    code = {"MET_SHORT": "i2", "MET_INT": "i4", "MET_FLOAT": "f4", "MET_DOUBLE": "f8"}[kind]
    right, wrong, names = (">", "<", ("big", "little")) if said == "True" else ("<", ">", ("little", "big"))
    sizes, told = "64 64 4", {"ElementByteOrderMSB": said}
    path = local(tmp_path / "a.mha", smooth().astype(right + code).tobytes(), sizes=sizes, kind=kind, **told)
    np.testing.assert_array_equal(read_images(path).images, smooth())
    local(path, smooth().astype(wrong + code).tobytes(), sizes=sizes, kind=kind, **told)
    with pytest.raises(UserError, match=f"if its header is wrong, --byte-order {names[1]} reads it"):
        read_images(path)
    np.testing.assert_array_equal(read_images(path, RawWords(byte_order=names[1])).images, smooth())
    assert read_images(path, RawWords(byte_order=names[0])).images.std() > 5000.0 or kind in ("MET_FLOAT", "MET_DOUBLE")


def test_words_of_the_other_sign_are_refused(tmp_path):
    path = local(tmp_path / "a.mha", smooth().astype(np.int16).tobytes(), sizes="64 64 4", kind="MET_USHORT")
    with pytest.raises(UserError, match="smooth with a sign; mend the type"):
        read_images(path)
    local(path, (smooth() + 33000).astype(np.uint16).tobytes(), sizes="64 64 4")
    with pytest.raises(UserError, match="smooth without a sign; mend the type"):
        read_images(path)


def test_noise_and_labels_are_no_reason_to_doubt_a_header(tmp_path):
    rng = np.random.default_rng(5)
    for images in (rng.integers(-(2**15), 2**15, (4, 64, 64)), 256 * rng.integers(0, 2, (4, 64, 64))):
        path = local(tmp_path / "a.mha", images.astype("<i2").tobytes(), sizes="64 64 4")
        np.testing.assert_array_equal(read_images(path).images, images)


def test_shorts_with_32768_taken_off(tmp_path):
    words = (np.clip(smooth(), -1000, None) + 1000 - 32768).astype(">i2")
    path = local(tmp_path / "a.mha", words.tobytes(), sizes="64 64 4", ElementByteOrderMSB="True")
    with pytest.raises(UserError, match="--hu-offset 32768"):
        read_images(path)
    images = read_images(path, RawWords(offset=31768.0)).images
    np.testing.assert_array_equal(images, np.clip(smooth(), -1000, None))


def test_the_wrong_words_are_one_line(tmp_path):
    np.save(tmp_path / "a.npy", HU)
    with pytest.raises(UserError, match=r"a\.npy: a byte order, slope or offset is for MetaImage"):
        read_images(tmp_path / "a.npy", RawWords(byte_order="big"))
    for wrong in ({"byte_order": "native"}, {"slope": 0.0}, {"slope": np.nan}, {"offset": np.inf}):
        with pytest.raises(UserError, match=r"give little or big|must be finite"):
            RawWords(**wrong)


@pytest.mark.parametrize("name", ["../a.raw", "/etc/hostname", "C:\\a.raw", "\\\\host\\a.raw", "sub/../../a.raw", ""])
@pytest.mark.parametrize("how", ["{}", "LIST\n{}", "{}%d 1 6 1"])
def test_a_data_file_outside_the_folder_is_not_opened(tmp_path, name, how):
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "a.raw").write_bytes(HU.tobytes())
    path = header(folder / "a.mhd", how.format(name))
    match = "lies outside its folder|no such data file|names 0 data files|names 1 files"
    with pytest.raises(UserError, match=match):
        read_images(path)


def test_a_data_file_below_the_folder_is_read(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.raw").write_bytes(HU.tobytes())
    np.testing.assert_array_equal(read_images(header(tmp_path / "a.mhd", "raw/a.raw")).images, HU)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"sizes": "7 5 9"}, "holds 420 bytes and its header says 630"),
        ({"sizes": "7 5 5"}, "holds 420 bytes and its header says 350"),
        ({"sizes": "7 5 6 2"}, "4 dimensions"),
        ({"sizes": "7 5 0"}, "or one of no size"),
        ({"sizes": "7 -5 6"}, "or one of no size"),
        ({"sizes": "7 x 6"}, "cannot be read as a MetaImage file"),
        ({"NDims": 2}, "do not tell a size"),
        ({"sizes": "70000 50000 600000"}, "over the limit"),
        ({"kind": "MET_SHORT_ARRAY"}, "none of one number"),
        ({"kind": "MET_OTHER"}, "none of one number"),
        ({"ElementNumberOfChannels": 3}, "several channels"),
        ({"BinaryData": "False"}, "words are text"),
        ({"BinaryDataByteOrderMSB": "True", "ElementByteOrderMSB": "False"}, "and the same"),
        ({"BinaryDataByteOrderMSB": "perhaps"}, "must say True or False"),
        ({"CompressedData": "True"}, "cannot be read as the words"),
        ({"HeaderSize": -2}, "cannot be"),
        ({"ElementToIntensityFunctionSlope": "nan"}, "cannot be"),
        ({"ElementToIntensityFunctionSlope": "0"}, "cannot be"),
        ({"ElementSpacing": "0 0 1"}, "its pixel size is none"),
        ({"ElementSpacing": "nan 1 1"}, "its pixel size is none"),
        ({"ElementSpacing": "1"}, "its pixel size is none"),
        ({"DistanceUnits": "furlong"}, "DistanceUnits"),
        ({"TransformMatrix": "1 0 0"}, "cannot be read as a MetaImage file"),
        ({"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, "no direction"),
    ],
)
def test_a_wrong_header_is_one_line(tmp_path, fields, match):
    path = local(tmp_path / "a.mha", HU.tobytes(), **fields)
    with pytest.raises(UserError, match=match) as raised:
        read_images(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ("gone.raw", r"gone\.raw: there is no such data file"),
        ("s_%03d.raw 1 7 1", "names 7 files for 6 images"),
        ("s_%03d.raw 6 1 1", "names 0 files"),
        ("s_%03d.raw 1 6 0", "names 0 files"),
        ("s_%03d.raw 2 7 1", r"s_007\.raw: there is no such"),
        ("s_%03d.raw 1 999999999 1", "names 999999999 files"),
        ("LIST\ns_001.raw\ns_002.raw\ns_003.raw\ns_004.raw", "names 4 data files for 6 images"),
        ("LIST\ns_001.raw\ns_002.raw", r"s_001\.raw: holds 70 bytes and its header says 210"),
        ("LIST", "names 0 data files"),
        ("%s%n", "no such data file"),
    ],
)
def test_wrong_data_files_are_one_line(tmp_path, words, match):
    list_of(tmp_path, range(1, 7))
    with pytest.raises(UserError, match=match):
        read_images(header(tmp_path / "a.mhd", words))


def test_packed_words_that_unpack_to_more_or_less(tmp_path):
    for data, match in ((bytes(10**7), "unpacks to more"), (bytes(100), "unpacks to 100 bytes")):
        path = local(tmp_path / "a.mha", zlib.compress(data), CompressedData="True")
        with pytest.raises(UserError, match=match):
            read_images(path)


def test_no_header_at_all(tmp_path):
    for text in (b"", b"hello\n", b"ObjectType = Image\n", bytes(300), b"a=b\n" * 50_000):
        (tmp_path / "a.mha").write_bytes(text)
        with pytest.raises(UserError, match="no MetaImage header"):
            read_images(tmp_path / "a.mha")


def test_lines_that_end_as_on_windows_and_colons(tmp_path):
    (tmp_path / "a.raw").write_bytes(HU.tobytes())
    text = header(tmp_path / "a.mhd", "a.raw").read_bytes()
    for changed in (text.replace(b"\n", b"\r\n"), text.replace(b" =", b":"), text.replace(b" = ", b"=")):
        (tmp_path / "a.mhd").write_bytes(changed)
        np.testing.assert_array_equal(read_images(tmp_path / "a.mhd").images, HU)
    (tmp_path / "b.mha").write_bytes(header(tmp_path / "b.mha").read_bytes().replace(b"\n", b"\r\n") + HU.tobytes())
    np.testing.assert_array_equal(read_images(tmp_path / "b.mha").images, HU)


def test_a_folder_of_headers_and_their_words(tmp_path):
    for index, image in enumerate(HU):
        (tmp_path / f"{index}.raw").write_bytes(image.tobytes())
        header(tmp_path / f"{index}.mhd", f"{index}.raw", sizes="7 5")
    stack = read_images(tmp_path)
    np.testing.assert_array_equal(stack.images, HU)
    assert [origin.name for origin in stack.origins] == list("012345")
