"""Files and folders are written whole or not at all."""

import dataclasses
import datetime
from pathlib import Path

import numpy as np
import pytest

from taskct.files import json_values, read_truth_value, whole_file, whole_folder, write_json, write_text


def write_half(whole, name=""):
    with whole as partial:
        (partial / name).write_text("half")
        raise RuntimeError


@pytest.mark.parametrize("options", [{}, {"durable": False}])
def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(tmp_path, options):
    path = tmp_path / "a.txt"
    path.write_text("earlier")
    with pytest.raises(RuntimeError):
        write_half(whole_file(path, **options))
    assert path.read_text() == "earlier"
    with whole_file(path, **options) as partial:
        partial.write_text("new")
        assert path.read_text() == "earlier"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as one, whole_file(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # the outer block ends last
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_an_empty_place_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "series"
    with pytest.raises(RuntimeError):
        write_half(whole_folder(path), "1")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]
    path.mkdir()
    with whole_folder(path) as partial:
        (partial / "1").write_text("one")
    assert [file.read_text() for file in path.iterdir()] == ["one"]
    with pytest.raises(OSError, match="not empty"), whole_folder(path) as partial:
        (partial / "2").write_text("two")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "new", path, path / "1"]


def test_json_values_of_what_numpy_holds():
    content = {
        "a": np.array([[1.0, np.inf], [np.nan, 1e-5]]),
        "b": (np.float32(0.5), np.int64(2), np.bool_(True), None),
    }
    assert json_values(content) == {"a": [[1.0, None], [None, 1e-5]], "b": [0.5, 2, True, None]}


@dataclasses.dataclass
class Point:
    x: float = 0.0


NO_JSON = (object(), Point(), {1.0}, b"a", Path("a"), datetime.date(2000, 1, 1), 1j, np.complex128(1j), range(2))


@pytest.mark.parametrize("value", NO_JSON, ids=lambda value: type(value).__name__)
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path, value):
    for content in ({"a": [value]}, {value if value.__hash__ else (1, 2): 1}):
        with pytest.raises(TypeError):
            write_json(tmp_path / "a.json", content)
    assert list(tmp_path.iterdir()) == []


def test_keys_are_those_of_json(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1, 2: np.array([], dtype=int), None: {0.5: "λ"}})
    assert (
        (tmp_path / "a.json").read_text()
        == """{
 "a": 1,
 "2": [],
 "null": {
  "0.5": "λ"
 }
}
"""
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {float("nan"): 1})


@pytest.mark.parametrize("text", ["", "2", "yes!", "01"])
def test_what_is_no_truth_is_refused(text):
    with pytest.raises(ValueError, match="neither 1 nor 0"):
        read_truth_value(text)
    assert read_truth_value("Present")
    assert not read_truth_value("0.0")


def test_a_folder_in_the_way_is_named_as_given(tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(IsADirectoryError) as error:
        write_text(tmp_path / "page.html", "x")
    assert error.value.filename == str(tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
