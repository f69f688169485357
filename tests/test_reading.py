"""What may come from a stranger is read within a budget, and every fault is one line."""

import json
import os
import zipfile

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.reading import LIMIT_VARIABLE, check_budget, check_regular, read_json, read_limit, read_npz, reading


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("", 8 * 2**30), ("500MB", 500_000_000), ("1.5 GiB", 3 * 2**29), ("4096", 4096), ("1tib", 2**40)],
)
def test_the_limit_is_what_the_environment_says(monkeypatch, text, n_bytes):
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    assert read_limit() == n_bytes


@pytest.mark.parametrize("text", ["much", "-1", "0", "5 parsecs", "9" * 5000, "nan"])
def test_a_limit_that_is_no_size_is_refused(monkeypatch, text):
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(UserError, match="give a size above 0"):
        read_limit()


def test_the_budget_names_the_limit_and_the_way_to_raise_it(monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "1GiB")
    check_budget("a.npy", 2**30)
    with pytest.raises(UserError, match=r"a\.npy: would take 3 GiB .* limit of 1 GiB; .*TASKCT_READ_LIMIT=3GiB"):
        check_budget("a.npy", 3 * 2**30)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(UserError, match="a pipe, not a file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(UserError, match="a device, not a file"):
        check_regular(type(tmp_path)("/dev/zero"))
    check_regular(tmp_path / "missing")


@pytest.mark.parametrize("error", [RecursionError(), OverflowError("x"), KeyError("Doe^Jane"), OSError("Doe^Jane")])
def test_whatever_is_raised_becomes_one_line_that_quotes_nothing(error):
    with (
        pytest.raises(UserError, match=r"^a\.bin: cannot be read as a picture ") as caught,
        reading("a.bin", "a picture"),
    ):
        raise error
    assert "Doe" not in str(caught.value)


def test_out_of_memory_says_which_file_and_how_much(tmp_path):
    with (
        pytest.raises(UserError, match=r"a\.npy: not enough memory \(4\.\d+ PiB wanted\) to read"),
        reading("a.npy", "an array"),
    ):
        np.empty(5 * 10**15, np.uint8)
    with pytest.raises(UserError, match=r"a\.npy cannot be read: Permission denied"), reading("a.npy", "an array"):
        raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        '{"a": NaN}',
        '{"a": -Infinity}',
        "9" * 5000,
        "\x00",
        '"\udc80"'.encode("utf-8", "surrogatepass"),
    ],
)
def test_broken_json_is_one_line(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match="cannot be read as JSON"):
        read_json(tmp_path / "a.json")


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"a": 1}), encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_an_archive_is_held_against_the_budget_before_it_is_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(2**20, np.uint8))
    monkeypatch.setenv(LIMIT_VARIABLE, "1MB")
    with pytest.raises(UserError, match="over the limit of"):
        read_npz(tmp_path / "a.npz")
    monkeypatch.setenv(LIMIT_VARIABLE, "2MiB")
    assert read_npz(tmp_path / "a.npz")["a"].shape == (2**20,)
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.npy", "nothing")
    with pytest.raises(UserError, match="cannot be read as arrays"):
        read_npz(tmp_path / "b.npz")
