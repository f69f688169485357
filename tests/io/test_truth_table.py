"""The truth of images, line by line; each wrong line is named."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.io.truth_table import read_truth

NAMES = ("a.npy", "b.npy", "c.npy")


def table(tmp_path, text):
    path = tmp_path / "truth.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_in_any_order_and_all_columns(tmp_path):
    text = "\ufeffimage, signal_present,case,row_px,column_px,split,reader_comment\r\n"
    text += "c.npy,0,p2,3.5,4,test,\r\na.npy,present,p1,1,2,train,faint\r\n b.npy ,FALSE,p1,5,6,test,x\r\n"
    truth = read_truth(table(tmp_path, text), NAMES)
    np.testing.assert_array_equal(truth.signal_present, [True, False, False])
    np.testing.assert_array_equal(truth.centres_px, [[1, 2], [5, 6], [3.5, 4]])
    np.testing.assert_array_equal(truth.cases, [0, 0, 1])
    np.testing.assert_array_equal(truth.in_test, [False, True, True])


def test_numbers_name_the_images_of_a_stack(tmp_path):
    truth = read_truth(table(tmp_path, "image,signal_present\n2,1\n0,0\n1,1\n"), [f"s.npy[{i}]" for i in range(3)])
    np.testing.assert_array_equal(truth.signal_present, [False, True, True])
    assert truth.centres_px is None
    assert truth.cases is None
    assert truth.in_test is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,present\na.npy,1\n", "no column 'signal_present'"),
        ("image,signal_present\na.npy,1\nb.npy,maybe\nc.npy,0\n", "line 3: signal_present is 'maybe'; give 1"),
        ("image,signal_present\na.npy,1\nd.npy,1\n", "line 3: no image 'd.npy'"),
        ("image,signal_present\na.npy,1\na.npy,1\n", "line 3: image 'a.npy' stands on line 2"),
        ("image,signal_present\na.npy,1\n0,1\n", "line 3: image '0' stands on line 2"),
        ("image,signal_present\na.npy,1\n", "2 of 3 images have no line, the first is 'b.npy'"),
        ("image,signal_present\na.npy\n", "line 2: . fields; the header has 2"),
        ("image,signal_present\na.npy,1,2\n", "line 2: . fields; the header has 2"),
        ("image,signal_present,cases\na.npy,1,2\n", "called 'cases'; if it is 'case'"),
        ("image,signal_present,case\na.npy,1,p\nb.npy,1,\nc.npy,0,q\n", "line 3: case is ''; give the name of a case"),
        ("image,signal_present,row_px\na.npy,1,2\n", "go together"),
        ("image,signal_present,image\na.npy,1,a.npy\n", "twice"),
        ("image,signal_present,row_px,column_px\na.npy,1,2,nan\nb.npy,1,2,3\nc.npy,1,2,3\n", "line 2: column_px is"),
        ("image,signal_present,split\na.npy,1,train\nb.npy,1,fold1\nc.npy,0,test\n", "line 3: split is 'fold1'"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_truth(table(tmp_path, text), NAMES)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="UTF-16; save it as UTF-8"):
        read_truth(path, NAMES)
