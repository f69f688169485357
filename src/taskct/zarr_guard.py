"""What a Zarr store says of itself, checked before the library that unpacks it sees any of it.

Arrays hold numbers, are packed by one of a fixed list of codecs, and fit the budget. No other codec's code is reached,
whatever the installed version of zarr or numcodecs knows; a pickle is none of them. A chunk that is not there would
read as the fill value, and so as a wrong image: it is refused.
"""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from taskct.errors import UserError
from taskct.reading import check_budget, check_regular, read_json, reading

CODECS_2 = ("blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "shuffle", "delta", "crc32", "crc32c", "adler32")
"""Compressors and filters of format 2, by id."""

CODECS_3 = ("bytes", "transpose", "blosc", "gzip", "zstd", "crc32c", "sharding_indexed")
"""Codecs of format 3, by name; those within a shard too."""

_NUMBERS_2 = re.compile(r"[<>|][biuf][1248]")
_NUMBERS_3 = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
NODES = ("zarr.json", ".zarray", ".zgroup")
"""Files that make a folder an array or a group."""

MAX_DEPTH = 4
"""Groups in groups."""


def check_zarr(path: Path) -> None:
    """Refuse a Zarr store, a group or an array, that holds anything else than arrays as above; a `UserError`.

    All metadata count: of both formats where both are there, and the copies that a group keeps of those below it. Which
    of them zarr takes depends on its version and on how it is called.
    """
    with reading(path, "a Zarr store"):
        _check(path, MAX_DEPTH)


def _check(path: Path, depth: int) -> None:
    metadata = {name: _metadata(path, name) for name in NODES if (path / name).exists()}
    if not metadata:
        raise UserError(f"{path.name} holds no Zarr metadata: give a folder with zarr.json, .zarray or .zgroup")
    if len({"2" if name.startswith(".") else "3" for name in metadata}) > 1:
        raise UserError(f"{path.name} holds zarr.json beside {min(metadata)}: remove the one of another format")
    for node in metadata.values():
        _check_node(path, node)
    if (path / ".zattrs").exists():
        _metadata(path, ".zattrs")
    if (path / ".zmetadata").exists():
        nodes: dict[str, dict[str, Any]] = {}
        for key, part in _metadata(path, ".zmetadata")["metadata"].items():
            if not key.endswith(".zattrs"):  # zarr puts all others of a place together, whatever they are called
                nodes.setdefault(key.rpartition("/")[0], {}).update(part)
        for key, node in nodes.items():
            _check_node(_below(path, key), node)
    if all(_is_array(node) for node in metadata.values()):
        return
    if not depth:
        raise UserError(f"{path.name}: groups in groups, over {MAX_DEPTH} deep; give the path of one array")
    for child in sorted(path.iterdir()):
        check_regular(child)
        if child.is_dir() and any((child / name).exists() for name in NODES):
            _check(child, depth - 1)


def _metadata(path: Path, name: str) -> dict[str, Any]:
    content = read_json(path / name, "Zarr metadata")
    if not isinstance(content, dict):
        raise UserError(f"{path.name}: {name} holds no metadata; copy the store again")
    return content


def _is_array(node: Mapping[str, Any]) -> bool:
    return "shape" in node or node.get("node_type") == "array"


def _check_node(path: Path, node: Mapping[str, Any]) -> None:
    """Check an array, or what a group says of those below it."""
    if _is_array(node):
        (_check_array_2 if node["zarr_format"] == 2 else _check_array_3)(path, node)
        return
    if node.get("zarr_format") not in (2, 3):
        raise UserError(f"{path.name}: metadata of neither an array nor a group; copy the store again")
    copies = node.get("consolidated_metadata") or {}
    for key, copy in (copies.get("metadata") or {}).items():
        _check_node(_below(path, key), copy)


def _below(path: Path, key: str) -> Path:
    if ".." in key.split("/") or key.startswith("/"):
        raise UserError(f"{path.name}: its metadata name a place outside of it; copy the store again")
    return path / key


def _check_array_2(path: Path, meta: Mapping[str, Any]) -> None:
    for codec in (meta.get("compressor"), *(meta.get("filters") or ())):
        _check_codec(path, codec and codec.get("id"), CODECS_2)
    dtype = meta["dtype"]
    if not isinstance(dtype, str) or not _NUMBERS_2.fullmatch(dtype):
        raise UserError(f"{path.name}: a Zarr array of {str(dtype)[:40]}; give one of real numbers")
    separator = meta.get("dimension_separator", ".")
    shape, chunks = _grid(path, meta["shape"], meta["chunks"], int(dtype[-1]))
    _check_chunks(path, (separator.join(map(str, index)) for index in _indices(shape, chunks)))


def _check_array_3(path: Path, meta: Mapping[str, Any]) -> None:
    _check_codecs(path, meta["codecs"])
    if meta.get("storage_transformers"):
        raise UserError(f"{path.name}: a Zarr array with storage transformers, which are not read; write it without")
    dtype = meta["data_type"]
    if not isinstance(dtype, str) or not (match := _NUMBERS_3.fullmatch(dtype)):
        raise UserError(f"{path.name}: a Zarr array of {str(dtype)[:40]}; give one of real numbers")
    n_bytes = int(match[1] or match[2] or 8) // 8
    grid = meta["chunk_grid"]
    if grid["name"] != "regular":
        raise UserError(f"{path.name}: a Zarr array with chunks of several sizes; write it with one size")
    shape, chunks = _grid(path, meta["shape"], grid["configuration"]["chunk_shape"], n_bytes)
    keys = meta["chunk_key_encoding"]
    separator = (keys.get("configuration") or {}).get("separator", "/" if keys["name"] == "default" else ".")
    start = ["c"] if keys["name"] == "default" else []
    _check_chunks(
        path,
        (separator.join([*start, *map(str, index)]) or "0" for index in _indices(shape, chunks)),
    )


def _check_codecs(path: Path, codecs: Sequence[Mapping[str, Any]]) -> None:
    for codec in codecs:
        name = codec["name"]
        _check_codec(path, name, CODECS_3)
        if name == "sharding_indexed":
            configuration = codec["configuration"]
            _check_codecs(path, configuration["codecs"])
            _check_codecs(path, configuration["index_codecs"])


def _check_codec(path: Path, name: object, allowed: Sequence[str]) -> None:
    if name is not None and name not in allowed:
        raise UserError(
            f"{path.name}: packed by the Zarr codec {str(name)[:40]!r}, which is not read; write it with one of "
            f"{', '.join(allowed)}"
        )


def _grid(path: Path, shape: object, chunks: object, n_bytes: int) -> tuple[list[int], list[int]]:
    for numbers, least in ((shape, 0), (chunks, 1)):
        if not isinstance(numbers, list) or not all(type(number) is int and number >= least for number in numbers):
            raise UserError(f"{path.name}: a shape or chunks that are no whole numbers; copy the store again")
    assert isinstance(shape, list)
    assert isinstance(chunks, list)
    if len(shape) != len(chunks):
        raise UserError(f"{path.name}: chunks of other dimensions than its shape; copy the store again")
    check_budget(path.name, n_bytes * math.prod(shape))
    check_budget(path.name, n_bytes * math.prod(chunks))
    return shape, chunks


def _indices(shape: Sequence[int], chunks: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(-(-n // size)) for n, size in zip(shape, chunks, strict=True)))


def _check_chunks(path: Path, keys: Iterator[str]) -> None:
    for key in keys:
        if not (path / key).is_file():
            raise UserError(
                f"{path.name}: the chunk {key} is missing and would read as the fill value; copy the store again, or "
                "write it with write_empty_chunks"
            )
