"""Images for observers, from every kind of file; each wrong input is one line."""

import numpy as np
import pytest
import zarr
from PIL import Image

from dicom_files import ct_slice, enhanced, save
from taskct.apply.observe.cases import cases_of
from taskct.apply.observe.pairing import pair
from taskct.errors import UserError
from taskct.io.image_stack import read_images

RNG = np.random.default_rng(0)
HU = RNG.integers(-1000, 1000, size=(5, 6, 7)).astype(np.int16)


def tiff(path, images):
    frames = [Image.fromarray(image) for image in images]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def write(tmp_path, kind):
    """The five images in one of the ways that people keep them."""
    folder = tmp_path / "images"
    folder.mkdir()
    if kind == "npy":
        np.save(folder / "all.npy", HU)
        return folder / "all.npy"
    if kind == "npy-folder":
        for i, image in enumerate(HU):
            np.save(folder / f"{i}.npy", image.astype(np.float64))
        (folder / "readme.txt").write_text("not an image")
        (folder / ".hidden.npy").write_text("nor this")
    if kind == "zarr":
        zarr.save_array(str(tmp_path / "images.zarr"), HU)
        return tmp_path / "images.zarr"
    if kind == "zarr-group":
        group = zarr.open_group(str(tmp_path / "store.zarr"), mode="w")
        group.create_array("images", data=HU)
        return tmp_path / "store.zarr"
    if kind == "tiff-float":
        tiff(folder / "stack.tif", HU.astype(np.float32))
        return folder / "stack.tif"
    if kind == "tiff-int32-folder":
        for i, image in enumerate(HU):
            Image.fromarray(image.astype(np.int32)).save(folder / f"{i}.tiff")
    if kind == "png-folder":  # 16 bits without a sign: what the file holds is what is read
        for i, image in enumerate(HU):
            Image.fromarray((image + 1024).astype(np.uint16)).save(folder / f"{i}.png")
    if kind == "nested":
        for i, image in enumerate(HU):
            (folder / str(i // 3)).mkdir(exist_ok=True)
            np.save(folder / str(i // 3) / f"{i}.npy", image)
    return folder


@pytest.mark.parametrize(
    "kind",
    ["npy", "npy-folder", "zarr", "zarr-group", "tiff-float", "tiff-int32-folder", "png-folder", "nested"],
)
def test_every_kind_reads_the_same_images_in_order(tmp_path, kind):
    stack = read_images(write(tmp_path, kind))
    assert stack.images.dtype == np.float32
    np.testing.assert_array_equal(stack.images, HU + (1024 if kind == "png-folder" else 0))
    assert len(set(stack.names)) == 5
    assert stack.pixel_mm is None


def test_names_are_files_or_numbers_in_a_file(tmp_path):
    assert read_images(write(tmp_path, "nested")).names == ("0/0.npy", "0/1.npy", "0/2.npy", "1/3.npy", "1/4.npy")
    assert read_images(tmp_path / "images" / "0" / "0.npy").names == ("0.npy",)
    np.save(tmp_path / "all.npy", HU)
    assert read_images(tmp_path / "all.npy").names[3] == "all.npy[3]"


def test_a_signed_16_bit_tiff(tmp_path):
    tifffile = pytest.importorskip("tifffile")  # scikit-image, a test dependency, brings it
    tifffile.imwrite(tmp_path / "signed.tif", HU)
    np.testing.assert_array_equal(read_images(tmp_path / "signed.tif").images, HU)


def test_dicom_slices_without_order_or_gaps_to_mind(tmp_path):
    folder = tmp_path / "dicom"
    folder.mkdir()
    for i in (4, 0, 2):
        save(folder / f"{i}.dcm", ct_slice(z=10.0 * i, PixelSpacing=[0.7, 0.7]))
    stack = read_images(folder)
    assert stack.names == ("0.dcm", "2.dcm", "4.dcm")
    assert stack.pixel_mm == pytest.approx(0.7)


def test_wrong_inputs_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read_images(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="no image in it"):
        read_images(empty)
    np.save(empty / "a.npy", HU[0])
    Image.fromarray(np.zeros((6, 7), np.uint8)).save(empty / "b.png")
    with pytest.raises(UserError, match="one kind at a time"):
        read_images(empty)
    (empty / "b.png").unlink()
    np.save(empty / "b.npy", HU[0][:5])
    with pytest.raises(UserError, match=r"a\.npy is 6 × 7 pixels and b\.npy is 5 × 7"):
        read_images(empty)
    Image.fromarray(np.zeros((6, 7, 3), np.uint8)).save(tmp_path / "colour.png")
    with pytest.raises(UserError, match="colour image"):
        read_images(tmp_path / "colour.png")
    (tmp_path / "broken.tif").write_bytes(b"II*\0nonsense")
    with pytest.raises(UserError, match=r"broken\.tif:? cannot be read"):
        read_images(tmp_path / "broken.tif")
    tiff(tmp_path / "whole.tif", HU.astype(np.float32))
    whole = (tmp_path / "whole.tif").read_bytes()
    for cut in (3, 2, 1):  # a download that stopped
        (tmp_path / "cut.tif").write_bytes(whole[: len(whole) * cut // 4])
        with pytest.raises(UserError, match=r"cut\.tif:? cannot be read"):
            read_images(tmp_path / "cut.tif")
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(UserError, match="no image that is read here"):
        read_images(tmp_path / "text.txt")
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"cannot be read as a \.npy array"):
        read_images(tmp_path / "pickle.npy")
    tiff(tmp_path / "nan.tif", np.where(HU > 900, np.nan, HU).astype(np.float32))
    with pytest.raises(UserError, match=r"nan\.tif: \d of 5 images hold values that are not finite"):
        read_images(tmp_path / "nan.tif")
    group = zarr.open_group(str(tmp_path / "two.zarr"), mode="w")
    for name in ("one", "other"):
        group.create_array(name, data=HU)
    with pytest.raises(UserError, match=r"two\.zarr holds 2 arrays \(one, other\)"):
        read_images(tmp_path / "two.zarr")
    np.testing.assert_array_equal(read_images(tmp_path / "two.zarr" / "one").images, HU)


def test_frames_are_paired_by_position_whatever_their_order_in_the_file(tmp_path):
    positions = (0.0, 2.0, 4.0, 6.0)
    rising, falling = enhanced(positions), enhanced(positions[::-1])
    stored = np.stack([np.full(rising.pixel_array.shape[1:], value, np.int16) for value in (24, 1024, 2024, 3024)])
    for name, dataset, pixels in (("low", rising, stored), ("denoised", falling, stored[::-1])):
        dataset.PixelData = pixels.tobytes()
        dataset.SeriesInstanceUID = f"1.2.{len(name)}"  # a reconstruction of its own, of the same acquisition
        dataset.StudyInstanceUID, dataset.AcquisitionNumber = "1.2.3", 1
        save(tmp_path / f"{name}.dcm", dataset)
    low, denoised = (read_images(tmp_path / f"{name}.dcm") for name in ("low", "denoised"))
    assert low.images[:, 0, 0].tolist() == denoised.images[:, 0, 0].tolist() == [-1000.0, 0.0, 1000.0, 2000.0]
    order, how = pair(low.origins, denoised.origins)
    assert (order.tolist(), how) == ([0, 1, 2, 3], "acquisition and slice position")
    assert [origin.scan.position[2] for origin in low.origins] == list(positions)
    assert [origin.scan.instance_number for origin in denoised.origins] == [4, 3, 2, 1]  # as the file has them
    assert cases_of(low.origins, "series")[0].tolist() == [0, 0, 0, 0]


def test_frames_are_paired_with_slices_in_files_of_their_own(tmp_path):
    for name, dataset in (("a", enhanced((4.0, 0.0, 2.0))),):
        dataset.StudyInstanceUID, dataset.AcquisitionNumber = "1.2.3", 1
        save(tmp_path / f"{name}.dcm", dataset)
    for index, z in enumerate((2.0, 4.0, 0.0)):
        tags = {"SOPInstanceUID": f"1.2.9.{index}", "StudyInstanceUID": "1.2.3", "AcquisitionNumber": 1}
        save(tmp_path / "slices" / f"{index}.dcm", ct_slice(z=z, **tags))
    frames, slices = read_images(tmp_path / "a.dcm"), read_images(tmp_path / "slices")
    assert pair(frames.origins, slices.origins)[0].tolist() == [2, 0, 1]
