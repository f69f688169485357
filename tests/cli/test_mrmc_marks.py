"""`taskct mrmc` of marks, and of what is assumed."""

import json

import numpy as np
import pytest

from command_line import call, refused
from search_model import SearchModel
from taskct.io.marks_files import read_marks, write_marks
from taskct.metrics.mrmc.free_response import analyze_marks

__all__ = ["call", "refused"]  # fixtures


@pytest.fixture
def marks(tmp_path):
    path = tmp_path / "marks.csv"
    write_marks(path, SearchModel((2.0, 1.0)).simulate(np.random.default_rng(1), 3, 15, 15))
    return path


def test_marks_in_the_terminal_and_on_a_page(call, marks, tmp_path):
    page = tmp_path / "page.html"
    out = call("mrmc", marks, "--page", page, "--margin", "0.1")[1]
    assert "Weighted AFROC area of A" in out
    assert "false marks an image" in out
    assert "reader2" in out
    text = page.read_text(encoding="utf-8")
    assert "FROC curves of 2 modalities" in text
    assert "reader2" not in text
    assert "reader 2" in text
    assert "Med. Phys. 43, 2548" in text


def test_marks_as_json(call, marks):
    found = json.loads(call("mrmc", marks, "--json", "--figure-of-merit", "afroc", "--detect", "0.1")[1])
    wanted = analyze_marks(read_marks(marks)).n_lesions
    assert found["marks"]["figure"] == "afroc"
    assert found["marks"]["n_lesions"] == wanted
    assert found["size_grid"]["detect"] == 0.1


def test_marks_are_exported(call, refused, marks, tmp_path):
    call("mrmc", marks, "--arm", "A", "--export", tmp_path / "a.csv")
    assert read_marks(tmp_path / "a.csv").modalities == ("A",)
    assert "nothing is overwritten" in refused("mrmc", marks, "--export", tmp_path / "a.csv")
    assert "ends in .csv" in refused("mrmc", marks, "--export", tmp_path / "a.imrmc")


def test_options_that_marks_do_not_take(refused, marks):
    assert "--observer and --clusters are for ratings" in refused("mrmc", marks, "--observer", "ho")
    assert "--agreement is not for marks" in refused("mrmc", marks, "--agreement")
    assert "there is no figure of merit" in refused("mrmc", marks, "--figure-of-merit", "auc")


def test_a_study_of_which_nothing_is_known(call, refused, marks, tmp_path):
    out = call("mrmc", "--assume", "HL:0.855", "--detect", "0.05")[1]
    assert "every reader rates every case" in out
    assert "two groups" in out
    found = json.loads(call("mrmc", "--assume", "HL:0.855", "--detect", "0.05", "--json")[1])
    assert found["size_grid"]["studies"]
    assert "give one of them" in refused("mrmc", marks, "--assume", "HL:0.855", "--detect", "0.05")
    assert "say by --detect" in refused("mrmc", "--assume", "HL:0.855")
    assert "there are no ratings" in refused("mrmc", "--detect", "0.05")
    assert "no ratings to --export" in refused("mrmc", "--assume", "HL:0.855", "--detect", "0.05", "--export", "x.csv")
    page = tmp_path / "page.html"
    call("mrmc", "--assume", "HL:0.855", "--detect", "0.05", "--page", page)
    assert "Acad. Radiol. 18, 129" in page.read_text(encoding="utf-8")
