"""Files of ratings: round trips, the format as others write it, and what is refused with its line."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io.ratings_files import header_notes, read_imrmc, read_ratings_csv, write_imrmc, write_ratings_csv
from taskct.metrics.mrmc.ratings import Ratings

ROWS = ["-1,c1,0,1", "-1,c2,0,0", "ann,c1,A,2.5", "ann,c2,A,-1e-3", "bob,c2,A,7"]


def ratings(**changes):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2, 3, 5)) * 10.0 ** rng.integers(-9, 9, size=(2, 3, 5))
    scores[0, 1, 2] = scores[1, 0, 4] = np.nan
    fields = {
        "scores": scores,
        "signal_present": np.array([False, True, True, False, True]),
        "modalities": ("FBP", "our denoiser"),
        "readers": ("Ann", "Bob", "Zoë"),
        "cases": ("c10", "c9", "c1", "x y", "ñ"),
    }
    return Ratings(**(fields | changes))


def same(one, other):
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.signal_present, other.signal_present)
    assert (one.modalities, one.readers, one.cases) == (other.modalities, other.readers, other.cases)
    return True


def imrmc(tmp_path, rows, *, header="A study\nNR: 2\nBEGIN DATA:", end="\n", encoding="utf-8"):
    path = tmp_path / "study.imrmc"
    path.write_bytes(end.join([*header.splitlines(), *rows, ""]).encode(encoding))
    return path


def test_imrmc_round_trip_keeps_every_bit(tmp_path):
    path = tmp_path / "study.imrmc"
    write_imrmc(path, ratings(), description="Two lines\nof text, with commas")
    assert same(read_imrmc(path), ratings())
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[:7] == ["Two lines", "of text, with commas", "NR: 3", "N0: 2", "N1: 3", "NM: 2", "BEGIN DATA:"]
    assert lines[7] == "-1,c10,0,0"
    assert len(lines) == 7 + 5 + 28
    assert list(tmp_path.iterdir()) == [path]


def test_csv_round_trip_keeps_every_bit(tmp_path):
    path = tmp_path / "ratings.csv"
    write_ratings_csv(path, ratings())
    found = read_ratings_csv(path)
    order = [
        found.cases.index(case) for case in ratings().cases
    ]  # a case of which the first rating is missing comes later
    np.testing.assert_array_equal(found.scores[..., order], ratings().scores)
    np.testing.assert_array_equal(found.signal_present[order], ratings().signal_present)
    assert path.read_text(encoding="utf-8").splitlines()[0] == "reader,case,modality,signal_present,score"


def test_csv_takes_columns_in_any_order_and_passes_over_others(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("score,note,case,signal_present,reader,modality\n1,x,a,true,r,M\n0,,b,0,r,M\n")
    found = read_ratings_csv(path)
    assert found.scores.tolist() == [[[1.0, 0.0]]]
    assert found.signal_present.tolist() == [True, False]


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"end": "\r\n"},
        {"end": "\r"},
        {"encoding": "utf-8-sig"},
        {"header": "Café\nBEGIN DATA:", "encoding": "latin-1"},
        {"header": "  begin  Data :  "},
        {"header": "A study,,,\nBEGIN DATA:,,,"},
    ],
)
@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        [ROWS[2], "", ROWS[0], "   ", *ROWS[3:], ROWS[1]],
        [row.replace(",", " , ") for row in ROWS],
        [",".join(f'"{field}"' for field in row.split(",")) for row in ROWS],
        ["truth,c1,truth,1", "truth,c2,truth,0", *ROWS[2:]],
    ],
)
def test_layouts_that_others_write(tmp_path, rows, layout):
    found = read_imrmc(imrmc(tmp_path, rows, **layout))
    assert (found.modalities, found.readers) == (("A",), ("ann", "bob"))
    present, absent = (found.cases.index(case) for case in ("c1", "c2"))
    assert found.signal_present[present]
    assert not found.signal_present[absent]
    np.testing.assert_array_equal(found.scores[0][:, [present, absent]], [[2.5, -1e-3], [np.nan, 7.0]])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*ROWS, "ann,c1,B"], "line 9: 3 fields; give 4"),
        ([*ROWS, "ann,c1,B,1,2"], "line 9: 5 fields; give 4"),
        ([*ROWS, "ann,c1,B,0,5"], "line 9: 5 fields"),
        ([*ROWS, "ann;c1;B;5"], "line 9: there are semicolons between the columns"),
        ([*ROWS, "ann,c1,B,high"], "line 9: the score is 'high'; give a finite number"),
        ([*ROWS, "ann,c1,B,nan"], "line 9: the score is 'nan'"),
        ([*ROWS, "ann,c1,B,-inf"], "line 9: the score is '-inf'"),
        ([*ROWS, "ann,c1,B,"], "line 9: the score is ''"),
        ([*ROWS, "ann,c1,B,1_0"], "line 9: the score is '1_0'"),
        ([*ROWS, "", "ann,c1,A,3"], "line 10: reader 'ann' rated case 'c1' in modality 'A' on line 6 already"),
        ([*ROWS, "ann,c3,A,3"], "line 9: case 'c3' has no truth; give each case a line -1,CASE,0,TRUTH"),
        ([*ROWS, "-1,c3,0,2"], "line 9: the truth of case 'c3' is '2'; give 1"),
        ([*ROWS, "-1,c1,0,1"], "line 9: the truth of case 'c1' stands on line 4 already"),
        ([*ROWS, " ,c1,B,1"], "line 9: the reader is empty"),
        ([*ROWS, "ann,,B,1"], "line 9: the case is empty"),
        ([*ROWS, '"ann,c1,B,1', "ann,c2,B,1"], "line 9: a quotation mark that is not closed"),
        (["-1,c1,0,1", "ann,c1,A,1"], "no signal-absent case among 1"),
        (["-1,c1,0,0", "ann,c1,A,1"], "no signal-present case among 1"),
        (ROWS[:2], "no reader's rating"),
        ([], "no reader's rating"),
    ],
)
def test_malformed_lines_are_told_by_number(tmp_path, rows, message):
    with pytest.raises(UserError, match=message) as caught:
        read_imrmc(imrmc(tmp_path, rows))
    assert "\n" not in str(caught.value)
    assert "study.imrmc" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reader,case,modality,score\n", "the header must hold 'signal_present' once"),
        ("reader,reader,case,modality,signal_present,score\n", "'reader' once"),
        ("", "the header must hold 'reader' once"),
        ("reader,case,modality,signal_present,score\nann,c1,A,1\n", "line 2: 4 fields; the header has 5"),
        ("reader,case,modality,signal_present,score\nann,c1,A,maybe,1\n", "line 2: the truth of case 'c1' is 'maybe'"),
        (
            "reader,case,modality,signal_present,score\nann,c1,A,1,1\n\nbob,c1,A,0,1\n",
            "line 4: case 'c1' has another signal_present than on line 2",
        ),
        ("reader,case,modality,signal_present,score\nann,c1,A,1,1\nann,c1,A,1,1\n", "line 3: reader 'ann' rated"),
        ("reader,case,modality,signal_present,score\nann,c1,A,1,1\n", "no signal-absent case"),
    ],
)
def test_malformed_csv_is_told_by_line(tmp_path, text, message):
    path = tmp_path / "ratings.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_ratings_csv(path)
    assert "\n" not in str(caught.value)


def test_a_file_without_the_mark_or_that_is_not_there(tmp_path):
    path = tmp_path / "study.imrmc"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    with pytest.raises(UserError, match="no line `BEGIN DATA:`"):
        read_imrmc(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_imrmc(tmp_path / "elsewhere.imrmc")


@pytest.mark.parametrize("write", [write_imrmc, write_ratings_csv])
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("readers", ("Ann", "Bob, M.D.", "Zoë")),
        ("readers", ("Ann", "-1", "Zoë")),
        ("modalities", ("FBP", "two\nlines")),
        ("modalities", ("FBP", "two\u2028lines")),
        ("cases", ("c10", " c9", "c1", "x", "y")),
        ("cases", ("c10", 'c"9', "c1", "x", "y")),
        ("cases", ("c10", "", "c1", "x", "y")),
    ],
)
def test_names_that_would_not_come_back_are_refused_and_the_old_file_stays(tmp_path, write, kind, names):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UserError, match="cannot be written"):
        write(path, ratings(**{kind: names}))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_description_that_begins_the_data_is_refused(tmp_path):
    with pytest.raises(UserError, match="BEGIN DATA"):
        write_imrmc(tmp_path / "study.imrmc", ratings(), description="text\nbegin data:")


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        write_imrmc(tmp_path / "nowhere" / "study.imrmc", ratings())


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "study.imrmc"
    path.write_text("old")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(UserError, match="No space left"):
        write_imrmc(path, ratings())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_differ_in_white_space_are_one_and_truth_has_any_modality(tmp_path):
    path = tmp_path / "study.imrmc"
    rows = ["-1,case 1,matter_for_truth,1", "-1,case2,truth,0"]
    rows += ["reader 1,case1,modality 1,1", "reader1,case 2,modality1,0"]
    path.write_text("\n".join(["as FDA's own files have it", "BEGIN DATA:", *rows]))
    ratings = read_imrmc(path)
    assert (ratings.readers, ratings.modalities, ratings.cases) == (("reader 1",), ("modality 1",), ("case 1", "case2"))
    np.testing.assert_array_equal(ratings.scores, [[[1.0, 0.0]]])


def test_counts_at_the_top_are_held_against_the_data(tmp_path):
    path = tmp_path / "study.imrmc"
    write_imrmc(path, ratings())
    assert header_notes(path, read_imrmc(path)) == ()
    # As FDA's own files have it, ends of a table of Excel included.
    header = "A study\nNR:4,,,\nN0: 2\nn1 : 4\nNM: 1 \nNR of the sites: 3\nBEGIN DATA:"
    other = imrmc(tmp_path, ["-1,c3,0,0", *ROWS], header=header)
    assert header_notes(other, read_imrmc(other)) == (
        "the top of the file says NR: 4, but it holds 2 readers",
        "the top of the file says N1: 4, but it holds 1 signal-present cases",
    )
    wordy = imrmc(tmp_path, [*ROWS, "ann,c1,B,1"], header="NM: two\nN0:\nBEGIN DATA:\n")
    assert header_notes(wordy, read_imrmc(wordy)) == (
        "the top of the file says NM: two, but it holds 2 modalities",
        "the top of the file says N0: nothing, but it holds 1 signal-absent cases",
    )
