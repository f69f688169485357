import json
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
import zarr

from taskct.errors import UserError
from taskct.zarr_guard import MAX_DEPTH, check_zarr

IMAGES = np.arange(32, dtype=np.float32).reshape(2, 4, 4)
UNKNOWN = "no_such_codec"
"""In place of a codec that runs code: neither zarr nor the guard knows it."""


def store(path, zarr_format, *, consolidated=False):
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    group.create_array("images", data=IMAGES, chunks=(1, 4, 4))
    if consolidated:
        with pytest.warns(UserWarning, match="Consolidated metadata") if zarr_format == 3 else nullcontext():
            zarr.consolidate_metadata(str(path), zarr_format=zarr_format)
    return path


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def name_unknown_codec(metadata):
    if metadata["zarr_format"] == 2:
        metadata["filters"] = [{"id": UNKNOWN}]
    else:
        metadata["codecs"].append({"name": UNKNOWN, "configuration": {}})


@pytest.mark.parametrize("consolidated", [False, True])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_zarr_writes_passes(tmp_path, zarr_format, consolidated):
    check_zarr(store(tmp_path / "images.zarr", zarr_format, consolidated=consolidated))


@pytest.mark.parametrize(("zarr_format", "name"), [(2, ".zarray"), (3, "zarr.json")])
def test_codec_outside_the_list_is_refused(tmp_path, zarr_format, name):
    path = store(tmp_path / "images.zarr", zarr_format)
    edit(path / "images" / name, name_unknown_codec)
    with pytest.raises(UserError, match=UNKNOWN):
        check_zarr(path)


def test_codec_in_a_groups_copy_of_metadata_is_refused(tmp_path):
    # zarr takes the copy and never opens the array's own file.
    new = store(tmp_path / "3.zarr", 3, consolidated=True)
    edit(new / "zarr.json", lambda group: name_unknown_codec(group["consolidated_metadata"]["metadata"]["images"]))
    old = store(tmp_path / "2.zarr", 2, consolidated=True)
    edit(old / ".zmetadata", lambda copy: name_unknown_codec(copy["metadata"]["images/.zarray"]))
    group = store(tmp_path / "as-group.zarr", 2, consolidated=True)
    edit(group / ".zmetadata", lambda copy: copy["metadata"].update({"images/.zgroup": {"filters": [{"id": UNKNOWN}]}}))
    for path in (new, old, group):
        with pytest.raises(UserError, match=UNKNOWN):
            check_zarr(path)


def test_arrays_below_an_array_that_is_a_group_too_are_checked(tmp_path):
    path = store(tmp_path / "images.zarr", 2)
    for file in ("0.0.0", "1.0.0", ".zarray"):
        shutil.copy(path / "images" / file, path / file)
    check_zarr(path)
    edit(path / "images" / ".zarray", name_unknown_codec)
    with pytest.raises(UserError, match=UNKNOWN):
        check_zarr(path)


def test_codec_within_a_shard_is_refused(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), data=IMAGES, chunks=(1, 2, 2), shards=(1, 4, 4))
    check_zarr(tmp_path / "a.zarr")
    edit(
        tmp_path / "a.zarr" / "zarr.json",
        lambda one: one["codecs"][0]["configuration"]["codecs"].append({"name": UNKNOWN}),
    )
    with pytest.raises(UserError, match=UNKNOWN):
        check_zarr(tmp_path / "a.zarr")


@pytest.mark.parametrize("dtype", ["|O", "<U4", "<c8", [["a", "<f4"]]])
def test_array_of_anything_but_real_numbers_is_refused(tmp_path, dtype):
    path = store(tmp_path / "images.zarr", 2)
    edit(path / "images" / ".zarray", lambda array: array.update(dtype=dtype))
    with pytest.raises(UserError, match="real numbers"):
        check_zarr(path)


@pytest.mark.parametrize(("zarr_format", "chunk"), [(2, "1.0.0"), (3, "c/1/0/0")])
def test_missing_chunk_is_named(tmp_path, zarr_format, chunk):
    path = store(tmp_path / "images.zarr", zarr_format)
    (path / "images" / chunk).unlink()
    with pytest.raises(UserError, match=f"chunk {chunk} is missing"):
        check_zarr(path)


@pytest.mark.parametrize("entry", ["shape", "chunks"])
def test_declared_size_is_held_to_the_budget(tmp_path, entry):
    path = store(tmp_path / "images.zarr", 2)
    edit(path / "images" / ".zarray", lambda array: array.update({entry: [10**4, 10**4, 10**4]}))
    with pytest.raises(UserError, match="over the limit"):
        check_zarr(path)


@pytest.mark.parametrize("value", [None, True, -1, "2", [2, "4", 4], [True, 4, 4]])
def test_shape_that_is_no_whole_numbers_is_refused(tmp_path, value):
    path = store(tmp_path / "images.zarr", 3)
    edit(path / "images" / "zarr.json", lambda array: array.update(shape=value))
    with pytest.raises(UserError, match="no whole numbers"):
        check_zarr(path)


def test_deep_groups_and_places_outside_are_refused(tmp_path):
    zarr.open_group(str(tmp_path / "deep.zarr"), path="/".join("a" * (MAX_DEPTH + 1)), mode="w", zarr_format=3)
    with pytest.raises(UserError, match="groups in groups"):
        check_zarr(tmp_path / "deep.zarr")
    path = store(tmp_path / "2.zarr", 2, consolidated=True)
    edit(path / ".zmetadata", lambda copy: copy["metadata"].update({"../x/.zarray": {}}))
    with pytest.raises(UserError, match="outside of it"):
        check_zarr(path)
