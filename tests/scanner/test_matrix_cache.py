"""The matrix cache: what it gives back, what it never trusts, and how it stays small."""

import errno
import mmap
import os
import time

import numpy as np
import pytest
import torch
from scipy import sparse

from taskct.cache import cache_folder
from taskct.scanner import fbp, matrix_cache, projector
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.matrix_cache import cached_matrix


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TASKCT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(matrix_cache, "MIN_BYTES", 0)
    return tmp_path / "cache" / "matrices"


def matrix(seed=0, shape=(7, 9)):
    made = sparse.random(*shape, density=0.4, format="csr", dtype=np.float32, random_state=seed)
    made.indices, made.indptr = made.indices.astype(np.int32), made.indptr.astype(np.int32)
    return made


class Builder:
    def __init__(self, made):
        self.made, self.times = made, 0

    def __call__(self):
        self.times += 1
        return self.made


def built(key, made):
    """The matrix from the cache, and whether it had to be built."""
    builder = Builder(made)
    given = cached_matrix(key, builder)
    np.testing.assert_array_equal(given.toarray(), made.toarray())
    return given, builder.times


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TASKCT_CACHE": "off"}, None),
        ({"TASKCT_CACHE": "OFF"}, None),
        ({"TASKCT_CACHE": "/a/b"}, "/a/b/matrices"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/taskct/matrices"),
        ({"HOME": "/h"}, "/h/.cache/taskct/matrices"),
    ],
)
def test_where_it_lies(environment, expected, monkeypatch):
    for name in ("TASKCT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = cache_folder("matrices")
    assert found == expected or str(found) == expected


def test_off_writes_nothing(folder, monkeypatch):
    monkeypatch.setenv("TASKCT_CACHE", "off")
    assert [built({"a": 1}, matrix())[1] for _ in range(2)] == [1, 1]
    assert not folder.exists()


def test_a_matrix_is_built_once(folder):
    assert [built({"a": 1}, matrix())[1] for _ in range(3)] == [1, 0, 0]
    assert built({"a": 2}, matrix(1))[1] == 1
    assert built({"a": 1}, matrix())[1] == 0
    assert sorted(path.suffix for path in folder.iterdir()) == [".npy", ".npy"]


def test_numpy_scalars_and_order_make_no_difference_to_the_key(folder):
    built({"a": 1, "b": 2.5}, matrix())
    assert built({"b": np.float64(2.5), "a": np.int32(1)}, matrix())[1] == 0


def test_another_format_is_another_key(folder, monkeypatch):
    built({"a": 1}, matrix())
    monkeypatch.setattr(matrix_cache, "FORMAT", matrix_cache.FORMAT + 1)
    assert built({"a": 1}, matrix())[1] == 1


def test_a_loaded_matrix_is_mapped_and_writing_to_it_leaves_the_file(folder):
    built({"a": 1}, matrix())
    given, _ = built({"a": 1}, matrix())
    for part in (given.data, given.indices, given.indptr):
        while isinstance(part, np.ndarray):
            part = part.base
        assert isinstance(part, mmap.mmap)  # pages of the file, which processes share, not a copy
    given.data[:] = 0.0
    given.indices[:] = 0
    assert built({"a": 1}, matrix())[1] == 0


def damage_in_place(content):
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-8],
        lambda content: content[:100],
        lambda content: b"",
        lambda content: content + b"more",
        damage_in_place,
        lambda content: b"not an array at all",
        lambda content: b"PK\x03\x04" + content,
    ],
    ids=["truncated", "header only", "empty", "longer", "one bit", "text", "zip"],
)
def test_a_damaged_file_is_built_anew(folder, damage):
    built({"a": 1}, matrix())
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    times = built({"a": 1}, matrix())[1]
    # Bytes after the array are not part of it; whatever else is damaged is written again, whole.
    assert times == (damage(whole)[: len(whole)] != whole)
    assert built({"a": 1}, matrix())[1] == 0


