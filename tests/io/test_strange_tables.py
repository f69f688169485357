"""Tables as other programs and other people leave them: read right, or refused by one line that names the reason."""

from pathlib import Path

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io.ratings_files import read_imrmc, read_ratings_csv, write_ratings_csv
from taskct.io.truth_table import read_truth
from taskct.metrics.mrmc.ratings import Ratings

HEADER = "reader,case,modality,signal_present,score\n"
ROWS = "ann,c1,FBP,1,2.5\nann,c2,FBP,0,0.5\n"
GOOD = HEADER + ROWS


def refused_csv(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        read_ratings_csv(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the header must hold 'reader' once"),
        (GOOD.replace(",", ";"), "line 1: there are semicolons between the columns; save it with commas"),
        (GOOD.replace(",", ";").replace("2.5", "2,5"), "line 1: there are semicolons between the columns"),
        (GOOD.replace(",", "\t"), "line 1: there are tabs between the columns"),
        (GOOD.replace(",", "|"), "line 1: there are bars between the columns"),
        (GOOD.replace("2.5", "2,5"), "line 2: 6 fields; the header has 5, and numbers a point"),
        (GOOD.replace("2.5", '"2,5"'), "line 2: the score is '2,5'; give a finite number with a decimal point"),
        (GOOD.replace("2.5", "nan"), "line 2: the score is 'nan'"),
        (GOOD.replace("2.5", "-inf"), "line 2: the score is '-inf'"),
        (GOOD.replace("2.5", "0x1p3"), "line 2: the score is '0x1p3'"),
        (GOOD.replace("2.5", "1_000"), "line 2: the score is '1_000'"),
        (GOOD.replace("2.5", "1e999"), "line 2: the score is '1e999'"),
        (GOOD.replace("ann,c2", '"ann,c2'), "line 3: a quotation mark that is not closed"),
        (GOOD.replace("ann,c1", '"ann,c1'), "line 2: a quotation mark that is not closed"),
        (GOOD.replace("ann,c2", '"an"n,c2'), "line 3: a quotation mark that is not closed or not doubled"),
        (HEADER + '"' + "x\n" * 100_000, "line 2: a quotation mark that is not closed"),
        (GOOD.replace("ann,c2", "a" * 200_000 + ",c2"), "line 3: a quotation mark .* of more than 131072 characters"),
        (GOOD.replace("c2", "c\0"), "line 3: a zero byte"),
        (HEADER.replace("case", "reader") + ROWS, "the header must hold 'reader' once"),
        (GOOD.encode("utf-16"), "the text is UTF-16; save it as UTF-8"),
        (GOOD.encode("utf-16-le"), "the text is UTF-16; save it as UTF-8"),
    ],
)
def test_what_is_no_ratings_table(tmp_path, content, message):
    found = refused_csv(tmp_path / "ratings.csv", content)
    assert all(part in found for part in message.split(" .* "))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_of_other_programs(tmp_path, encoding, ends):
    path = tmp_path / "ratings.csv"
    path.write_bytes(GOOD.replace("ann", "Jürgen").replace("\n", ends).encode(encoding))
    ratings = read_ratings_csv(path)
    assert ratings.readers == ("Jürgen",)
    np.testing.assert_array_equal(ratings.scores, [[[2.5, 0.5]]])


def test_a_table_has_a_budget(tmp_path, monkeypatch):
    monkeypatch.setenv("TASKCT_READ_LIMIT", "1kB")
    assert "TASKCT_READ_LIMIT" in refused_csv(tmp_path / "ratings.csv", GOOD)
    # Few lines may name many readers, cases and modalities, and a number is kept for each of their combinations.
    monkeypatch.setenv("TASKCT_READ_LIMIT", "300kB")
    rows = "".join(f"r{i},c{i},m{i},{i % 2},1\n" for i in range(100))
    assert "TASKCT_READ_LIMIT" in refused_csv(tmp_path / "ratings.csv", HEADER + rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("-1;c1;0;1\n", "line 2: there are semicolons between the columns"),
        ("-1\tc1\t0\t1\n", "line 2: there are tabs between the columns"),
        ("-1,c1,0,1\n-1,c2,0,0\nann,c1,FBP,2,5\n", "line 4: 5 fields; give 4 with commas between, and a point"),
        ('-1,c1,0,1\n"ann,c1,FBP,1\n', "line 3: a quotation mark that is not closed"),
        ("-1,c\0,0,1\n", "line 2: a zero byte"),
    ],
)
def test_what_is_no_imrmc_file(tmp_path, rows, message):
    path = tmp_path / "study.imrmc"
    path.write_text("BEGIN DATA:\n" + rows)
    with pytest.raises(UserError) as caught:
        read_imrmc(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'image'"),
        (b"image;signal_present\na.npy;1\n", "line 1: there are semicolons between the columns"),
        (b"image\tsignal_present\na.npy\t1\n", "line 1: there are tabs between the columns"),
        (b"image,signal_present,row_px,column_px\na.npy,1,1,5,2\n", "line 2: 5 fields; the header has 4"),
        (b'image,signal_present\n"a.npy,1\n', "line 2: a quotation mark that is not closed"),
        (b"image,signal_present\na\0.npy,1\n", "line 2: a zero byte"),
        ("image,signal_present\nä.npy,1\n".encode("latin-1"), "cannot be read as a CSV table in UTF-8"),
        ("image,signal_present\na.npy,1\n".encode("utf-16"), "the text is UTF-16"),
        (b"image,signal_present,row_px,column_px\na.npy,1,nan,2\n", "row_px is 'nan'; give a finite number"),
        (b"image,image,signal_present\na.npy,a.npy,1\n", "a column stands twice in its header"),
    ],
)
def test_what_is_no_truth_table(tmp_path, content, message):
    path = tmp_path / "truth.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_truth(path, ["a.npy"])
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_truth_table_names_images_that_look_like_formulas(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_bytes(b"\xef\xbb\xbfimage,signal_present\n'=a.npy,1\n+b.npy,0\n")
    np.testing.assert_array_equal(read_truth(path, ["+b.npy", "=a.npy"]).signal_present, [False, True])


def test_names_that_look_like_formulas_are_written_so_that_none_is_one(tmp_path):
    names = ("=1+1", "+2", "@A1", "-x", "'=1", "'tis", "FBP [low]")
    scores = np.arange(2.0 * len(names)).reshape(1, len(names), 2)
    ratings = Ratings(scores, np.array([True, False]), ("=HYPERLINK(A1)",), names, ("-5", "c2"))
    path = tmp_path / "ratings.csv"
    write_ratings_csv(path, ratings)
    cells = [cell for line in path.read_text().splitlines()[1:] for cell in line.split(",")[:3]]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    again = read_ratings_csv(path)
    assert (again.readers, again.modalities, again.cases) == (ratings.readers, ratings.modalities, ratings.cases)
    np.testing.assert_array_equal(again.scores, ratings.scores)
