"""Arrays that lie in a file as memory holds them are mapped, whichever zarr wrote them and describes them."""

import enum
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec

from taskct.trials.mapped_zarr import plain_file, read_array, write_rows


class Endian(enum.Enum):
    """As zarr 3.1 has it; zarr 3.4 has plain strings."""

    little = "little"
    big = "big"


OTHER = {"little": "big", "big": "little"}[sys.byteorder]


def stored(folder: Path, dtype: str = "f4", **layout: Any) -> Any:
    array = zarr.create_array(str(folder), shape=(3, 2, 2), chunks=(3, 2, 2), dtype=dtype, compressors=None, **layout)
    array[:] = np.arange(12).reshape(3, 2, 2)
    return array


@pytest.mark.parametrize("form", [str, Endian], ids=["string", "enumeration"])
@pytest.mark.parametrize(("order", "is_plain"), [(sys.byteorder, True), (OTHER, False)])
def test_the_byte_order_is_understood_in_both_forms(tmp_path, form, order, is_plain):
    array = stored(tmp_path / "a", serializer=BytesCodec(endian=order))
    # What the other releases of zarr put there; this one's own form is one of the two.
    object.__setattr__(array.metadata.codecs[0], "endian", form(order))
    assert plain_file(tmp_path / "a", array) == (tmp_path / "a" / "c" / "0" / "0" / "0" if is_plain else None)


def test_this_zarr_describes_the_byte_order_in_one_of_these_forms(tmp_path):
    endian = stored(tmp_path / "a").metadata.codecs[0].endian
    assert endian == sys.byteorder or endian.value == sys.byteorder


def test_single_bytes_have_no_order(tmp_path):
    array = stored(tmp_path / "a", dtype="u1")
    object.__setattr__(array.metadata.codecs[0], "endian", None)
    assert plain_file(tmp_path / "a", array) is not None
    np.testing.assert_array_equal(read_array(tmp_path / "a", array), np.arange(12).reshape(3, 2, 2))


def test_values_without_a_byte_order_are_not_mapped(tmp_path):
    array = stored(tmp_path / "a")
    object.__setattr__(array.metadata.codecs[0], "endian", None)
    assert plain_file(tmp_path / "a", array) is None


def test_the_files_byte_order_counts_and_not_that_of_the_dtype_in_memory(tmp_path):
    swapped = {"little": ">f4", "big": "<f4"}[sys.byteorder]
    array = stored(tmp_path / "a", dtype=swapped, serializer=BytesCodec(endian=sys.byteorder))
    assert array.dtype == np.dtype(swapped)
    np.testing.assert_array_equal(read_array(tmp_path / "a", array), array[:])
    write_rows(tmp_path / "a", array, 1, np.full((1, 2, 2), 7.0, np.float32))
    expected = np.arange(12.0).reshape(3, 2, 2)
    expected[1] = 7.0
    np.testing.assert_array_equal(array[:], expected)
    np.testing.assert_array_equal(read_array(tmp_path / "a", array), expected)
