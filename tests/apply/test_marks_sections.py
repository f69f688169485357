"""What is said of marks, and of the size of the next study."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search_model import SearchModel, one_rating_a_case
from taskct.apply.ratings import Choice, ReaderStudy
from taskct.apply.reader_study.marks import marks_sections, read_mark_study
from taskct.apply.reader_study.sizes import READERS, assumed, assumed_section, sizes_section
from taskct.apply.reader_study.wanted import Wanted
from taskct.errors import UserError
from taskct.files import json_values
from taskct.io.marks_files import write_marks
from taskct.metrics.mrmc import Design, RoeMetz, analyze, study_power
from taskct.metrics.mrmc.free_response import analyze_marks
from taskct.report.methods import REFERENCES

STUDY = SearchModel((2.2, 0.8)).simulate(np.random.default_rng(1), 4, 40, 40)


def test_what_is_said_of_marks() -> None:
    (section,) = marks_sections(STUDY, Wanted(margin=0.05))
    found = analyze_marks(STUDY)
    two = found.differences["A-B"]
    assert section.answers[0].startswith("Weighted AFROC area of A differs from that of B: +0.")
    assert f"[{two.ci_low:+.3f}, {two.ci_high:+.3f}]" in section.answers[0]
    assert section.answers[1].startswith("A-B: non-inferiority within 0.05 is shown")
    assert section.content["differences"]["A-B"]["equivalence"]["shown"] is False
    assert len(section.grids[2].rows) == 8
    json.dumps(json_values(section.content))
    assert {key for _, keys in section.methods for key in keys} <= set(REFERENCES)


def test_curves_of_marks() -> None:
    (section,) = marks_sections(STUDY, Wanted())
    froc, weighted = section.drawings
    for drawing in (froc, weighted):
        assert [line.name for line in drawing.lines] == ["A", "B"]
        for line in drawing.lines:
            assert (np.diff(line.y) >= -1e-12).all()
    marked = np.isfinite(STUDY.highest_on_lesions()[0]).mean()
    assert froc.lines[0].y[-1] == pytest.approx(marked)
    # The mean of the readers' curves has nearly the mean of their areas: 100 points of steps.
    area = np.trapezoid(weighted.lines[0].y, weighted.lines[0].x)
    assert area == pytest.approx(analyze_marks(STUDY).modalities["A"].value, abs=0.02)


def test_another_figure_and_one_reader() -> None:
    one = SearchModel((2.0, 1.0)).simulate(np.random.default_rng(2), 1, 20, 20)
    (section,) = marks_sections(one, Wanted(figure_of_merit="sensitivity@0.5", detect=0.1, margin=0.1))
    assert section.heading == "Marks: sensitivity at 0.5 false marks an image"
    assert "one reader: the scatter between readers cannot be told" in section.notes[0]
    assert any("a study cannot be sized from this one" in note for note in section.notes)
    with pytest.raises(UserError, match="there is no figure of merit 'auc'"):
        marks_sections(STUDY, Wanted(figure_of_merit="auc"))


def test_margins_that_prove_nothing() -> None:
    scores = np.broadcast_to(np.arange(20) % 4 * 1.0, (2, 3, 20)).copy()
    (section,) = marks_sections(one_rating_a_case(scores, np.arange(20) < 10), Wanted(margin=0.1))
    assert "m0-m1: no verdict on the margin: the difference does not scatter at all" in section.notes
    (section,) = marks_sections(STUDY.part([0]), Wanted(margin=0.1))
    assert section.notes == ("no two modalities are compared, so there is nothing to test with a margin",)
    assert section.answers[0].startswith("Weighted AFROC area: A 0.")


def test_the_next_study_of_marks() -> None:
    _, sizes = marks_sections(STUDY, Wanted(detect=0.1))
    components = analyze_marks(STUDY).components()
    assert components is not None
    one = sizes.content["studies"]["A and B"]["fully_crossed"][8]
    design = Design(one["readers"], one["present"], one["absent"])
    assert one["power"] == study_power(components, design, 0.1, method="hillis").power


def test_marks_are_chosen(tmp_path: Path) -> None:
    path = tmp_path / "marks.csv"
    write_marks(path, SearchModel((2.0, 1.0, 1.5)).simulate(np.random.default_rng(3), 2, 5, 5))
    names = set(read_mark_study(path)[0].modalities)
    assert names == {"A", "B", "C"}
    study, pairs = read_mark_study(path, Choice(("C",), ("A",)))
    assert (study.modalities, pairs) == (("C", "A"), (("C", "A"),))
    for choice, match in (
        (Choice(("D",)), "--arm D: .* has no such modality; there are"),
        (Choice(("A",), ("A",)), "is named by --arm and by --versus"),
        (Choice((), ("A", "B", "C")), "every arm is named by --versus"),
    ):
        with pytest.raises(UserError, match=match):
            read_mark_study(path, choice)


def ratings_study(n_readers: int = 4) -> ReaderStudy:
    ratings = RoeMetz.published("LL", 0.855).simulate(np.random.default_rng(4), Design(max(n_readers, 2), 40, 60))
    return ReaderStudy(ratings.part(readers=list(range(n_readers))), (("A", "B"),), ())


def test_power_by_readers_and_cases() -> None:
    study = ratings_study()
    assert sizes_section(study, Wanted()) is None
    section = sizes_section(study, Wanted(detect=0.06, power=0.9))
    assert section is not None
    components = analyze(study.ratings).differences["A-B"].components
    assert components is not None
    crossed = section.content["studies"]["A-B"]["fully_crossed"]
    for one in crossed:
        design = Design(one["readers"], one["present"], one["absent"])
        assert design.n_absent == int(np.ceil(1.5 * design.n_present))
        assert one["power"] == study_power(components, design, 0.06).power
    power = np.array([one["power"] for one in crossed]).reshape(len(READERS), -1)
    assert (np.diff(power, axis=0) > 0).all()
    assert (np.diff(power, axis=1) > 0).all()
    assert power.max() >= 0.9
    halves = section.content["studies"]["A-B"]["split_plot_in_2"]
    first = next(one for one in halves if one["readers"] == 4)
    groups = Design(first["readers"], first["present"], first["absent"], n_groups=2)
    assert first["power"] == study_power(components, groups, 0.06).power
    # No cell is a number alone, which might be a reader's name.
    assert all(row[0].endswith(" readers") for row in section.grids[0].rows)
    assert all(line.name.endswith(" readers") for line in section.drawings[0].lines)
    assert section.drawings[0].in_terminal
    json.dumps(json_values(section.content))


def test_what_cannot_be_sized() -> None:
    assert sizes_section(ratings_study(1), Wanted(detect=0.06)) is None
    section = sizes_section(ratings_study(), Wanted(detect=1e-6))
    assert section is not None
    assert section.answers == ()
    assert "A-B: a difference of 1e-06 is out of reach" in section.notes[0]


@pytest.mark.parametrize("detect", [0.05, -0.05])
def test_assumed_structures_give_the_difference(detect: float) -> None:
    basis = assumed("hl:0.855", detect)
    model = RoeMetz.published("HL", 0.855)
    # With no difference the components would be the configuration's own.
    alike = assumed("HL:0.855", 1e-9).components
    assert alike.reader == pytest.approx(model.components(0, 1).reader, rel=1e-5)
    assert basis.components != alike
    section = assumed_section("HL:0.855", Wanted(detect=detect))
    assert section.answers[0].startswith("Roe and Metz HL, AUC 0.854: to detect a difference of")


def test_assumed_parameters() -> None:
    text = "var_tr=0.0002,var_error=0.0008,cov1=0.00035,cov2=0.00034,cov3=0.00024,present=45,absent=69"
    basis = assumed(text, 0.05)
    assert (basis.method, basis.absent_per_present) == ("hillis", 69 / 45)
    assert basis.components.reader == pytest.approx(0.0004)


@pytest.mark.parametrize(
    ("text", "detect", "match"),
    [
        ("HX:0.855", 0.05, "give a structure and an AUC of Roe and Metz"),
        ("HL:0.9", 0.05, "HL:0.855"),
        ("HL", 0.05, "give a structure"),
        ("HL:0.961", 0.05, "must lie in"),
        ("HL:0.702", -0.3, "must lie in"),
        ("var_tr=1", 0.05, "lacks var_error"),
        ("var_tr=x", 0.05, "holds 'var_tr=x'"),
        ("var_tr=1,var_tr=1", 0.05, "give each of"),
        ("var_tr=1,var_error=1,cov1=0,cov2=0,cov3=0,present=1,absent=9", 0.05, "has present=1"),
    ],
)
def test_assumptions_that_are_none(text: str, detect: float, match: str) -> None:
    with pytest.raises(UserError, match=match):
        assumed(text, detect)


def test_an_assumption_needs_a_difference() -> None:
    with pytest.raises(UserError, match="say by --detect"):
        assumed_section("HL:0.855", Wanted())


def test_readers_who_rate_alike() -> None:
    present = np.arange(20) < 10
    scores = np.broadcast_to(present * 2.0, (2, 3, 20)).copy()
    (section,) = marks_sections(one_rating_a_case(scores, present), Wanted(margin=0.1))
    assert any("0 or 1" in note for note in section.notes)
    assert any("are both above 0.98: these cases are too easy" in note for note in section.notes)
    assert len(section.answers) == 1
    assert replace(section, notes=()).answers[0].startswith("Weighted AFROC area of m0 is not shown to differ")