def test_a_file_of_another_matrix_or_a_pickle_is_not_believed(folder):
    built({"a": 1}, matrix())
    (mine,) = folder.iterdir()
    built({"a": 2}, matrix(1))
    (other,) = set(folder.iterdir()) - {mine}
    mine.write_bytes(other.read_bytes())
    assert built({"a": 1}, matrix())[1] == 1
    np.save(mine, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert built({"a": 1}, matrix())[1] == 1
    np.save(mine, np.zeros(400, dtype=np.int32))
    assert built({"a": 1}, matrix())[1] == 1


def test_small_matrices_are_not_kept(folder, monkeypatch):
    monkeypatch.setattr(matrix_cache, "MIN_BYTES", 8 * matrix().nnz + 1)
    assert [built({"a": 1}, matrix())[1] for _ in range(2)] == [1, 1]
    assert not folder.exists()


def test_a_full_disk_is_gone_without(folder, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert [built({"a": 1}, matrix())[1] for _ in range(2)] == [1, 1]
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_gone_without(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TASKCT_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(matrix_cache, "MIN_BYTES", 0)
    assert [built({"a": 1}, matrix())[1] for _ in range(2)] == [1, 1]


def test_the_least_recently_used_go_first(folder, monkeypatch):
    sizes = []
    for age, key in [(300, 1), (200, 2), (100, 3)]:
        known = set(folder.iterdir()) if folder.exists() else set()
        built({"a": key}, matrix(key))
        (path,) = set(folder.iterdir()) - known
        os.utime(path, (time.time() - age,) * 2)
        sizes.append(path.stat().st_size)
    assert built({"a": 1}, matrix(1))[1] == 0  # used just now, though written first
    monkeypatch.setattr(matrix_cache, "MAX_BYTES", sum(sizes) + 8)
    built({"a": 4}, matrix(4))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= sum(sizes) + 1024
    assert [built({"a": key}, matrix(key))[1] for key in (1, 3, 4)] == [0, 0, 0]
    assert built({"a": 2}, matrix(2))[1] == 1


def test_a_matrix_larger_than_the_bound_is_not_kept_and_removes_none(folder, monkeypatch):
    built({"a": 1}, matrix())
    (path,) = folder.iterdir()
    monkeypatch.setattr(matrix_cache, "MAX_BYTES", path.stat().st_size)
    assert [built({"a": 2}, matrix(2, shape=(30, 30)))[1] for _ in range(2)] == [1, 1]
    assert list(folder.iterdir()) == [path]


def test_only_abandoned_temporary_files_of_ours_are_swept(folder):
    folder.mkdir(parents=True)
    old, young, other = folder / ("0" * 32 + "ab.tmp"), folder / ("1" * 32 + "cd.tmp"), folder / "notes.tmp"
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (time.time() - 2 * matrix_cache.ABANDONED_S,) * 2)
    built({"a": 1}, matrix())
    assert not old.exists()
    assert young.exists()
    assert other.exists()


def test_a_users_own_arrays_are_never_removed(folder, monkeypatch):
    folder.mkdir(parents=True)
    np.save(folder / "precious.npy", np.zeros(1000))
    os.utime(folder / "precious.npy", (0, 0))
    built({"a": 1}, matrix())
    (path,) = set(folder.iterdir()) - {folder / "precious.npy"}
    monkeypatch.setattr(matrix_cache, "MAX_BYTES", path.stat().st_size)
    built({"a": 2}, matrix(0))
    assert (folder / "precious.npy").exists()
    assert not path.exists()


def test_projector_and_fbp_are_the_same_from_the_cache(folder, monkeypatch):
    geometry = ScanGeometry(300.0, 550.0, n_bins=33, bin_mm=7.0, views_per_turn=24)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 21, 21, generator=generator)
    sinogram = torch.randn(2, 24, 33, generator=generator)

    def results():
        forward = projector.Projector(geometry, n_pixels=21, pixel_mm=3.0)
        back = fbp.FBP(geometry, n_pixels=21, pixel_mm=3.0, center_mm=(4.0, 1.0))
        gradient = sinogram.clone().requires_grad_()
        back.reconstruct(gradient).square().sum().backward()
        return forward.project(image), forward.adjoint(sinogram), back.reconstruct(sinogram), gradient.grad

    first = results()
    assert len(list(folder.iterdir())) == 4

    def no_build(*_, **__):
        raise AssertionError("built again")

    monkeypatch.setattr(projector, "joseph_matrix", no_build)
    monkeypatch.setattr(fbp, "backprojection_matrix", no_build)
    for again, before in zip(results(), first, strict=True):
        torch.testing.assert_close(again, before, rtol=0, atol=0)


def test_every_setting_of_a_matrix_is_in_its_key(folder):
    lengths = {"source_isocenter_mm": 300.0, "source_detector_mm": 550.0, "bin_mm": 7.0}
    base = lengths | {"n_bins": 33, "views_per_turn": 24}
    changes = [
        {},
        {"source_isocenter_mm": 301.0},
        {"source_detector_mm": 551.0},
        {"n_bins": 34},
        {"bin_mm": 7.5},
        {"views_per_turn": 28},
        {"detector": "curved"},
        {"bin_offset": 0.25},
    ]
    for change in changes:
        geometry = ScanGeometry(**(base | change))
        projector.Projector(geometry, n_pixels=21, pixel_mm=3.0)
        fbp.FBP(geometry, n_pixels=9, pixel_mm=3.0).reconstruct(torch.zeros(1, geometry.n_views, geometry.n_bins))
    geometry = ScanGeometry(**base)
    for change in [{"n_pixels": 22}, {"pixel_mm": 3.5}]:
        projector.Projector(geometry, **({"n_pixels": 21, "pixel_mm": 3.0} | change))
    for change in [{"n_pixels": 8}, {"pixel_mm": 3.5}, {"center_mm": (1.0, 0.0)}, {"center_mm": (0.0, 1.0)}]:
        region = fbp.FBP(geometry, **({"n_pixels": 9, "pixel_mm": 3.0} | change))
        region.reconstruct(torch.zeros(1, geometry.n_views, geometry.n_bins))
    assert len(list(folder.iterdir())) == 2 * len(changes) + 2 + 4
