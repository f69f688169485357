"""Images that stay in their files: what is read of them is what an array would give."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io.image_stack import open_images, read_images
from taskct.io.stored_images import FileStack, StoredImages, joined

RNG = np.random.default_rng(8)
HU = RNG.normal(0.0, 30.0, size=(150, 5, 7)).astype(np.float32)


@pytest.fixture(params=["file", "memory", "both"])
def stored(request, tmp_path):
    np.save(tmp_path / "a.npy", HU[:90])
    np.save(tmp_path / "b.npy", HU[90:].astype(">f4"))
    files = [open_images(tmp_path / name).images for name in ("a.npy", "b.npy")]
    assert all(isinstance(part, FileStack) for images in files for part in images.parts)
    memory = [StoredImages([HU[:90]]), StoredImages([HU[90:]])]
    return joined({"file": files, "memory": memory, "both": [files[0], memory[1]]}[request.param])


@pytest.mark.parametrize(
    "numbers",
    [np.arange(150), np.array([149, 0, 90, 89, 89]), RNG.permutation(150), slice(80, 100), np.zeros(0, dtype=np.intp)],
)
def test_images_by_number(stored, numbers):
    np.testing.assert_array_equal(stored[numbers], HU[numbers])
    assert stored[numbers].dtype == np.float32
    order = RNG.permutation(150)
    np.testing.assert_array_equal(stored.taken(order)[numbers], HU[order][numbers])
    np.testing.assert_array_equal(stored.taken(order).taken(order[:40])[:], HU[order][order[:40]])


def test_it_looks_like_an_array(stored):
    assert (stored.shape, stored.ndim, len(stored), stored.dtype) == (HU.shape, 3, 150, np.float32)
    np.testing.assert_array_equal(np.asarray(stored), HU)
    assert np.asarray(stored, dtype=np.float64).dtype == np.float64
    some = [(numbers.start, len(block)) for numbers, block in stored.blocks(64)]
    assert some == [(0, 64), (64, 64), (128, 22)]
    assert stored.same_as(StoredImages([HU]))
    assert not stored.same_as(StoredImages([HU + 1]))
    assert not stored.same_as(StoredImages([HU[1:]]))
    with pytest.raises(IndexError):
        stored[np.array([150])]


def test_images_in_memory_are_not_copied():
    assert np.shares_memory(np.asarray(StoredImages([HU])), HU)


def test_what_cannot_stay_in_its_file_is_read(tmp_path):
    for name, array in (("f", np.asfortranarray(HU)), ("d", HU.astype(np.float64)), ("one", HU[0])):
        np.save(tmp_path / f"{name}.npy", array)
        images = open_images(tmp_path / f"{name}.npy").images
        assert not any(isinstance(part, FileStack) for part in images.parts)
        np.testing.assert_array_equal(images[:], HU[:1] if name == "one" else HU)


def test_the_budget_is_for_what_is_read_at_a_time(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", HU)
    monkeypatch.setenv("TASKCT_READ_LIMIT", str(4 * 64 * 5 * 7))
    images = open_images(tmp_path / "a.npy").images
    assert sum(len(block) for _, block in images.blocks(64)) == 150
    with pytest.raises(UserError, match=r"a\.npy: would take .* over the limit"):
        np.asarray(images)


def test_a_file_that_is_cut_or_not_finite(tmp_path):
    np.save(tmp_path / "a.npy", HU)
    images = open_images(tmp_path / "a.npy").images
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-200])
    with pytest.raises(UserError, match="it has become shorter"):
        images[np.array([149])]
    with pytest.raises(UserError, match="it is cut short"):
        read_images(tmp_path / "a.npy")
    bad = HU.copy()
    bad[[3, 140], 0, 0] = np.nan
    np.save(tmp_path / "b.npy", bad)
    with pytest.raises(UserError, match=r"b\.npy: 2 of 150 images hold values that are not finite"):
        open_images(tmp_path / "b.npy")
