"""Zarr's metadata are judged before zarr opens anything; what is judged well is read with its values."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from taskct.errors import UserError
from taskct.io.image_stack import read_images
from taskct.reading import LIMIT_VARIABLE
from taskct.zarr_guard import check_zarr

IMAGES = np.random.default_rng(0).normal(0, 50, (3, 6, 8)).astype(np.float32)

META = {2: ".zarray", 3: "zarr.json"}


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """zarr may not open anything."""
    for name in ("open", "open_group", "open_array", "load"):
        monkeypatch.setattr(zarr, name, lambda *_, **__: pytest.fail("opened"))


def store(path: Path, version: int, **more: Any) -> Path:
    """An array in chunks of one image each."""
    array = zarr.create_array(
        str(path), shape=IMAGES.shape, chunks=(1, 6, 8), dtype="float32", zarr_format=version, **more
    )
    array[:] = IMAGES
    return path


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = next(path / name for name in META.values() if (path / name).exists())
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("compressors", ["auto", None])
def test_what_zarr_writes_is_read(tmp_path: Path, version: int, compressors: str | None) -> None:
    path = store(tmp_path / "a.zarr", version, compressors=compressors)
    np.testing.assert_array_equal(read_images(path).images, IMAGES)


@pytest.mark.parametrize("version", [2, 3])
def test_default_stores_of_zarr_are_read(tmp_path: Path, version: int) -> None:
    zarr.save_array(str(tmp_path / "a.zarr"), IMAGES, zarr_format=version)
    np.testing.assert_array_equal(read_images(tmp_path / "a.zarr").images, IMAGES)


def test_shards_are_read(tmp_path: Path) -> None:
    path = store(tmp_path / "a.zarr", 3, shards=(3, 6, 8))
    np.testing.assert_array_equal(read_images(path).images, IMAGES)


@pytest.mark.parametrize("version", [2, 3])
def test_a_group_of_one_array_is_read_and_all_of_it_is_judged(tmp_path: Path, version: int) -> None:
    zarr.open_group(str(tmp_path / "g.zarr"), mode="w", zarr_format=version)
    store(tmp_path / "g.zarr" / "images", version)
    np.testing.assert_array_equal(read_images(tmp_path / "g.zarr").images, IMAGES)
    zarr.open_group(str(tmp_path / "g.zarr" / "deep"), mode="w", zarr_format=version)
    spoilt = store(tmp_path / "g.zarr" / "deep" / "other", version)
    put_codec(spoilt, version, "pickle")
    with pytest.raises(UserError, match="other: packed by the Zarr codec 'pickle'"):
        read_images(tmp_path / "g.zarr")


def test_groups_within_groups_end(tmp_path: Path) -> None:
    path = tmp_path / "g.zarr"
    for depth in range(7):
        zarr.open_group(str(path.joinpath(*["g"] * depth)), mode="w", zarr_format=3)
    with pytest.raises(UserError, match="over 4 deep"):
        read_images(path)


def put_codec(path: Path, version: int, name: str) -> None:
    def change(meta: dict[str, Any]) -> None:
        if version == 2:
            meta["filters"] = [{"id": name}]
        else:
            meta["codecs"].append({"name": name, "configuration": {}})

    edit(path, change)


CODECS = ["pickle", "vlen-utf8", "vlen-bytes", "json2", "msgpack2", "numcodecs.pickle", "of_tomorrow"]


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_that_is_not_listed_is_refused_unopened(tmp_path: Path, version: int, codec: str) -> None:
    path = store(tmp_path / "a.zarr", version)
    put_codec(path, version, codec)
    with pytest.raises(UserError, match=rf"a\.zarr: packed by the Zarr codec '{codec}', which is not read; write it"):
        read_images(path)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("codec", CODECS)
def test_a_compressor_of_format_2_too(tmp_path: Path, codec: str) -> None:
    path = store(tmp_path / "a.zarr", 2)
    edit(path, lambda meta: meta.update(compressor={"id": codec}))
    with pytest.raises(UserError, match=f"codec '{codec}'"):
        read_images(path)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("part", ["codecs", "index_codecs"])
def test_a_codec_within_a_shard_too(tmp_path: Path, part: str) -> None:
    path = store(tmp_path / "a.zarr", 3, shards=(3, 6, 8))
    edit(path, lambda meta: meta["codecs"][0]["configuration"][part].append({"name": "pickle"}))
    with pytest.raises(UserError, match="codec 'pickle'"):
        read_images(path)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize(
    ("version", "changed"),
    [
        (2, {"dtype": "|O"}),
        (2, {"dtype": "<U4"}),
        (2, {"dtype": "<c16"}),
        (2, {"dtype": [["a", "|O"]]}),
        (3, {"data_type": "string"}),
        (3, {"data_type": "variable_length_bytes"}),
        (3, {"data_type": "complex64"}),
        (3, {"data_type": {"name": "structured", "configuration": {}}}),
    ],
)
def test_what_is_no_number_is_refused_unopened(tmp_path: Path, version: int, changed: dict[str, Any]) -> None:
    path = store(tmp_path / "a.zarr", version)
    edit(path, lambda meta: meta.update(changed))
    with pytest.raises(UserError, match="give one of real numbers"):
        read_images(path)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("version", [2, 3])
def test_what_is_declared_is_held_against_the_budget(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store(tmp_path / "a.zarr", version)
    edit(path, lambda meta: meta.update(shape=[3000, 600, 8]))
    monkeypatch.setenv(LIMIT_VARIABLE, "50MB")
    with pytest.raises(UserError, match=rf"a\.zarr: would take 54.9 MiB .*{LIMIT_VARIABLE}"):
        read_images(path)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("version", [2, 3])
def test_chunks_larger_than_the_budget_are_refused(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store(tmp_path / "a.zarr", version)

    def change(meta: dict[str, Any]) -> None:
        if version == 2:
            meta["chunks"] = [1, 6000, 8000]
        else:
            meta["chunk_grid"]["configuration"]["chunk_shape"] = [1, 6000, 8000]

    edit(path, change)
    monkeypatch.setenv(LIMIT_VARIABLE, "1MB")
    with pytest.raises(UserError, match="would take 183 MiB"):
        read_images(path)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("shape", [[3, 6], [-1, 6, 8], [3.0, 6, 8], "3", None, [True, 6, 8]])
def test_a_shape_that_is_none(tmp_path: Path, version: int, shape: object) -> None:
    path = store(tmp_path / "a.zarr", version)
    edit(path, lambda meta: meta.update(shape=shape))
    with pytest.raises(UserError, match="copy the store again"):
        read_images(path)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("text", ["", "[]", "null", "{", "{}", '{"zarr_format": 2, "shape": NaN}'])
def test_metadata_that_are_none(tmp_path: Path, version: int, text: str) -> None:
    path = store(tmp_path / "a.zarr", version)
    (path / META[version]).write_text(text)
    with pytest.raises(UserError) as caught:
        read_images(path)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize(("version", "chunk"), [(2, "1.0.0"), (3, "c/1/0/0")])
def test_a_chunk_that_is_missing_is_named(tmp_path: Path, version: int, chunk: str) -> None:
    path = store(tmp_path / "a.zarr", version)
    (path / chunk).unlink()
    with pytest.raises(UserError, match=f"the chunk {chunk} is missing and would read as the fill value"):
        read_images(path)


@pytest.mark.parametrize("version", [2, 3])
def test_a_chunk_of_zeros_that_zarr_left_out_is_told_from_a_lost_one_by_how_to_write_it(
    tmp_path: Path, version: int
) -> None:
    """By default zarr does not write it, and nothing then tells it from a lost one: refused, with the way out."""
    images = IMAGES.copy()
    images[1] = 0
    wanted = {"shape": images.shape, "chunks": (1, 6, 8), "dtype": "float32", "zarr_format": version}
    zarr.create_array(str(tmp_path / "a.zarr"), **wanted)[:] = images
    with pytest.raises(UserError, match=r"is missing .* write_empty_chunks"):
        read_images(tmp_path / "a.zarr")
    zarr.create_array(str(tmp_path / "b.zarr"), **wanted, config={"write_empty_chunks": True})[:] = images
    np.testing.assert_array_equal(read_images(tmp_path / "b.zarr").images, images)


@pytest.mark.usefixtures("unopened")
def test_metadata_of_two_formats_are_refused(tmp_path: Path) -> None:
    path = store(tmp_path / "a.zarr", 3)
    (path / ".zarray").write_text("{}")
    with pytest.raises(UserError, match=r"zarr\.json beside \.zarray"):
        read_images(path)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("version", [2, 3])
def test_a_pipe_for_metadata_is_refused(tmp_path: Path, version: int) -> None:
    path = store(tmp_path / "a.zarr", version)
    (path / META[version]).unlink()
    os.mkfifo(path / META[version])
    with pytest.raises(UserError, match="a pipe, not a file"):
        check_zarr(path)
