"""`taskct mrmc --agreement`: who is compared, what second readings are, and what is refused."""

import json

import numpy as np
import pytest

from taskct.apply.ratings import ReaderStudy
from taskct.apply.reader_study.agreement import COEFFICIENTS, ICC, QUADRATIC, agreement_section
from taskct.apply.reader_study.wanted import Wanted
from taskct.cli.mrmc_sections import page_sections, sections_json
from taskct.errors import UserError
from taskct.metrics.mrmc.agreement import agreement_coefficient, mean_coefficient
from taskct.metrics.mrmc.ratings import Ratings

TRUTH = np.arange(60) < 30
ASKED = Wanted(agreement=True)


def study(modalities=("A", "A again", "B"), *, points=5, n_readers=3):
    rng = np.random.default_rng(6)
    case = rng.normal(size=60) + 1.5 * TRUTH
    z = 2.3 + case + 0.6 * rng.normal(size=(len(modalities), n_readers, 60))
    scores = np.clip(np.round(z), 1, 5) if points == 5 else np.clip(np.round(20 * z), 0, 100)
    names = ("Ann", "Ben", "Cy")[:n_readers]
    return ReaderStudy(Ratings(scores, TRUTH, tuple(modalities), names, tuple(map(str, range(60)))), (), ())


def test_it_is_made_only_when_asked_for():
    assert agreement_section(study(), Wanted()) is None


def test_between_and_within_readers():
    made = study()
    section = agreement_section(made, ASKED)
    scores = made.ratings.scores
    between = section.content["between"]
    assert list(between) == ["A", "B"]  # second readings are no modality of their own here
    assert set(between["A"]["coefficients"]) == {*COEFFICIENTS, ICC}
    assert between["A"]["coefficients"][QUADRATIC]["value"] == agreement_coefficient(scores[0]).value
    assert len(section.content["pairs"]) == 6
    within = section.content["within"]
    assert [one["readers"] for one in within] == [["Ann"], ["Ben"], ["Cy"], []]
    own = agreement_coefficient(scores[:2, 1])
    assert within[1]["coefficients"][QUADRATIC]["std_error"] == own.std_error
    mean = mean_coefficient(scores[:2].transpose(1, 0, 2))
    assert within[3]["coefficients"][QUADRATIC]["ci_low"] == mean.ci_low
    json.dumps(sections_json([section]), allow_nan=False)


def test_white_space_in_a_name_does_not_matter_as_in_imrmc():
    assert agreement_section(study(("A", "Aagain", "B")), ASKED).content["within"]
    assert any("name that of `X`" in note for note in agreement_section(study(("A", "B")), ASKED).notes)


def test_many_scores_are_no_categories():
    section = agreement_section(study(points=101), ASKED)
    assert set(section.content["between"]["A"]["coefficients"]) == {QUADRATIC, ICC}
    assert any("Lin's concordance" in note for note in section.notes)
    assert section.grids[1].numbers == ("cases", QUADRATIC)


def test_programs_are_left_out_and_the_page_names_nobody():
    section = agreement_section(study(), Wanted(agreement=True, programs=("Cy",)))
    assert len(section.content["pairs"]) == 2
    (page,) = page_sections([section], {"Ann": "reader 1", "Ben": "reader 2"})
    assert "reader 2" in repr(page)
    assert "'Ann'" not in repr(page)


def test_cases_that_not_all_rated_are_counted():
    made = study()
    made.ratings.scores[0, 0, :4] = np.nan
    made.ratings.scores[2, 1] = np.nan
    section = agreement_section(made, ASKED)
    assert "A: 4 cases that not all rated are left out of the agreement of all" in section.notes
    assert [one["readers"] for one in section.content["pairs"] if one["modality"] == "B"] == [["Ann", "Cy"]]
    rarely = study()
    rarely.ratings.scores[0, 0, :59] = np.nan
    notes = agreement_section(rarely, ASKED).notes
    assert any(note.startswith("A, Ann and Ben: 1 cases were rated by all") for note in notes)
    assert any(note.startswith("A, Ann again: 1 cases") for note in notes)


def test_one_reader_who_read_once_is_refused():
    with pytest.raises(UserError, match="none is a second reading"):
        agreement_section(study(("A", "B"), n_readers=1), ASKED)
    alone = agreement_section(study(("A", "A again"), n_readers=1), ASKED)
    assert [one["readers"] for one in alone.content["within"]] == [["Ann"]]
    assert not alone.content["between"]
